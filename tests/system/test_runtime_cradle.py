"""What the forkserver has ready: the next shim, the cradle of its PID 1, and what becomes of a start when they die."""

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestr8.errors import OperationFailed, Unavailable
from orchestr8.kernel import processors
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of, status_of
from tests.system.runtime_fixtures import Box, Runtime, a_cradle, eventually, spare

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]
_POLL, _RECEIVE = 7, 47  # poll(2) and recvmsg(2) on x86_64, where alone cradles are


async def test_the_next_shim_waits_for_its_container_and_ends_with_the_forkserver(runtime: Runtime) -> None:
    await eventually(lambda: spare(runtime), "the next shim")
    first = spare(runtime)
    box = await runtime.run("sleep", "1000")
    assert box.shim_pid == first
    await eventually(lambda: spare(runtime), "another one")
    second = spare(runtime)
    os.kill(second, signal.SIGKILL)
    await eventually(lambda: not alive(second), "its death")
    other = await runtime.run("sleep", "1000")
    assert other.shim_pid not in {first, second}
    await eventually(lambda: spare(runtime), "another one")
    third = spare(runtime)
    os.kill(runtime.forkserver.pid, signal.SIGKILL)
    await eventually(lambda: not alive(third), "its end")
    assert (await box.status()).state == (await other.status()).state == "running"


async def test_pid_1_is_born_in_the_cradle_of_its_shim_which_is_gone_then(runtime: Runtime) -> None:
    shim, cradle = await a_cradle(runtime)
    box = await runtime.run("sh", "-c", "cat /proc/1/comm; readlink /proc/self/fd/1; exec sleep 1000")
    assert box.shim_pid == shim
    assert box.pid != cradle
    await eventually(lambda: children_of(shim) == [box.pid], "the end of the cradle")
    await box.until_log("pipe:")
    assert status_of(box.pid)["NSpid"].split() == [str(box.pid), "1"]
    for kind in ("mnt", "pid", "ipc", "uts", "net", "cgroup"):
        assert os.readlink(f"/proc/{box.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    assert sorted(runtime.tree.pids(box.id)) == sorted([box.pid, *children_of(box.pid)])


async def test_who_has_a_filter_or_users_of_its_own_is_forked(runtime: Runtime) -> None:
    _, cradle = await a_cradle(runtime)
    own = Path(runtime.root) / "own.bpf"
    own.write_bytes(Path(runtime.seccomp_path).read_bytes())

    def change(document: dict[str, Any]) -> None:
        document["annotations"]["org.orchestr8.seccomp"] = str(own)

    box = await runtime.run("sleep", "1000", change=change)
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "the end of the cradle")
    assert not alive(cradle)


async def test_without_its_cradle_a_shim_forks_pid_1(runtime: Runtime) -> None:
    _, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGKILL)
    await eventually(lambda: not alive(cradle), "its end")
    box = await runtime.run("sh", "-c", "echo here; exec sleep 1000")
    await box.until_log("here")
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "that nothing else is left")


async def test_a_cradle_that_dies_over_its_order_is_no_failure(runtime: Runtime) -> None:
    """It is stopped, so that it cannot have heard of the order by the time that it is killed."""
    _, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGSTOP)
    box = await runtime.create("sh", "-c", "echo here; exec sleep 1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(box.start)
        await eventually(lambda: runtime.waits_in(cradle), "the order")
        os.kill(cradle, signal.SIGKILL)
    await box.until_log("here")
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "that nothing else is left")


@pytest.mark.skipif(not processors.roams(), reason="needs a second processor, and to be allowed all that there can be")
async def test_the_next_cradle_is_made_beside_a_start_and_copies_when_that_is_over(runtime: Runtime) -> None:
    """Of a start that is slow to begin, as on a busy machine, it is not: then another one is looked at."""
    for _ in range(20):
        if await waits_beside_a_start(runtime):
            return
    pytest.fail("none was made beside a start")


async def waits_beside_a_start(runtime: Runtime) -> bool:
    """Whether the next cradle waits for the end of a start, and not for an order yet."""
    shim, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGSTOP)
    box = await runtime.create("sleep", "1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(box.start)
        another = await the_next_shim(runtime, shim)
        (following,) = await eventually(lambda: children_of(another), "its cradle")
        await eventually(lambda: call_of(following) in {_POLL, _RECEIVE}, "that it rests")
        waited_for = call_of(following)
        os.kill(cradle, signal.SIGCONT)
    _, ready = await a_cradle(runtime)
    assert ready == following
    return waited_for == _POLL


async def test_nobody_is_left_on_one_processor_by_starts_that_overlap(runtime: Runtime) -> None:
    """Each takes the next shim as soon as there is one, whatever that is at: being made, moved, or waiting."""
    everywhere = os.sched_getaffinity(0)
    boxes: list[Box] = []
    shim = with_cradles = 0
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            shim = await the_next_shim(runtime, shim)
            with_cradles += len(children_of(shim))
            boxes.append(await runtime.create("sleep", "1000"))
            tasks.start_soon(boxes[-1].start)
    assert with_cradles > 1
    for box in boxes:
        (program,) = children_of(box.pid)
        for pid in (program, box.pid, box.shim_pid):
            assert os.sched_getaffinity(pid) == everywhere


async def the_next_shim(runtime: Runtime, before: int) -> int:
    """The one before may not have heard of its order yet."""
    return int(await eventually(lambda: spare(runtime) not in {0, before} and spare(runtime), "the next shim"))


def call_of(pid: int) -> int:
    """The number of the system call in which it sleeps (proc_pid_syscall(5)); -1: it runs."""
    number, *_ = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
    return int(number) if number != "running" else -1


async def test_a_cradle_ends_though_its_container_is_never_quiet(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "while :; do echo x; sleep 0.1; done")
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "the end of what it was born in")


async def test_a_start_is_given_up_while_its_cradle_stands_still(runtime: Runtime) -> None:
    shim, cradle = await a_cradle(runtime)
    os.kill(cradle, signal.SIGSTOP)
    box = await runtime.create("sleep", "1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(raises_unavailable, box)
        await eventually(lambda: runtime.waits_in(cradle), "the order")
        box.shim.release()
    await eventually(lambda: not alive(shim) and not alive(cradle), "that both are gone")


async def test_what_will_run_again_has_a_cradle_ready_for_a_second(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    await box.kill()
    await box.wait()
    await eventually(lambda: children_of(box.shim_pid) == [], "the end of all")
    box.shim.prepare()
    box.shim.prepare()
    (cradle,) = await eventually(lambda: children_of(box.shim_pid), "a cradle")
    await box.start()
    assert box.pid != cradle
    await eventually(lambda: children_of(box.shim_pid) == [box.pid], "the end of the cradle")
    await box.kill()
    await box.wait(run=2)
    box.shim.prepare()
    (unused,) = await eventually(lambda: children_of(box.shim_pid), "a cradle")
    await eventually(lambda: children_of(box.shim_pid) == [], "the end of what nobody asked for")
    assert not alive(unused)


async def raises_unavailable(box: Box) -> None:
    with pytest.raises((Unavailable, OperationFailed)):
        await box.start()
