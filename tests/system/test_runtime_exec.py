"""Further programs in a running container: forked by its shim, inside all of its walls, each with an exit code."""

import os
import signal
from pathlib import Path

import anyio
import pytest

from orchestr8.errors import OperationFailed
from orchestr8.kernel import capabilities
from orchestr8.kernel.capabilities import DEFAULT, mask
from orchestr8.kernel.clone import clone
from orchestr8.kernel.libc import libc
from orchestr8.model.limits import ResourceSpec
from orchestr8.runtime import messages
from orchestr8.runtime.exec import ExecProcess, init_leaf
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.poller import Poller
from orchestr8.runtime.successors import Ends
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, status_of
from tests.system.runtime_fixtures import Runtime, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

_PTRACE_SEIZE = 0x4206
RIGHTS = ("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


async def test_the_shim_forks_it_and_it_has_the_programs_walls(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    running = await box.exec("sleep", "1000")
    own, first = status_of(running.pid), status_of(box.pid)
    assert own["PPid"] == str(box.shim_pid)
    assert {key: own[key] for key in RIGHTS} == {key: first[key] for key in RIGHTS}
    assert len(own["NSpid"].split()) == 2
    for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user"):
        assert os.readlink(f"/proc/{running.pid}/ns/{name}") == os.readlink(f"/proc/{box.pid}/ns/{name}"), name
    assert running.pid in runtime.tree.pids(box.id)
    assert os.getsid(running.pid) == running.pid
    assert os.readlink(f"/proc/{running.pid}/root") == os.readlink(f"/proc/{box.pid}/root") == "/"
    assert sorted(os.listdir(f"/proc/{running.pid}/fd")) == ["0", "1", "2"]


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137), ("kill $$", 143)])
async def test_its_exit_code_is_told(runtime: Runtime, script: str, code: int) -> None:
    box = await runtime.run("sleep", "1000")
    assert await box.run("sh", "-c", script) == (code, "")
    assert box.exits == []


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("missing", "O8-627", "missing: executable not found in PATH"),
        ("/etc/passwd", "O8-626", "cannot execute /etc/passwd: Permission denied"),
        ("/etc", "O8-626", "cannot execute /etc: Permission denied"),
    ],
)
async def test_what_cannot_be_executed_is_told(runtime: Runtime, command: str, code: str, text: str) -> None:
    box = await runtime.run("sleep", "1000")
    with pytest.raises(OperationFailed) as caught:
        await box.exec(command)
    assert caught.value.code == code
    assert caught.value.message.startswith(text)
    await box.clients[-1].until_end()
    assert await box.sh("echo well") == "well\n"


