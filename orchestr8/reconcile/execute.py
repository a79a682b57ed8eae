"""Carry out a plan: each step once the steps it waits for are done, as many at a time as the graph allows.

The executor decides nothing. A failed step's dependents are skipped and the others finish; waiting is the `Waits`' work
(`reconcile.waits`), everything else one call of the backend.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import anyio
import anyio.abc

from orchestr8.errors import Conflict, OperationFailed, Orchestr8Error
from orchestr8.model.actions import StopContainer, WaitFor
from orchestr8.model.backend import Backend
from orchestr8.model.ids import ContainerName
from orchestr8.plan.plan import Plan, Step, containers_of, target_of
from orchestr8.reconcile.faults import NO_FAULTS, Faults
from orchestr8.reconcile.report import Reporter, Status, StepReport, WarningReport, begun, ended


class WaitFailed(OperationFailed):
    """A condition that cannot be met any more, or not in time. `container` is the one at fault."""

    code = "O8-604"

    def __init__(
        self, message: str, container: ContainerName, *, code: str = "", notes: list[str] | None = None
    ) -> None:
        super().__init__(message, code=code, notes=notes or [])
        self.container = container


class Waits(Protocol):
    async def wait(self, action: WaitFor, met: Callable[[ContainerName], None]) -> None:
        """Return when the condition holds for all; raise WaitFailed when it cannot any more or the time is over.

        `met` is told of each container as soon as the condition holds for it.
        """
        ...


async def execute(plan: Plan, backend: Backend, *, waits: Waits, report: Reporter, faults: Faults = NO_FAULTS) -> None:
    """Raises the first failure, with the others in its notes, once every step has ended one way or the other."""
    await Execution(plan, backend, waits=waits, report=report, faults=faults).run()


class Execution:
    """One run of one plan, for those who must know how far it is, or end it early."""

    def __init__(
        self, plan: Plan, backend: Backend, *, waits: Waits, report: Reporter, faults: Faults = NO_FAULTS
    ) -> None:
        self._backend = backend
        self._waits = waits
        self._report = report
        self._faults = faults
        self._steps = plan.steps
        self._missing = {step.number: set(step.after) for step in plan.steps}
        self._next: dict[int, list[Step]] = {}
        self._unfinished: dict[ContainerName, int] = {}
        for step in plan.steps:
            for number in step.after:
                self._next.setdefault(number, []).append(step)
            for name in containers_of(step.action):
                self._unfinished[name] = self._unfinished.get(name, 0) + 1
        self._stopping = {step.action.name for step in plan.steps if isinstance(step.action, StopContainer)}
        self._failures: dict[int, Orchestr8Error] = {}  # step → its own failure
        self._causes: dict[int, Orchestr8Error] = {}  # step → the failure because of which it or a need of it ended
        self._ceased: Orchestr8Error | None = None
        self._waiting: dict[anyio.CancelScope, WaitFor] = {}

    def claims(self, container: ContainerName) -> bool:
        """Is something still to be done to it? Then nobody else must start or stop it."""
        return self._unfinished.get(container, 0) > 0

    def stops(self, container: ContainerName) -> bool:
        """Is its end this plan's own doing?"""
        return container in self._stopping and self.claims(container)

    @property
    def waits(self) -> list[WaitFor]:
        """What it waits for at this moment."""
        return list(self._waiting.values())

    def cease(self, reason: str) -> None:
        """Begin no further step and wait no longer. What has begun is finished: half an Action helps nobody."""
        self._ceased = Conflict(reason)
        for scope in self._waiting:
            scope.cancel()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for step in [each for each in self._steps if not each.after]:
                if not self._begin(step, tasks):
                    self._end(step, tasks)
        self._raise_failures()

    def _begin(self, step: Step, tasks: anyio.abc.TaskGroup) -> bool:
        """Run a step whose needs have all ended; False when it ends at once because one of them failed."""
        cause = self._ceased or next((self._causes[number] for number in step.after if number in self._causes), None)
        if cause is None:
            tasks.start_soon(self._run, step, tasks, name=f"step {step.number}")
            return True
        if self._ceased is None and _optional(step):
            self._warn(step, cause)
        else:
            self._skip(step, cause)
        return False

    async def _run(self, step: Step, tasks: anyio.abc.TaskGroup) -> None:
        try:
            if self._ceased is not None:  # since the task was made
                self._skip(step, self._ceased)
            elif isinstance(step.action, WaitFor):
                await self._wait(step, step.action)
            else:
                await self._apply(step)
        except Orchestr8Error as error:
            self._fail(step, error)
        except Exception as error:  # noqa: BLE001 - whatever breaks in one step, the others finish, and its cause is told
            self._fail(step, _wrapped(step, error))
        self._end(step, tasks)

    async def _apply(self, step: Step) -> None:
        self._report(StepReport.of(step, begun(step.action)))
        self._faults.hit("before", step.action)
        lacks = await self._backend.apply(step.action)
        self._faults.hit("after", step.action)
        for lack in lacks:
            self._report(WarningReport(f"{target_of(step.action)}: {lack}"))
        self._report(StepReport.of(step, ended(step.action)))

    async def _wait(self, step: Step, action: WaitFor) -> None:
        for name in action.containers:
            self._report(StepReport.of(step, Status.WAITING, name=name))
        self._faults.hit("before", action)
        done = False
        with anyio.CancelScope() as scope:
            self._waiting[scope] = action
            try:
                await self._waits.wait(action, lambda name: self._report(StepReport.of(step, ended(action), name=name)))
                done = True
            finally:
                del self._waiting[scope]
        if done:
            self._faults.hit("after", action)
        elif self._ceased is not None:
            self._skip(step, self._ceased)

    def _skip(self, step: Step, cause: Orchestr8Error) -> None:
        self._causes[step.number] = cause
        self._report(StepReport.of(step, Status.SKIPPED))

    def _fail(self, step: Step, error: Orchestr8Error) -> None:
        if _optional(step):
            self._warn(step, error)
            return
        self._failures[step.number] = self._causes[step.number] = error
        name = error.container if isinstance(error, WaitFailed) else ""
        self._report(StepReport.of(step, Status.ERROR, name=name, error=error))

    def _warn(self, step: Step, cause: Orchestr8Error) -> None:
        assert isinstance(step.action, WaitFor)
        for name in step.action.containers:
            self._report(StepReport.of(step, Status.SKIPPED, name=name))
        reason = cause.message.removeprefix("dependency failed to start: ")
        message = f'optional dependency "{step.action.service}" failed to start: {reason}'
        self._report(WarningReport(message, cause.code))

    def _end(self, step: Step, tasks: anyio.abc.TaskGroup) -> None:
        """Begin what waited for this step alone. A loop, since a skipped step ends at once and so on down the graph."""
        ended_steps = deque([step])
        while ended_steps:
            done = ended_steps.popleft()
            for name in containers_of(done.action):
                self._unfinished[name] -= 1
            for following in self._next.get(done.number, ()):
                missing = self._missing[following.number]
                missing.discard(done.number)
                if not missing and not self._begin(following, tasks):
                    ended_steps.append(following)

    def _raise_failures(self) -> None:
        if not self._failures:
            if self._ceased is not None and self._causes:
                raise self._ceased
            return
        (_, first), *others = self._failures.items()
        steps = {step.number: step for step in self._steps}
        first.notes.extend(f"also failed: {steps[each].action}: {error.message}" for each, error in others)
        raise first


def _optional(step: Step) -> bool:
    return isinstance(step.action, WaitFor) and not step.action.required


def _wrapped(step: Step, error: Exception) -> OperationFailed:
    wrapped = OperationFailed(f"{step.action}: {error}" if str(error) else f"{step.action}: {error!r}")
    wrapped.__cause__ = error
    return wrapped
