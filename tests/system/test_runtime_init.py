"""PID 1 of a container: it reaps, forwards, ends with the program, and has no right that the program lacks."""

import os
import re
import signal
from pathlib import Path

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.kernel.capabilities import DEFAULT, mask
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.specs import IsolationSpec
from orchestr8.runtime.init import WAITED
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of, may_raise, status_of
from tests.system.runtime_fixtures import Runtime, eventually, fork_from

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

RIGHTS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


@pytest.mark.parametrize("user", ["", "app", "app:extra", "1234:5678", "0:0"])
async def test_it_has_the_programs_ids_capabilities_and_filter(runtime: Runtime, user: str) -> None:
    box = await runtime.run("sleep", "1000", user=user)
    (program,) = children_of(box.pid)
    mine, theirs = status_of(box.pid), status_of(program)
    assert {key: mine[key] for key in RIGHTS} == {key: theirs[key] for key in RIGHTS}
    assert mine["Seccomp"] == "2"
    uid = {"": "0", "app": "1000", "app:extra": "1000", "1234:5678": "1234", "0:0": "0"}[user]
    assert mine["Uid"].split() == [uid] * 4
    everything, nothing = f"{mask(DEFAULT):016x}", f"{0:016x}"
    granted = everything if uid == "0" else nothing
    assert [mine[key] for key in RIGHTS if key.startswith("Cap")] == [nothing, granted, granted, everything, nothing]


async def test_it_is_the_first_process_and_the_program_the_second_in_a_session_of_its_own(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "echo $$; sleep 1000; true")
    await box.until_log("2\n")
    (program,) = children_of(box.pid)
    assert status_of(box.pid)["NSpid"].split()[1] == "1"
    assert os.getsid(program) == program
    assert os.getpgid(program) == program, "a signal to its group is not sent to PID 1, which would forward it"
    assert status_of(box.pid)["Name"] == "orchestr8-init"


@pytest.mark.parametrize("user", ["", "app"])
async def test_programs_may_write_to_the_stdout_of_pid_1(runtime: Runtime, user: str) -> None:
    script = "echo one > /proc/1/fd/1 && echo two > /dev/stdout && echo three > /proc/1/fd/2 && echo four > /dev/stderr"
    box = await runtime.run("sh", "-c", script, user=user)
    assert await box.wait() == 0
    assert (box.log(), box.log("stderr")) == ("one\ntwo\n", "three\nfour\n")


async def test_a_thousand_orphans_are_reaped(runtime: Runtime) -> None:
    script = "i=0; while [ $i -lt 1000 ]; do (true &); i=$((i+1)); done; echo made; sleep 1000; true"
    box = await runtime.run("sh", "-c", script)
    await box.until_log("made")
    await eventually(lambda: len(children_of(box.pid)) == 1, "only the program to be left")
    assert len(runtime.tree.pids(box.id)) == 3  # PID 1, the shell, its sleep


async def test_orphans_that_die_all_at_once_are_reaped(runtime: Runtime) -> None:
    """One SIGCHLD stands for many: the kernel keeps no count of those that wait."""
    script = "i=0; while [ $i -lt 300 ]; do (sleep 4801 &); i=$((i+1)); done; echo made; sleep 1000; true"
    box = await runtime.run("sh", "-c", script)
    await box.until_log("made")
    await eventually(lambda: len(children_of(box.pid)) == 301, "the orphans to be its children")
    await box.kill(signal.SIGSTOP)  # so that all of them die before it looks
    for pid in children_of(box.pid)[1:]:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not any(map(alive, children_of(box.pid)[1:])), "their death")
    await box.kill(signal.SIGCONT)
    await eventually(lambda: len(children_of(box.pid)) == 1, "their funeral")


