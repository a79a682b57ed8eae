"""A container's state in Docker's words, as `ps` shows it. Pure; the time is passed in.

The words are those of moby `container/state.go`, and why where that says only 137.
"""

from typing import Final

from orchestr8.model.observed import ContainerState, Health, ObservedContainer, lack_of_memory
from orchestr8.wire.durations import human_duration

_HEALTH: Final = {
    Health.STARTING: " (health: starting)",
    Health.HEALTHY: " (healthy)",
    Health.UNHEALTHY: " (unhealthy)",
}


def status_text(container: ObservedContainer, now: float, *, restarting: bool = False) -> str:
    """E.g. "Up 3 seconds (healthy)". `restarting`: a policy is going to start it again."""
    if container.state is ContainerState.RUNNING:
        health = _HEALTH[container.health] if container.health else ""
        paused_or_health = " (Paused)" if container.paused else health
        return f"Up {human_duration(now - container.started_at)}{paused_or_health}{_log_of(container)}"
    if container.state is ContainerState.CREATED:
        return "Created"
    word = "Restarting" if restarting else "Exited"
    ended = f"{word} ({container.exit_code or 0}) {human_duration(now - container.finished_at)} ago"
    return ", ".join(filter(None, (ended, lack_of_memory(container)))) + _log_of(container)


def _log_of(container: ObservedContainer) -> str:
    return ", log incomplete" if container.log_lost_bytes else ""
