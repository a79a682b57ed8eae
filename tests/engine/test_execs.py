"""Programs in running containers, over the socket."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestr8.engine.bus import Bus
from orchestr8.engine.execs import KEPT_S, Execs
from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed
from orchestr8.model.backend import ExecSpec
from orchestr8.model.ids import ContainerId, ContainerName, ServiceName, StackName
from orchestr8.model.observed import ContainerState, ObservedContainer

pytestmark = pytest.mark.anyio

Make = Callable[..., dict[str, Any]]


async def up(engine: Any, document: dict[str, Any]) -> None:
    assert (await engine.work("/stacks/shop/up", {"document": document}))[-1]["type"] == "done"


async def test_a_program_runs_on_the_clients_connection_and_its_exit_code_is_kept(
    start: Any, make_document: Make
) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        body = {"Cmd": ["sh", "-c", "echo out; echo err >&2; exit 3"], "Env": ["A=1"], "AttachStdin": False}
        made = await engine.ask("POST", "/containers/shop-web-1/exec", body)
        before = await engine.ask("GET", f"/exec/{made['Id']}/json")
        assert before == {"ID": made["Id"], "Running": False, "ExitCode": None, "Pid": 0}
        async with engine.upgraded("POST", f"/exec/{made['Id']}/start") as talk:
            frames = await talk.rest()
        assert [(frame.stream, frame.payload) for frame in frames] == [(1, b"out\n"), (2, b"err\n")]
        after = await engine.ask("GET", f"/exec/{made['Id']}/json", wait=1)
        assert (after["Running"], after["ExitCode"]) == (False, 3)


async def test_one_that_is_detached_runs_with_nobody_connected(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        body = {"Cmd": ["sh", "-c", "echo out; cat; exit 3"], "AttachStdin": True}
        made = await engine.ask("POST", "/containers/shop-web-1/exec", body)
        await engine.ask("POST", f"/exec/{made['Id']}/start", {"Detach": True})
        assert (await engine.ask("GET", f"/exec/{made['Id']}/json", wait=1))["ExitCode"] == 3
        with pytest.raises(Conflict, match="started already"):
            await engine.ask("POST", f"/exec/{made['Id']}/start", {"Detach": True})
        lost = await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["/no/such"]})
        with pytest.raises(OperationFailed, match="not found"):
            await engine.ask("POST", f"/exec/{lost['Id']}/start", {"Detach": True})
        assert (await engine.ask("GET", f"/exec/{lost['Id']}/json", wait=1))["ExitCode"] == 127


async def test_input_reaches_the_program_and_half_close_ends_it(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        made = await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["cat"], "AttachStdin": True})
        async with engine.upgraded("POST", f"/exec/{made['Id']}/start") as talk:
            await talk.send(b"hello\n")
            await talk.until(b"hello\n")
            state = await engine.ask("GET", f"/exec/{made['Id']}/json")
            assert state["Running"] is True
            assert state["Pid"] > 0
            talk.stream.half_close()
            assert await talk.rest() == []
        assert (await engine.ask("GET", f"/exec/{made['Id']}/json", wait=1))["ExitCode"] == 0


async def test_what_cannot_be_run_is_refused(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"], job=["true"]))
        with pytest.raises(Conflict, match="container shop-job-1 is not running"):
            await engine.ask("POST", "/containers/shop-job-1/exec", {"Cmd": ["true"]})
        with pytest.raises(InvalidInput, match="no exec command specified"):
            await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": []})
        with pytest.raises(NotFound, match="No such exec instance: 12"):
            await engine.ask("POST", "/exec/12/start")
        with pytest.raises(NotFound, match="No such exec instance: 12"):
            await engine.ask("GET", "/exec/12/json", wait=1)


async def test_a_program_that_cannot_be_started_is_told_in_the_stream(
    start: Any, make_document: Make, backend: Any
) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        made = await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["true"]})
        backend._containers[ContainerName("shop-web-1")].program.signal(9)
        async with engine.upgraded("POST", f"/exec/{made['Id']}/start") as talk:
            frames = await talk.rest()
        assert frames[0].stream == 3
        assert b"is not running" in frames[0].payload
        state = await engine.ask("GET", f"/exec/{made['Id']}/json", wait=1)
        assert (state["ExitCode"], state["Error"]["code"]) == (125, "O8-409")


async def test_a_program_that_is_not_there_exits_as_a_shell_says(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        made = await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["nosuch"], "ConsoleSize": [24, 80]})
        async with engine.upgraded("POST", f"/exec/{made['Id']}/start") as talk:
            await talk.rest()
        state = await engine.ask("GET", f"/exec/{made['Id']}/json", wait=1)
        assert (state["ExitCode"], state["Error"]["code"]) == (127, "O8-627")
        with pytest.raises(InvalidInput, match="ConsoleSize"):
            await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["true"], "ConsoleSize": [24]})


async def test_a_program_is_started_once(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        made = await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["true"]})
        for expected in (b"", b"started already"):
            async with engine.upgraded("POST", f"/exec/{made['Id']}/start") as talk:
                assert expected in b"".join(frame.payload for frame in await talk.rest())


async def test_a_terminal_is_resized(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        made = await engine.ask("POST", "/containers/shop-web-1/exec", {"Cmd": ["cat"], "AttachStdin": True})
        with pytest.raises(Conflict, match="has not been started"):
            await engine.ask("POST", f"/exec/{made['Id']}/resize", h=24, w=80)
        async with engine.upgraded("POST", f"/exec/{made['Id']}/start") as talk:
            await engine.ask("POST", f"/exec/{made['Id']}/resize", h=24, w=80)
            with pytest.raises(InvalidInput, match="between 1 and 65535"):
                await engine.ask("POST", f"/exec/{made['Id']}/resize", h=0, w=80)
            talk.stream.half_close()
        await engine.ask("POST", "/containers/shop-web-1/resize", h=24, w=80)


def running() -> ObservedContainer:
    return ObservedContainer(
        id=ContainerId("0" * 12),
        name=ContainerName("shop-web-1"),
        stack=StackName("shop"),
        service=ServiceName("web"),
        number=1,
        image="rootfs:/",
        state=ContainerState.RUNNING,
    )


async def test_notes_of_what_was_never_started_are_dropped_after_a_while(backend: Any) -> None:
    now = [0.0]
    async with anyio.create_task_group() as tasks:
        execs = Execs(backend, tasks, clock=lambda: now[0])
        old = execs.create(running(), ExecSpec(argv=("true",)))
        now[0] = KEPT_S + 1
        new = execs.create(running(), ExecSpec(argv=("true",)))
        assert execs.spec(new).argv == ("true",)
        with pytest.raises(NotFound):
            execs.spec(old)


async def test_waiting_for_a_container_has_dockers_conditions(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    async with start() as engine:
        await up(engine, make_document(job=["sh", "-c", "exit 4"], web=["sleep", "infinity"]))
        assert await engine.ask("POST", "/containers/shop-job-1/wait") == {"StatusCode": 4}
        codes: list[Any] = []

        async def wait(condition: str) -> None:
            codes.append(await engine.ask("POST", "/containers/shop-web-1/wait", condition=condition))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for condition in ("", "not-running", "next-exit", "removed"):
                    tasks.start_soon(wait, condition)
                await eventually(lambda: len(subscriptions(backend)) == 4)
                await engine.ask("POST", "/containers/shop-web-1/kill", signal="kill")
                await engine.ask("DELETE", "/containers/shop-web-1")
        assert codes == [{"StatusCode": 137}] * 4
        with pytest.raises(InvalidInput, match="condition: 'x' is none of"):
            await engine.ask("POST", "/containers/shop-job-1/wait", condition="x")


def subscriptions(backend: Any) -> list[Any]:
    """Those of the engine's bus, by way of what the backend knows of it."""
    owners = [getattr(each, "__self__", None) for each in backend._listeners]
    bus = next(each for each in owners if isinstance(each, Bus))
    return [each for each in bus._subscriptions if each._stack == "shop"]


async def test_a_running_container_is_removed_by_force_only(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await up(engine, make_document(web=["sleep", "infinity"]))
        found = await engine.ask("GET", "/stacks/shop/containers")
        with pytest.raises(Conflict, match="container is running: stop the container before removing or force remove"):
            await engine.ask("DELETE", f"/containers/{found[0]['id']}")
        with pytest.raises(InvalidInput, match="invalid signal: SIGNOPE"):
            await engine.ask("POST", f"/containers/{found[0]['id']}/kill", signal="SIGNOPE")
        await engine.ask("DELETE", f"/containers/{found[0]['id']}", force=1)
        assert await engine.ask("GET", "/stacks/shop/containers", all=1) == []
