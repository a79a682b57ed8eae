"""The small parts of the engine, each alone."""

import json
import os
import random
from pathlib import Path

import anyio
import pytest

from orchestr8.api.services import Order
from orchestr8.engine.addresses import url_of
from orchestr8.engine.bus import MAX_WAITING, Bus
from orchestr8.engine.intents import Doing, Goal, Intent, after_order
from orchestr8.engine.logmerge import StoredMerge, block_bytes
from orchestr8.engine.watch import DirectoryWatcher
from orchestr8.model.codec import from_json, to_json
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerId, ContainerName, ServiceName, StackName
from orchestr8.model.observed import BoundPort
from orchestr8.plan.desired import build_desired
from orchestr8.plan.options import DownOptions, KillOptions, OneOff, StartOptions, StopOptions, Unfinished, UpOptions
from orchestr8.runtime.logs import LogReader, time_text
from orchestr8.wire.frames import FrameReader

SHOP, BLOG = StackName("shop"), StackName("blog")
WEB, DB, JOB = ServiceName("web"), ServiceName("db"), ServiceName("job")


def event(stack: StackName, number: int = 0) -> Event:
    return Event(
        kind=EventKind.START, stack=stack, service=WEB, container=ContainerName("c"), id=ContainerId("0"), at=float(number)
    )  # fmt: skip


# --- bus ----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_follower_gets_its_stacks_events_in_order_and_nudges_as_nothing() -> None:
    bus = Bus()
    with bus.subscribe(SHOP) as shop, bus.subscribe() as everything:
        bus.publish(event(SHOP, 1))
        bus.publish(event(BLOG, 2))
        bus.publish(event(SHOP, 3))
        assert [each.at for each in await shop.next()] == [1, 3]
        assert [each.at for each in await everything.next()] == [1, 2, 3]
        bus.nudge(BLOG)
        bus.nudge(SHOP)
        assert await shop.next() == []
    bus.publish(event(SHOP))
    assert bus._subscriptions == []


@pytest.mark.anyio
async def test_a_follower_that_does_not_keep_up_loses_the_oldest_and_is_told() -> None:
    bus = Bus()
    with bus.subscribe() as slow:
        for number in range(MAX_WAITING + 5):
            bus.publish(event(SHOP, number))
        assert slow.lost
        assert [each.at for each in await slow.next()][:2] == [5, 6]
        assert (slow.lost, slow.missed) == (False, True)
        bus.publish(event(SHOP))
        await slow.next()
        assert not slow.missed


