"""The verbs: an order becomes a stored intent, a plan by the reconciler, and lines that tell how it goes.

    document ─build_desired─▶ Desired ┐
    reconciler's snapshot ────────────┴─plan_<verb>─▶ Plan ─reconciler─▶ done

An intent is on the disk before anything is done, so an engine that dies at any step is followed by one that goes on.
What is planned is decided in `plan`, how it is carried out and in which order in `reconcile`.
"""

import dataclasses
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import anyio
import anyio.abc

from orchestr8.api.errors import as_error, status_of
from orchestr8.api.progress import Progress
from orchestr8.api.services import Listed, Measured, Order
from orchestr8.engine.addresses import published_addresses
from orchestr8.engine.bus import Bus
from orchestr8.engine.intents import Doing, Goal, Intent, after_order, down_options
from orchestr8.engine.oneoffs import REMOVE_WHEN_DONE
from orchestr8.engine.store import Store
from orchestr8.errors import Conflict, InvalidInput, NotFound, OperationFailed, Orchestr8Error, Unavailable
from orchestr8.model.backend import Backend
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot
from orchestr8.model.specs import Desired
from orchestr8.plan.desired import build_desired
from orchestr8.plan.options import OneOff, Unfinished, UpOptions
from orchestr8.plan.order import near, select, service_graph
from orchestr8.plan.plan import Plan
from orchestr8.plan.restart import due_after_engine_start, restart_delay
from orchestr8.plan.verbs import (
    plan_down,
    plan_kill,
    plan_pause,
    plan_reconcile,
    plan_restart,
    plan_run,
    plan_start,
    plan_stop,
    plan_unpause,
    plan_up,
)
from orchestr8.reconcile.loop import Reconciler
from orchestr8.reconcile.room import Caller

log = logging.getLogger("orchestr8.engine")

PlanMaker = Callable[[Snapshot], Plan]

PLANNERS: Mapping[str, Callable[..., Plan]] = {
    "up": plan_up,
    "down": plan_down,
    "start": plan_start,
    "stop": plan_stop,
    "restart": plan_restart,
    "kill": plan_kill,
    "pause": plan_pause,
    "unpause": plan_unpause,
}
NEED_DOCUMENT = frozenset({"up", "run"})
PREEMPT = frozenset({"down", "stop"})  # these do not wait for an `up` that waits
BESIDE = frozenset({"kill"})  # not even for a `stop`