@pytest.mark.parametrize("pid", ["host", "service:web"])
async def test_orphans_are_reaped_where_it_is_not_the_first_process(runtime: Runtime, pid: str) -> None:
    owner = await runtime.run("sleep", "1000")
    script = "i=0; while [ $i -lt 100 ]; do (true &); i=$((i+1)); done; (sleep 4802 &); echo made; sleep 1000; true"
    box = await runtime.create("sh", "-c", script, isolation=IsolationSpec(pid=pid))
    pidfd = os.pidfd_open(owner.pid)
    try:
        await box.shim.start({} if pid == "host" else {"pid": pidfd})
    finally:
        os.close(pidfd)
    await box.until_log("made")
    box.pid = (await box.status()).pid
    await eventually(lambda: len(children_of(box.pid)) == 2, "the program and one orphan that lives to be left")
    assert len(children_of(owner.pid)) == 1
    await box.kill(signal.SIGTERM)
    assert await box.wait() == 143
    assert runtime.tree.pids(box.id) == []


async def test_what_moved_to_a_group_below_ends_with_a_container_that_shares_a_pid_namespace(runtime: Runtime) -> None:
    """As a program does that has the container's groups writable: systemd, or an engine inside."""
    script = "sleep 4803 & echo made $!; sleep 1000; true"
    box = await runtime.create("sh", "-c", script, isolation=IsolationSpec(pid="host"))
    await box.start()
    await box.until_log("made")
    group = Path(box.order.cgroup_leaf or os.path.dirname(box.order.cgroup_files[0]))
    deeper = group / "inner" / "deeper"
    deeper.mkdir(parents=True)
    moved = int(box.log().split()[1])
    (deeper / "cgroup.procs").write_text(str(moved))
    assert (deeper / "cgroup.procs").read_text() == f"{moved}\n"
    await box.kill(signal.SIGTERM)
    assert await box.wait() == 143
    assert runtime.tree.pids(box.id) == []
    assert (deeper / "cgroup.procs").read_text() == ""


async def test_orphans_that_live_do_not_keep_the_container_and_are_killed_with_it(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "(sleep 1000 &); exit 5")
    assert await box.wait() == 5
    assert runtime.tree.pids(box.id) == []


async def test_every_signal_that_python_can_wait_for_reaches_the_program(runtime: Runtime) -> None:
    forwarded = sorted(WAITED - {signal.SIGCHLD})
    assert len(forwarded) > 50
    traps = "".join(f"trap 'echo signal {number}.' {number}; " for number in forwarded)
    box = await runtime.run("sh", "-c", f"{traps}sleep 1000 & echo ready; while :; do wait; done")
    await box.until_log("ready")
    for number in forwarded:
        await box.kill(number)
        await box.until_log(f"signal {number}.")
    assert box.log().count("signal") == len(forwarded), "each of them once"


@pytest.mark.parametrize("number", [32, 33])
async def test_the_two_signals_that_a_c_library_hides_reach_the_program_too(runtime: Runtime, number: int) -> None:
    box = await runtime.run("sleep", "1000")
    await box.kill(number)
    assert await box.wait() == 128 + number


async def test_the_death_of_orphans_is_not_told_to_the_program(runtime: Runtime) -> None:
    script = "trap 'echo child' CHLD; trap 'echo change' WINCH; sleep 1000 & echo ready; while :; do wait; done"
    box = await runtime.run("sh", "-c", script)
    await box.until_log("ready")
    await box.sh("(true &); (true &); sleep 0.01")
    await box.kill(signal.SIGCHLD)
    await eventually(lambda: len(children_of(box.pid)) == 1, "the orphans' funeral")
    await box.kill(signal.SIGWINCH)
    await box.until_log("change")
    assert box.log() == "ready\nchange\n"


async def test_a_signal_to_the_programs_group_comes_once(runtime: Runtime) -> None:
    script = "trap 'echo usr1' USR1; sleep 1000 & kill -USR1 0; echo sent; while :; do wait; done"
    box = await runtime.run("sh", "-c", script)
    await box.until_log("sent")
    await box.kill(signal.SIGWINCH)  # whatever was under way has arrived before this
    assert box.log().count("usr1") == 1


