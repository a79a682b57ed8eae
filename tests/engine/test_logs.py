"""A stack's logs over the socket: stored and followed."""

import errno
import json
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestr8.backends.memory.containers import append_log
from orchestr8.engine.watch import DirectoryWatcher
from orchestr8.errors import Conflict, NotFound
from orchestr8.kernel.libc import SyscallError
from orchestr8.model.actions import RemoveContainer, StopContainer
from orchestr8.model.ids import ContainerName
from orchestr8.wire.client import Lines
from orchestr8.wire.frames import Frame

pytestmark = pytest.mark.anyio

Make = Callable[..., dict[str, Any]]


def news(frames: list[Frame]) -> list[dict[str, Any]]:
    return [json.loads(frame.payload) for frame in frames if frame.stream == 0]


def text(frames: list[Frame]) -> bytes:
    return b"".join(frame.payload for frame in frames if frame.stream != 0)


async def up(engine: Any, document: dict[str, Any]) -> None:
    assert (await engine.work("/stacks/shop/up", {"document": document}))[-1]["type"] == "done"


async def test_stored_logs_name_their_sources_and_end(start: Any, make_document: Make, eventually: Any) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["echo", "hello"], api=["sh", "-c", "echo out; echo err >&2"]))
        await eventually(lambda: _all_ended(engine))
        async with engine.upgraded("GET", "/stacks/shop/logs") as talk:
            frames = await talk.rest()
    assert news(frames) == [
        {"source": 0, "name": "api-1", "container": "shop-api-1", "service": "api"},
        {"source": 1, "name": "web-1", "container": "shop-web-1", "service": "web"},
    ]
    output = sorted((frame.source, frame.stream, frame.payload) for frame in frames if frame.stream)
    assert output == [(0, 1, b"out\n"), (0, 2, b"err\n"), (1, 1, b"hello\n")]


async def _all_ended(engine: Any) -> bool:
    found = await engine.ask("GET", "/stacks/shop/containers", all=1)
    return all(each["state"] == "exited" for each in found)


async def test_services_and_a_number_of_lines_can_be_chosen(start: Any, make_document: Make, eventually: Any) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo 1; echo 2; echo 3"], api=["echo", "x"]))
        await eventually(lambda: _all_ended(engine))
        async with engine.upgraded("GET", "/stacks/shop/logs", service="web", tail=2) as talk:
            assert text(await talk.rest()) == b"2\n3\n"
        async with engine.upgraded("GET", "/stacks/shop/logs", container="shop-api-1", timestamps=1) as talk:
            assert text(await talk.rest()).endswith(b"Z x\n")
        async with engine.upgraded("GET", "/stacks/shop/logs", service=["shop-api-1", "web"], tail=1) as talk:
            assert sorted(text(await talk.rest()).split()) == [b"3", b"x"], "a container by its name, beside a service"


async def test_what_is_not_there_is_refused_before_the_stream_begins(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["echo", "x"]))
        with pytest.raises(NotFound, match="no such service: wbe"):
            async with engine.upgraded("GET", "/stacks/shop/logs", service="wbe"):
                pass
        with pytest.raises(NotFound, match="no container 9 of service web") as caught:
            async with engine.upgraded("GET", "/stacks/shop/logs", service="web", index=9):
                pass
        assert caught.value.helps == ["it has #1"]
        with pytest.raises(NotFound, match="no such service: wbe"):
            async with engine.upgraded("GET", "/stacks/shop/logs", service="wbe", index=9):
                pass
        with pytest.raises(NotFound, match="No such container: c"):
            async with engine.upgraded("GET", "/stacks/shop/logs", container="c"):
                pass
        async with engine.upgraded("GET", "/stacks/nothing/logs") as talk:
            assert await talk.rest() == []


async def test_what_keeps_nothing_cannot_be_read(start: Any, make_document: Make, eventually: Any) -> None:
    async with start() as engine:
        document = make_document(web=["echo", "x"], api=["echo", "y"])
        document["services"]["web"]["logging"] = {"driver": "none"}
        await up(engine, document)
        await eventually(lambda: _all_ended(engine))
        with pytest.raises(Conflict, match=r"^web-1: the logging driver `none` keeps nothing that could be read$"):
            async with engine.upgraded("GET", "/stacks/shop/logs", service="web"):
                pass
        async with engine.upgraded("GET", "/stacks/shop/logs") as talk:
            frames = await talk.rest()
        assert text(frames) == b"y\n"
        assert [(each["name"], each.get("kept", True)) for each in news(frames)] == [("api-1", True), ("web-1", False)]


