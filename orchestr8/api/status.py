"""A container's state in Docker's words, as `ps` shows it. Pure; the time is passed in.

The words and their limits are those of docker/go-units `HumanDuration` and moby `container/state.go`.
"""

from typing import Final

from orchestr8.model.observed import ContainerState, Health, ObservedContainer

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24

_HEALTH: Final = {
    Health.STARTING: " (health: starting)",
    Health.HEALTHY: " (healthy)",
    Health.UNHEALTHY: " (unhealthy)",
}


def human_duration(seconds_passed: float) -> str:
    """A duration as people say it, e.g. "About a minute"."""
    seconds = int(max(0.0, seconds_passed))
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < MINUTE:
        return f"{seconds} seconds"
    minutes = seconds // MINUTE
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (seconds + HOUR // 2) // HOUR
    if hours == 1:
        return "About an hour"
    if hours < 2 * DAY:
        return f"{hours} hours"
    if hours < 14 * DAY:
        return f"{hours // DAY} days"
    if hours < 60 * DAY:
        return f"{hours // (7 * DAY)} weeks"
    if hours < 730 * DAY:
        return f"{hours // (30 * DAY)} months"
    return f"{seconds // HOUR // (365 * DAY)} years"


def status_text(container: ObservedContainer, now: float, *, restarting: bool = False) -> str:
    """E.g. "Up 3 seconds (healthy)". `restarting`: a policy is going to start it again."""
    if container.state is ContainerState.RUNNING:
        health = _HEALTH[container.health] if container.health else ""
        return f"Up {human_duration(now - container.started_at)}{health}"
    if container.state is ContainerState.CREATED:
        return "Created"
    word = "Restarting" if restarting else "Exited"
    return f"{word} ({container.exit_code or 0}) {human_duration(now - container.finished_at)} ago"