async def test_a_program_can_be_stopped_and_continued(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    (program,) = children_of(box.pid)
    await box.sh(f"kill -STOP {status_of(program)['NSpid'].split()[1]}")
    await eventually(lambda: status_of(program)["State"].startswith("T"), "it to stop")
    await box.kill(signal.SIGCONT)
    await eventually(lambda: status_of(program)["State"].startswith("S"), "it to go on")
    assert box.exits == []


async def test_pid_1_that_was_stopped_itself_goes_on(runtime: Runtime) -> None:
    """SIGSTOP comes from outside only and stops PID 1 alone; its sleep is then interrupted, which must not confuse it."""
    box = await runtime.run("sleep", "1000")
    await box.kill(signal.SIGSTOP)
    await eventually(lambda: status_of(box.pid)["State"].startswith("T"), "it to stop")
    await box.kill(signal.SIGCONT)
    await eventually(lambda: status_of(box.pid)["State"].startswith("S"), "it to go on")
    await box.kill(signal.SIGTERM)
    assert await box.wait() == 143


# --- terminals and jobs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", [True, False])
async def test_the_program_leads_its_group_which_has_the_terminal(runtime: Runtime, init: bool) -> None:
    text = await runtime.output("cut", "-d", " ", "-f", "1,5,6,8", "/proc/self/stat", tty=True, init=init)
    pid, group, session, foreground = text.split()
    assert pid == group == session == foreground == ("2" if init else "1")


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(("key", "name"), [(b"\x03", "INT"), (b"\x1c", "QUIT"), (b"\x1a", "TSTP")])
async def test_keys_of_the_terminal_are_signals_to_the_program_once(
    runtime: Runtime, key: bytes, name: str, init: bool
) -> None:
    script = f"trap 'echo got {name}' {name}; trap 'exit 7' WINCH; echo ready; while :; do usleep 10000; done"
    box = await runtime.create("sh", "-c", script, tty=True, init=init)
    client = await box.attach(stdin=True)
    await box.start()
    await client.until_text(b"ready")
    client.socket.sendall(key)
    await client.until_text(b"got " + name.encode())
    await box.kill(signal.SIGWINCH)
    assert await box.wait() == 7
    assert (await client.until_end()).count(b"got") == 1


@pytest.mark.parametrize(
    ("job", "why"),
    [("head -n 1", "TTIN"), ("sh -c 'stty tostop; echo x'", "TTOU"), ("stty -echo", "TTOU")],
    ids=["read", "write", "set"],
)
async def test_a_job_in_the_background_stops_at_the_terminal_and_goes_on_in_the_foreground(
    runtime: Runtime, job: str, why: str
) -> None:
    """Neither the program nor its jobs ignore what a shell's job control rests on."""
    box = await runtime.create("sh", tty=True, stdin_open=True)
    client = await box.attach(stdin=True)
    await box.start()
    client.socket.sendall(f"stty tostop; {job} & echo job $!.\n".encode())
    await client.until(lambda each: re.search(rb"job (\d+)\.\r", each.stdout))
    found = re.search(rb"job (\d+)\.\r", client.stdout)
    assert found is not None
    inside = found[1].decode()

    def state() -> str:
        pids = runtime.tree.pids(box.id)
        (pid,) = [each for each in pids if status_of(each)["NSpid"].split()[-1] == inside]
        return status_of(pid)["State"]

    await eventually(lambda: state().startswith("T"), f"SIG{why}")
    client.socket.sendall(b"fg\n")
    if why == "TTIN":
        await eventually(lambda: state().startswith("S"), "it to read")
        client.socket.sendall(b"word\n")
        await client.until_text(b"word\r\nword\r\n")
    client.socket.sendall(b"echo on-$((1+1)); exit 3\n")
    await client.until_text(b"on-2")
    assert await box.wait() == 3


# --- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255), ("exit 256", 0)],
)
async def test_the_exit_code_is_the_programs(runtime: Runtime, script: str, code: int, init: bool) -> None:
    box = await runtime.run("sh", "-c", script, init=init)
    assert await box.wait() == code
    assert box.state()["exit_code"] == code
    assert (box.state()["state"], box.exits[0].oom_killed) == ("exited", False)


@pytest.mark.parametrize(
    ("number", "code"),
    [("KILL", 137), ("TERM", 143), ("INT", 130), ("ABRT", 134), ("SEGV", 139), ("40", 168)],
)
async def test_a_program_killed_by_a_signal_exits_with_128_and_its_number(
    runtime: Runtime, number: str, code: int
) -> None:
    box = await runtime.run("sh", "-c", f"kill -{number} $$; echo still here")
    assert await box.wait() == code
    assert box.log() == ""


