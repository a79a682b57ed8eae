"""YAML to nodes.

YAML is read as events of PyYAML's C parser, and composed here: its own composer refuses an anchor that is defined
twice, which YAML allows, and knows nothing of duplicate keys. Resolved here: anchors, merge keys (`<<`), duplicate keys
(an error at the second), keys that are not text, and alias bombs.
"""

from __future__ import annotations

import yaml
from yaml._yaml import CParser
from yaml.events import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, StreamEndEvent

from orchestr8.errors import Span
from orchestr8.stack.fixes import quote, untab
from orchestr8.stack.lines import split_lines
from orchestr8.stack.nodes import OVERRIDE, RESET, Mapping, Node, Scalar, Sequence, cut
from orchestr8.stack.problems import Problems
from orchestr8.stack.scalars import resolve
from orchestr8.stack.suggest import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MAX_NODES: Final = 100_000  # written in the file, keys not counted; compose's limit
MAX_EXPANDED: Final = 400_000  # with aliases counted as often as they are used
MAX_LETTERS: Final = 2**25  # of all texts, with aliases counted as often as they are used
MAX_KEY: Final = 1024  # letters of a key; YAML's own limit, but for keys behind a `?`
MAX_DEPTH: Final = 100  # lists and mappings in each other, through aliases too; later phases walk them by recursion
UNREADABLE: Final = "O8-102"  # the code of an error that leaves nothing of a file to go on with
_MISALIGNED: Final = ("did not find expected key", "did not find expected '-' indicator")
_TAG_PREFIX: Final = "tag:yaml.org,2002:"
_KNOWN_TAGS: Final = frozenset(
    _TAG_PREFIX + each for each in ("binary", "bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp")
)
_KINDS: Final[dict[str, Any]] = {"int": int, "float": float, "bool": bool, "null": type(None)}


