"""What every backend promises. A test module gives the fixtures and imports these tests:

    from tests.backends.contract import *  # and define the fixtures `backend` and `image`

`backend` is a `model.backend.Backend` with nothing in it and a stack name of its own free; `image` a reference whose
programs include sh, sleep, echo, cat, true and false. Nothing here depends on how long something takes.
"""

import io
import os
import re
import socket
import stat
import tarfile
from collections.abc import Sequence

import anyio
import pytest

from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed, Orchestr8Error
from orchestr8.model.actions import (
    CreateVolume,
    KillContainer,
    PauseContainer,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
    UnpauseContainer,
)
from orchestr8.model.backend import Backend, Content, ExecSpec, Paused
from orchestr8.model.changes import FileChange
from orchestr8.model.events import EventKind
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.images import CommitSpec
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.observed import ContainerState
from orchestr8.model.specs import (
    AttachmentSpec,
    FileSpec,
    MountKind,
    MountSpec,
    PortSpec,
    VolumeSpec,
)
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.tarformat import DIRECTORY, SYMLINK, Entry
from orchestr8.wire.frames import ANNOUNCEMENT, STDERR, STDOUT, FrameReader
from tests.backends.bench import DATA, FOREVER, FRONT, STACK, WEB, Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench(backend: Backend, image: str) -> Bench:
    return Bench(backend, image)


# --- life of a container ------------------------------------------------------------------------------------------


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


async def test_remove_is_safe_to_repeat(bench: Bench) -> None:
    await bench.create()
    await bench.remove()
    await bench.remove()
    assert (await bench.backend.observe(STACK)).containers == {}


async def test_an_image_that_containers_are_made_of_is_there(bench: Bench, image: str) -> None:
    await bench.backend.check_image(image)


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


# --- networks, ports, volumes -------------------------------------------------------------------------------------


async def test_a_network_gets_the_subnet_asked_for(bench: Bench) -> None:
    await bench.network("10.222.7.0/24")
    await bench.network("10.222.7.0/24")  # safe to repeat
    seen = (await bench.backend.observe(STACK)).networks[FRONT]
    assert (seen.subnet, seen.requested_subnet, seen.key) == ("10.222.7.0/24", "10.222.7.0/24", "front")


async def test_a_network_without_a_subnet_gets_one(bench: Bench) -> None:
    await bench.network()
    seen = (await bench.backend.observe(STACK)).networks[FRONT]
    assert seen.subnet
    assert seen.requested_subnet == ""


async def test_another_stack_sees_a_network_by_name_only(bench: Bench) -> None:
    await bench.network()
    other = await bench.backend.observe(StackName("other"))
    assert other.networks == {}
    assert FRONT in other.foreign_networks


async def test_what_other_stacks_use_is_told(bench: Bench) -> None:
    """What runs on a network; what mounts a volume, running or not."""
    await bench.network()
    await bench.backend.apply(CreateVolume(STACK, VolumeSpec(name=DATA, key="data")))
    guest, mount = ContainerName("other-web-1"), MountSpec(kind=MountKind.VOLUME, source=DATA, target="/data")
    await bench.create(name=guest, stack=StackName("other"), networks=(AttachmentSpec(network=FRONT),), mounts=(mount,))
    seen = await bench.backend.observe(STACK)
    assert (seen.network_guests, seen.volume_guests) == ({}, {DATA: (guest,)})
    await bench.backend.apply(StartContainer(name=guest))
    seen = await bench.backend.observe(STACK)
    assert (seen.network_guests, seen.volume_guests) == ({FRONT: (guest,)}, {DATA: (guest,)})
    everything = await bench.backend.observe()
    assert (everything.network_guests, everything.volume_guests) == ({}, {})