@pytest.mark.parametrize(
    ("signal_number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137), (signal.SIGHUP, 129)]
)
async def test_a_program_that_handles_nothing_ends_by_the_stop_signal(
    runtime: Runtime, signal_number: int, code: int
) -> None:
    """As PID 1 itself it would ignore it; and nothing that the engine ignores may be ignored here (SIGHUP: nohup)."""
    box = await runtime.run("sleep", "1000")
    await box.kill(signal_number)
    assert await box.wait() == code


async def test_the_program_ignores_and_blocks_nothing(runtime: Runtime) -> None:
    for init in (True, False):
        text = await runtime.output("grep", "Sig", "/proc/self/status", init=init)
        masks = {line.split()[0]: int(line.split()[1], 16) for line in text.splitlines() if "/" not in line}
        assert masks == {"SigPnd:": 0, "SigBlk:": 0, "SigIgn:": 0, "SigCgt:": 0}


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (("missing",), 127, "missing: executable not found in PATH"),
        (("/missing",), 127, "/missing: executable not found"),
        (("/etc/passwd",), 126, "cannot execute /etc/passwd: Permission denied"),
        (("/etc",), 126, "cannot execute /etc: Permission denied"),
        (("/bin/half",), 126, "cannot execute /bin/half: Exec format error"),
        (
            ("/bin/orphan",),
            127,
            "cannot execute /bin/orphan: its interpreter (the `#!` line or the loader) was not found",
        ),
    ],
)
async def test_a_program_that_cannot_be_executed_fails_its_start_and_says_why(
    runtime: Runtime, fresh_image: str, command: tuple[str, ...], code: int, text: str, init: bool
) -> None:
    for name, content in (("half", "no program"), ("orphan", "#!/nowhere\n")):
        with open(f"{fresh_image}/bin/{name}", "w", encoding="ascii") as file:
            file.write(content)
        os.chmod(f"{fresh_image}/bin/{name}", 0o755)
    box = await runtime.create(*command, image=fresh_image, init=init)
    with pytest.raises(OperationFailed) as caught:
        await box.start()
    assert caught.value.message.startswith(text)
    assert caught.value.code == f"O8-{500 + code}"
    assert (box.state()["state"], box.state()["exit_code"], box.state()["pid"]) == ("created", code, 0)
    assert runtime.tree.pids(box.id) == []
    with pytest.raises(OperationFailed):  # and again: nothing is left over from the first
        await box.start()


async def test_without_init_the_program_is_pid_1(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "echo $$ $PPID; ls /proc/$$/fd; sleep 1000; true", init=False)
    await box.until_log("1 0\n0\n1\n2\n")
    await box.kill(signal.SIGTERM)
    assert await box.sh("echo ignored, as by any PID 1") != ""
    await box.kill(signal.SIGKILL)
    assert await box.wait() == 137


