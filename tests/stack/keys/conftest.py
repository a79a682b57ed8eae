"""What the files of this folder share: the key that a file is named for, written in a stack, and what becomes of it.

Files beside this one are about keys of a service; those in `top/`, about what stands at the top of a stack file: a thing
`x` of each section, or the value itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestr8.stack.records import Named
from orchestr8.stack.render import render
from orchestr8.stack.rules import STACK
from tests.stack.conftest import Outcome

Load = Callable[..., Outcome]


class Key:
    """`written` is what stands behind the key's colon; `rest`, further lines of the file. Nothing is acted on."""

    def __init__(self, name: str, load: Load, directory: Path, *, top: bool) -> None:
        self.name = name
        self._load = load
        self._directory = str(directory)
        self._section = name if top and isinstance(STACK.keys[name].kind, Named) and name != "services" else ""
        self._top = top

    def text(self, written: str, rest: str = "") -> str:
        """A whole stack file."""
        if self._top:
            line = f"{self.name}:\n  x: {written}\n" if self._section else f"{self.name}: {written}\n"
            web = "" if self.name == "services" else "services: {web: {image: 'rootfs:/'}}\n"
            return f"{line}{web}{rest}"
        image = "" if self.name == "image" else "    image: rootfs:/\n"
        return f"services:\n  web:\n{image}    {self.name}: {written}\n{rest}"

    def outcome(self, written: str, rest: str = "", /, **options: Any) -> Outcome:
        return self._load(self.text(written, rest), acting=False, all_resources=True, **options)

    def of(self, outcome: Outcome) -> Any:
        """The key's value in the document; None where it is not said."""
        if self._section:
            return outcome.document.get(self.name, {}).get("x")
        return (outcome.document if self._top else outcome.services["web"]).get(self.name)

    def value(self, written: str, rest: str = "", /, **options: Any) -> Any:
        return self.of(self.outcome(written, rest, **options))

    def values(self, *written: str) -> list[Any]:
        """Of several, each in a file of its own."""
        return [self.value(each) for each in written]

    def unsaid(self) -> Any:
        """The value in the document of a file that does not have the key."""
        return self.of(self._load("services: {web: {image: 'rootfs:/'}}", acting=False))

    def merged(self, first: str, second: str, rest: str = "", /, *, more: str = "", **options: Any) -> Any:
        """The value of two files that both have the key; `rest` stands in the first, `more` in the second."""
        files = {"a.yml": self.text(first, rest), "b.yml": self.text(second, more)}
        return self.of(self._load(files, files=list(files), acting=False, all_resources=True, **options))

    def printed(self, written: str, rest: str = "", /, severity: str = "error", **options: Any) -> str:
        """The errors of a file, as they are printed, with `<dir>` for the project's directory."""
        found = self.outcome(written, rest, **options)
        told = [each for each in found.diagnostics if each.severity == severity]
        return render(told, found.sources).replace(self._directory, "<dir>")

    def warned(self, written: str, rest: str = "", /) -> str:
        """The warnings, likewise."""
        return self.printed(written, rest, severity="warning")

    def errors(self, *written: str) -> list[str]:
        """The one error of each, as `CODE message`."""
        found = []
        for each in written:
            (line,) = self.outcome(each).errors
            found.append(line.partition("error[")[2].replace("]", "", 1))
        return found

    def acted_on(self, written: str, rest: str = "", /) -> list[str]:
        """What `up` has to say: errors and warnings, in a line each."""
        found = self._load(self.text(written, rest), acting=True)
        return found.errors + found.warnings


@pytest.fixture
def key(request: pytest.FixtureRequest, stack: Load, project_dir: Path) -> Key:
    path = request.path
    return Key(path.stem.removeprefix("test_"), stack, project_dir, top=path.parent.name == "top")
