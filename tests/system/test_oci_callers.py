"""podman and dockerd start, exec into, stop and remove containers with our OCI runtime instead of theirs."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.oci_callers import Caller, Docker, Podman, command_of
from tests.requires import requires
from tests.system.runtime_fixtures import BUSYBOX, needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs"), needs_busybox]

CALLERS = {"podman": Podman, "dockerd": Docker}
_ALONE = ("--network", "none")


@pytest.fixture(scope="module", params=CALLERS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    name = request.param
    if not command_of(name):
        pytest.skip(f"this machine lacks {name} (or set ORCHESTR8_{name.upper()})")
    with CALLERS[name].opened(name) as found:
        found.take_image(image())
        yield found
    assert found.folder not in Path("/proc/self/mountinfo").read_text()


def image() -> bytes:
    """A tar archive of busybox."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for folder in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        archive.add(BUSYBOX, "bin/busybox")
        for name in ("sh", "cat", "sleep", "id", "tty", "ls", "touch", "grep", "ps", "wc", "head"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        passwd = tarfile.TarInfo("etc/passwd")
        text = b"root:x:0:0:root:/root:/bin/sh\n"
        passwd.size = len(text)
        archive.addfile(passwd, io.BytesIO(text))
    return made.getvalue()


def run(caller: Caller, *words: str) -> tuple[int, str]:
    done = caller("run", "--rm", *_ALONE, *words)
    return done.code, done.stdout + done.stderr


def test_a_container_runs_to_its_end(caller: Caller) -> None:
    assert run(caller, "small", "sh", "-c", "echo out; id -u; exit 7") == (7, "out\n0\n")


def test_one_is_started_executed_in_paused_stopped_started_again_and_removed(caller: Caller) -> None:
    name = f"o8-{os.urandom(4).hex()}"
    loop = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    assert caller("run", "--detach", "--name", name, *_ALONE, "small", "sh", "-c", loop).code == 0
    assert caller("exec", name, "sh", "-c", "ls /proc/1 >/dev/null && exit 5").code == 5
    assert caller("exec", "--interactive", name, "cat", stdin=b"\0\1bytes").stdout == "\0\1bytes"
    assert caller("exec", "--tty", name, "tty").stdout == "/dev/pts/0\r\n"
    assert caller("exec", name, "nosuch").code == 127
    assert caller("exec", "--user", "7:8", name, "id", "-g").stdout == "8\n"
    assert caller("pause", name).code == 0
    assert caller("inspect", "--format", "{{.State.Status}}", name).stdout == "paused\n"
    assert caller("unpause", name).code == 0
    assert caller("stop", name).code == 0
    assert caller("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name).stdout == "exited 3\n"
    assert caller("start", name).code == 0
    assert caller("kill", "--signal", "TERM", name).code == 0
    assert caller("wait", name).stdout == "3\n"
    assert caller("logs", name).stdout == "up\nup\n"
    assert caller("rm", "--force", name).code == 0
    assert name not in caller("ps", "--all").stdout


def test_a_terminal_is_the_programs(caller: Caller) -> None:
    assert run(caller, "--tty", "small", "tty") == (0, "/dev/pts/0\r\n")


@pytest.mark.parametrize(("program", "code"), [("nosuch", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_run_has_a_shells_exit_code(caller: Caller, program: str, code: int) -> None:
    assert run(caller, "small", program)[0] == code


def test_limits_user_and_read_only_root_are_as_asked_for(caller: Caller) -> None:
    script = "id -u; touch /x; touch /scratch/y && cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max; exit 0"
    limits = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--read-only", "--tmpfs", "/scratch:mode=1777")
    code, said = run(caller, "--user", "1000:1000", *limits, "small", "sh", "-c", script)
    assert code == 0
    assert said.startswith("1000\n")
    assert "50\n" in said
    assert "touch: /x: Read-only file system" in said


def test_privileges_and_namespaces_of_the_host_are_given_to_who_may_have_them(caller: Caller) -> None:
    script = "grep CapEff /proc/self/status; ls /proc | grep -c '^[0-9]'"
    _, confined = run(caller, "small", "sh", "-c", script)
    _, privileged = run(caller, "--privileged", "--pid", "host", "small", "sh", "-c", script)
    assert int(confined.split()[-1]) < int(privileged.split()[-1])
    assert int(confined.split()[1], 16) < int(privileged.split()[1], 16)


def test_a_namespace_of_another_container_is_shared(caller: Caller) -> None:
    name = f"o8-{os.urandom(4).hex()}"
    waits = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    assert caller("run", "--detach", "--name", name, *_ALONE, "small", "sh", "-c", waits).code == 0
    shared = ("--network", f"container:{name}", "--pid", f"container:{name}")
    done = caller("run", "--rm", *shared, "small", "sh", "-c", "ps")
    assert "trap" in done.stdout, done
    assert caller("rm", "--force", name).code == 0