class Stacks:
    """`api.services.StackService`. Work is done in `tasks`, so that it does not end with the request that began it."""

    def __init__(
        self, store: Store, backend: Backend, reconciler: Reconciler, bus: Bus, tasks: anyio.abc.TaskGroup
    ) -> None:
        self._store = store
        self._backend = backend
        self._reconciler = reconciler
        self._bus = bus
        self._tasks = tasks
        self._working: Counter[StackName] = Counter()

    async def all(self) -> list[dict[str, Any]]:
        """Stacks that have containers or networks, or that a user brought up."""
        snapshot = await self._reconciler.observe()
        containers = snapshot.containers.values()
        names = {each.stack for each in containers} | {each.stack for each in snapshot.networks.values()}
        names |= {intent.stack for intent in self._store.intents.values() if intent.goal is Goal.UP}
        found = []
        for name in sorted(names):
            mine = [each for each in containers if each.stack == name]
            running = sum(each.state is ContainerState.RUNNING for each in mine)
            services = len({each.service for each in mine})
            found.append({"name": name, "services": services, "containers": len(mine), "running": running})
        return found

    async def containers(self, stack: StackName, *, services: tuple[str, ...], stopped: bool) -> list[Listed]:
        snapshot = await self._reconciler.observe(stack)
        found = [
            Listed(container=each, restarting=will_restart(each, snapshot))
            for each in snapshot.containers.values()
            if not services or each.service in services or each.name in services
        ]
        shown = (each for each in found if stopped or each.restarting or each.container.state is ContainerState.RUNNING)
        return sorted(shown, key=lambda each: (each.container.service, each.container.number, each.container.name))

    async def figures(self, stack: StackName, *, services: tuple[str, ...], stopped: bool) -> list[Measured]:
        listed = [each.container for each in await self.containers(stack, services=services, stopped=stopped)]
        found = await self._backend.figures([each.name for each in listed])
        measured = (Measured(each, found.get(each.name)) for each in listed)
        return [each for each in measured if stopped or each.figures is not None]

    def is_working(self, stack: StackName) -> bool:
        """Is a command for this stack under way?"""
        return self._working[stack] > 0

    def services(self, stack: StackName) -> set[str]:
        """Those of the document that the stack was brought up from."""
        intent = self._store.intents.get(stack)
        return set(((intent.document or {}).get("services") or {}) if intent is not None else ())

    async def plan(self, order: Order) -> dict[str, Any]:
        order = self._completed(order)
        make_plan = self._plan_maker(order, self._desired(order))
        return make_plan(await self._reconciler.observe(order.stack)).to_json()

    async def work(self, order: Order) -> Progress:
        """Begin the work. Raises for a document or a service that is not right; the rest is in the progress."""
        order = self._completed(order)
        desired = self._desired(order)
        caller = _caller(order)
        progress = Progress(caller.leave)
        self._tasks.start_soon(self._work, order, desired, progress, caller, name=f"{order.verb} {order.stack}")
        return progress

    # --- resuming ---------------------------------------------------------------------------------------------

    def unfinished(self, *, after_crash: bool) -> dict[StackName, PlanMaker]:
        """What users asked for before this engine began, as plans for `Reconciler.serve`."""
        found: dict[StackName, PlanMaker] = {}
        for stack, intent in self._store.intents.items():
            if intent.goal is Goal.DOWN:
                found[stack] = lambda _: Plan()  # `conclude_unfinished` brings it down
                continue
            try:
                found[stack] = _resuming(intent, after_crash=after_crash)
            except InvalidInput:
                log.exception("stack %s cannot be resumed: its stored document is not understood", stack)
        return found

    def conclude_unfinished(self) -> None:
        """Behind `unfinished`: bring down what was to go, and take note of what else is done by then."""
        for stack, intent in self._store.intents.items():
            if intent.goal is Goal.DOWN:
                order = Order(stack=stack, verb="down", options=down_options(intent), document=intent.document)
                try:
                    desired = self._desired(order)
                except InvalidInput:  # of an older version: then all that is there goes
                    desired = None
                self._tasks.start_soon(self._work, order, desired, Progress(), name=f"down {stack}")
            elif intent.doing is not None:
                self._tasks.start_soon(self._conclude_resumed, stack, intent.doing, name=f"resume {stack}")

    async def _conclude_resumed(self, stack: StackName, doing: Doing) -> None:
        try:
            await self._reconciler.run(stack, lambda _: Plan())  # when its turn comes, what was resumed has ended
        except Conflict:
            return  # another command took the place of both
        await self._done(stack, doing)

    async def bring_all_down(self) -> None:
        """Every stack, volumes kept. One that fails does not keep the others up."""
        snapshot = await self._reconciler.observe()
        names = {each.stack for each in snapshot.containers.values()}
        names |= {each.stack for each in snapshot.networks.values()}
        names |= set(self._store.intents)
        async with anyio.create_task_group() as tasks:
            for name in sorted(names):
                order = Order(stack=name, verb="down", options=down_options(None))
                tasks.start_soon(self._work, order, None, Progress(), name=f"down {name}")

    # --- the work ---------------------------------------------------------------------------------------------

    def _completed(self, order: Order) -> Order:
        """With what the engine has to add: the document it remembers, the name of a one-off."""
        document = order.document
        if document is None and order.verb != "down":  # without one, `down` means everything that is there
            intent = self._store.intents.get(order.stack)
            document = intent.document if intent is not None else None
        if document is None and order.verb in NEED_DOCUMENT:
            raise InvalidInput(f"`{order.verb}` needs the stack's document")
        options = order.options
        if isinstance(options, OneOff):
            if options.name in self._store.containers:  # no one-off is another one's next run
                raise Conflict(
                    f"the container name {options.name} is in use", helps=["choose another --name, or leave it out"]
                )
            name = options.name or f"{order.stack}-{order.service}-run-{secrets.token_hex(6)}"
            labels = (*options.labels, (REMOVE_WHEN_DONE, "true")) if options.rm else options.labels
            options = dataclasses.replace(options, name=ContainerName(name), labels=labels)
        return dataclasses.replace(order, document=document, options=options)

    def _desired(self, order: Order) -> Desired | None:
        """The order's document as values, and its services checked against it."""
        if order.document is None:
            return None
        desired = build_desired(order.document)
        if order.verb == "up" and getattr(order.options, "services", None) is not None:
            select(service_graph(desired, Snapshot()), order.options.services, with_dependencies=False)  # type: ignore[union-attr]
        if order.verb == "run" and order.service not in desired.services:
            raise NotFound(f"no such service: {order.service}", helps=near(order.service or "", desired.services))
        return desired

    def _plan_maker(self, order: Order, desired: Desired | None) -> PlanMaker:
        if isinstance(order.options, OneOff):
            assert desired is not None, "`run` has a document"
            assert order.service is not None, "`run` has a service"
            service, one_off = order.service, order.options
            return lambda snapshot: plan_run(desired, service, one_off, snapshot)
        doing = Doing.of(order, order.since) if order.since is not None else None
        if doing is not None:
            return self._finishing(order.stack, desired, doing)
        planner = PLANNERS[order.verb]
        return lambda snapshot: planner(desired, snapshot, order.options)

    def _finishing(self, stack: StackName, desired: Desired | None, doing: Doing) -> PlanMaker:
        """What is left of an order that an engine died over."""

        def make(snapshot: Snapshot) -> Plan:
            intent = self._store.intents.get(stack)  # as this order has left it
            return _reconciled(desired, snapshot, intent, unfinished=doing.unfinished)

        return make

    async def _work(
        self, order: Order, desired: Desired | None, progress: Progress, caller: Caller | None = None
    ) -> None:
        stack, verb = order.stack, order.verb
        log.info("%s %s: begun", verb, stack)
        self._working[stack] += 1
        doing = Doing.of(order, time.time() if order.since is None else order.since)
        try:
            await self._backend.keep_contents(stack, order.contents)
            await self._remember(order, desired, doing)
            await self._reconciler.run(
                stack,
                self._plan_maker(order, desired),
                lambda report: progress.put(report.to_json()),
                preempt=verb in PREEMPT,
                beside=verb in BESIDE,
                caller=caller or _caller(order),
            )
            progress.put(await self._conclude(order, desired))
            log.info("%s %s: done", verb, stack)
            await self._done(stack, doing)
            await self._drop_contents(order)
        except anyio.get_cancelled_exc_class():
            progress.put(_error_line(Unavailable("the engine is ending; the next one goes on with this")))
            raise
        except Exception as failure:  # noqa: BLE001 - the border: whatever it is, the client is told
            log.warning("%s %s: %s", verb, stack, failure)
            progress.put(_error_line(failure))
            await self._done(stack, doing)
        finally:
            self._working -= Counter([stack])
            progress.end()
            self._bus.nudge(stack)

    async def _remember(self, order: Order, desired: Desired | None, doing: Doing | None) -> None:
        """Store what the order means for the time after a crash, before it is begun."""
        before = self._store.intents.get(order.stack)
        intent = after_order(before, order, desired)
        if intent is not None and intent.goal is Goal.UP and doing is not None:
            intent = dataclasses.replace(intent, doing=doing)
        if intent is not None and intent != before:
            await self._store.save_intent(intent)

    async def _drop_contents(self, order: Order) -> None:
        """Forget secrets and configs that are of no use any more, unless another command needs what it brought."""
        if order.verb in {"up", "down"} and self._working[order.stack] == 1:
            intent = self._store.intents.get(order.stack)
            document = (intent.document if intent is not None else None) or {}
            wanted = (document.get("x-orchestr8") or {}).get("contents") or {}
            try:
                await self._backend.drop_contents(order.stack, wanted.values())
            except (Orchestr8Error, OSError) as error:  # the next command tries again
                log.warning("stack %s: not all that secrets and configs held is forgotten: %s", order.stack, error)

    async def _done(self, stack: StackName, doing: Doing | None) -> None:
        """Nothing is left to do of this command, unless another one has come since."""
        intent = self._store.intents.get(stack)
        if intent is not None and doing is not None and intent.doing == doing:
            try:
                await self._store.save_intent(dataclasses.replace(intent, doing=None), durable=False)
            except OperationFailed as error:
                log.warning("stack %s: the next engine will look again at what is done: %s", stack, error)

    async def _conclude(self, order: Order, desired: Desired | None) -> dict[str, Any]:
        """The last line of work that went well."""
        if order.verb == "down":
            intent = self._store.intents.get(order.stack)
            if intent is not None and intent.goal is Goal.DOWN:  # and no `up` came meanwhile
                await self._store.forget_intent(order.stack)
            return {"type": "done"}
        if isinstance(order.options, OneOff):
            snapshot = await self._reconciler.observe(order.stack)
            container = snapshot.containers.get(order.options.name)
            if container is None:
                raise NotFound(f"{order.options.name} was removed before it was started")
            return {"type": "done", "container": container.id, "name": container.name}
        if order.verb != "up" or desired is None:
            return {"type": "done"}
        snapshot = await self._reconciler.observe(order.stack)
        mine = sorted(
            (each for each in snapshot.containers.values() if each.service in desired.services and not each.oneoff),
            key=lambda each: (each.service, each.number),
        )
        return {
            "type": "done",
            "containers": [each.name for each in mine],
            "ports": [address for each in mine for address in published_addresses(each)],
        }


