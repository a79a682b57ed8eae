"""A reconciler over the fake backend, in virtual time: the machine that the reconcile tests drive."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from orchestr8.backends.memory import MemoryBackend
from orchestr8.model.events import Event
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.observed import ContainerState, ObservedContainer
from orchestr8.model.specs import Desired
from orchestr8.plan.plan import Plan
from orchestr8.plan.verbs import UpOptions, plan_up
from orchestr8.reconcile.loop import PlanMaker, Reconciler
from orchestr8.reconcile.report import Report, StepReport, WarningReport
from orchestr8.reconcile.room import Caller
from tests.virtual_time import virtual_now

SHOP = StackName("shop")


class Rig:
    def __init__(self, backend: MemoryBackend, reconciler: Reconciler, tasks: anyio.abc.TaskGroup) -> None:
        self.backend = backend
        self.reconciler = reconciler
        self.tasks = tasks
        self.reports: list[Report] = []
        self.events: list[Event] = []
        backend.subscribe(self.events.append)
        reconciler.subscribe(self.events.append)

    async def run(self, make_plan: PlanMaker, **options: Any) -> Plan:
        return await self.reconciler.run(SHOP, make_plan, self.reports.append, **options)

    async def up(self, desired: Desired, *, caller: Caller | None = None, **options: Any) -> Plan:
        return await self.run(lambda seen: plan_up(desired, seen, UpOptions(**options)), caller=caller)

    def begin(self, work: Callable[[], Any]) -> "Outcome":
        """Start `work` beside the test."""
        outcome = Outcome()
        self.tasks.start_soon(outcome.follow, work)
        return outcome

    async def see(self, service: str, number: int = 1) -> ObservedContainer:
        return (await self.reconciler.observe(SHOP)).containers[ContainerName(f"shop-{service}-{number}")]

    async def states(self) -> dict[str, ContainerState]:
        return {each.service: each.state for each in (await self.reconciler.observe(SHOP)).containers.values()}

    def lines(self, name: str) -> list[str]:
        """The progress of one thing: statuses in order."""
        return [each.status.value for each in self.reports if isinstance(each, StepReport) and each.name == name]

    def warnings(self) -> list[str]:
        return [each.message for each in self.reports if isinstance(each, WarningReport)]

    def starts_of(self, name: str) -> list[float]:
        """When it was started, in seconds of the test."""
        began = virtual_now() - anyio.current_time()
        return [round(each.at - began, 3) for each in self.events if each.container == name and each.kind == "start"]


class Outcome:
    """The result, or the failure, of what `Rig.begin` started."""

    def __init__(self) -> None:
        self.done = False
        self.error: Exception | None = None

    async def follow(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - for the test to look at
            self.error = error
        self.done = True


@asynccontextmanager
async def rig(
    backend: MemoryBackend | None = None, resume: Mapping[StackName, PlanMaker] | None = None
) -> AsyncIterator[Rig]:
    backend = backend or MemoryBackend(now=virtual_now)
    reconciler = Reconciler(backend, now=virtual_now)
    async with anyio.create_task_group() as tasks:
        made = Rig(backend, reconciler, tasks)
        await tasks.start(reconciler.serve, resume)
        yield made
        tasks.cancel_scope.cancel()
