import pytest

from orchestr8.api.status import human_duration, status_text
from orchestr8.model.ids import ContainerId, ContainerName, ServiceName, StackName
from orchestr8.model.observed import ContainerState, Health, ObservedContainer


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second"), (0.9, "Less than a second"), (1.9, "1 second"), (2, "2 seconds"),
        (59.9, "59 seconds"), (60, "About a minute"), (119, "About a minute"), (120, "2 minutes"),
        (59 * 60 + 59, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"),
        (47.4 * 3600, "47 hours"), (47.5 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"), (60 * 86400, "2 months"), (729 * 86400, "24 months"), (730 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_durations_are_said_as_docker_says_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def container(**fields: object) -> ObservedContainer:
    base = {"id": ContainerId("0" * 12), "name": ContainerName("shop-web-1"), "stack": StackName("shop")}
    rest = {"service": ServiceName("web"), "number": 1, "image": "rootfs:/"}
    return ObservedContainer(**(base | rest | fields))  # type: ignore[arg-type]


RUNNING = ContainerState.RUNNING


@pytest.mark.parametrize(
    ("fields", "restarting", "text"),
    [
        ({}, False, "Created"),
        ({"state": RUNNING, "started_at": 95.0, "log_lost_bytes": 1}, False, "Up 5 seconds, log incomplete"),
        ({"state": RUNNING, "started_at": 97.0}, False, "Up 3 seconds"),
        ({"state": RUNNING, "started_at": 97.0, "health": Health.STARTING}, False, "Up 3 seconds (health: starting)"),
        ({"state": RUNNING, "started_at": 97.0, "health": Health.HEALTHY}, False, "Up 3 seconds (healthy)"),
        ({"state": RUNNING, "started_at": 97.0, "health": Health.UNHEALTHY}, False, "Up 3 seconds (unhealthy)"),
        ({"state": ContainerState.EXITED, "finished_at": 40.0, "exit_code": 1}, False, "Exited (1) About a minute ago"),
        ({"state": ContainerState.EXITED, "finished_at": 40.0, "exit_code": 137, "oom_killed": True,
          "memory_max_bytes": 64 << 20}, False, "Exited (137) About a minute ago, out of memory: 64M limit"),
        ({"state": ContainerState.EXITED, "finished_at": 99.5, "exit_code": 1}, True, "Restarting (1) Less than a second ago"),
        ({"state": ContainerState.EXITED, "finished_at": 98.0, "exit_code": None}, False, "Exited (0) 2 seconds ago"),
    ],
)  # fmt: skip
def test_the_status_is_dockers(fields: dict[str, object], restarting: bool, text: str) -> None:
    assert status_text(container(**fields), now=100.0, restarting=restarting) == text