async def test_programs_that_are_an_init_are_pid_1_themselves(runtime: Runtime, fresh_image: str) -> None:
    os.symlink("busybox", f"{fresh_image}/bin/tini")
    os.unlink(f"{fresh_image}/bin/tini")
    with open(f"{fresh_image}/init", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\necho pid $$\n")
    os.chmod(f"{fresh_image}/init", 0o755)
    assert await runtime.output("/init", image=fresh_image) == "pid 1\n"
    assert await runtime.output("/init", image=fresh_image, init=True) == "pid 2\n"


async def test_the_oom_killer_takes_the_program_and_not_pid_1(runtime: Runtime) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1; echo after $?; dd if=/dev/zero of=/dev/null bs=1k count=1"
    box = await runtime.run("sh", "-c", script, resources=ResourceSpec(memory_max_bytes=32 << 20))
    assert await box.wait() == 0
    assert box.log() == "after 137\n"
    assert box.exits[0].oom_killed
    assert box.state()["oom_killed"]


async def test_a_program_killed_for_lack_of_memory_is_told_as_such(runtime: Runtime) -> None:
    limits = ResourceSpec(memory_max_bytes=32 << 20)
    box = await runtime.run("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", resources=limits)
    assert await box.wait() == 137
    assert box.exits[0].oom_killed
    box = await runtime.run("sh", "-c", "kill -9 $$", resources=limits)
    assert await box.wait() == 137
    assert not box.exits[0].oom_killed


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def test_pid_1_is_a_less_likely_victim_than_the_program(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    (program,) = children_of(box.pid)
    running = await box.exec("sleep", "1000")
    assert oom_score(box.pid) == (-500 if may_raise() else 0)
    assert oom_score(program) == oom_score(running.pid) == 0
    itself = await runtime.run("sleep", "1000", init=False)
    assert oom_score(itself.pid) == 0, "this one is the program"


async def test_what_the_engine_has_does_not_pass_on_to_programs(runtime: Runtime) -> None:
    """A service manager may make the engine an unlikely victim, or a likely one."""
    Path(f"/proc/{runtime.forkserver.pid}/oom_score_adj").write_text("300")
    for init in (True, False):
        box = await runtime.run("sleep", "1000", init=init)
        running = await box.exec("sleep", "1000")
        scores = {oom_score(pid) for pid in (*children_of(box.pid), running.pid)}
        assert scores == {0}


async def test_a_program_cannot_make_itself_a_less_likely_victim(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    for score in (-1, -500):
        code, text = await box.run("sh", "-c", f"echo {score} > /proc/self/oom_score_adj")
        assert (code, "Permission denied" in text) == (1, True)
    assert await box.run("sh", "-c", "echo 100 > /proc/self/oom_score_adj") == (0, "")


async def test_pid_1_that_is_killed_takes_all_with_it(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000; true")
    await eventually(lambda: len(runtime.tree.pids(box.id)) == 4, "all of them")
    pids = runtime.tree.pids(box.id)
    await box.kill(signal.SIGKILL)
    assert await box.wait() == 137
    assert not any(map(alive, pids))


@pytest.fixture
async def without_reaper(runtime: Runtime) -> Runtime:
    """As on a machine for which there is no machine code, or which executes no memfd: PID 1 stays a Python process."""

    await fork_from(runtime, "from orchestr8.runtime import reaper; reaper.open_image = lambda: -1")
    return runtime


async def test_without_machine_code_pid_1_does_the_same_in_python(without_reaper: Runtime) -> None:
    for tty in (False, True):
        box = await without_reaper.run("sh", "-c", "sleep 1000; true", user="app", tty=tty)
        assert "python" in os.readlink(f"/proc/{box.pid}/exe")
        (program,) = children_of(box.pid)
        mine, theirs = status_of(box.pid), status_of(program)
        assert {key: mine[key] for key in RIGHTS} == {key: theirs[key] for key in RIGHTS}
        await eventually(lambda box=box: sorted(os.listdir(f"/proc/{box.pid}/fd")) == ["0", "1", "2"])
        assert os.stat(f"/proc/{box.pid}/fd").st_uid == 1000, "dumpable"
        await box.kill(signal.SIGTERM)
        assert await box.wait() == 143
    traps = "".join(f"trap 'echo signal {number}.' {number}; " for number in (1, 10, 28, 40, 64))
    box = await without_reaper.run("sh", "-c", f"{traps}(true &); sleep 1000 & echo ready; while :; do wait; done")
    await box.until_log("ready")
    for number in (1, 10, 28, 40, 64):
        await box.kill(number)
        await box.until_log(f"signal {number}.")
    assert await box.sh("echo well > /proc/1/fd/1; echo fine") == "fine\n"
    await box.until_log("well")
    await eventually(lambda: len(without_reaper.tree.pids(box.id)) == 3, "no orphan is left")
    box = await without_reaper.run("sh", "-c", "exit 42")
    assert await box.wait() == 42
    assert without_reaper.said() == ""


async def test_programs_in_the_container_cannot_kill_or_stop_pid_1(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "kill -KILL 1; kill -STOP 1; kill -SEGV 1; echo survived; sleep 1000")
    await box.until_log("survived")
    assert status_of(box.pid)["State"].startswith("S")