class Composer:
    """One file's documents as nodes. What is wrong goes to `problems`; a file that is not YAML yields no document."""

    def __init__(self, text: str, file: str, problems: Problems, via: tuple[Span, ...] = ()) -> None:
        self.file = file
        self.via = via
        self.problems = problems
        self.text = text
        self.lines = split_lines(text)
        self.parser: Any = CParser(text)
        self.anchors: dict[str, Node | None] = {}  # None: still being composed
        self.extents: dict[
            int, tuple[int, int, int]
        ] = {}  # id of an anchored node -> nodes in it, levels of it, letters
        self.written = 0
        self.count = 0  # with what aliases stand for
        self.letters = 0  # likewise
        self.depth = 0  # of the node that is being composed
        self.deepest = 0  # level in it

    def documents(self) -> list[Node]:
        found: list[Node] = []
        try:
            self.parser.get_event()  # stream start
            while not self.parser.check_event(StreamEndEvent):
                self.parser.get_event()  # document start
                found.append(self._node(self.parser.get_event()))
                self.parser.get_event()  # document end
        except yaml.MarkedYAMLError as error:
            self._syntax_error(error)
            return []
        except yaml.reader.ReaderError as error:
            self.problems.error("O8-102", f"this is not YAML: {error.reason}", self._span_of(error.position))
            return []
        except _Stop:
            return []
        return found

    def _span_of(self, position: int) -> Span:
        """The place of a letter that YAML forbids, of which the reader tells the place among the bytes."""
        before = split_lines(self.text.encode()[: max(position, 0)].decode(errors="ignore"))
        return Span(self.file, len(before), len(before[-1]) + 1, via=self.via)

    def _mark(self, mark: Any) -> tuple[int, int]:
        """Line and column from 0; of the last letter's end where the parser stands behind the end of the file."""
        if mark.line >= len(self.lines):
            return len(self.lines) - 1, len(self.lines[-1])
        return mark.line, min(mark.column, len(self.lines[mark.line]))

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = self._mark(mark) if mark else (0, 0)
        if error.problem == "exceeded maximum nesting depth":  # the library's own limit, far above ours
            self.problems.error(
                "O8-102", f"the file exceeds the limit of {MAX_DEPTH} levels",
                Span(self.file, line + 1, column + 1, via=self.via),
            )  # fmt: skip
            return
        problem, helps, fix = error.problem or "it cannot be parsed", [], None
        if "\t" in self.lines[line][: column + 1]:
            problem, helps = "a tab is used for indentation", ["indent with spaces"]
            fix = untab(self.file, self.problems.lines(self.file))
        elif "mapping values are not allowed" in problem:
            helps = ["quote a value that holds `: `, and check the indentation of this line and the one above"]
        elif "cannot start any token" in problem:
            helps = [f"quote a value that begins with {self.lines[line][column : column + 1]}"]
        elif problem in _MISALIGNED and self.lines[line][:column].rstrip().endswith(('"', "'")):
            helps = ["a value that begins with a quote ends with it: quote all of it"]
        elif problem in _MISALIGNED and not self.lines[line][:column].strip() and (columns := self._open_columns(line)):
            begin = " or ".join(map(str, sorted(columns)))
            helps = [
                f"this line begins in column {column + 1}: what continues something above begins in column {begin}"
            ]
        elif "${" in self.lines[line][: column + 1]:
            helps = ['between { } and [ ] a value with a variable is quoted: "${...}"']
        spans = [Span(self.file, line + 1, column + 1, label=problem, via=self.via)]
        if error.context and error.context_mark and error.context_mark.line < line:
            above, at = self._mark(error.context_mark)
            spans.insert(0, Span(self.file, above + 1, at + 1, label=error.context, primary=False, via=self.via))
        self.problems.error("O8-102", f"this is not YAML: {problem}", spans, helps=helps, fix=fix)

    def _open_columns(self, line: int) -> set[int]:
        """Where the lines begin, counted from 1, that a block line after those above `line` may continue."""
        found: set[int] = set()
        for text in reversed(self.lines[:line]):
            content = text.lstrip(" ")
            column = len(text) - len(content) + 1
            if content.strip() and not content.startswith("#") and column < min(found, default=column + 1):
                found.add(column)
                if content.startswith("- ") and (": " in content or content.rstrip().endswith(":")):
                    found.add(column + len(content) - len(content[1:].lstrip(" ")))
        return found

    def _place(self, node: Node, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        node.file = self.file
        node.via = self.via
        node.line = start.line + 1
        node.column = start.column + 1
        if end.line == start.line:
            node.end_column = max(end.column, start.column + 1) + 1
        else:
            node.end_column = (
                len(self.lines[start.line].rstrip()) + 1 if start.line < len(self.lines) else start.column + 2
            )

    def _node(self, event: Any) -> Node:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self.written += 1
        before, letters_before = self.count, self.letters
        self._add(1, 1, len(event.value) if isinstance(event, ScalarEvent) else 0, event)
        self.depth += 1
        outside, self.deepest = self.deepest, self.depth
        anchor = event.anchor
        if anchor:
            self.anchors[anchor] = None
        node: Node
        if isinstance(event, ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event)
        else:
            node = self._sequence(event)
        if event.tag in (RESET, OVERRIDE):
            node.tag = event.tag
        elif event.tag and event.tag != "!" and event.tag not in _KNOWN_TAGS:
            self._unknown_tag(event)
        if anchor:
            self.anchors[anchor] = node
            self.extents[id(node)] = (
                self.count - before, self.deepest - self.depth + 1, self.letters - letters_before,
            )  # fmt: skip
        self.deepest = max(self.deepest, outside)
        self.depth -= 1
        return node

    def _unknown_tag(self, event: Any) -> None:
        tag = event.tag.replace(_TAG_PREFIX, "!!", 1) if event.tag.startswith(_TAG_PREFIX) else event.tag
        place = Scalar(None)
        self._place(place, event)
        place.end_column = place.column + len(tag)
        meant = closest(tag, (RESET, OVERRIDE))
        self.problems.warn(
            "O8-111", f"the tag `{cut(tag)}` has no effect", place, notes=[f"a stack file has {RESET} and {OVERRIDE}"],
            helps=[f"did you mean `{meant}`?"] if meant else [],
        )  # fmt: skip

    def _add(self, nodes: int, levels: int, letters: int, event: Any) -> None:
        """Count what comes to stand at this place. Ends the file when it is too much for any stack."""
        self.count += nodes
        self.letters += letters
        self.deepest = max(self.deepest, self.depth + levels)
        if self.written > MAX_NODES:
            most = f"{MAX_NODES} values"
        elif self.count > MAX_EXPANDED:
            most = f"{MAX_EXPANDED} values, its aliases expanded"
        elif self.letters > MAX_LETTERS:
            most = f"{MAX_LETTERS >> 20} MiB, its aliases expanded"
        elif self.deepest > MAX_DEPTH:
            most = f"{MAX_DEPTH} levels"
        else:
            return
        place = Scalar(None)
        self._place(place, event)
        self.problems.error("O8-102", f"the file exceeds the limit of {most}", place)
        raise _Stop

    def _alias(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            place = Scalar(None)
            self._place(place, event)
            started = event.anchor in self.anchors
            self.problems.error(
                "O8-102",
                f"`*{event.anchor}` stands inside of what it names" if started
                else f"no anchor is called `&{event.anchor}`",
                place,
            )  # fmt: skip
            raise _Stop
        self._add(*self.extents[id(node)], event)
        return node

    def _scalar(self, event: Any) -> Scalar:
        text = event.value
        plain = event.implicit[0] and not event.tag
        value: Any = text
        if plain:
            value = resolve(text)
        node = Scalar(value, text, quoted=not plain)
        self._place(node, event)
        if not plain and event.tag and event.tag.startswith(_TAG_PREFIX):
            self._tagged(node, event.tag.removeprefix(_TAG_PREFIX))
        if isinstance(node.value, float) and node.value - node.value != 0:
            self.problems.error(
                "O8-104", f"{text} is not a number that can be passed on", node, helps=[f'quote it: "{text}"']
            )  # fmt: skip
            node.value, node.failed = text, True
        if "\0" in text:
            self.problems.error("O8-104", "a text cannot hold the character NUL: no program can be given it", node)
            node.value, node.failed = text.replace("\0", ""), True
        return node

    def _tagged(self, node: Scalar, kind: str) -> None:
        """A value whose kind is said: `!!int "5"`, `!!binary aGk=`."""
        text = node.text
        if kind == "binary":
            from binascii import a2b_base64  # nobody writes it

            try:
                node.value = a2b_base64(text, strict_mode=True).decode()
            except ValueError:
                self.problems.error("O8-104", "`!!binary` takes base64 of text", node)
                node.failed = True
        elif kind in _KINDS:
            node.value = resolve(text)
            if kind == "float" and type(node.value) is int:
                node.value = float(node.value)
            if not isinstance(node.value, _KINDS[kind]) or (kind == "int" and node.value is True):
                self.problems.error("O8-104", f"`{cut(text)}` is not what its tag `!!{kind}` says", node)
                node.value, node.failed = text, True

    def _sequence(self, event: Any) -> Sequence:
        sequence = Sequence()
        while not isinstance(item := self.parser.get_event(), SequenceEndEvent):
            child = self._node(item)
            if child.tag != RESET:  # `!reset` on an item: it is not there
                sequence.items.append(child)
        self._place(sequence, event)
        return sequence

    def _mapping(self, event: Any) -> Mapping:
        mapping = Mapping()
        merged: list[tuple[Node, Node, Node]] = []  # each `<<`, its value, and where that is asked for
        while not isinstance(key_event := self.parser.get_event(), MappingEndEvent):
            key_node = self._node(key_event)
            self.count -= 1
            self.written -= 1
            value_event = self.parser.get_event()
            value = self._node(value_event)
            if _is_nothing(value_event):  # a value that is not there is shown at its key
                value.line, value.column, value.end_column = key_node.line, key_node.column, key_node.end_column
            if isinstance(key_node, Scalar) and len(key_node.text) > MAX_KEY:
                self.problems.error("O8-104", f"a key is longer than {MAX_KEY} letters", key_node)
            elif not isinstance(key_node, Scalar):
                self.problems.error("O8-104", "a key must be text, not a list or a mapping", key_node)
            elif key_node.text == "<<" and (not key_node.quoted or key_event.tag == f"{_TAG_PREFIX}merge"):
                if merged:
                    self._twice(key_node, merged[0][0])
                asked = value
                if isinstance(value_event, AliasEvent):
                    self._place(asked := Scalar(None), value_event)
                merged.append((key_node, value, asked))
            elif not isinstance(key_node.value, str):
                self._not_text(key_node, value)
                mapping.set(key_node.text, value, key_node)
            elif key_node.value in mapping.items:
                self._twice(key_node, mapping.keys[key_node.value])
            else:
                mapping.set(key_node.value, value, key_node)
        self._place(mapping, event)
        for _, value, asked in merged:
            self._merge_key(mapping, value, asked)
        return mapping

    def _not_text(self, key: Scalar, value: Node) -> None:
        helps, fix = [f'quote it: "{key.text}"'], quote(key, self.problems)
        if isinstance(value, Scalar) and type(key.value) is type(value.value) is int:  # `- 80: 80`, a port with a space
            helps, fix = (
                [f'if it is one text, leave no space in it, and quote it: "{key.text}:{value.text}"', *helps],
                None,
            )
        self.problems.error(
            "O8-104", f"a key must be text; `{key.text}` is not", key, helps=helps, fix=fix
        )  # fmt: skip

    def _twice(self, key: Scalar, first: Node) -> None:
        self.problems.error(
            "O8-103", f"the key `{key.text}` stands here twice",
            [key.span("again here"), first.span("first here", primary=False)],
            helps=["write `<<: [*one, *two]`" if key.text == "<<" else "keep one, or put both values under it"],
        )  # fmt: skip

    def _merge_key(self, mapping: Mapping, value: Node, asked: Node) -> None:
        """`<<: *base` or `<<: [*one, *two]`: keys of the mapping itself win, then the earlier of the list."""
        for each in value.items if isinstance(value, Sequence) else [value]:
            if not isinstance(each, Mapping):
                spans = [asked.span()]
                if each is not asked:
                    spans.append(each.span("this is none", primary=False))
                self.problems.error("O8-104", "`<<` takes a mapping, or a list of mappings", spans)
                continue
            for key, child in each.items.items():
                if key not in mapping.items:
                    mapping.set(key, child, each.keys[key])


def _is_nothing(event: Any) -> bool:
    return isinstance(event, ScalarEvent) and not event.value and bool(event.implicit[0]) and not event.anchor


class _Stop(Exception):  # ends the composing of a file; the problem is told already
    pass


def parse_documents(text: str, file: str, problems: Problems, via: tuple[Span, ...] = ()) -> list[Mapping]:
    """The documents of one stack file, each a mapping; empty ones are left out.

    `via`: the `include` and `extends` by way of which the file is read.
    """
    documents = Composer(text, file, problems, via).documents()
    mappings: list[Mapping] = []
    for document in documents:
        if isinstance(document, Mapping):
            mappings.append(document)
        elif not (isinstance(document, Scalar) and document.value is None):
            problems.error("O8-102", "a stack file is a mapping of keys such as `services:`", document)
    return mappings
