"""Health checks by Docker's rules (moby daemon/health.go): when to probe, and what a result means.

A probe runs in the container through the backend. What changes is given to a memory that outlives this process, so that
the next one need not take a container that is well for one that starts. Only containers that have a check and run have a timer here.
"""

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.abc

from orchestr8.errors import Orchestr8Error
from orchestr8.model.backend import Backend, Paused, ProbeResult
from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import Health, ObservedContainer
from orchestr8.model.records import HealthMemory, HealthRecord
from orchestr8.model.specs import HealthcheckSpec

KEPT_RESULTS: Final = 5
log = logging.getLogger(__name__)

NOT_RUN: Final = -1  # exit code of a probe that could not be started, as in Docker


@dataclass(slots=True)
class HealthState:
    """The health of one run of a container. Ages are seconds since the start of the run."""

    spec: HealthcheckSpec
    status: Health = Health.STARTING
    failing_streak: int = 0
    results: deque[ProbeResult] = field(default_factory=lambda: deque(maxlen=KEPT_RESULTS))

    def pause_s(self, age_s: float) -> float:
        """From the end of one probe, or from the start of the run, to the next probe. Probes come quicker within the
        start period, but only until the first one succeeds.
        """
        starting = self.status is Health.STARTING and age_s < self.spec.start_period_s
        return self.spec.start_interval_s if starting else self.spec.interval_s

    def record(self, result: ProbeResult, age_s: float) -> bool:
        """Take in a probe that began at `age_s`; True when the status changed by it."""
        before = self.status
        self.results.append(result)
        if result.exit_code == 0:
            self.failing_streak = 0
            self.status = Health.HEALTHY
        elif not (self.status is Health.STARTING and age_s < self.spec.start_period_s):
            self.failing_streak += 1
            if self.failing_streak >= self.spec.retries:
                self.status = Health.UNHEALTHY
        return self.status is not before

    def restore(self, record: HealthRecord) -> None:
        """Go on with what another monitor knew of this run."""
        self.status = record.status
        self.failing_streak = record.failing_streak
        self.results.extend(record.results)

    def explain(self) -> list[str]:
        """Which check, how often it failed, its last exit code and output: the notes of an error."""
        check = " ".join(self.spec.test)
        if not self.results:
            return [f"check: {check}", "it has not been run yet"]
        last = self.results[-1]
        ended = "timed out" if last.exit_code is None else f"exit code {last.exit_code}"
        notes = [f"check: {check}", f"last result: {ended}, {self.failing_streak} of {self.spec.retries} tries failed"]
        if last.output.strip():
            notes.append(f"last output: {last.output.strip()}")
        return notes


def probe_argv(spec: HealthcheckSpec) -> tuple[str, ...]:
    kind, *rest = spec.test
    return ("/bin/sh", "-c", *rest) if kind == "CMD-SHELL" else tuple(rest)


@dataclass(slots=True)
class _Watch:
    run: tuple[str, float]  # id and start: another start is another run
    state: HealthState
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class HealthMonitor:
    """Probes running containers. `changed` is called on each change of a status."""

    def __init__(
        self,
        backend: Backend,
        changed: Callable[[ObservedContainer, Health], None],
        memory: HealthMemory | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._now = now
        self._backend = backend
        self._changed = changed
        self._watches: dict[ContainerName, _Watch] = {}

    def watch(
        self,
        container: ObservedContainer,
        spec: HealthcheckSpec,
        tasks: anyio.abc.TaskGroup,
        *,
        age_s: float = 0.0,
        at_once: bool = False,
    ) -> None:
        """Begin to probe a running container; nothing new if this run of it is probed already.

        `at_once`: it ran before this engine did, and its health should not stay unknown for a whole interval.
        """
        run = container.id, container.started_at
        present = self._watches.get(container.name)
        if present is not None and present.run == run:
            return
        self.forget(container.name)
        watch = self._watches[container.name] = _Watch(run, HealthState(spec))
        known = self._memory.health.get(container.name) if self._memory is not None else None
        if known is not None and (known.id, known.started_at) == run:
            watch.state.restore(known)
        began = anyio.current_time() - age_s
        tasks.start_soon(self._probe_on, container, watch, began, at_once, name=f"health {container.name}")

    def forget(self, name: ContainerName) -> None:
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.scope.cancel()

    def health(self, container: ObservedContainer) -> Health | None:
        """None for a container that is not probed."""
        watch = self._watches.get(container.name)
        return watch.state.status if watch is not None and watch.run == (container.id, container.started_at) else None

    def explain(self, name: ContainerName) -> list[str]:
        watch = self._watches.get(name)
        return watch.state.explain() if watch is not None else []

    def known(self, container: ObservedContainer) -> HealthRecord | None:
        """What the probes of its last run found; None when there were none."""
        run = container.id, container.started_at
        watch = self._watches.get(container.name)
        if watch is not None and watch.run == run:
            return _record(container, watch.state)
        kept = self._memory.health.get(container.name) if self._memory is not None else None
        return kept if kept is not None and (kept.id, kept.started_at) == run else None

    async def _probe_on(self, container: ObservedContainer, watch: _Watch, began: float, at_once: bool) -> None:
        state = watch.state
        argv = probe_argv(state.spec)
        with watch.scope:
            while True:
                if not at_once:
                    await anyio.sleep(state.pause_s(anyio.current_time() - began))
                at_once = False
                age_s = anyio.current_time() - began
                started_at = self._now()
                try:
                    result = await self._backend.probe(container.name, argv, state.spec.timeout_s)
                except Paused:  # neither well nor ill: asked again, as often as before
                    continue
                except (Orchestr8Error, OSError) as error:
                    # As a failed probe: whether the container still runs is told by its own events.
                    result = ProbeResult(exit_code=NOT_RUN, output=str(error))
                result = dataclasses.replace(result, started_at=started_at, ended_at=self._now())
                streak = state.failing_streak
                changed = state.record(result, age_s)
                if changed:
                    self._changed(container, state.status)
                # Beyond its retries a streak says nothing new, and an ill container is no reason to write for ever.
                if changed or (state.failing_streak != streak and state.failing_streak < state.spec.retries):
                    await self._remember(container, state)

    async def _remember(self, container: ObservedContainer, state: HealthState) -> None:
        if self._memory is None:
            return
        try:
            await self._memory.save(_record(container, state))
        except Orchestr8Error as error:  # the disk is full, say: it is probed and told all the same
            log.warning("the health of %s is not remembered: %s", container.name, error)


def _record(container: ObservedContainer, state: HealthState) -> HealthRecord:
    return HealthRecord(
        name=container.name, stack=container.stack, id=container.id, started_at=container.started_at,
        status=state.status, failing_streak=state.failing_streak, results=tuple(state.results),
    )  # fmt: skip
