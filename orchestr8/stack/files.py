"""Stack files as documents: each read and parsed once in a run, and how much a run may read.

Which files are read is said by `project`, `include` and `extends`; what is made of them is `load`'s business.
"""

from __future__ import annotations

import os

from orchestr8.errors import InvalidInput, NotFound, Span
from orchestr8.stack.nodes import OVERRIDE, RESET, Mapping, Node, Scalar, size
from orchestr8.stack.parse import MAX_EXPANDED, UNREADABLE, parse_documents
from orchestr8.stack.source import ARGUMENTS, STDIN, display_path, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final, NoReturn

    from orchestr8.stack.environment import Environment
    from orchestr8.stack.interpolate import Interpolation
    from orchestr8.stack.problems import Problems

MAX_READ: Final = 1_000_000  # values in the files that are included or extended, used or not
MAX_LENGTH: Final = 2**26  # letters of them, an often included file counted as often
MAX_FILES: Final = 1000  # read in one run, one that is included often counted as often
_REMOTE: Final = ("git@", "oci:", "github.com/")


class Document:
    """One document of a stack file."""

    def __init__(self, path: str, root: Mapping) -> None:
        self.path = path  # absolute, or "-" for standard input
        self.root = root


class Scope:
    """What the files of a project, or of an include in it, are read with."""

    def __init__(
        self, directory: str, environment: Environment, interpolation: Interpolation | None, *, base: str | None
    ) -> None:
        self.directory = directory  # where the relative paths of its files start, those of files to read included
        self.environment = environment
        self.interpolation = interpolation  # None: variables stay as they are
        self.base = base  # what `directory` is called in the document: "." and the like with --no-path-resolution

    def interpolated(self, documents: Iterable[Document]) -> list[Document]:
        if self.interpolation is None:
            return list(documents)
        done = [(each.path, self.interpolation.document(each.root)) for each in documents]
        return [Document(path, root) for path, root in done if isinstance(root, Mapping)]


class TooMuch(Exception):
    """What include and extends bring together is too much for any stack. The place is told already."""


class Files:
    """The stack files of one run."""

    def __init__(self, problems: Problems, working_dir: str, stdin: Callable[[], str]) -> None:
        self.problems = problems
        self.working_dir = working_dir
        self.stdin = stdin
        self.tagged = False  # whether any of them has !reset or !override
        self._texts: dict[str, str] = {}
        self._files = 0
        self._nodes = 0
        self._read = 0
        self._length = 0

    def read(self, path: str, via: tuple[Span, ...] = ()) -> list[Document]:
        """The documents of a file. Raises NotFound and InvalidInput; what is wrong inside of it is told."""
        file = self.shown(path)
        if path not in self._texts:
            self._texts[path] = self.stdin() if path == "-" else read_text(path, "O8-107", "stack file")
        text = self._texts[path]
        self.problems.sources.setdefault(file, text)
        self.tagged = self.tagged or RESET in text or OVERRIDE in text
        return [Document(path, root) for root in parse_documents(text, file, self.problems, via)]

    def given(self, text: str, directory: str) -> list[Document]:
        """The documents of a text that stands in no file; its paths start from `directory`."""
        path = beside(ARGUMENTS, directory)
        self._texts[path] = text
        return self.read(path)

    def shown(self, path: str) -> str:
        """How a file is called in messages."""
        if os.path.basename(path) == ARGUMENTS:
            return ARGUMENTS
        return STDIN if path == "-" else display_path(path, self.working_dir)

    def follow(self, path: str, at: Node, label: str) -> list[Document] | None:
        """The documents of a file that the text `at` names; None, and told, when there is none."""
        self._files += 1
        if self._files > MAX_FILES:
            self._end(f"more than {MAX_FILES} files are included or extended", at)
        before = len(self.problems.errors)
        via = (at.span(label, primary=False), *at.via)
        try:
            if path not in self._texts:
                self._texts[path] = read_text(path, "O8-107", "stack file")
            self._length += len(self._texts[path])
            if self._length > MAX_LENGTH:
                self._end(f"the included and extended files together are longer than {MAX_LENGTH >> 20} MiB", at)
            documents = self.read(path, via)
        except (NotFound, InvalidInput) as error:
            if is_remote(at):
                notes = ["it names something on the network; stack files are read from this machine only"]
            else:
                notes = error.notes
            self.problems.error(error.code, error.message, at, notes=notes, helps=error.helps)
            return None
        self._read += sum(size(each.root) for each in documents)
        if self._read > MAX_READ:
            self._end(f"the included and extended files together have more than {MAX_READ} values", at)
        unreadable = any(each.code == UNREADABLE for each in self.problems.errors[before:])
        return None if unreadable else documents

    def spend(self, nodes: int, at: Node) -> None:
        """Count values that come to stand in one more place."""
        self._nodes += nodes
        if self._nodes > MAX_EXPANDED:
            self._end(f"`include` and `extends` bring more than {MAX_EXPANDED} values into the stack", at, "O8-102")

    def _end(self, message: str, at: Node, code: str = "O8-106") -> NoReturn:
        self.problems.error(code, message, at)
        raise TooMuch


def is_remote(node: Node) -> bool:
    text = str(node.plain())
    return "://" in text or text.startswith(_REMOTE)


def beside(path: str, directory: str) -> str:
    """An absolute path, from one that a stack file names."""
    return os.path.normpath(os.path.join(directory, path))


def text_of(node: Node | None) -> str:
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""