async def test_a_restart_keeps_the_address(bench: Bench) -> None:
    await bench.network("10.222.7.0/24")
    await bench.create(networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    before = (await bench.see()).addresses
    await bench.stop()
    await bench.start()
    assert (await bench.see()).addresses == before
    assert before[FRONT][0].startswith("10.222.7.")


async def test_a_network_in_use_is_not_removed(bench: Bench) -> None:
    await bench.network()
    await bench.create(networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    with pytest.raises(Conflict, match=WEB):
        await bench.backend.apply(RemoveNetwork(FRONT))


async def test_what_had_to_be_killed_starts_again_at_its_address(bench: Bench) -> None:
    await bench.network()
    await bench.create("sh", "-c", "trap '' TERM; sleep 1000", networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    before = await bench.see()
    for by_user in (False, True):
        await bench.stop(by_user=by_user, timeout_s=0)
        await bench.start()
        seen = await bench.see()
        assert (seen.state, seen.addresses) == (ContainerState.RUNNING, before.addresses)


async def test_a_container_moves_to_the_new_subnet_of_a_replaced_network(bench: Bench) -> None:
    await bench.network("10.222.7.0/24")
    await bench.create(networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    await bench.stop(by_user=False)
    await bench.backend.apply(RemoveNetwork(FRONT))
    await bench.backend.apply(RemoveNetwork(FRONT))  # safe to repeat
    await bench.network("10.222.8.0/24")
    await bench.start()
    assert (await bench.see()).addresses[FRONT][0].startswith("10.222.8.")


async def test_a_free_port_is_chosen_and_told(bench: Bench) -> None:
    await bench.network()
    await bench.create(networks=(AttachmentSpec(network=FRONT),), ports=(PortSpec(target=80, host_ip="127.0.0.1"),))
    await bench.start()
    (port,) = (await bench.see()).ports
    assert (port.host_ip, port.target) == ("127.0.0.1", 80)
    assert port.published > 0


async def test_a_taken_port_fails_the_start_and_leaves_the_container_created(bench: Bench) -> None:
    other = ContainerName("contract-web-2")
    await bench.network()
    attached = (AttachmentSpec(network=FRONT),)
    await bench.create(networks=attached, ports=(PortSpec(target=80, host_ip="127.0.0.1"),))
    await bench.start()
    (port,) = (await bench.see()).ports
    again = PortSpec(target=80, host_ip="127.0.0.1", published_first=port.published, published_last=port.published)
    await bench.create(name=other, networks=attached, ports=(again,))
    with pytest.raises(Orchestr8Error, match=str(port.published)):
        await bench.backend.apply(StartContainer(name=other))
    seen = await bench.see(other)
    assert seen.state is ContainerState.CREATED
    assert str(port.published) in seen.error


async def test_a_volume_in_use_is_not_removed(bench: Bench) -> None:
    spec = VolumeSpec(name=DATA, key="data")
    await bench.backend.apply(CreateVolume(STACK, spec))
    await bench.backend.apply(CreateVolume(STACK, spec))  # safe to repeat
    await bench.create(mounts=(MountSpec(kind=MountKind.VOLUME, source=DATA, target="/data"),))
    with pytest.raises(Conflict, match=WEB):
        await bench.backend.apply(RemoveVolume(DATA))
    await bench.remove()
    await bench.backend.apply(RemoveVolume(DATA))
    await bench.backend.apply(RemoveVolume(DATA))  # safe to repeat
    assert (await bench.backend.observe(STACK)).volumes == {}


async def test_an_anonymous_volume_is_carried_over_unless_it_is_removed_too(bench: Bench) -> None:
    mounts = (MountSpec(kind=MountKind.VOLUME, target="/data"),)
    await bench.create(mounts=mounts)
    (first,) = (await bench.backend.observe(STACK)).volumes
    await bench.remove()
    await bench.create(mounts=mounts, config_hash="1:b")
    assert list((await bench.backend.observe(STACK)).volumes) == [first]
    await bench.remove(volumes=True)
    assert (await bench.backend.observe(STACK)).volumes == {}


# --- secrets and configs ------------------------------------------------------------------------------------------


async def test_a_content_is_needed_until_the_container_is_made_and_kept_as_long_as_one_names_it(bench: Bench) -> None:
    digest = "sha256:" + "1" * 64
    given: dict[str, object] = {
        "files": (FileSpec(name="secrets.key", target="/run/secrets/key"),),
        "contents": (("secrets.key", digest),),
    }
    with pytest.raises(OperationFailed) as caught:
        await bench.create(**given)
    assert caught.value.code == "O8-628"
    await bench.backend.keep_contents(STACK, {digest: Content(b"x", secret=True)})
    await bench.create(**given)
    await bench.backend.drop_contents(STACK, ())
    await bench.remove()
    await bench.create(**given)
    await bench.remove()
    await bench.backend.drop_contents(STACK, ())
    with pytest.raises(OperationFailed):
        await bench.create(**given)
    await bench.remove()


# --- programs beside the container's own --------------------------------------------------------------------------


async def test_a_probe_tells_exit_code_and_output(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    good = await bench.backend.probe(WEB, ("sh", "-c", "echo fine"), 5.0)
    bad = await bench.backend.probe(WEB, ("sh", "-c", "echo broken; exit 7"), 5.0)
    assert (good.exit_code, good.output) == (0, "fine\n")
    assert (bad.exit_code, bad.output) == (7, "broken\n")


async def test_a_probe_that_takes_too_long_has_no_exit_code(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    assert (await bench.backend.probe(WEB, ("sleep", "1000"), 0.2)).exit_code is None


async def test_a_container_that_does_not_run_cannot_be_probed(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict):
        await bench.backend.probe(WEB, ("true",), 5.0)


async def test_exec_frames_both_streams_and_tells_the_exit_code(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    spec = ExecSpec(argv=("sh", "-c", "echo out; echo err >&2; exit 4"), stdin=False)
    code, frames = await _exec(bench, spec, b"")
    assert code == 4
    assert _joined(frames) == {STDOUT: b"out\n", STDERR: b"err\n"}


async def test_exec_reads_what_was_read_too_far_first(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    code, frames = await _exec(bench, ExecSpec(argv=("cat",)), b" later", early=b"first")
    assert code == 0
    assert _joined(frames) == {STDOUT: b"first later"}


async def test_an_unknown_program_in_exec_is_an_error_that_names_it(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    with pytest.raises(OperationFailed, match="no-such-program") as caught:
        await _exec(bench, ExecSpec(argv=("no-such-program",), stdin=False), b"")
    assert caught.value.code == "O8-627"


async def test_what_attaches_before_the_start_misses_nothing(bench: Bench) -> None:
    await bench.create("sh", "-c", "echo hello")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await bench.backend.attach(WEB, theirs.fileno(), stdin=False)
        theirs.close()
        await bench.start()
        assert _joined(await _read_frames(ours)) == {STDOUT: b"hello\n"}


async def test_a_guest_comes_to_what_runs(bench: Bench) -> None:
    await bench.create("cat", stdin_open=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(Conflict, match=f"{WEB} is not running"):
            await bench.backend.attach(WEB, theirs.fileno(), stdin=True, guest=True)
        await bench.start()
        await bench.backend.attach(WEB, theirs.fileno(), stdin=True, guest=True)
        await bench.stop()
        with pytest.raises(Conflict, match=f"{WEB} is not running"):
            await bench.backend.attach(WEB, theirs.fileno(), stdin=True, guest=True)


async def test_a_services_input_does_not_end_with_that_of_a_client(bench: Bench) -> None:
    await bench.create("cat", stdin_open=True)
    await bench.start()
    for said in (b"first\n", b"second\n"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            await bench.backend.attach(WEB, theirs.fileno(), stdin=True)
            theirs.close()
            ours.sendall(said)
            ours.shutdown(socket.SHUT_WR)
            ours.setblocking(False)
            got = b""
            while not got.endswith(said):
                await anyio.wait_readable(ours)
                got += ours.recv(4096)
    assert (await bench.see()).state is ContainerState.RUNNING
    await bench.stop()


async def test_a_paused_container_does_nothing_until_it_goes_on(bench: Bench) -> None:
    await bench.create("cat", stdin_open=True)
    await bench.start()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await bench.backend.attach(WEB, theirs.fileno(), stdin=True)
        theirs.close()
        ours.setblocking(False)
        for _ in range(2):  # a second time: nothing to do
            await bench.backend.apply(PauseContainer(name=WEB))
        seen = await bench.see()
        assert (seen.state, seen.paused) == (ContainerState.RUNNING, True)
        ours.sendall(b"said while it was paused\n")
        with pytest.raises(Paused, match="is paused"):
            await _exec(bench, ExecSpec(argv=("true",), stdin=False), b"")
        with pytest.raises(Paused, match="is paused"):
            await bench.backend.probe(WEB, ("true",), 1.0)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        for _ in range(2):
            await bench.backend.apply(UnpauseContainer(name=WEB))
        assert not (await bench.see()).paused
        await anyio.wait_readable(ours)
        assert b"said while it was paused" in ours.recv(4096)
    assert [each.kind for each in bench.events if each.kind in {EventKind.PAUSE, EventKind.UNPAUSE}] == [
        EventKind.PAUSE,
        EventKind.UNPAUSE,
    ]
    await bench.stop()


@pytest.mark.parametrize("how", ["stopped", "stopped at once", "killed", "terminated"])
async def test_a_paused_container_can_be_ended(bench: Bench, how: str) -> None:
    await bench.create()
    await bench.start()
    await bench.backend.apply(PauseContainer(name=WEB))
    if how == "killed":
        await bench.backend.apply(KillContainer(name=WEB))
    elif how == "terminated":
        await bench.backend.apply(KillContainer(name=WEB, signal="SIGTERM"))
    else:
        await bench.stop(timeout_s=0 if how == "stopped at once" else None)
    seen = await bench.until_exited()
    assert (seen.paused, seen.stopped_by_user) == (False, True)
    await bench.start()
    assert not (await bench.see()).paused
    await bench.stop()


async def test_what_does_not_run_cannot_be_paused(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict, match="is not running"):
        await bench.backend.apply(PauseContainer(name=WEB))
    await bench.backend.apply(UnpauseContainer(name=WEB))


async def test_other_signals_wait_until_it_goes_on(bench: Bench) -> None:
    await bench.create(stop_signal="SIGINT")
    await bench.start()
    await bench.backend.apply(PauseContainer(name=WEB))
    await bench.backend.apply(KillContainer(name=WEB, signal="SIGTERM"))
    seen = await bench.see()
    assert (seen.state, seen.paused) == (ContainerState.RUNNING, True)
    await bench.backend.apply(UnpauseContainer(name=WEB))
    assert (await bench.until_exited()).exit_code == 143


async def _exec(
    bench: Bench, spec: ExecSpec, sent: bytes, *, early: bytes = b""
) -> tuple[int, list[tuple[int, bytes]]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handle = await bench.backend.exec(WEB, spec, theirs.fileno(), early)
        theirs.close()
        if sent:  # else the program may have ended, and the connection with it
            ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        frames = await _read_frames(ours)
        return await handle.wait(), frames


async def _read_frames(connection: socket.socket) -> list[tuple[int, bytes]]:
    connection.setblocking(False)
    reader = FrameReader()
    frames: list[tuple[int, bytes]] = []
    while True:
        await anyio.wait_readable(connection)
        data = connection.recv(65536)
        if not data:
            return frames
        frames += [(each.stream, each.payload) for each in reader.feed(data)]


def _joined(frames: list[tuple[int, bytes]]) -> dict[int, bytes]:
    joined: dict[int, bytes] = {}
    for stream, payload in frames:
        joined[stream] = joined.get(stream, b"") + payload
    return joined


async def test_who_has_done_nothing_has_changed_nothing(bench: Bench) -> None:
    """What the runtime itself has made in the container's layer is none of its doing."""
    told: list[FileChange] = []

    async def tell(found: Sequence[FileChange]) -> None:
        told.extend(found)

    await bench.create("true")
    await bench.backend.changes(WEB, tell)
    await bench.start()
    await bench.until_exited()
    await bench.backend.changes(WEB, tell)
    assert told == []
    with pytest.raises(NotFound):
        await bench.backend.changes(ContainerName("nobody"), tell)


async def test_an_export_has_the_images_files_whether_it_runs_or_not(bench: Bench) -> None:
    pieces: list[bytes] = []

    async def send(data: bytes) -> None:
        pieces.append(data)

    await bench.create()
    for begin in (bench.start, bench.stop):
        pieces.clear()
        await bench.backend.export(WEB, send)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            assert {"bin/sh", "bin/sleep"} <= set(archive.getnames())
        await begin()
    with pytest.raises(NotFound):
        await bench.backend.export(ContainerName("nobody"), send)


async def test_what_is_committed_stands_still_meanwhile_unless_it_may_run(bench: Bench) -> None:
    def pauses() -> list[EventKind]:
        return [each.kind for each in bench.events if each.kind in {EventKind.PAUSE, EventKind.UNPAUSE}]

    await bench.create()
    await bench.backend.commit(WEB, CommitSpec())
    await bench.start()
    await bench.backend.commit(WEB, CommitSpec(pause=False))
    assert pauses() == []
    await bench.backend.commit(WEB, CommitSpec())
    assert not (await bench.see()).paused
    await bench.until_told(EventKind.UNPAUSE)
    assert pauses() == [EventKind.PAUSE, EventKind.UNPAUSE]
    await bench.backend.apply(PauseContainer(name=WEB))
    await bench.backend.commit(WEB, CommitSpec())
    assert (await bench.see()).paused, "by somebody else"


async def test_containers_can_be_made_of_what_was_committed(bench: Bench) -> None:
    await bench.create()
    backend = bench.backend
    first = await backend.commit(WEB, CommitSpec(name="docker.io/library/mine:1", message="as created"))
    await bench.start()
    wanted = CommitSpec(name="docker.io/library/mine:1", author="me", changes=("ENV A=1",))
    second = await backend.commit(WEB, wanted)
    assert first.id != second.id
    for committed in (first, second):
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", committed.id)
        assert committed.warnings == ()
    assert (await bench.see()).state is ContainerState.RUNNING
    other = ContainerName("contract-other-1")
    bench.image = "mine:1"
    await backend.check_image(bench.image)
    await bench.create("true", name=other)
    await backend.apply(StartContainer(name=other))
    assert not (await backend.observe(STACK)).containers[other].image_outdated
    await backend.commit(WEB, CommitSpec(name="docker.io/library/mine:1", message="another"))
    found = (await backend.observe(STACK)).containers
    assert {name: each.image_outdated for name, each in found.items()} == {WEB: False, other: True}
    with pytest.raises(NotFound):
        await backend.commit(ContainerName("nobody"), CommitSpec())


async def test_what_runs_has_processes_and_what_does_not_has_none_to_show(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict, match="is not running"):
        await bench.backend.processes(WEB)
    await bench.start()
    found = await bench.backend.processes(WEB)
    seen = await bench.see()
    assert seen.pid in {each.pid for each in found}
    assert " ".join(seen.command) in {each.command for each in found}
    with pytest.raises(NotFound):
        await bench.backend.processes(ContainerName("nobody"))


# --- files ----------------------------------------------------------------------------------------------------------


def tar_of(*entries: tuple[Entry, bytes]) -> bytes:
    pieces: list[bytes] = []
    writer = ArchiveWriter(pieces.append)
    for entry, data in entries:
        writer.add_entry(entry._replace(size=len(data), uid=os.geteuid(), gid=os.getegid()), data)
    writer.finish()
    return b"".join(pieces)


async def put(bench: Bench, path: str, data: bytes, *, early: int = 0) -> Sequence[str]:
    """As a client does whose archive is small enough for a socket to take it at once."""
    ours, theirs = socket.socketpair()
    opened = await bench.backend.open_path(WEB, path, write=True)
    try:
        with ours, theirs:
            ours.sendall(data[early:])
            return await opened.receive(theirs.fileno(), data[:early], len(data))
    finally:
        await opened.close()


async def get(bench: Bench, path: str, *, follow: bool = False) -> dict[str, tarfile.TarInfo]:
    """By name, what an archive of `path` has; its data is in `pax_headers["data"]`."""
    ours, theirs = socket.socketpair()
    opened = await bench.backend.open_path(WEB, path, follow=follow)
    try:
        with ours:
            with theirs:
                await opened.send(theirs.fileno(), framed=True)
            reader = FrameReader()
            received = b"".join(iter(lambda: ours.recv(1 << 20), b""))
    finally:
        await opened.close()
    *found, whole = reader.feed(received)
    assert {frame.stream for frame in found} == {STDOUT}
    assert (whole.stream, whole.payload) == (ANNOUNCEMENT, b'{"whole":true}')
    members = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(frame.payload for frame in found))) as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isfile() else None
            member.pax_headers = {"data": data.read().decode() if data else ""}
            members[member.name] = member
    return members


@pytest.mark.parametrize("running", [False, True])
async def test_what_is_put_into_a_container_is_got_out_of_it(bench: Bench, running: bool) -> None:
    await bench.create()
    if running:
        await bench.start()
    data = tar_of(
        (Entry(b"kept/", DIRECTORY, 0o750), b""),
        (Entry(b"kept/file", mode=0o640, mtime_ns=1_234_000_005), b"content"),
        (Entry(b"kept/link", SYMLINK, link=b"file"), b""),
    )
    assert await put(bench, "/", data, early=700) == ()
    found = await get(bench, "/kept")
    assert list(found) == ["kept", "kept/file", "kept/link"]
    assert (found["kept"].mode, found["kept/file"].mode, found["kept/file"].mtime) == (0o750, 0o640, 1.234000005)
    assert (found["kept/file"].pax_headers["data"], found["kept/link"].linkname) == ("content", "file")
    assert list(await get(bench, "/kept/.")) == [".", "file", "link"]
    assert list(await get(bench, "/kept/link")) == ["link"]
    assert (await get(bench, "/kept/link"))["link"].issym()
    assert (await get(bench, "/kept/link", follow=True))["link"].isfile()


async def test_a_path_is_described_as_it_is(bench: Bench) -> None:
    await bench.create()
    await put(bench, "/", tar_of((Entry(b"file", mode=0o600), b"12345"), (Entry(b"link", SYMLINK, link=b"/file"), b"")))
    opened = await bench.backend.open_path(WEB, "/file")
    await opened.close()
    status = opened.status
    assert (status.name, stat.S_ISREG(status.mode), stat.S_IMODE(status.mode), status.size) == ("file", True, 0o600, 5)
    opened = await bench.backend.open_path(WEB, "link")
    await opened.close()
    assert (opened.status.name, opened.status.link) == ("link", "/file")


async def test_paths_that_are_not_there_or_are_no_directories_are_refused(bench: Bench) -> None:
    await bench.create()
    await put(bench, "/", tar_of((Entry(b"file"), b""), (Entry(b"none", SYMLINK, link=b"/nowhere"), b"")))
    for path, follow in (("/nothing", False), ("/none", True), ("/none/", False)):
        with pytest.raises(NotFound):
            await bench.backend.open_path(WEB, path, follow=follow)
    with pytest.raises(InvalidInput):
        await bench.backend.open_path(WEB, "/file", write=True)
    with pytest.raises(InvalidInput):
        await bench.backend.open_path(WEB, "")
    with pytest.raises(NotFound):
        await bench.backend.open_path(ContainerName("nobody"), "/")


@pytest.mark.parametrize("data", [b"no tar", b"x" * 512, tar_of((Entry(b"../out"), b""))])
async def test_what_is_no_archive_or_leads_out_is_refused(bench: Bench, data: bytes) -> None:
    await bench.create()
    with pytest.raises(InvalidInput) as raised:
        await put(bench, "/", data)
    assert raised.value.code == "O8-641"


async def test_a_client_that_goes_away_is_told_of(bench: Bench) -> None:
    await bench.create()
    opened = await bench.backend.open_path(WEB, "/", write=True)
    ours, theirs = socket.socketpair()
    with theirs:
        ours.send(b"x" * 100)
        ours.close()
        with pytest.raises(InvalidInput, match="went away"):
            await opened.receive(theirs.fileno(), b"", 10_000)
    await opened.close()
    await put(bench, "/", tar_of((Entry(b"file"), b"")))  # and nothing is in the way of the next one
