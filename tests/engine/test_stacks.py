"""The verbs over the socket: progress, what is remembered, and what goes on without its client."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed
from orchestr8.model.ids import ContainerName
from orchestr8.wire.client import Lines

pytestmark = pytest.mark.anyio

Document = dict[str, Any]
Make = Callable[..., Document]
SLEEP = ["sleep", "infinity"]


def steps(lines: list[dict[str, Any]]) -> list[str]:
    return [f"{line['name']} {line['status']}" for line in lines if line["type"] == "step"]


async def test_up_tells_its_plan_then_each_step_then_that_it_is_done(start: Any, make_document: Make) -> None:
    async with start() as engine:
        lines = await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP), "options": {}})
        assert lines[0]["type"] == "plan"
        assert lines[0]["steps"] == 3
        assert steps(lines) == [
            "shop_default Creating", "shop_default Created", "shop-web-1 Creating", "shop-web-1 Created", "shop-web-1 Starting", "shop-web-1 Started",
        ]  # fmt: skip
        assert lines[-1] == {"type": "done", "containers": ["shop-web-1"], "ports": []}


async def test_up_again_finds_nothing_to_do(start: Any, make_document: Make) -> None:
    async with start() as engine:
        body = {"document": make_document(web=SLEEP), "options": {}}
        await engine.work("/stacks/shop/up", body)
        lines = await engine.work("/stacks/shop/up", body)
        assert (lines[0]["steps"], steps(lines)) == (0, ["shop-web-1 Running"])


async def test_the_last_line_of_up_says_where_ports_are(start: Any, make_document: Make) -> None:
    ports = [
        {"mode": "ingress", "host_ip": "127.0.0.1", "target": 8000, "published": "8080", "protocol": "tcp"},
        {"mode": "ingress", "target": 5432, "published": "5432", "protocol": "tcp"},
    ]
    async with start() as engine:
        document = make_document(web={"command": SLEEP, "ports": ports})
        done = (await engine.work("/stacks/shop/up", {"document": document}))[-1]
    assert done["ports"] == [
        {"service": "web", "container": "shop-web-1", "host_ip": "0.0.0.0", "published": 5432, "target": 5432},
        {
            "service": "web", "container": "shop-web-1", "url": "http://127.0.0.1:8080",
            "host_ip": "127.0.0.1", "published": 8080, "target": 8000,
        },
    ]  # fmt: skip


async def test_a_step_that_fails_is_the_last_line(start: Any, make_document: Make, backend: Any) -> None:
    backend.failures["StartContainer shop-web-1"] = OperationFailed("no", code="O8-601", helps=["help"])
    async with start() as engine:
        lines = await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP)})
        assert lines[-1]["type"] == "error"
        assert (lines[-1]["code"], lines[-1]["status"]) == ("O8-601", 500)


async def test_a_document_that_is_not_right_is_refused_before_any_progress(start: Any, make_document: Make) -> None:
    async with start() as engine:
        document = make_document(web={"depends_on": {"db": {"condition": "service_started", "required": True}}})
        with pytest.raises(InvalidInput, match="depends on undefined service"):
            await engine.work("/stacks/shop/up", {"document": document})
        with pytest.raises(InvalidInput, match="needs the stack's document"):
            await engine.work("/stacks/shop/up", {})
        with pytest.raises(NotFound, match="no such service: wbe"):
            await engine.work(
                "/stacks/shop/up", {"document": make_document(web=SLEEP), "options": {"services": ["wbe"]}}
            )
        assert await engine.ask("GET", "/stacks") == []


async def test_containers_are_listed_with_dockers_status(start: Any, make_document: Make) -> None:
    async with start() as engine:
        document = make_document(web=SLEEP, job=["false"], again={"command": ["false"], "restart": "on-failure"})
        await engine.work("/stacks/shop/up", {"document": document})
        found = await engine.ask("GET", "/stacks/shop/containers", all=1)
        listed = {each["service"]: each["status"].rsplit(" ", 4)[0] for each in found}
        assert [each["service"] for each in found] == ["again", "job", "web"]
        assert listed["job"] == "Exited (1) Less"
        assert listed["web"].startswith("Up")
        assert listed["again"].split()[0] in ("Restarting", "Up")
        running = await engine.ask("GET", "/stacks/shop/containers", service="job")
        assert running == []
        (job,) = await engine.ask("GET", "/stacks/shop/containers", service="shop-job-1", all=1)
        assert job["service"] == "job"
        assert await engine.ask("GET", "/stacks") == [{"name": "shop", "services": 3, "containers": 3, "running": 1}]


async def test_figures_have_dockers_names_and_those_that_do_not_run_have_none(start: Any, make_document: Make) -> None:
    async with start() as engine:
        document = make_document(web={"command": SLEEP, "mem_limit": str(64 << 20)}, job=["false"])
        await engine.work("/stacks/shop/up", {"document": document})
        (web,) = await engine.ask("GET", "/stacks/shop/stats")
        assert (web["name"], web["service"], web["number"]) == ("shop-web-1", "web", 1)
        assert web["memory_stats"] == {
            "usage": 1 << 20, "limit": 64 << 20, "failcnt": 0, "oom_kills": 0, "stats": {"inactive_file": 0},
        }  # fmt: skip
        assert web["pids_stats"] == {"current": 1, "refused": 0}
        assert web["cpu_stats"]["system_cpu_usage"] > 0
        assert await engine.ask("GET", "/stacks/shop/stats", service="job") == []
        (job,) = await engine.ask("GET", "/stacks/shop/stats", service="job", all=1)
        assert (job["name"], "memory_stats" in job) == ("shop-job-1", False)
        assert [each["name"] for each in await engine.ask("GET", "/stacks/shop/stats", service="shop-web-1")] == [
            "shop-web-1"
        ]
        assert await engine.ask("GET", "/stacks/other/stats") == []


async def test_stop_and_start_need_no_document(start: Any, make_document: Make, backend: Any) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP, db=SLEEP)})
        backend.applied.clear()
        assert (await engine.work("/stacks/shop/stop", {"services": ["web"], "timeout_s": 1}))[-1] == {"type": "done"}
        assert (await engine.work("/stacks/shop/start", {"services": ["web"]}))[-1] == {"type": "done"}
        assert (await engine.work("/stacks/shop/kill", {"signal": "SIGHUP"}))[-1] == {"type": "done"}
        assert backend.applied == [
            "StopContainer shop-web-1", "StartContainer shop-web-1",
            "KillContainer shop-db-1 SIGHUP", "KillContainer shop-web-1 SIGHUP",
        ]  # fmt: skip


async def test_down_leaves_nothing_and_forgets_the_stack(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP)})
        assert (await engine.work("/stacks/shop/down", {}))[-1] == {"type": "done"}
        assert await engine.ask("GET", "/stacks") == []


async def test_plan_answers_without_doing(start: Any, make_document: Make, backend: Any) -> None:
    async with start() as engine:
        body = {"verb": "up", "document": make_document(web=SLEEP), "options": {}}
        plan = await engine.ask("POST", "/stacks/shop/plan", body)
        assert plan["text"] == (
            "1. CreateNetwork shop_default -- not found\n"
            "2. CreateContainer shop-web-1 after 1 -- not found\n"
            "3. StartContainer shop-web-1 after 2 -- not running"
        )
        assert plan["steps"][0]["action"] == "CreateNetwork"
        with pytest.raises(InvalidInput, match="'dance' has no plan"):
            await engine.ask("POST", "/stacks/shop/plan", {"verb": "dance"})
    assert backend.applied == []


async def test_work_goes_on_when_its_client_has_gone(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    need = {"command": SLEEP, "depends_on": {"job": {"condition": "service_completed_successfully", "required": True}}}
    async with start() as engine:
        document = make_document(web=need, job=["sleep", "0.05"])

        def begin_and_leave() -> None:
            with engine.client.open("POST", "/stacks/shop/up", body={"document": document}) as response:
                response.receive()

        await anyio.to_thread.run_sync(begin_and_leave)
        await eventually(lambda: "StartContainer shop-web-1" in backend.applied)


async def test_stop_does_not_wait_for_an_up_that_waits(start: Any, make_document: Make, eventually: Any) -> None:
    need = {"command": SLEEP, "depends_on": {"job": {"condition": "service_completed_successfully", "required": True}}}
    async with start() as engine, anyio.create_task_group() as tasks:
        lines: list[dict[str, Any]] = []

        async def up() -> None:
            lines.extend(await engine.work("/stacks/shop/up", {"document": make_document(web=need, job=SLEEP)}))

        tasks.start_soon(up)
        await eventually(lambda: engine.ask("GET", "/stacks/shop/containers", service="job"))
        assert (await engine.work("/stacks/shop/stop", {}))[-1] == {"type": "done"}
        await eventually(lambda: lines)
        assert (lines[-1]["type"], lines[-1]["status"]) == ("error", 409)


async def test_run_makes_a_container_and_leaves_its_start_to_the_client(start: Any, make_document: Make) -> None:
    async with start() as engine:
        body = {
            "document": make_document(web=SLEEP), "service": "web",
            "options": {"command": ["sh", "-c", "echo out; echo err >&2; exit 3"], "labels": {"a": "b"}},
        }  # fmt: skip
        done = (await engine.work("/stacks/shop/run", body))[-1]
        assert done["name"].startswith("shop-web-run-")
        async with engine.upgraded("POST", f"/containers/{done['container']}/attach", stdin=1) as talk:
            await engine.ask("POST", f"/containers/{done['container']}/start")
            frames = await talk.rest()
        assert [(frame.stream, frame.payload) for frame in frames] == [(1, b"out\n"), (2, b"err\n")]
        assert await engine.ask("POST", f"/containers/{done['container']}/wait") == {"StatusCode": 3}
        await engine.ask("DELETE", f"/containers/{done['container']}", force=1)
        with pytest.raises(NotFound, match="No such container"):
            await engine.ask("POST", f"/containers/{done['container']}/wait")


async def test_a_one_off_that_is_to_be_removed_is_removed_without_its_client(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    async with start() as engine:
        body = {"document": make_document(web=SLEEP), "service": "web", "options": {"command": ["true"], "rm": True}}
        done = (await engine.work("/stacks/shop/run", body))[-1]

        def open_wait() -> Any:
            return engine.client.open("POST", f"/containers/{done['container']}/wait")

        response = await anyio.to_thread.run_sync(open_wait)
        await engine.ask("POST", f"/containers/{done['container']}/start")
        assert await anyio.to_thread.run_sync(response.value) == {"StatusCode": 0}
        response.close()
        await eventually(lambda: f"RemoveContainer {done['name']}" in backend.applied)
        left = await engine.ask("GET", "/stacks")  # its network, until `down`
        assert left == [{"name": "shop", "services": 0, "containers": 0, "running": 0}]


async def test_how_a_removed_one_off_ended_is_known_to_the_next_engine(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    async with start() as engine:
        options = {"command": ["sh", "-c", "exit 7"], "rm": True}
        body = {"document": make_document(web=SLEEP), "service": "web", "options": options}
        done = (await engine.work("/stacks/shop/run", body))[-1]
        await engine.ask("POST", f"/containers/{done['container']}/start")
        await eventually(lambda: f"RemoveContainer {done['name']}" in backend.applied)
    async with start(after_crash=True) as engine:
        assert await engine.ask("POST", f"/containers/{done['container']}/wait") == {"StatusCode": 7}
        with pytest.raises(NotFound):
            await engine.ask("POST", "/containers/0123456789ab/wait")


async def test_how_a_run_ended_is_known_after_the_next_one_has_begun(
    start: Any, make_document: Make, eventually: Any
) -> None:
    document = make_document(web={"command": ["sh", "-c", "exit 3"], "restart": "no"})
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": document})

        async def ended() -> dict[str, Any]:
            (found,) = await engine.ask("GET", "/stacks/shop/containers", all=1)
            return found if found["state"] == "exited" else {}

        await eventually(ended)
        first = await ended()
    async with start(after_crash=True) as engine:  # saw it end, and then a policy, or a user, starts it again
        await engine.ask("POST", f"/containers/{first['id']}/start")
        there = f"/containers/{first['id']}/wait"
        assert await engine.ask("POST", there, run=repr(first["started_at"])) == {"StatusCode": 3}
        with pytest.raises(
            Conflict, match="shop-web-1 was started again, and how its run before that ended is not known"
        ):
            await engine.ask("POST", there, run="1.5")


async def test_stopping_the_engine_with_containers_brings_all_stacks_down(
    start: Any, make_document: Make, backend: Any
) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP)})
        await engine.work("/stacks/blog/up", {"document": make_document("blog", web=SLEEP)})
        await engine.ask("POST", "/engine/stop", {"containers": True})
    assert backend._containers == {}
    assert backend.closed_with is True


async def test_stopping_the_engine_leaves_containers_alone_and_cuts_waiting_work_short(
    start: Any, make_document: Make, backend: Any, eventually: Any
) -> None:
    need = {"command": SLEEP, "depends_on": {"job": {"condition": "service_completed_successfully", "required": True}}}
    lines: list[dict[str, Any]] = []
    async with anyio.create_task_group() as tasks, start() as engine:

        async def up() -> None:
            lines.extend(await engine.work("/stacks/shop/up", {"document": make_document(web=need, job=SLEEP)}))

        tasks.start_soon(up)
        await eventually(lambda: engine.ask("GET", "/stacks/shop/containers", service="job"))
        await engine.ask("POST", "/engine/stop")
    assert lines[-1]["message"] == "the engine is ending; the next one goes on with this"
    assert backend._containers[ContainerName("shop-job-1")].program is not None


async def test_an_up_does_not_wait_for_one_whose_client_has_gone(start: Any, make_document: Make) -> None:
    need = {"command": SLEEP, "depends_on": {"job": {"condition": "service_completed_successfully", "required": True}}}
    async with start() as engine:

        def up_and_away() -> None:
            body = {"document": make_document(web=need, job=SLEEP)}
            with engine.client.open("POST", "/stacks/shop/up", body=body) as response:
                next(line for line in Lines(response) if line.get("status") == "Waiting")

        await anyio.to_thread.run_sync(up_and_away)
        with anyio.fail_after(60):
            lines = await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP, job=SLEEP)})
        assert lines[-1]["type"] == "done"


async def test_the_engine_tells_about_itself(start: Any, make_document: Make) -> None:
    async with start() as engine:
        await engine.work("/stacks/shop/up", {"document": make_document(web=SLEEP, job=["true"])})
        told = await engine.ask("GET", "/engine")
        assert (told["stacks"], told["containers"], told["running"]) == (1, 2, 1)
        assert told["memory_pss_bytes"] > 1_000_000
        assert told["socket"] == engine.path
        assert (await engine.ask("GET", "/version"))["Version"] == told["version"]
        assert await engine.ask("GET", "/_ping") == "OK"
