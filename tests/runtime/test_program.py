"""The last steps before a program: what is packed for them, and looking it up. In forked children; no root."""

import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestr8.kernel.capabilities import DEFAULT, mask, oci_capabilities
from orchestr8.runtime import program
from orchestr8.runtime.program import ProgramError, execute


def outcome(function: Callable[[], None]) -> tuple[int, str]:
    """Run `function` in a child: its exit code, and what it wrote to stdout."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.dup2(writer, 1, inheritable=True)
            function()
        except ProgramError as error:
            os.write(1, f"{error.exit_code}: {error.message}".encode())
            code = error.exit_code
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as pipe:
        text = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (
        ("greet", "#!/bin/sh\necho $0 $1 $GREETING $#\n"),
        ("plain", "no magic\n"),
        ("orphan", "#!/nowhere\n"),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "closed").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def test_a_name_is_looked_up_in_the_environments_path(folder: Path) -> None:
    environment = [f"PATH=/nowhere:{folder}:/bin", "GREETING=hello"]
    assert outcome(lambda: execute(["greet", "you"], environment)) == (0, f"{folder}/greet you hello 1\n")


def test_a_path_is_taken_as_it_is(folder: Path) -> None:
    assert outcome(lambda: execute([f"{folder}/greet"], ["PATH=/nowhere"])) == (0, f"{folder}/greet 0\n")


def test_an_empty_part_of_the_path_is_the_working_directory(folder: Path) -> None:
    def here() -> None:
        os.chdir(folder)
        execute(["greet"], ["PATH=/nowhere:"])

    assert outcome(here) == (0, "./greet 0\n")


def test_without_a_path_the_default_one_holds() -> None:
    assert outcome(lambda: execute(["true"], [])) == (0, "")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing", "127: missing: executable not found in PATH ({folder})"),
        ("{folder}/missing", "127: {folder}/missing: executable not found"),
        ("{folder}/greet/below", "127: {folder}/greet/below: executable not found"),
        ("{folder}/loop", "127: {folder}/loop: executable not found"),
        ("", "127: the command is empty"),
        ("plain", "126: cannot execute plain: Exec format error"),
        ("closed", "126: cannot execute closed: Permission denied"),
        ("{folder}/folder", "126: cannot execute {folder}/folder: Permission denied"),
        (
            "{folder}/orphan",
            "127: cannot execute {folder}/orphan: its interpreter (the `#!` line or the loader) was not found",
        ),
    ],
)
def test_what_cannot_be_executed_is_told_with_a_shells_exit_code(folder: Path, name: str, told: str) -> None:
    name, told = name.format(folder=folder), told.format(folder=folder)
    assert outcome(lambda: execute([name], [f"PATH={folder}"])) == (int(told[:3]), told)


def test_one_that_may_not_be_executed_does_not_hide_one_that_may(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = tmp_path_factory.mktemp("first")
    (first / "greet").write_text("#!/bin/sh\n")
    assert outcome(lambda: execute(["greet"], [f"PATH={first}:{folder}"]))[0] == 0


def test_the_last_of_two_values_of_a_variable_counts_and_odd_ones_do_not_crash(folder: Path) -> None:
    environment = ["GREETING=a", f"PATH={folder}:/bin", "GREETING=b=c", "EMPTY="]
    assert outcome(lambda: execute(["greet"], environment))[1] == f"{folder}/greet b=c 0\n"


def test_signals_are_as_a_program_expects_them() -> None:
    """Nothing blocked, nothing ignored, whatever the process before did."""

    def child() -> None:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        program.reset_signals()
        execute(["/bin/sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status"], [])

    assert outcome(child) == (0, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")


def test_a_missing_working_directory_is_made_and_entered(tmp_path: Path) -> None:
    path = f"{tmp_path}/a/b"

    def child() -> None:
        program.make_working_directory(path)
        entered = program.try_working_directory(path)
        program.enter_working_directory(path, entered=entered)
        os.write(1, os.getcwd().encode())
        os._exit(0)

    assert outcome(child) == (0, path)


@pytest.mark.parametrize("make", [program.make_working_directory, program.try_working_directory])
def test_a_working_directory_that_cannot_be_is_told(tmp_path: Path, make: Callable[[str], object]) -> None:
    (tmp_path / "file").write_text("")
    code, text = outcome(lambda: make(f"{tmp_path}/file/below") and None)
    assert code in {126, 127}
    assert text.endswith(f"working directory {tmp_path}/file/below: Not a directory")


def test_a_working_directory_that_was_removed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()

    def child() -> None:
        os.chdir(tmp_path / "gone")
        os.rmdir(tmp_path / "gone")
        program.enter_working_directory("/proc/self/cwd", entered=True)

    assert outcome(child) == (126, "126: working directory /proc/self/cwd lies outside of the container")


def test_walls_are_packed_as_ids_sets_groups_and_filter() -> None:
    process = {
        "user": {"uid": 7, "gid": 8, "additionalGids": [8, 9]},
        "capabilities": oci_capabilities(0),
        "noNewPrivileges": True,
    }
    bits = mask(DEFAULT)
    packed = program.pack_walls(process, b"filter..")
    assert packed == struct.pack("=IIII5QI2I", 7, 8, 0o022, 1, bits, bits, bits, 0, 0, 2, 8, 9) + b"filter.."


def test_walls_without_anything_said_are_the_tightest() -> None:
    packed = program.pack_walls({"user": {"uid": 0, "gid": 0, "umask": 0o077}}, b"")
    assert packed == struct.pack("=IIII5QI", 0, 0, 0o077, 0, 0, 0, 0, 0, 0, 0)


def test_an_id_out_of_range_cannot_be_packed() -> None:
    for uid in (-1, 2**32):
        with pytest.raises(struct.error):
            program.pack_walls({"user": {"uid": uid, "gid": 0}}, b"")


def test_no_path_is_no_filter_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "filter").write_bytes(b"bytes")
    assert program.read_filter("") == b""
    assert program.read_filter(str(tmp_path / "filter")) == b"bytes"
    with pytest.raises(FileNotFoundError):
        program.read_filter(str(tmp_path / "missing"))