async def test_output_and_input_are_its_clients_and_not_the_logs(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    running = await box.exec("sh", "-c", "cat; echo err >&2; exit 3", stdin=True, early="ZWFybHkg")
    running.client.socket.sendall(b"late")
    running.client.socket.shutdown(1)
    await running.client.until_end()
    assert await running.wait() == 3
    assert (bytes(running.client.stdout), bytes(running.client.stderr)) == (b"early late", b"err\n")
    assert (box.log(), box.log("stderr")) == ("", "")
    assert await box.run("cat") == (0, ""), "without stdin it reads an end"


async def test_environment_and_directory(runtime: Runtime) -> None:
    environment = (("A", "1"), ("B", "2"))
    box = await runtime.run("sleep", "1000", environment=environment, working_dir="/tmp")
    text = await box.sh("echo $A $B $C $HOME; pwd", environment=["B=two", "C=3"])
    assert text == "1 two 3 /root\n/tmp\n"
    assert await box.sh("pwd", working_dir="/etc") == "/etc\n"
    for path, why in (("/missing", "No such file or directory"), ("relative", "must be absolute")):
        with pytest.raises(OperationFailed, match=why):
            await box.exec("true", working_dir=path)


@pytest.mark.parametrize(
    ("base", "user", "ids", "capabilities"),
    [
        ("", "app", "1000 1000 1000 6 2000 /home/app", 0),
        ("", "1000:6", "1000 6 6 /home/app", 0),
        ("", "4242:4243", "4242 4243 4243 /", 0),
        ("app", "", "1000 1000 1000 6 2000 /home/app", 0),
        ("app", "root", "0 0 0 2000 /root", mask(DEFAULT)),
        ("app", "0", "0 0 0 2000 /root", mask(DEFAULT)),
    ],
)
async def test_as_another_user(runtime: Runtime, base: str, user: str, ids: str, capabilities: int) -> None:
    box = await runtime.run("sleep", "1000", user=base)
    text = await box.sh(
        "echo $(id -u) $(id -g) $(id -G) $HOME; grep CapEff /proc/self/status; echo > /dev/stdout", user=user
    )
    assert text.splitlines()[0] == ids
    assert int(text.splitlines()[1].split()[1], 16) == capabilities


async def test_with_every_right_that_there_is(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    text = await box.sh("grep -E 'Cap(Eff|Bnd)' /proc/self/status", privileged=True)
    every = capabilities.read().permitted
    assert {int(line.split()[1], 16) for line in text.splitlines()} == {every}
    assert every != mask(DEFAULT)


async def test_a_user_is_looked_up_in_the_container_as_it_is_now(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    await box.sh("echo new:x:77:78::/here:/bin/sh >> /etc/passwd")
    assert await box.sh("echo $(id -u) $(id -g) $HOME", user="new") == "77 78 /here\n"
    with pytest.raises(OperationFailed, match="no user `nobody-here`"):
        await box.exec("true", user="nobody-here")


async def test_a_terminal_of_its_own(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    # The last `sleep` has ended before the shell does: it would hold the terminal for a while.
    script = (
        "trap 'stty size; kill $!' WINCH; trap 'kill $!; wait $!; exit 130' INT;"
        " tty; stty size; echo $TERM; while :; do sleep 1000 & wait $!; done"
    )
    running = await box.exec("sh", "-c", script, tty=True, stdin=True, rows=12, columns=34)
    await running.client.until_text(b"/dev/pts/0\r\n12 34\r\nxterm\r\n")
    await running.resize(13, 35)
    await running.client.until_text(b"13 35\r\n")
    running.client.socket.sendall(b"\x03")
    assert await running.wait() == 130
    second = await box.exec("tty", tty=True)
    assert await second.client.until_end() == b"/dev/pts/0\r\n", "the first one's is free again"
    assert await second.wait() == 0


async def test_it_is_signalled_by_its_own_name(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    first, second = await box.exec("sleep", "1000"), await box.exec("sleep", "1000")
    await first.signal(signal.SIGTERM)
    assert await first.wait() == 143
    assert alive(second.pid)
    with pytest.raises(OperationFailed, match="not running"):
        await first.signal(signal.SIGTERM)


async def test_many_at_once(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    codes: dict[int, int] = {}

    async def one(number: int) -> None:
        codes[number], text = await box.run("sh", "-c", f"echo {number}; exit {number}")
        assert text == f"{number}\n"

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(one, number)
    assert codes == {number: number for number in range(30)}


async def test_a_command_line_larger_than_a_packet(runtime: Runtime) -> None:
    """Large payloads travel as a memfd: a socket's buffer has about 200 KiB."""
    box = await runtime.run("sleep", "1000")
    long = ["x" * 100_000, "y" * 100_000, "z" * 100_000]
    assert await box.run("sh", "-c", "echo ${#0} ${#1} ${#2}", *long) == (0, "100000 100000 100000\n")


async def test_it_ends_with_the_container(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    running = await box.exec("sh", "-c", "trap '' TERM; echo ready; sleep 1000; true")
    await running.client.until_text(b"ready")
    await box.kill(signal.SIGTERM)
    assert await box.wait() == 143
    assert await running.wait() == 137
    await running.client.until_end()
    with pytest.raises(OperationFailed, match="the container is not running"):
        await box.exec("true")


async def test_its_orphans_are_pid_1s(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    assert await box.run("sh", "-c", "(sleep 1000 &); exit 0") == (0, "")
    await eventually(lambda: len(runtime.tree.pids(box.id)) == 3, "PID 1, the program, the orphan")
    pids = runtime.tree.pids(box.id)
    assert sorted(status_of(pid)["PPid"] for pid in pids) == sorted([str(box.shim_pid), str(box.pid), str(box.pid)])


async def test_its_client_may_leave(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    running = await box.exec("sh", "-c", "yes | head -c 3000000; touch /done; exit 9")
    running.client.close()
    assert await running.wait() == 9
    assert await box.sh("ls /done") == "/done\n"


async def test_one_that_is_traced_when_it_ends_is_told_of_when_its_tracer_lets_go(runtime: Runtime) -> None:
    """Until then its shim has it not to itself (ptrace(2)), and has other things to do."""
    box = await runtime.run("sleep", "1000")
    running = await box.exec("sleep", "1000")
    assert libc.ptrace(_PTRACE_SEIZE, running.pid, None, None) == 0
    os.kill(running.pid, signal.SIGKILL)
    await eventually(lambda: status_of(running.pid)["State"].startswith("Z"), "its end")
    assert (await box.status()).state == "running"
    assert await box.run("true") == (0, "")
    os.waitpid(running.pid, 0)
    assert await running.wait() == 137


async def test_its_exit_code_is_told_to_an_engine_that_came_later(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    running = await box.exec("sh", "-c", "read x; exit 6", stdin=True)
    later = box.connect()
    await later.status()
    box.shim.close()
    running.client.socket.sendall(b"go\n")
    await eventually(lambda: running.id in later.shim._exec_codes, "the news")
    assert later.shim._exec_codes[running.id] == 6


async def test_an_engine_that_comes_later_is_told_of_those_that_run_and_those_that_have_ended(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    runs = await box.exec("sh", "-c", "read x; exit 6", stdin=True)
    ended = await box.exec("sh", "-c", "read x; exit 7", stdin=True)
    probe = await box.exec("sh", "-c", "read x; exit 8", stdin=True, keep=False)
    box.shim.close()
    for each in (ended, probe):
        each.client.socket.sendall(b"go\n")
        await each.client.until_end()
    later = box.connect()
    await eventually(lambda: not {ended.pid, probe.pid} & set(runtime.tree.pids(box.id)), "their ends")
    await later.status()
    assert (later.execs, later.exec_codes) == ({runs.id: runs.pid}, {ended.id: 7})
    runs.client.socket.sendall(b"go\n")
    assert await later.shim.exec_ended(runs.id) == 6


async def test_a_container_without_room_for_another_process_says_so(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000", resources=ResourceSpec(pids_max=2))
    with pytest.raises(OperationFailed, match="limit of processes is reached"):
        await box.run("true")
    box = await runtime.run("sleep", "1000", resources=ResourceSpec(pids_max=4))
    code, text = await box.run("sh", "-c", "sleep 1000 & sleep 1000 & wait")
    assert (code, "can't fork" in text) == (2, True)
    assert (await box.status()).state == "running"


async def test_in_a_container_that_is_its_own_pid_1(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000", init=False)
    assert await box.run("sh", "-c", "echo $PPID; exit 3") == (3, "0\n")
    running = await box.exec("sleep", "1000")
    await box.kill()
    assert await box.wait() == 137
    assert await running.wait() == 137


async def test_it_joins_pid_1_once_the_container_has_groups_of_its_own(runtime: Runtime) -> None:
    """As an engine or systemd inside makes them. v2 then refuses processes in the group that the container began in."""
    box = await runtime.run("sleep", "1000")
    leaf = Path(box.order.cgroup_leaf)
    if not box.order.cgroup_leaf:
        pytest.skip("no cgroup2 is mounted")
    inner = leaf / "inner"
    inner.mkdir()
    for pid in (leaf / "cgroup.procs").read_text().split():
        (inner / "cgroup.procs").write_text(pid)
    pidfd = os.pidfd_open(box.pid)
    try:
        assert init_leaf(box.order, pidfd) == str(inner)
    finally:
        os.close(pidfd)
    controllers = (leaf / "cgroup.controllers").read_text().split()
    if not controllers:
        pytest.skip("cgroup2 has no controllers for containers on this machine")
    (leaf / "cgroup.subtree_control").write_text(f"+{controllers[0]}")
    running = await box.exec("sleep", "1000")
    assert str(running.pid) in (inner / "cgroup.procs").read_text().split()


async def test_one_that_is_stopped_on_its_way_in_does_not_hold_up_the_containers_end(runtime: Runtime) -> None:
    """A frozen container may hold the process that has just been succeeded, and a SIGKILL reaches PID 1 all the same."""
    box = await runtime.run("sleep", "1000")
    reader, writer = os.pipe()
    init_pidfd = os.pidfd_open(box.pid)
    pid, pidfd = clone()
    if pid == 0:
        try:
            _execute_by_one_that_stops(box.order, init_pidfd, writer)
        finally:
            os._exit(99)
    os.close(writer)
    os.close(init_pidfd)
    with open(reader, "rb") as said:
        assert await anyio.to_thread.run_sync(said.readline) == b"runs\n"
        await box.kill()
        assert await box.wait() == 137
        assert said.read() == b"ended\nNone 137\n"
    assert os.waitid(os.P_PIDFD, pidfd, os.WEXITED) is not None
    os.close(pidfd)


def _execute_by_one_that_stops(container: Spawn, init_pidfd: int, writer: int) -> None:
    """As a shim, whose child stops instead of ending when it has been succeeded."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    end, shim = os._exit, os.getpid()

    def stop_first(code: int) -> None:
        if code == 0 and os.getppid() == shim:
            os.kill(os.getpid(), signal.SIGSTOP)
        end(code)

    os._exit = stop_first  # type: ignore[assignment]
    poller, outcome = Poller(), []
    null = os.open(os.devnull, os.O_RDWR)
    order = messages.Exec(argv=["sleep", "1000"], stdin=False)
    process = ExecProcess(poller, Ends(poller), order, container, init_pidfd, null, outcome.append)
    first, first_pidfd = process.pid, process.pidfd
    os.waitid(os.P_PIDFD, first_pidfd, os.WSTOPPED | os.WNOWAIT)
    os.write(writer, b"runs\n")
    while not outcome:
        poller.wait()
    assert process.pid != first
    os.write(writer, b"ended\n")
    ended = os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
    assert ended is not None
    os.write(writer, b"%s %d\n" % (str(outcome[0]).encode(), 128 + ended.si_status))
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED)
    end(0)