async def test_a_followed_log_tells_what_is_written_and_how_it_ends(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo one; sleep 0.05; echo two; exit 3"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until="exit") as talk:
            frames = await talk.rest()
    assert text(frames) == b"one\ntwo\n"
    assert news(frames)[1:] == [{"source": 0, "exited": 3, "restarting": False}]
    assert frames[-1].stream == 0


async def test_who_was_about_to_follow_hears_of_what_had_ended_by_then(
    start: Any, make_document: Make, eventually: Any
) -> None:
    """An attached `up` of what ends at once."""
    began = time.time() - 1  # times are whole seconds in this backend
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo one; echo two; exit 3"]))
        await eventually(lambda: _all_ended(engine))
        query = {"follow": 1, "until": "exit"}
        async with engine.upgraded("GET", "/stacks/shop/logs", **query, ends_since=f"{began:.6f}") as talk:
            frames = await talk.rest()
        async with engine.upgraded("GET", "/stacks/shop/logs", **query, ends_since=f"{began + 60:.6f}") as talk:
            others = await talk.rest()
    assert text(frames) == b"one\ntwo\n"
    assert news(frames)[1:] == [{"source": 0, "exited": 3, "restarting": False}]
    assert frames[-1].stream == 0
    assert text(others) == b"one\ntwo\n"
    assert news(others)[1:] == []


async def test_a_container_that_is_removed_while_its_log_is_about_to_be_followed_ends_nothing(
    start: Any, make_document: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, refused = DirectoryWatcher.watch, []

    def refuse_first(self: DirectoryWatcher, directory: str, tell: Callable[[], None]) -> Any:
        if not refused:
            refused.append(directory)
            raise SyscallError(errno.ENOENT, "inotify_add_watch", directory)
        return watch(self, directory, tell)

    monkeypatch.setattr(DirectoryWatcher, "watch", refuse_first)
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo one; sleep 0.05; echo two; exit 3"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until="exit") as talk:
            frames = await talk.rest()
    assert len(refused) == 1
    assert text(frames) == b"one\ntwo\n"
    assert news(frames)[1:] == [{"source": 0, "exited": 3, "restarting": False}]


async def test_a_followed_log_ends_at_a_time(start: Any, make_document: Make, backend: Any) -> None:
    """Times are whole seconds in this backend."""
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo one; sleep infinity"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1) as talk:
            await talk.until(b"one\n")
        path = backend.log_path(ContainerName("shop-web-1"))
        at = time.time()
        append_log(path, 1, b"two\n", at + 2)
        for words in ({}, {"timestamps": 1}):
            query = {"follow": 1, "until": [f"{at:.6f}", "exit"], **words}
            async with engine.upgraded("GET", "/stacks/shop/logs", **query) as talk:
                assert text(await talk.rest()).endswith(b"one\n")
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until=f"{at + 3:.6f}") as talk:
            await talk.until(b"two\n")
            append_log(path, 1, b"three\n", time.time())
            append_log(path, 1, b"four\n", at + 5)
            assert text(await talk.rest()) == b"three\n", "it runs still"


async def test_what_has_no_newline_is_shown_up_to_a_time_too(start: Any, make_document: Make, backend: Any) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        path = backend.log_path(ContainerName("shop-web-1"))
        append_log(path, 1, b"unfinished", 1000)
        async with engine.upgraded("GET", "/stacks/shop/logs", until="1000") as talk:
            assert text(await talk.rest()) == b"unfinished"
        append_log(path, 2, b"later\n", 1001)
        append_log(path, 1, b" line\n", 1002)
        async with engine.upgraded("GET", "/stacks/shop/logs", until="1001") as talk:
            assert text(await talk.rest()) == b"later\n", "the line has ended by now, but not by then"


async def test_following_goes_on_over_restarts_until_the_policy_gives_up(start: Any, make_document: Make) -> None:
    async with start() as engine:
        service = {"command": ["sh", "-c", "echo run; exit 1"], "restart": "on-failure:2"}
        await up(engine, make_document(web=service))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until="exit") as talk:
            frames = await talk.rest()
    assert text(frames) == b"run\nrun\nrun\n"
    ends = [each for each in news(frames) if "exited" in each]
    assert [(each["exited"], each["restarting"]) for each in ends][-1] == (1, False)
    assert all(each["restarting"] for each in ends[:-1])