def _caller(order: Order) -> Caller:
    options = order.options
    everything = isinstance(options, UpOptions) and options.services is None and options.start
    return Caller(order.verb, replaces=everything, replaceable=order.verb in {"up", "start", "restart"})


def will_restart(container: ObservedContainer, snapshot: Snapshot) -> bool:
    """Did it end, and will its policy start it again? By the policy's rule, so it is known before anybody acts on it."""
    spec = snapshot.specs.get(container.name)
    return spec is not None and restart_delay(container, spec.restart) is not None


def _resuming(intent: Intent, *, after_crash: bool) -> PlanMaker:
    desired = build_desired(intent.document) if intent.document is not None else None
    unfinished = intent.doing.unfinished if intent.doing is not None else None
    return lambda snapshot: _reconciled(
        desired, snapshot, intent, due=due_after_engine_start(snapshot, after_crash=after_crash), unfinished=unfinished
    )


def _reconciled(
    desired: Desired | None,
    snapshot: Snapshot,
    intent: Intent | None,
    *,
    due: Collection[ContainerName] = (),
    unfinished: Unfinished | None,
) -> Plan:
    """What the document asks for, as far as the last command on the stack left it to be had."""
    if intent is None:
        return plan_reconcile(desired, snapshot, due=due, unfinished=unfinished)
    return plan_reconcile(
        desired,
        snapshot,
        due=due,
        stopped=intent.stopped,
        services=intent.services,
        no_recreate=intent.no_recreate,
        unfinished=unfinished,
    )


def _error_line(failure: BaseException) -> dict[str, Any]:
    error = as_error(failure)
    return {"type": "error", "status": status_of(error), **error.to_json()}
