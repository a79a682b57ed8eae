from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.model.actions import StartContainer, StopContainer
from orchestr8.reconcile.faults import NO_FAULTS, Fault, Faults, parse_fault
from tests.worlds import name

START = StartContainer(name=name("web"))


def hits(environment: dict[str, str]) -> list[tuple[str, str]]:
    killed: list[tuple[str, str]] = []
    faults = Faults.from_environment(environment, lambda victim, target: killed.append((victim, target)))
    for _ in range(2):
        faults.hit("before", START)
        faults.hit("after", START)
        faults.hit("after", StopContainer(name=name("web")))
    return killed


def test_off_when_unset() -> None:
    assert hits({}) == []
    NO_FAULTS.hit("before", START)


def test_a_fault_strikes_at_its_moment_and_action_only() -> None:
    assert hits({"ORCHESTR8_FAULT": "after:StartContainer:shop-web-1"}) == [("engine", "shop-web-1")] * 2
    assert hits({"ORCHESTR8_FAULT": "before:StartContainer:shop-db-1"}) == []


def test_the_victim_can_be_another_process() -> None:
    assert hits({"ORCHESTR8_FAULT": "before:*:*:shim"}) == [("shim", "shop-web-1")] * 2


def test_a_marked_fault_strikes_once(tmp_path: Path) -> None:
    environment = {"ORCHESTR8_FAULT": "after:*:*", "ORCHESTR8_FAULT_MARK": str(tmp_path / "mark")}
    assert hits(environment) == [("engine", "shop-web-1")]
    assert hits(environment) == []


def test_faults_of_a_file_come_one_at_a_time(tmp_path: Path) -> None:
    source = tmp_path / "fault"
    killed: list[tuple[str, str]] = []
    environment = {"ORCHESTR8_FAULT": f"@{source}"}
    faults = Faults.from_environment(environment, lambda victim, target: killed.append((victim, target)))
    faults.hit("before", START)
    assert killed == []
    for victim in ("engine", "shim"):
        source.write_text(f"after:StartContainer:shop-web-1:{victim}\n")
        faults.hit("before", START)
        assert source.exists()
        faults.hit("after", START)
        faults.hit("after", START)
        assert not source.exists()
    assert killed == [("engine", "shop-web-1"), ("shim", "shop-web-1")]


def test_fault_points_are_written_in_four_parts() -> None:
    assert parse_fault("before:RemoveNetwork:shop_default:forkserver") == Fault(
        moment="before", action="RemoveNetwork", target="shop_default", victim="forkserver"
    )


@pytest.mark.parametrize(
    "text", ["", "after", "after:StartContainer", "during:StartContainer:x", "after:A:x:docker", "after:A:x:shim:y"]
)
def test_an_odd_fault_point_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a fault point"):
        parse_fault(text)
