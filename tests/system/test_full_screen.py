"""Programs that draw the whole screen, by `exec` on a terminal: what a person sees, types, pastes and resizes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import state
from e2e.scenario import Scenario
from tests.cli.process import Process
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK = """
services:
  web:
    image: rootfs:/
    command: sleep infinity
    working_dir: /w
    environment: {LESS: "", LESSHISTFILE: "-", LC_ALL: C.UTF-8}
    volumes: ["./w:/w"]
    stop_grace_period: 0s
"""


@pytest.fixture
def folder(scenario: Tell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the container sees as /w; a `Process` works on its stack."""
    story = scenario(STACK)
    folder = Path(story.directory, "w")
    folder.mkdir()
    story.step("up -d", state("web", "running"))
    for name, value in story.engine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(story.directory)
    return folder


def on_terminal(*words: str) -> Process:
    # Of an xterm vim asks for more than pyte knows.
    return Process("exec", "-e", "TERM=vt220", "web", *words, terminal=(60, 12))


@requires("program:less")
def test_less_pages_follows_the_size_of_the_window_and_leaves(folder: Path) -> None:
    (folder / "text").write_text("".join(f"line {number} é\n" for number in range(1, 200)))
    with on_terminal("less", "text") as less:
        less.until_shown(lambda shown: shown[0] == "line 1 é" and shown[-2:] == ["line 11 é", "text"])
        less.type(b" ")
        less.until_shown(lambda shown: shown[0] == "line 12 é")
        less.resize(60, 6)
        less.until_shown(lambda shown: shown[:5] == [f"line {number} é" for number in range(12, 17)])
        less.type(b"/line 150\n")
        less.until_shown(lambda shown: shown[0] == "line 150 é")
        less.type(b"q")
        assert less.end() == 0


@requires("program:vim")
def test_vim_edits_and_writes(folder: Path) -> None:
    with on_terminal("vim", "-u", "NONE", "-N", "file") as vim:
        vim.until_shown(lambda shown: shown[-1].startswith('"file" [New]'))
        vim.type(b"ihello\x1b")
        vim.until_shown(lambda shown: shown[0] == "hello")
        vim.type(b"yy3p")
        vim.until_shown(lambda shown: shown[:4] == ["hello"] * 4)
        vim.type(b":1d\r")
        vim.until_shown(lambda shown: shown[:4] == ["hello", "hello", "hello", "~"])
        vim.resize(40, 8)
        while "columns=40" not in vim.text:  # until it has heard of it
            vim.output = b""
            vim.type(b":set columns? lines?\r")
            vim.until("Press ENTER")
            vim.type(b"\r")
        assert "lines=8" in vim.text
        vim.type(b":wq\r")
        assert vim.end() == 0
    assert (folder / "file").read_text() == "hello\n" * 3


@requires("program:top")
def test_top_shows_the_containers_processes_and_ends(folder: Path) -> None:
    with on_terminal("top", "-d", "0.2") as top:
        top.until("sleep")
        top.until("PID")
        top.type(b"q")
        assert top.end() == 0


def test_a_program_is_stopped_by_its_key_and_goes_on_in_the_foreground(folder: Path) -> None:
    with on_terminal("bash", "--norc", "--noediting", "-i") as shell:
        shell.type(b"PS1='> '; echo rea''dy\n")
        shell.until("ready\r\n> ")
        shell.type(b'sh -c \'echo wai""ting; read answer; echo "<$answer>"\'\n')
        shell.until("waiting")
        shell.type(b"\x1a")
        shell.until("Stopped")
        shell.type(b"echo mean''while; fg\n")
        shell.until("meanwhile")
        shell.until("sh -c")
        shell.type(b"said\n")
        shell.until("<said>")
        shell.type(b"exit 4\n")
        assert shell.end() == 4


def test_a_megabyte_is_pasted_whole(folder: Path) -> None:
    """Into a program that takes keys as they come, as editors do; a shell's line has 4,096 bytes (termios(3))."""
    text = "".join(f"{number:07}\r" for number in range(1 << 17)).encode()
    assert len(text) == 1 << 20
    script = "stty raw -echo; echo rea''dy; head -c 1048576 | sha256sum; stty sane"
    with on_terminal("sh", "-c", script) as pasted:
        pasted.until("ready")
        pasted.paste(text)
        pasted.until(hashlib.sha256(text).hexdigest())
        assert pasted.end() == 0
