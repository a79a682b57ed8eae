"""The CLI run in this process, against an engine that answers as the test tells it to."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestr8.cli.main import run
from orchestr8.wire.paths import socket_path
from tests.cli.fake_engine import FakeEngine

Cli = Callable[..., tuple[int, str, str]]
Stdin = Callable[[bytes], None]

SHOP = """
name: shop
services:
  web: {image: "rootfs:/", command: [sleep, "9"], depends_on: [db]}
  db: {image: "rootfs:/"}
  mail: {image: "rootfs:/", profiles: [extra]}
"""


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the caller's changes a test, and no engine but a test's own is ever spoken with."""
    for name in os.environ:
        if name.startswith(("COMPOSE_", "ORCHESTR8_")) or name in ("NO_COLOR", "CI", "TERM"):
            monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("ORCHESTR8_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("ORCHESTR8_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def shop() -> None:
    """Two services, one of which waits for the other, and one of a profile."""
    Path("stack.yml").write_text(SHOP)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    path = socket_path(str(tmp_path / "root"), {"ORCHESTR8_RUN_DIR": str(tmp_path / "run")})
    os.makedirs(os.path.dirname(path))
    engine = FakeEngine(path)
    yield engine
    engine.close()


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line; returns exit code, standard output and standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        code = run(words)
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def stdin() -> Iterator[Stdin]:
    """Gives this process a standard input that holds some bytes and ends."""
    saved = os.dup(0)

    def give(data: bytes) -> None:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        os.dup2(reader, 0)
        os.close(reader)

    yield give
    os.dup2(saved, 0)
    os.close(saved)