# --- watch --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_listeners_are_told_of_their_directory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    told: list[str] = []
    seen = anyio.Event()

    def listener(name: str) -> None:
        told.append(name)
        seen.set()

    with DirectoryWatcher() as watcher:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            with (
                watcher.watch(str(tmp_path / "a"), lambda: listener("first")),
                watcher.watch(str(tmp_path / "a"), lambda: listener("second")),
                watcher.watch(str(tmp_path / "b"), lambda: listener("other")),
            ):
                (tmp_path / "a" / "file").write_text("x")
                with anyio.fail_after(10):
                    await seen.wait()
            assert told[:2] == ["first", "second"]
            assert "other" not in told
            assert watcher._listeners == {}
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_watched_directory_may_go(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with DirectoryWatcher() as watcher:
        with watcher.watch(str(tmp_path / "a"), lambda: None):
            os.rmdir(tmp_path / "a")
        assert watcher._changed() == []
        with pytest.raises(OSError, match="No such file"), watcher.watch(str(tmp_path / "a"), lambda: None):
            pass


# --- merged logs --------------------------------------------------------------------------------------------------


def _write(path: str, lines: list[tuple[float, bytes]]) -> None:
    with open(path, "wb") as file:
        file.writelines(time_text(at) + b" stdout F " + text + b"\n" for at, text in lines)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("timestamps", [False, True])
def test_sources_are_merged_in_the_order_of_time(tmp_path: Path, seed: int, timestamps: bool) -> None:
    rng = random.Random(seed)
    everything: list[tuple[float, int, bytes]] = []
    readers = {}
    for source in range(rng.randrange(1, 5)):
        times = sorted(rng.sample(range(1000), rng.randrange(60)))
        lines = [(at + source / 10, b"%d-%d" % (source, at)) for at in times]
        everything += [(at, source, text) for at, text in lines]
        _write(str(tmp_path / f"{source}"), lines)
        readers[source] = LogReader(
            str(tmp_path / f"{source}"), coalesce=not timestamps, block_bytes=rng.randrange(60, 400)
        )
    until = rng.choice((None, rng.randrange(1000) + 0.2))
    merge = StoredMerge(readers, timestamps=timestamps, until=until)
    decoder = FrameReader()
    found = []
    while piece := merge.next_frames():
        found += [(frame.source, line) for frame in decoder.feed(piece) for line in frame.payload.splitlines()]
    for reader in readers.values():
        reader.close()
    stamp = (lambda at: time_text(at) + b" ") if timestamps else (lambda _: b"")
    wanted = [each for each in sorted(everything) if until is None or each[0] + each[1] / 10 <= until]
    assert found == [(source, stamp(at) + text) for at, source, text in wanted]


def test_many_sources_share_the_memory() -> None:
    assert block_bytes(1) == 1024 * 1024
    assert block_bytes(64) == 256 * 1024
    assert block_bytes(10_000) == 64 * 1024


# --- intents ------------------------------------------------------------------------------------------------------

DOCUMENT = {
    "name": "shop",
    "services": {
        "web": {"image": "rootfs:/", "depends_on": {"db": {"condition": "service_started", "required": True}}},
        "db": {"image": "rootfs:/"},
        "job": {"image": "rootfs:/"},
    },
    "networks": {"default": {"name": "shop_default"}},
}


def after(before: Intent | None, verb: str, options: object) -> Intent | None:
    order = Order(stack=SHOP, verb=verb, options=options, document=DOCUMENT)  # type: ignore[arg-type]
    return after_order(before, order, build_desired(DOCUMENT))


def test_an_up_of_named_services_is_for_them_and_what_they_need() -> None:
    intent = after(None, "up", UpOptions(services=(WEB,)))
    assert intent == Intent(stack=SHOP, goal=Goal.UP, document=DOCUMENT, services=(DB, WEB))
    assert after(None, "up", UpOptions(services=(WEB,), no_deps=True)) == Intent(
        stack=SHOP, goal=Goal.UP, document=DOCUMENT, services=(WEB,)
    )
    both = after(intent, "up", UpOptions(services=(JOB,)))
    assert both is not None
    assert both.services is None


def test_an_up_of_named_services_keeps_what_was_up_and_what_was_stopped() -> None:
    everything = after(None, "up", UpOptions())
    stopped = after(everything, "stop", StopOptions(services=(DB, JOB)))
    assert stopped is not None
    assert stopped.stopped == (DB, JOB)
    again = after(stopped, "up", UpOptions(services=(WEB,)))
    assert again is not None
    assert (again.services, again.stopped) == (None, (JOB,))


def test_start_takes_back_what_stop_did() -> None:
    stopped = after(after(None, "up", UpOptions()), "stop", StopOptions())
    assert stopped is not None
    assert stopped.stopped == (DB, JOB, WEB)
    started = after(stopped, "start", StartOptions(services=(WEB,)))
    assert started is not None
    assert started.stopped == (DB, JOB)
    assert after(started, "kill", KillOptions()) == started


def test_down_is_a_goal_of_its_own_unless_it_is_for_some_services() -> None:
    up = after(None, "up", UpOptions())
    down = after(up, "down", DownOptions(volumes=True))
    assert down == Intent(stack=SHOP, goal=Goal.DOWN, document=DOCUMENT, down=DownOptions(volumes=True))
    assert after(down, "start", StartOptions()) == down
    partly = after(up, "down", DownOptions(services=(JOB,)))
    assert partly is not None
    assert (partly.goal, partly.stopped) == (Goal.UP, (JOB,))


def test_a_command_under_way_is_stored_with_its_options() -> None:
    options = UpOptions(services=(WEB,), force_recreate=True, timeout_s=2.5)
    doing = Doing.of(Order(stack=SHOP, verb="up", options=options), 12.5)
    intent = Intent(stack=SHOP, goal=Goal.UP, document=DOCUMENT, doing=doing)
    stored = from_json(Intent, json.loads(json.dumps(to_json(intent))))
    assert stored == intent
    assert stored.doing is not None
    assert stored.doing.unfinished == Unfinished(since=12.5, options=options)


def test_a_signal_and_a_one_off_are_not_taken_up_again() -> None:
    one_off = OneOff(name=ContainerName("run"))
    assert Doing.of(Order(stack=SHOP, verb="kill", options=KillOptions()), 1.0) is None
    assert Doing.of(Order(stack=SHOP, verb="run", options=one_off, service=WEB), 1.0) is None


def test_of_a_stack_that_was_never_up_nothing_is_remembered() -> None:
    assert after(None, "stop", StopOptions()) is None
    assert after(None, "start", StartOptions()) is None


# --- small values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host_ip", "published", "target", "protocol", "url"),
    [
        ("0.0.0.0", 8080, 80, "tcp", "http://127.0.0.1:8080"), ("127.0.0.1", 80, 8000, "tcp", "http://127.0.0.1"),
        ("10.0.0.1", 8443, 443, "tcp", "https://10.0.0.1:8443"), ("0.0.0.0", 5432, 5432, "tcp", ""),
        ("0.0.0.0", 53, 80, "udp", ""),
    ],
)  # fmt: skip
def test_an_address_is_shown_for_what_a_browser_can_open(
    host_ip: str, published: int, target: int, protocol: str, url: str
) -> None:
    assert url_of(BoundPort(host_ip=host_ip, published=published, target=target, protocol=protocol)) == url
