"""Exit codes, and what is said when something goes wrong that nobody meant to go wrong."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestr8 import __version__
from orchestr8.cli.commands import ps
from orchestr8.wire.frames import encode
from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine
from tests.cli.process import ROOT

BROKEN = "name: shop\nservices:\n  web: {image: 'rootfs:/', comand: [x]}\n"


def test_everything_that_is_wrong_with_the_file_is_shown_at_its_place(cli: Cli) -> None:
    Path("stack.yml").write_text(BROKEN)
    code, out, err = cli("config")
    assert (code, out) == (1, "")
    assert err.startswith("error[O8-101]: unknown key `comand` in `services.web`\n --> stack.yml:3:28\n")
    assert "did you mean `command`?" in err
    code, _, err = cli("--error-format", "concise", "config")
    assert err == "stack.yml:3:28: error[O8-101] unknown key `comand` in `services.web`\n"
    code, _, err = cli("--error-format", "json", "config")
    assert err.startswith('{"code": "O8-101"')


def test_warnings_are_told_and_strict_makes_them_errors(cli: Cli) -> None:
    Path("stack.yml").write_text('name: shop\nservices:\n  web: {image: "rootfs:/${NOPE}"}\n')
    code, out, err = cli("config", "--services")
    assert (code, out) == (0, "web\n")
    assert err.startswith("warning[O8-3")
    assert cli("--strict", "config", "--services")[:2] == (1, "")


def test_a_defect_leaves_its_details_in_a_file_and_no_traceback(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> int:
        raise KeyError("surprise")

    monkeypatch.setattr(ps, "run", broken)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code, out, err = cli("-p", "x", "ps")
    path = f"{tmp_path}/orchestr8-error-{os.getpid()}.txt"
    assert (code, out) == (1, "")
    assert err == (
        "error[O8-900]: internal error: KeyError: 'surprise'\n"
        f"  = note: the details are in {path}\n"
        "  = help: please report it with that file\n"
    )
    assert "Traceback" in Path(path).read_text()
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert "could not be written" in cli("-p", "x", "ps")[2]  # never over a file that is there already


def test_an_interrupt_ends_quietly_with_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(ps, "run", interrupted)
    assert cli("-p", "x", "ps") == (130, "", "")


def test_a_reader_who_leaves_ends_it_as_a_broken_pipe_does() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "orchestr8", "--help"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, env=environ, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told_as_such() -> None:
    argv = [sys.executable, "-m", "orchestr8", "--help"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open("/dev/full", "w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, env=environ, check=False)
    assert (done.returncode, done.stderr) == (
        1, b"error[O8-600]: the output cannot be written: No space left on device\n",
    )  # fmt: skip


def test_a_directory_that_was_removed_is_told_as_such(cli: Cli, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert cli("ps") == (
        1, "", "error[O8-300]: the directory you stand in is not there any more\n  = help: cd to another one\n",
    )  # fmt: skip


def test_a_closed_standard_input_is_an_empty_one(engine: FakeEngine) -> None:
    """Else the engine's socket would get number 0, and be read as the standard input."""

    def start(call: Call) -> None:
        stream = call.upgrade()
        while stream.recv(100):
            pass
        stream.sendall(encode(1, b"no input\n"))

    container = {"id": "a", "name": "shop-web-1", "service": "web", "number": 1, "oneoff": False, "state": "running"}
    engine.routes |= {
        "GET /stacks/shop/containers": [container],
        "POST /containers/a/exec": {"Id": "e1"},
        "POST /exec/e1/start": start,
        "GET /exec/e1/json": {"ExitCode": 0},
    }
    line = f"exec {sys.executable} -m orchestr8 -p shop exec web cat <&-"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", line], capture_output=True, env=environ, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"no input\n", b"")


def test_modes_that_contradict_each_other_are_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("--ansi", "never", "--progress", "tty", "version")[0] == 2
    assert cli("--ansi", "always", "--progress", "plain", "version")[0] == 2
    monkeypatch.setenv("COMPOSE_PROGRESS", "loud")
    code, _, err = cli("version")
    assert (code, err.splitlines()[0]) == (2, "error[O8-300]: COMPOSE_PROGRESS is `loud`")


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, False), ({"COMPOSE_ANSI": "always"}, True), ({"COMPOSE_ANSI": "always", "NO_COLOR": "1"}, True)],
)
def test_colours_are_the_terminals_unless_asked_for(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bool(re.search("\x1b", cli("--project-directory", "/", "config")[2])) is coloured


def test_help_of_a_command_that_does_not_exist(cli: Cli) -> None:
    assert cli("help", "up")[1].startswith("Usage: orchestr8 up [flags] [SERVICE…]\n")
    assert cli("help", "uup")[0] == 2


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_the_program_is_still_imported_shows_no_traceback(tmp_path: Path, *, ignored: bool) -> None:
    """`argparse` is what the program imports, and here it stops on the way until something is typed."""
    (tmp_path / "argparse.py").write_text(
        f"import sys; sys.path.remove({str(tmp_path)!r}); print('half', flush=True); sys.stdin.readline()\n"
        "import importlib; sys.modules.pop('argparse'); sys.modules['argparse'] = importlib.import_module('argparse')\n"
    )
    with subprocess.Popen(
        [*(("sh", "-c", "trap '' INT; exec \"$@\"", "sh") if ignored else ()), sys.executable, "-c", "from orchestr8.cli.entry import main; main()", "version", "--short"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate("\n", timeout=20)
        assert (process.returncode, out, err) == ((0, f"{__version__}\n", "") if ignored else (-signal.SIGINT, "", ""))
