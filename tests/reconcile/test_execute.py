from collections.abc import Callable, Sequence

import anyio
import pytest

from orchestr8.backends.memory import MemoryBackend
from orchestr8.errors import Conflict, OperationFailed
from orchestr8.model.actions import Action, CreateNetwork, WaitFor
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName
from orchestr8.model.specs import Condition, NetworkSpec
from orchestr8.plan.plan import Plan, target_of
from orchestr8.reconcile.execute import Execution, WaitFailed, execute
from orchestr8.reconcile.report import Report, StepReport, WarningReport

pytestmark = pytest.mark.anyio
DB = ContainerName("shop-db-1")


def make(name: str) -> CreateNetwork:
    return CreateNetwork(StackName("shop"), NetworkSpec(name=NetworkName(name), key=name))


def wait(*, required: bool = True) -> WaitFor:
    return WaitFor(service=ServiceName("db"), containers=(DB,), condition=Condition.HEALTHY, required=required)


class Slow(MemoryBackend):
    """Each Action takes a second of virtual time."""

    def __init__(self) -> None:
        super().__init__(now=anyio.current_time)
        self.times: dict[str, float] = {}

    async def apply(self, action: Action) -> Sequence[str]:
        await anyio.sleep(1)
        lacks = await super().apply(action)
        self.times[target_of(action)] = anyio.current_time()
        return lacks


class Waits:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def wait(self, action: WaitFor, met: Callable[[ContainerName], None]) -> None:
        await anyio.sleep(5)
        if self.error is not None:
            raise self.error
        for name in action.containers:
            met(name)


def told(reports: list[Report]) -> list[str]:
    return [
        f"{each.name} {each.status}" if isinstance(each, StepReport) else each.message
        for each in reports
        if isinstance(each, (StepReport, WarningReport))
    ]


async def test_steps_run_side_by_side_as_far_as_the_graph_allows() -> None:
    plan, backend = Plan(), Slow()
    a, b = plan.add(make("a"), "x"), plan.add(make("b"), "x")
    plan.add(make("c"), "x", a, b)
    plan.add(make("d"), "x", a)
    await execute(plan, backend, waits=Waits(), report=[].append)
    assert backend.times == {"a": 1.0, "b": 1.0, "c": 2.0, "d": 2.0}


async def test_a_failure_skips_what_needs_it_and_lets_the_rest_finish() -> None:
    plan, backend, reports = Plan(), Slow(), list[Report]()
    backend.failures["CreateNetwork a"] = OperationFailed("no address left")
    a, b = plan.add(make("a"), "x"), plan.add(make("b"), "x")
    c = plan.add(make("c"), "x", a)
    plan.add(make("d"), "x", c)
    plan.add(make("e"), "x", b)
    with pytest.raises(OperationFailed, match=r"^no address left$"):
        await execute(plan, backend, waits=Waits(), report=reports.append)
    assert sorted(backend.times) == ["b", "e"]
    assert told(reports) == [
        "a Creating",
        "b Creating",
        "a Error",
        "c Skipped",
        "d Skipped",
        "b Created",
        "e Creating",
        "e Created",
    ]


async def test_all_failures_are_told() -> None:
    plan, backend = Plan(), Slow()
    backend.failures["CreateNetwork a"] = OperationFailed("no address left", code="O8-700")
    backend.failures["CreateNetwork b"] = Conflict("taken")
    plan.add(make("a"), "x")
    plan.add(make("b"), "x")
    with pytest.raises(OperationFailed) as caught:
        await execute(plan, backend, waits=Waits(), report=[].append)
    assert (caught.value.message, caught.value.code) == ("no address left", "O8-700")
    assert caught.value.notes == ["also failed: CreateNetwork b: taken"]


async def test_an_error_of_another_kind_keeps_its_cause() -> None:
    plan, backend = Plan(), Slow()
    backend.failures["CreateNetwork a"] = OSError(28, "No space left on device")  # type: ignore[assignment]
    plan.add(make("a"), "x")
    with pytest.raises(OperationFailed, match=r"^CreateNetwork a: \[Errno 28\] No space left on device$") as caught:
        await execute(plan, backend, waits=Waits(), report=[].append)
    assert isinstance(caught.value.__cause__, OSError)


async def test_what_the_machine_cannot_do_is_told_before_the_end() -> None:
    plan, backend, reports = Plan(), Slow(), list[Report]()
    backend.lacks["CreateNetwork a"] = ("it has no IPv6",)
    plan.add(make("a"), "x")
    await execute(plan, backend, waits=Waits(), report=reports.append)
    assert told(reports) == ["a Creating", "a: it has no IPv6", "a Created"]


async def test_a_wait_is_told_for_each_container() -> None:
    plan, reports = Plan(), list[Report]()
    plan.add(wait(), "needed by web")
    await execute(plan, Slow(), waits=Waits(), report=reports.append)
    assert told(reports) == ["shop-db-1 Waiting", "shop-db-1 Healthy"]


async def test_an_optional_wait_that_fails_is_a_warning() -> None:
    plan, backend, reports = Plan(), Slow(), list[Report]()
    plan.add(make("after"), "x", plan.add(wait(required=False), "needed by web"))
    failed = WaitFailed("dependency failed to start: container shop-db-1 is unhealthy", DB)
    await execute(plan, backend, waits=Waits(failed), report=reports.append)
    assert told(reports) == [
        "shop-db-1 Waiting",
        "shop-db-1 Skipped",
        'optional dependency "db" failed to start: container shop-db-1 is unhealthy',
        "after Creating",
        "after Created",
    ]


async def test_ceasing_finishes_what_has_begun_and_begins_nothing_more() -> None:
    plan, backend, reports = Plan(), Slow(), list[Report]()
    a = plan.add(make("a"), "x")
    plan.add(make("b"), "x", a)
    plan.add(make("c"), "x", plan.add(wait(), "needed by c"))
    execution = Execution(plan, backend, waits=Waits(), report=reports.append)
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            with pytest.raises(Conflict, match="interrupted"):
                await execution.run()

        tasks.start_soon(run)
        await anyio.sleep(0.5)
        execution.cease("interrupted")
    assert anyio.current_time() == 1.0
    assert sorted(backend.times) == ["a"]
    assert told(reports) == [
        "a Creating",
        "shop-db-1 Waiting",
        "db Skipped",
        "c Skipped",
        "a Created",
        "b Skipped",
    ]


async def test_ceasing_when_all_is_done_is_no_failure() -> None:
    plan = Plan()
    plan.add(make("a"), "x")
    execution = Execution(plan, Slow(), waits=Waits(), report=[].append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(execution.run)
        await anyio.sleep(0.5)
        execution.cease("too late")


async def test_a_long_chain_behind_a_failure_is_skipped_without_recursion() -> None:
    plan, backend = Plan(), Slow()
    backend.failures["CreateNetwork n0"] = OperationFailed("no")
    step = plan.add(make("n0"), "x")
    for number in range(1, 3000):
        step = plan.add(make(f"n{number}"), "x", step)
    reports: list[Report] = []
    with pytest.raises(OperationFailed):
        await execute(plan, backend, waits=Waits(), report=reports.append)
    assert told(reports).count("n2999 Skipped") == 1
