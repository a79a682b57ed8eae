import pytest

from orchestr8.model.specs import RestartMode, RestartPolicy
from orchestr8.plan.restart import next_restart
from orchestr8.plan.values import restart_policy

ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)


def delays(count: int, ran_for_s: float = 0.0) -> list[float | None]:
    found: list[float | None] = []
    previous = 0.0
    for restarts in range(count):
        delay = next_restart(ALWAYS, exit_code=1, restarts=restarts, ran_for_s=ran_for_s, previous_delay_s=previous)
        found.append(delay)
        previous = delay or 0.0
    return found


def test_the_delay_doubles_up_to_a_minute() -> None:
    assert delays(12) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]


def test_the_delay_starts_over_after_a_run_of_ten_seconds() -> None:
    assert next_restart(ALWAYS, exit_code=1, restarts=9, ran_for_s=9.9, previous_delay_s=51.2) == 60.0
    assert next_restart(ALWAYS, exit_code=1, restarts=9, ran_for_s=10.0, previous_delay_s=51.2) == 0.1


@pytest.mark.parametrize(
    ("policy", "exit_code", "stopped", "engine_restarted", "restarted"),
    [
        ("no", 1, False, False, False),
        ("no", 1, False, True, False),
        ("always", 0, False, False, True),
        ("always", 0, True, False, False),
        ("always", 0, True, True, True),
        ("unless-stopped", 0, False, False, True),
        ("unless-stopped", 1, True, False, False),
        ("unless-stopped", 1, True, True, False),
        ("on-failure", 0, False, False, False),
        ("on-failure", 137, False, False, True),
        ("on-failure", 143, True, True, False),
    ],
)
def test_policies(policy: str, exit_code: int, stopped: bool, engine_restarted: bool, restarted: bool) -> None:
    delay = next_restart(
        restart_policy(policy, "restart"),
        exit_code=exit_code,
        restarts=0,
        ran_for_s=0.0,
        stopped_by_user=stopped,
        engine_restarted=engine_restarted,
    )
    assert (delay is not None) is restarted


def test_on_failure_counts_against_its_maximum() -> None:
    policy = restart_policy("on-failure:3", "restart")
    tried = [next_restart(policy, exit_code=1, restarts=count, ran_for_s=60.0) for count in range(5)]
    assert tried == [0.1, 0.1, 0.1, None, None]
