"""What /proc says, compared with what the process itself was told."""

import os
import subprocess
import time

from orchestr8.kernel import processes


def test_a_process_is_read_whatever_it_calls_itself() -> None:
    script = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b') R 1 (x'); print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        ["python3", "-c", script, "a b"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.read(child.pid)
        assert found is not None
        assert (found.pid, found.parent, found.uid, found.terminal) == (child.pid, os.getpid(), os.geteuid(), "")
        assert found.command.endswith(" a b")
        assert 0 < found.started_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
        assert found.cpu_s >= 0
        child.communicate("")
    assert processes.read(child.pid) is None


def test_who_has_no_arguments_is_shown_by_name() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = processes.read(child.pid)
    child.wait()
    assert found is not None
    assert found.command == "[true]"


def test_a_terminal_has_the_name_of_its_devpts() -> None:
    assert processes._terminal(0) == ""
    assert processes._terminal(os.makedev(136, 3)) == "pts/3"
    assert processes._terminal(os.makedev(137, 1)) == "pts/257"
    assert processes._terminal(os.makedev(4, 1)) == "tty1"
    assert processes._terminal(os.makedev(4, 64)) == "ttyS0", "of a serial line"
