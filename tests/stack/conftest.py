"""What the tests of the stack language share: write files, load them, and see the outcome as text."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import InvalidStack
from orchestr8.stack.load import Loaded, LoadOptions, load
from orchestr8.stack.render import render


class Outcome:
    """A loaded stack, or what was wrong with it."""

    def __init__(self, loaded: Loaded | None, failure: InvalidStack | None) -> None:
        self.loaded = loaded
        self.diagnostics = diagnostics = failure.diagnostics if failure else (loaded.warnings if loaded else [])
        self.sources = failure.sources if failure else (loaded.sources if loaded else {})
        self.errors = [render([each], {}, style="concise").strip() for each in diagnostics if each.severity == "error"]
        self.warnings = [
            render([each], {}, style="concise").strip() for each in diagnostics if each.severity == "warning"
        ]
        self.text = render(diagnostics, self.sources)

    @property
    def document(self) -> dict[str, Any]:
        assert self.loaded is not None, "\n".join(self.errors)
        return self.loaded.document

    @property
    def services(self) -> dict[str, Any]:
        return self.document["services"]

    @property
    def web(self) -> dict[str, Any]:
        """The service that most tests are about, without what every service has."""
        always = {"command": None, "entrypoint": None, "networks": {"default": None}, "image": "rootfs:/"}
        return {key: value for key, value in self.services["web"].items() if always.get(key, ...) != value}


Files = str | dict[str, str]


@pytest.fixture
def project_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    return directory


@pytest.fixture
def write(project_dir: Path) -> Callable[[Files], None]:
    def write_files(files: Files) -> None:
        for name, text in ({"stack.yml": files} if isinstance(files, str) else files).items():
            path = project_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write_files


@pytest.fixture
def stack(project_dir: Path, write: Callable[[Files], None]) -> Callable[..., Outcome]:
    """Write the files, `stack.yml` where only text is given, and load them as `up` of a user beside them would."""

    def load_files(files: Files, /, **options: Any) -> Outcome:
        write(files)
        options.setdefault("environ", {})
        options.setdefault("acting", True)
        options.setdefault("working_dir", str(project_dir))
        try:
            return Outcome(load(LoadOptions(**options)), None)
        except InvalidStack as failure:
            return Outcome(None, failure)

    return load_files


@pytest.fixture
def service(stack: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """A stack of one service, `web`, with these lines added to it; `rest` is added at the top."""

    def load_service(lines: str, rest: str = "", /, **options: Any) -> Outcome:
        body = "".join(f"    {line}\n" for line in lines.splitlines())
        return stack(f"services:\n  web:\n    image: rootfs:/\n{body}{rest}", **options)

    return load_service


@pytest.fixture(scope="session")
def reference() -> Path:
    """compose's own cases; they stand outside of the repository."""
    shared = os.environ.get("ORCHESTR8_SHARED")
    if not shared:
        pytest.skip("ORCHESTR8_SHARED is not set: the reference cases are not at hand")
    return Path(shared) / "reference"
