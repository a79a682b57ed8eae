"""The reconciler: commands' plans one at a time a stack, restart policies, health, and waiting, on one way of looking.

An event says "look again", a look is one snapshot of one stack, and what follows from it is decided in `plan`. Nothing
here runs on a timer of its own: timers exist only for health checks and for restarts that are due.
"""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping

import anyio
import anyio.abc

from orchestr8.errors import Orchestr8Error
from orchestr8.model.actions import CreateContainer, StartContainer, WaitFor
from orchestr8.model.backend import Backend
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.observed import ContainerState, Health, ObservedContainer, Snapshot
from orchestr8.model.records import HealthMemory, HealthRecord
from orchestr8.plan.plan import Plan
from orchestr8.plan.restart import due_after_engine_start, restart_delay
from orchestr8.plan.verbs import plan_reconcile
from orchestr8.reconcile.execute import Execution
from orchestr8.reconcile.faults import NO_FAULTS, Faults
from orchestr8.reconcile.health import HealthMonitor
from orchestr8.reconcile.report import PlanReport, Reporter, Status, StepReport, WarningReport, ignore
from orchestr8.reconcile.room import TAKEN, Caller, Room, Turn
from orchestr8.reconcile.waits import AIMS, Look, Verdict, crash, judge, missing_proof_s, timed_out

PlanMaker = Callable[[Snapshot], Plan]

log = logging.getLogger(__name__)


