"""What a user last asked of a stack, as it is stored before anything is done about it. Pure.

An engine that starts reads these rows and goes on: a stack that should be up is compared with what exists and
completed, one that should be gone is taken down. Kept until the stack is gone.
"""

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

from orchestr8.api.services import OPTIONS, Order
from orchestr8.model.codec import from_json, to_json
from orchestr8.model.ids import ServiceName, StackName
from orchestr8.model.specs import Desired
from orchestr8.plan.options import (
    DownOptions,
    RestartOptions,
    Services,
    StartOptions,
    StopOptions,
    Unfinished,
    UpOptions,
)
from orchestr8.plan.order import Graph, select


class Goal(enum.StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """A command that is under way."""

    verb: str
    since: float  # Unix time
    options: dict[str, Any]

    @classmethod
    def of(cls, order: Order, now: float) -> "Doing | None":
        """None for a command that is not to be taken up again: a signal is sent once, a one-off has its client."""
        if not isinstance(order.options, UpOptions | StartOptions | StopOptions | RestartOptions):
            return None
        return cls(verb=order.verb, since=now, options=to_json(order.options))

    @property
    def unfinished(self) -> Unfinished:
        return Unfinished(since=self.since, options=from_json(OPTIONS[self.verb], self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    stack: StackName
    goal: Goal
    document: dict[str, Any] | None = None  # canonical
    services: Services = None  # up: those that were asked for, with what they need; None: all
    stopped: tuple[ServiceName, ...] = ()  # up: those that a user stopped, and that are not to run
    no_recreate: bool = False  # up: containers that are out of date stay as they are
    doing: Doing | None = None  # up: what was last asked for, until it is done
    down: DownOptions | None = None


def down_options(intent: Intent | None) -> DownOptions:
    return (intent.down if intent is not None else None) or DownOptions()


def after_order(before: Intent | None, order: Order, desired: Desired | None) -> Intent | None:
    """The intent of a stack once `order` was given; None where there is nothing to remember."""
    match order.options:
        case UpOptions():
            return _after_up(before, order, order.options, desired)
        case DownOptions() if order.options.services is None:
            return Intent(stack=order.stack, goal=Goal.DOWN, document=order.document, down=order.options)
        case DownOptions() | StopOptions():
            return _with_stopped(before, order.options.services, desired)
        case StartOptions() | RestartOptions():
            return _with_started(before, order.options.services)
        case _:  # a signal and a one-off change nothing about what should run
            return before


def _after_up(before: Intent | None, order: Order, options: UpOptions, desired: Desired | None) -> Intent:
    assert desired is not None, "`up` has a document"
    services = options.services
    stopped: set[ServiceName] = set()
    if services is not None:
        graph: Graph = {name: service.depends_on for name, service in desired.services.items()}
        chosen = set(select(graph, services, with_dependencies=not options.no_deps))
        if before is not None and before.goal is Goal.UP:
            stopped = set(before.stopped) - chosen
            chosen |= set(desired.services) if before.services is None else set(before.services)
        services = None if chosen >= set(desired.services) else tuple(sorted(chosen & set(desired.services)))
    return Intent(
        stack=order.stack,
        goal=Goal.UP,
        document=order.document,
        services=services,
        stopped=tuple(sorted(stopped & set(desired.services))),
        no_recreate=options.no_recreate,
    )


def _with_stopped(before: Intent | None, services: Services, desired: Desired | None) -> Intent | None:
    if before is None or before.goal is Goal.DOWN:
        return before
    known = (before.document or {}).get("services", {})  # a one-off, which may be named too, is no service
    named = (
        [each for each in services if each in known]
        if services is not None
        else tuple(desired.services) if desired is not None else ()
    )  # fmt: skip
    return dataclasses.replace(before, stopped=tuple(sorted({*before.stopped, *named})))


def _with_started(before: Intent | None, services: Services) -> Intent | None:
    if before is None or before.goal is Goal.DOWN:
        return before
    stopped = () if services is None else tuple(name for name in before.stopped if name not in services)
    return dataclasses.replace(before, stopped=stopped)
