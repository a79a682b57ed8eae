"""When a container that ended by itself runs again. Docker's constants (moby restartmanager/restartmanager.go)."""

from typing import Final

from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import ContainerState, ObservedContainer, Snapshot
from orchestr8.model.specs import RestartMode, RestartPolicy

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 60.0
STEADY_AFTER_S: Final = 10.0  # a run this long counts as a success: the delay starts over


def next_restart(
    policy: RestartPolicy,
    *,
    exit_code: int,
    restarts: int,
    ran_for_s: float,
    previous_delay_s: float = 0.0,
    stopped_by_user: bool = False,
    engine_restarted: bool = False,
) -> float | None:
    """Seconds until the next start, None for never. `restarts`: by policy, since a command last started it.

    A stop by the user holds until a start by the user; only `always` is taken up again by an engine that has just
    started.
    """
    if not _wanted(policy, exit_code, restarts, stopped_by_user, engine_restarted):
        return None
    if previous_delay_s == 0.0 or ran_for_s >= STEADY_AFTER_S:
        return FIRST_DELAY_S
    return min(LONGEST_DELAY_S, previous_delay_s * 2)


def _wanted(policy: RestartPolicy, exit_code: int, restarts: int, stopped: bool, engine_restarted: bool) -> bool:
    match policy.mode:
        case RestartMode.NO:
            return False
        case RestartMode.ALWAYS:
            return not stopped or engine_restarted
        case RestartMode.UNLESS_STOPPED:
            return not stopped
        case RestartMode.ON_FAILURE:
            exhausted = policy.max_retries > 0 and restarts >= policy.max_retries
            return exit_code != 0 and not stopped and not exhausted


def restart_delay(
    container: ObservedContainer,
    policy: RestartPolicy,
    *,
    previous_delay_s: float = 0.0,
    engine_restarted: bool = False,
) -> float | None:
    """`next_restart` of an observed container. One whose last start failed (a taken port) is not tried again, and a
    one-off never.
    """
    if container.state is not ContainerState.EXITED or container.error or container.oneoff:
        return None
    return next_restart(
        policy,
        exit_code=container.exit_code or 0,
        restarts=container.restarts,
        ran_for_s=container.finished_at - container.started_at,
        previous_delay_s=previous_delay_s,
        stopped_by_user=container.stopped_by_user,
        engine_restarted=engine_restarted,
    )


def due_after_engine_start(snapshot: Snapshot, *, after_crash: bool = False) -> frozenset[ContainerName]:
    """Those that an engine starts again when it starts itself: after a reboot, all that the policies cover.

    After a crash of the engine alone nobody is to notice anything: what a user stopped stays so, even with `always`.
    """
    return frozenset(
        name
        for name, container in snapshot.containers.items()
        if name in snapshot.specs
        and restart_delay(container, snapshot.specs[name].restart, engine_restarted=not after_crash) is not None
    )