async def test_containers_that_come_later_are_taken_up(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo web; sleep infinity"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1) as talk:
            await talk.until(b"web\n")
            later = make_document(
                web=["sh", "-c", "echo web; sleep infinity"], api=["sh", "-c", "echo api; sleep infinity"]
            )
            await up(engine, later)
            frames = await talk.until(b"api\n")
    assert news(frames) == [{"source": 1, "name": "api-1", "container": "shop-api-1", "service": "api"}]


async def test_a_replaced_container_is_a_new_source_of_the_same_name(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo old; sleep infinity"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until="exit") as talk:
            await talk.until(b"old\n")
            await up(engine, make_document(web=["sh", "-c", "echo new; sleep infinity"]))
            frames = await talk.until(b"new\n")
    assert [each for each in news(frames) if "name" in each] == [
        {"source": 1, "name": "web-1", "container": "shop-web-1", "service": "web"}
    ]
    assert [each["source"] for each in news(frames) if "exited" in each] == [0]


async def test_following_ends_when_the_stack_goes_down(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo web; sleep infinity"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until="exit") as talk:
            await talk.until(b"web\n")
            await engine.work("/stacks/shop/down", {})
            frames = await talk.rest()
    assert [each.get("exited") for each in news(frames)] == [143]


async def test_a_last_line_without_newline_comes_when_the_run_is_over(
    start: Any, make_document: Make, backend: Any
) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo web; sleep infinity"]))
        name = ContainerName("shop-web-1")
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1, until="exit") as talk:
            await talk.until(b"web\n")
            backend._written(backend._containers[name], 1, b"prompt: ")
            backend._written(backend._containers[name], 2, b"seen\n")
            assert text(await talk.until(b"seen\n")) == b"seen\n"
            await backend.apply(StopContainer(name=name))
            assert text(await talk.rest()) == b"prompt: "


async def test_a_container_that_is_removed_while_it_is_followed_is_no_failure(
    start: Any, make_document: Make, backend: Any
) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["echo", "x"], api=["sh", "-c", "echo api; sleep infinity"]))
        async with engine.upgraded("GET", "/stacks/shop/logs", follow=1) as talk:
            await talk.until(b"api\n")
            await backend.apply(RemoveContainer(name=ContainerName("shop-web-1")))
            backend._written(backend._containers[ContainerName("shop-api-1")], 1, b"more\n")
            await talk.until(b"more\n")


async def test_nothing_is_left_when_followers_go(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sh", "-c", "echo web; sleep infinity"]))
        for _ in range(3):
            async with engine.upgraded("GET", "/stacks/shop/logs", follow=1) as talk:
                await talk.until(b"web\n")
        watcher = engine.engine._watcher
        await eventually(lambda: not watcher._listeners)


async def test_events_are_followed_as_json_lines(start: Any, make_document: Make) -> None:
    async with start() as engine:
        with anyio.fail_after(10):
            response = await anyio.to_thread.run_sync(
                lambda: engine.client.open("GET", "/events", query={"stack": "shop"})
            )
            await up(engine, make_document(web=["false"]))
            data = b""
            while data.count(b"\n") < 3:
                data += await anyio.to_thread.run_sync(response.receive) or b""
            response.close()
    events = [json.loads(line) for line in data.splitlines()]
    assert [each["kind"] for each in events] == ["create", "start", "die"]
    assert events[2]["attributes"] == {"exitCode": "1", "image": "rootfs:/"}
    assert events[2]["container"] == "shop-web-1"


async def test_the_latest_events_are_told_to_who_asks_for_what_was(start: Any, make_document: Make) -> None:
    async with start() as engine:

        def told(since: float, until: float) -> list[str]:
            query = {"stack": "shop", "since": f"{since:.6f}", "until": f"{until:.6f}"}
            with engine.client.open("GET", "/events", query=query) as response:
                return [each["kind"] for each in Lines(response)]

        with anyio.fail_after(10):
            begun = time.time()
            await up(engine, make_document(web=["sleep", "1000"]))
            at = time.time()
            assert await anyio.to_thread.run_sync(told, begun, at) == ["create", "start"]
            assert await anyio.to_thread.run_sync(told, at, at) == []
            assert await anyio.to_thread.run_sync(told, begun, begun) == []


async def test_the_engines_own_log_is_read_and_followed(start: Any, tmp_path: Any) -> None:
    path = tmp_path / "root" / "engine.log"
    async with start() as engine:
        path.write_text("one\ntwo\nthree\n")
        assert await engine.ask("GET", "/engine/logs", tail=2) == "two\nthree\n"
        with anyio.fail_after(10):
            query = {"tail": 1, "follow": 1}
            response = await anyio.to_thread.run_sync(lambda: engine.client.open("GET", "/engine/logs", query=query))
            data = b""
            while b"three\n" not in data:
                data += await anyio.to_thread.run_sync(response.receive) or b""
            with path.open("a") as file:
                file.write("four\n")
            path.rename(f"{path}.1")
            path.write_text("five\n")
            while b"five\n" not in data:
                data += await anyio.to_thread.run_sync(response.receive) or b""
            response.close()
    assert data == b"three\nfour\nfive\n"
