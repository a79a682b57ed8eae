"""What must hold for any stack: applied plans leave nothing to do, also after a crash, and orders are kept."""

import json
from collections.abc import Collection
from typing import Any

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.backends.memory import MemoryBackend
from orchestr8.model.actions import CreateContainer, StartContainer, StopContainer, WaitFor
from orchestr8.model.ids import StackName
from orchestr8.model.observed import ContainerState, Snapshot
from orchestr8.model.specs import Desired
from orchestr8.plan.desired import build_desired
from orchestr8.plan.order import Graph, service_graph
from orchestr8.plan.plan import Plan
from orchestr8.plan.verbs import DownOptions, UpOptions, plan_down, plan_reconcile, plan_restart, plan_stop, plan_up
from tests.virtual_time import VirtualLoop, virtual_now
from tests.worlds import check, document, service

SHOP = StackName("shop")
NAMES = ["a", "b", "c", "d", "e"]
JOB = "service_completed_successfully"


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Services depend on earlier ones only; who is waited for to complete does complete."""
    chosen = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    services: dict[str, Any] = {}
    for index, name in enumerate(chosen):
        edges = {
            other: {
                "condition": JOB
                if services[other]["command"] == ["true"]
                else draw(st.sampled_from(["service_started", "service_healthy"])),
                "required": draw(st.booleans()),
                "restart": draw(st.booleans()),
            }
            for other in (draw(st.sets(st.sampled_from(chosen[:index]))) if index else [])
        }
        mount = {"type": "volume", "source": draw(st.sampled_from(["", "data", "cache"])), "target": "/v"}
        services[name] = service(
            command=draw(st.sampled_from([["sleep", "infinity"], ["sleep", "infinity"], ["true"]])),
            user=draw(st.sampled_from(["", "1", "2"])),
            depends_on=edges,
            healthcheck=check(),
            scale=draw(st.integers(0, 3)),
            restart=draw(st.sampled_from(["no", "unless-stopped"])),
            networks=dict.fromkeys(draw(st.sets(st.sampled_from(["default", "back"]), min_size=1))),
            volumes=draw(st.sampled_from([[], [mount]])),
        )
        if services[name]["command"] == ["true"]:
            services[name]["restart"] = "no"
    subnet = draw(st.sampled_from(["", "10.77.1.0/24", "10.77.2.0/24"]))
    back = {"name": "shop_back", **({"ipam": {"config": [{"subnet": subnet}]}} if subnet else {})}
    return document(
        services,
        networks={"default": {"name": "shop_default"}, "back": back},
        volumes={"data": {"name": "shop_data"}, "cache": {"name": "shop_cache"}},
    )


async def carry_out(plan: Plan, backend: MemoryBackend, steps: int | None = None) -> None:
    """In the order of the numbers, the first `steps` only; waits are over when everything has come to rest."""
    for step in plan.steps[:steps]:
        if isinstance(step.action, WaitFor):
            await anyio.sleep(1)
        else:
            await backend.apply(step.action)
    await anyio.sleep(1)


def in_virtual_time(work: Any) -> None:
    anyio.run(work, backend_options={"loop_factory": VirtualLoop})


def nothing_left(desired: Desired, seen: Snapshot, codes: Collection[int] = (0,)) -> bool:
    """An `up` runs finished one-shots again, as compose does; that is all it may find."""
    plan = plan_up(desired, seen)
    return all(
        isinstance(step.action, WaitFor)
        or (
            isinstance(step.action, StartContainer)
            and seen.containers[step.action.name].state is ContainerState.EXITED
            and seen.containers[step.action.name].exit_code in codes
        )
        for step in plan.steps
    )


SLOW_OK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)


@SLOW_OK
@given(documents(), documents())
def test_an_applied_up_leaves_nothing_to_do(first: dict[str, Any], second: dict[str, Any]) -> None:
    async def work() -> None:
        backend = MemoryBackend(now=virtual_now)
        for each in (first, second):
            desired = build_desired(each)
            options = UpOptions(remove_orphans=True)
            await carry_out(plan_up(desired, await backend.observe(SHOP), options), backend)
            seen = await backend.observe(SHOP)
            assert nothing_left(desired, seen)
            assert len(seen.containers) == sum(service.replicas for service in desired.services.values())

    in_virtual_time(work)


@SLOW_OK
@given(documents(), documents(), st.integers(0, 40))
def test_an_up_cut_short_anywhere_is_finished_by_reconciling(
    first: dict[str, Any], second: dict[str, Any], steps: int
) -> None:
    async def work() -> None:
        backend = MemoryBackend(now=virtual_now)
        await carry_out(plan_up(build_desired(first), await backend.observe(SHOP)), backend)
        desired = build_desired(second)
        await carry_out(plan_up(desired, await backend.observe(SHOP)), backend, steps)
        await carry_out(plan_reconcile(desired, await backend.observe(SHOP)), backend)
        # What was stopped on the way to a restart is left to its policy, as after any other end.
        assert nothing_left(desired, await backend.observe(SHOP), {0, 143})

    in_virtual_time(work)


@SLOW_OK
@given(documents(), st.integers(0, 40))
def test_a_down_cut_short_anywhere_is_finished_by_another(content: dict[str, Any], steps: int) -> None:
    async def work() -> None:
        backend = MemoryBackend(now=virtual_now)
        desired = build_desired(content)
        await carry_out(plan_up(desired, await backend.observe(SHOP)), backend)
        await carry_out(plan_down(desired, await backend.observe(SHOP)), backend, steps)
        await carry_out(plan_down(None, await backend.observe(SHOP), DownOptions(volumes=True)), backend)
        seen = await backend.observe()
        assert (seen.containers, seen.networks, seen.volumes) == ({}, {}, {})

    in_virtual_time(work)


@SLOW_OK
@given(documents(), documents())
def test_orders_are_kept(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A start comes after the starts of what it needs; a stop after the stops of who needs it."""

    async def work() -> None:
        backend = MemoryBackend(now=virtual_now)
        await carry_out(plan_up(build_desired(first), await backend.observe(SHOP)), backend)
        seen, desired = await backend.observe(SHOP), build_desired(second)
        check_order(plan_up(desired, seen), service_graph(desired, seen), seen)
        for verb in (plan_stop, plan_down):
            check_order(verb(None, seen), service_graph(None, seen), seen)  # type: ignore[operator]
        if seen.containers:
            check_order(plan_restart(None, seen), service_graph(None, seen), seen)

    in_virtual_time(work)


def check_order(plan: Plan, graph: Graph, seen: Snapshot) -> None:
    before: dict[int, set[int]] = {}
    starts: dict[str, set[int]] = {}
    stops: dict[str, set[int]] = {}
    created = {step.action.name: step.action.service for step in plan.steps if isinstance(step.action, CreateContainer)}
    for step in plan.steps:
        before[step.number] = set(step.after).union(*(before[each] for each in step.after))
        if isinstance(step.action, StartContainer):
            service_name = created.get(step.action.name) or seen.containers[step.action.name].service
            starts.setdefault(service_name, set()).add(step.number)
        elif isinstance(step.action, StopContainer):
            stops.setdefault(seen.containers[step.action.name].service, set()).add(step.number)
    for name, edges in graph.items():
        for need in (each.service for each in edges):
            assert all(starts.get(need, set()) <= before[start] for start in starts.get(name, ()))
            assert all(stops.get(name, set()) <= before[stop] for stop in stops.get(need, ()))


@settings(deadline=None)
@given(documents())
def test_equal_worlds_give_equal_plans(content: dict[str, Any]) -> None:
    turned = json.loads(json.dumps(content), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert plan_up(build_desired(turned), Snapshot()).render() == plan_up(build_desired(content), Snapshot()).render()