class Reconciler:
    """`serve` must run (in the engine's task group) while the others are called."""

    def __init__(
        self,
        backend: Backend,
        *,
        health: HealthMemory | None = None,
        faults: Faults = NO_FAULTS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._backend = backend
        self._faults = faults
        self._now = now
        self._health = HealthMonitor(backend, self._health_changed, health, now)
        self._rooms: dict[StackName, Room] = {}
        self._listeners: list[Callable[[Event], None]] = []
        self._open_tasks: anyio.abc.TaskGroup | None = None

    # --- for the engine ---------------------------------------------------------------------------------------

    async def serve(
        self,
        resume: Mapping[StackName, PlanMaker] | None = None,
        after_crash: bool = False,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Adopt what exists and keep it until cancelled.

        `resume`: what a stack's last command left undone, as a plan to make first. Other stacks have their restart
        policies applied, as by an engine that has just started; `after_crash`: in the place of one that was killed.
        "Started" means that commands may come; resuming goes on meanwhile, and a command with `preempt` cuts it short.
        """
        async with anyio.create_task_group() as tasks:
            self._open_tasks = tasks
            try:
                self._backend.subscribe(self._on_event)
                snapshot = await self.observe()
                for container in snapshot.containers.values():
                    self._watch_health(container, snapshot, at_once=True)
                apply_policies = functools.partial(_apply_policies, after_crash=after_crash)
                stacks = {each.stack for each in snapshot.containers.values()} | set(resume or {})
                for stack in sorted(stacks):
                    tasks.start_soon(self._resume, stack, (resume or {}).get(stack, apply_policies))
                task_status.started()
                await anyio.Event().wait()  # for ever, and without the timer that anyio.sleep_forever sets
            finally:
                self._open_tasks = None

    async def run(
        self,
        stack: StackName,
        make_plan: PlanMaker,
        report: Reporter = ignore,
        *,
        preempt: bool = False,
        yields: bool | None = None,
        beside: bool = False,
        check_images: bool = True,
        caller: Caller | None = None,
    ) -> Plan:
        """Make a plan from a fresh snapshot and carry it out, after those that came before for this stack.

        `preempt`: plans that yield (`up` and its like; by default, those that do not preempt) are ended first: they
        begin nothing more and wait for nothing more, which their callers learn as Conflict. `beside`: do not queue at
        all, for `kill`, which must reach what a stop is still waiting for. `check_images`: do nothing at all when a
        container of the plan cannot be made of its image; else the steps that need it fail, and the others go on.
        `caller`: whoever has left is not waited for by those who replace it.

        Raises what `make_plan` raises before anything is done, and the first failure of a step when all have ended.
        """
        self._check_served()
        room = self._room(stack)
        if beside:
            plan = make_plan(await self.observe(stack))
            _announce(plan, report)
            await self._execution(room, plan, report).run()
            return plan
        turn = Turn(yields=not preempt if yields is None else yields, caller=caller)
        if preempt:
            room.cease_all(TAKEN.format(stack))
        async with room.turn(turn, lambda earlier: report(_queued_behind(stack, earlier))):
            try:
                return await self._perform(room, turn, make_plan, report, check_images=check_images)
            finally:
                self._look_again(room)

    async def observe(self, stack: StackName | None = None) -> Snapshot:
        """The backend's snapshot with the health of each container filled in."""
        snapshot = await self._backend.observe(stack)
        checked = {
            name: dataclasses.replace(container, health=self._health.health(container) or Health.STARTING)
            for name, container in snapshot.containers.items()
            if container.state is ContainerState.RUNNING and _has_check(snapshot, name)
        }
        return dataclasses.replace(snapshot, containers={**snapshot.containers, **checked}) if checked else snapshot

    def restarting(self, stack: StackName, name: ContainerName) -> bool:
        """Did it end, and will its restart policy start it again?"""
        room = self._room(stack)
        return name in room.pending or name in room.starting

    def explain_health(self, name: ContainerName) -> list[str]:
        """The check and its last result in words; empty for a container that is not probed."""
        return self._health.explain(name)

    def known_health(self, container: ObservedContainer) -> HealthRecord | None:
        """What the probes of its last run found; None for a container that was not probed."""
        return self._health.known(container)

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` for each `health_status` event from now on; all others are the backend's."""
        self._listeners.append(listener)

    # --- plans ------------------------------------------------------------------------------------------------

    async def _perform(
        self, room: Room, turn: Turn, make_plan: PlanMaker, report: Reporter, *, check_images: bool
    ) -> Plan:
        with room.planning():
            await room.policy_starts_done()
            plan = make_plan(await self.observe(room.stack))
            if check_images:
                await self._check_images(
                    [step.action for step in plan.steps if isinstance(step.action, CreateContainer)]
                )
            execution = room.execution = self._execution(room, plan, report)
            for action in (step.action for step in plan.steps):
                if isinstance(action, StartContainer) and not action.by_policy:
                    room.delays.pop(action.name, None)
                elif isinstance(action, CreateContainer):
                    room.specs[action.name] = action.spec
            for name in [each for each in room.pending if execution.claims(each)]:
                room.drop_pending(name)
        try:
            turn.attach(execution)
            _announce(plan, report)
            await execution.run()
        finally:
            room.execution = None
        return plan

    async def _check_images(self, creations: Iterable[CreateContainer]) -> None:
        """Raises what is wrong with the first image by name, with the services that have it, and where."""
        users: dict[str, dict[str, CreateContainer]] = {}
        for each in creations:
            users.setdefault(each.spec.image, {}).setdefault(each.service, each)
        for image, services in sorted(users.items()):
            try:
                await self._backend.check_image(image)
            except Orchestr8Error as error:
                places = {service: each.spec.place_of("image") for service, each in sorted(services.items())}
                error.notes += [f"service {service}{place and f': {place}'}" for service, place in places.items()]
                raise

    def _execution(self, room: Room, plan: Plan, report: Reporter) -> Execution:
        return Execution(plan, self._backend, waits=_Waits(self, room, report), report=report, faults=self._faults)

    async def _resume(self, stack: StackName, make_plan: PlanMaker) -> None:
        try:
            await self.run(stack, make_plan, yields=True, check_images=False)
        except Orchestr8Error as error:
            log.warning("stack %s could not be resumed: %s", stack, error)
        except Exception:  # what fails at every start of an engine must not keep the other stacks from being served
            log.exception("stack %s could not be resumed", stack)

    # --- looking ----------------------------------------------------------------------------------------------

    def _room(self, stack: StackName) -> Room:
        return self._rooms.setdefault(stack, Room(stack))

    def _check_served(self) -> anyio.abc.TaskGroup:
        if self._open_tasks is None:
            raise RuntimeError("the reconciler is not served")
        return self._open_tasks

    def _on_event(self, event: Event) -> None:
        if self._open_tasks is None:
            return
        room = self._room(event.stack)
        match event.kind:
            case EventKind.START | EventKind.RESTART:
                room.failed.discard(event.container)
                spec = room.specs.get(event.container)
                if not room.waiters and spec is not None and spec.healthcheck is None:
                    return
            case EventKind.DIE:
                self._health.forget(event.container)
                if not room.waiters and room.execution is not None and room.execution.stops(event.container):
                    return
            case EventKind.DESTROY:
                self._health.forget(event.container)
                room.forget(event.container)
                if not room.waiters:
                    return
            case _:
                return
        self._look_again(room)

    def _look_again(self, room: Room) -> None:
        room.dirty = True
        if not room.looking and self._open_tasks is not None:
            room.looking = True
            self._open_tasks.start_soon(self._look, room, name=f"look at {room.stack}")

    async def _look(self, room: Room) -> None:
        """However many events come meanwhile, one more look is enough for all of them."""
        try:
            while room.dirty:
                room.dirty = False
                room.looks += 1
                number = room.looks
                try:
                    snapshot = await self.observe(room.stack)
                except Orchestr8Error as error:
                    log.warning("stack %s could not be observed: %s", room.stack, error)
                    room.fail_waiters(error)
                    continue
                self._settle(room, snapshot)
                room.show(snapshot, number)
        finally:
            room.looking = False

    def _settle(self, room: Room, snapshot: Snapshot) -> None:
        room.specs = dict(snapshot.specs)
        for name in [each for each in room.pending if each not in snapshot.containers]:
            room.forget(name)
        for name, container in snapshot.containers.items():
            if container.state is ContainerState.RUNNING:
                room.drop_pending(name)
                self._watch_health(container, snapshot)
            else:
                self._health.forget(name)
                self._schedule(room, container, snapshot)

    def _watch_health(self, container: ObservedContainer, snapshot: Snapshot, *, at_once: bool = False) -> None:
        spec = snapshot.specs.get(container.name)
        if container.state is ContainerState.RUNNING and spec is not None and spec.healthcheck is not None:
            age_s = max(0.0, self._now() - container.started_at)
            self._health.watch(container, spec.healthcheck, self._check_served(), age_s=age_s, at_once=at_once)

    def _health_changed(self, container: ObservedContainer, health: Health) -> None:
        event = Event(
            kind=EventKind.HEALTH,
            stack=container.stack,
            service=container.service,
            container=container.name,
            id=container.id,
            at=self._now(),
            attributes={"status": health.value},
        )
        for listener in self._listeners:
            listener(event)
        room = self._room(container.stack)
        if room.waiters:
            self._look_again(room)

    # --- restart policies -------------------------------------------------------------------------------------

    def _restart_delay(self, room: Room, container: ObservedContainer, snapshot: Snapshot) -> float | None:
        spec = snapshot.specs.get(container.name)
        if spec is None or container.name in room.failed:
            return None
        return restart_delay(container, spec.restart, previous_delay_s=room.delays.get(container.name, 0.0))

    def _schedule(self, room: Room, container: ObservedContainer, snapshot: Snapshot) -> None:
        delay_s = self._restart_delay(room, container, snapshot)
        if delay_s is None:
            room.drop_pending(container.name)
        elif container.name not in room.pending and not room.busy_with(container.name):
            scope = room.pending[container.name] = anyio.CancelScope()
            self._check_served().start_soon(
                self._restart, room, container.name, delay_s, scope, name=f"restart {container.name}"
            )

    async def _restart(self, room: Room, name: ContainerName, delay_s: float, scope: anyio.CancelScope) -> None:
        with scope:
            await anyio.sleep(delay_s)
        if scope.cancel_called:
            return
        del room.pending[name]
        if room.busy_with(name):
            return  # the look at the end of that plan decides anew
        with room.policy_start(name):
            try:
                snapshot = await self.observe(room.stack)
                container = snapshot.containers.get(name)
                if container is None or self._restart_delay(room, container, snapshot) is None:
                    return
                room.delays[name] = delay_s
                await self._execution(room, plan_reconcile(None, snapshot, due={name}), ignore).run()
            except Orchestr8Error as error:
                room.failed.add(name)
                log.warning("%s could not be restarted: %s", name, error)
        self._look_again(room)

    # --- waiting ----------------------------------------------------------------------------------------------

    async def wait(
        self, room: Room, action: WaitFor, met: Callable[[ContainerName], None], report: Reporter = ignore
    ) -> None:
        crashed: set[ContainerName] = set()
        unmet = dict.fromkeys(action.containers, Look(container=None))
        with room.waiter() as waiter:
            self._look_again(room)
            with anyio.move_on_after(action.timeout_s):
                snapshot = await waiter.next()
                while True:
                    proof_s = 0.0
                    for name in list(unmet):
                        unmet[name] = self._look_of(room, snapshot, name)
                        if judge(action, name, unmet[name]) is Verdict.PENDING:
                            if name not in crashed and (news := crash(action, unmet[name])):
                                crashed.add(name)
                                report(WarningReport(news, helps=(f"see why: orchestr8 logs {action.service}",)))
                            continue
                        if missing_s := missing_proof_s(action, unmet[name], self._now()):
                            proof_s = max(proof_s, missing_s)
                            continue
                        del unmet[name]
                        met(name)
                    if not unmet:
                        break
                    with anyio.move_on_after(proof_s or None):
                        snapshot = await waiter.next()
        if unmet:
            raise timed_out(action, *next(iter(unmet.items())))

    def _look_of(self, room: Room, snapshot: Snapshot, name: ContainerName) -> Look:
        container = snapshot.containers.get(name)
        if container is None:
            return Look(container=None)
        return Look(
            container=container,
            has_check=_has_check(snapshot, name),
            restarts_soon=self._restart_delay(room, container, snapshot) is not None,
            check=self._health.explain(name),
        )


class _Waits:
    """The executor's view of waiting: it knows the step, the room knows the stack."""

    def __init__(self, reconciler: Reconciler, room: Room, report: Reporter) -> None:
        self._reconciler = reconciler
        self._room = room
        self._report = report

    async def wait(self, action: WaitFor, met: Callable[[ContainerName], None]) -> None:
        await self._reconciler.wait(self._room, action, met, self._report)


def _queued_behind(stack: StackName, earlier: Turn) -> WarningReport:
    waits = " and ".join(dict.fromkeys(f"for {each.service} {AIMS[each.condition]}" for each in earlier.waits))
    verb = earlier.caller.verb and f" `{earlier.caller.verb}`"
    return WarningReport(
        f"waiting for an earlier{verb or ' command'} of {stack}" + (f", which waits {waits}" if waits else ""),
        helps=("orchestr8 stop, or down, ends what it does",),
    )


def _has_check(snapshot: Snapshot, name: ContainerName) -> bool:
    spec = snapshot.specs.get(name)
    return spec is not None and spec.healthcheck is not None


def _apply_policies(snapshot: Snapshot, *, after_crash: bool) -> Plan:
    return plan_reconcile(None, snapshot, due=due_after_engine_start(snapshot, after_crash=after_crash))


def _announce(plan: Plan, report: Reporter) -> None:
    report(PlanReport(plan))
    for warning in plan.warnings:
        report(WarningReport(warning))
    for name in plan.unchanged:
        report(StepReport(number=0, kind="Container", name=name, status=Status.RUNNING))
