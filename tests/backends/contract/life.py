"""How a container comes, runs, ends and goes; what is told of it meanwhile, and what it is seen to use."""

import socket

import anyio
import pytest

from orchestr8.errors import Conflict, NotFound
from orchestr8.model.actions import KillContainer, PauseContainer, StartContainer, StopContainer, UnpauseContainer
from orchestr8.model.events import EventKind
from orchestr8.model.ids import ContainerName
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.observed import ContainerState
from orchestr8.model.specs import AttachmentSpec
from tests.backends.bench import FOREVER, FRONT, STACK, WEB, Bench


async def test_a_created_container_is_seen_as_it_was_asked_for(bench: Bench) -> None:
    await bench.create()
    seen = await bench.see()
    assert (seen.name, seen.stack, seen.service, seen.number) == (WEB, STACK, "web", 1)
    assert (seen.state, seen.config_hash, seen.pid) == (ContainerState.CREATED, "1:a", 0)
    assert seen.labels["mine"] == "yes"
    assert seen.command == FOREVER
    assert len(seen.id) == 12
    assert (await bench.backend.observe(STACK)).specs[WEB].command == FOREVER


async def test_a_started_container_runs(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    seen = await bench.see()
    assert seen.state is ContainerState.RUNNING
    assert seen.pid > 0
    assert seen.started_at > 0
    assert (seen.restarts, seen.exit_code) == (0, None)


async def test_start_is_safe_to_repeat(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    first = await bench.see()
    await bench.start()
    assert await bench.see() == first


async def test_create_is_safe_to_repeat(bench: Bench) -> None:
    await bench.create()
    first = await bench.see()
    await bench.create()
    assert await bench.see() == first


async def test_a_taken_name_is_refused(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict):
        await bench.create(config_hash="1:b")


async def test_an_ended_program_leaves_its_exit_code(bench: Bench) -> None:
    await bench.create("sh", "-c", "exit 3")
    await bench.start()
    seen = await bench.until_exited()
    assert (seen.exit_code, seen.pid, seen.stopped_by_user) == (3, 0, False)
    assert seen.finished_at >= seen.started_at
    await bench.until_told(EventKind.DIE)
    assert [each.attributes["exitCode"] for each in bench.events if each.kind is EventKind.DIE] == ["3"]


async def test_an_exited_container_can_be_started_again(bench: Bench) -> None:
    await bench.create("sh", "-c", "exit 3")
    await bench.start()
    first = await bench.until_exited()
    await bench.start()
    second = await bench.until_exited()
    assert second.id == first.id
    assert second.started_at >= first.finished_at


async def test_restarts_are_counted_until_a_command_starts_the_container(bench: Bench) -> None:
    await bench.create("true")
    for by_policy, count in ((False, 0), (True, 1), (True, 2), (False, 0)):
        await bench.start(by_policy=by_policy)
        assert (await bench.until_exited()).restarts == count


async def test_stop_returns_when_the_program_is_gone(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    await bench.stop()
    seen = await bench.see()
    assert (seen.state, seen.exit_code, seen.stopped_by_user) == (ContainerState.EXITED, 143, True)


async def test_a_stop_that_is_not_the_users_leaves_no_mark(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    await bench.stop(by_user=False)
    assert not (await bench.see()).stopped_by_user


async def test_a_start_ends_the_users_stop(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    await bench.stop()
    await bench.start()
    assert not (await bench.see()).stopped_by_user


async def test_stopping_an_exited_container_marks_it_as_stopped_by_the_user(bench: Bench) -> None:
    await bench.create("false")
    await bench.start()
    await bench.until_exited()
    await bench.stop()
    seen = await bench.see()
    assert (seen.stopped_by_user, seen.exit_code) == (True, 1)


async def test_the_stop_signal_is_the_containers_own(bench: Bench) -> None:
    await bench.create(stop_signal="SIGINT")
    await bench.start()
    await bench.stop()
    assert (await bench.see()).exit_code == 130


async def test_a_deaf_program_is_killed_after_the_time_out(bench: Bench) -> None:
    await bench.create("sh", "-c", "trap '' TERM; echo deaf; sleep 1000")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await bench.backend.attach(WEB, theirs.fileno(), stdin=False)
        await bench.start()
        ours.setblocking(False)
        await anyio.wait_readable(ours)  # it has said so: the signal is ignored by now
    await bench.stop(timeout_s=1.0)
    assert (await bench.see()).exit_code == 137


async def test_kill_sends_the_signal_and_marks_what_means_an_end(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    await bench.backend.apply(KillContainer(name=WEB))
    seen = await bench.until_exited()
    assert (seen.exit_code, seen.stopped_by_user) == (137, True)
    await bench.backend.apply(KillContainer(name=WEB))  # a second time: nothing to do


async def test_a_running_container_is_not_removed(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    with pytest.raises(Conflict):
        await bench.remove()


async def test_the_log_of_one_that_is_gone_is_not_that_of_the_next_one_of_its_name(bench: Bench) -> None:
    await bench.create()
    first = await bench.see()
    path = bench.backend.log_path(WEB, first.id)
    assert path == bench.backend.log_path(WEB)
    await bench.remove()
    with pytest.raises(NotFound):
        bench.backend.log_path(WEB, first.id)
    await bench.create()
    with pytest.raises(NotFound):
        bench.backend.log_path(WEB, first.id)
    assert bench.backend.log_path(WEB, (await bench.see()).id) != path


async def test_remove_is_safe_to_repeat(bench: Bench) -> None:
    await bench.create()
    await bench.remove()
    await bench.remove()
    assert (await bench.backend.observe(STACK)).containers == {}


async def test_two_may_remove_a_container_at_once(bench: Bench) -> None:
    await bench.create()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(bench.remove)
    assert (await bench.backend.observe(STACK)).containers == {}
    assert bench.kinds().count(EventKind.DESTROY) == 1


async def test_what_does_not_exist_is_not_found(bench: Bench) -> None:
    for action in (StartContainer(name=WEB), StopContainer(name=WEB), KillContainer(name=WEB)):
        with pytest.raises(NotFound):
            await bench.backend.apply(action)


async def test_events_tell_a_containers_life(bench: Bench) -> None:
    await bench.create("true")
    await bench.start()
    await bench.until_exited()
    await bench.remove()
    await bench.until_told(EventKind.DESTROY)
    life = {EventKind.CREATE, EventKind.START, EventKind.DIE, EventKind.DESTROY}
    assert [each for each in bench.kinds() if each in life] == [
        EventKind.CREATE,
        EventKind.START,
        EventKind.DIE,
        EventKind.DESTROY,
    ]
    assert {(each.stack, each.service, each.container) for each in bench.events} == {(STACK, "web", WEB)}


async def test_what_runs_has_figures_and_nothing_else_has(bench: Bench) -> None:
    other = ContainerName("contract-web-2")
    await bench.network()
    await bench.create(networks=(AttachmentSpec(network=FRONT),), resources=ResourceSpec(memory_max_bytes=64 << 20))
    await bench.create(name=other)
    asked = [WEB, other, ContainerName("nobody")]
    assert await bench.backend.figures(asked) == {}
    await bench.start()
    first = (await bench.backend.figures(asked))[WEB]
    assert first.pids >= 1
    assert 0 < first.memory_bytes <= first.memory_max_bytes == 64 << 20
    assert list(first.traffic) == ["eth0"]
    await bench.backend.apply(PauseContainer(name=WEB))
    second = (await bench.backend.figures(asked))[WEB]
    assert second.at_ns > first.at_ns
    assert second.pids == first.pids
    await bench.backend.apply(UnpauseContainer(name=WEB))
    await bench.stop()
    assert await bench.backend.figures(asked) == {}
