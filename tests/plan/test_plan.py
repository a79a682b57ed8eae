import json
import sys

import pytest

from orchestr8.model.actions import (
    CreateNetwork,
    KillContainer,
    RemoveContainer,
    RemoveNetwork,
    StartContainer,
    WaitFor,
)
from orchestr8.model.ids import NetworkName, ServiceName, StackName
from orchestr8.model.specs import Condition, NetworkSpec
from orchestr8.plan.plan import Plan, containers_of, kind_of, target_of
from tests.worlds import name

FRONT = NetworkName("front")
MAKE = CreateNetwork(StackName("shop"), NetworkSpec(name=FRONT, key="front"))


def test_a_plan_prints_numbers_order_and_reasons() -> None:
    plan = Plan()
    removed = plan.add(RemoveNetwork(FRONT), "settings changed")
    made = plan.add(MAKE, "settings changed", removed)
    plan.add(StartContainer(name=name("web")), "not running", made, removed, None, made)
    assert plan.render() == (
        "1. RemoveNetwork front -- settings changed\n"
        "2. CreateNetwork front after 1 -- settings changed\n"
        "3. StartContainer shop-web-1 after 1, 2 -- not running"
    )


def test_a_long_reason_is_printed_once_for_each_target_and_kept_whole_in_json() -> None:
    plan = Plan()
    reason = f"environment.PATH changed: {'/opt/bin:' * 10}"
    web, api = (RemoveContainer(name=name(each)) for each in ("web", "api"))
    for action in (web, api, StartContainer(name=name("web"))):
        plan.add(action, reason)
    assert plan.render() == (
        f"1. RemoveContainer shop-web-1 -- {reason}\n"
        f"2. RemoveContainer shop-api-1 -- {reason}\n"
        "3. StartContainer shop-web-1 -- as step 1"
    )
    assert [step["reason"] for step in plan.to_json()["steps"]] == [reason, reason, reason]


def test_a_plan_as_json() -> None:
    plan = Plan()
    plan.add(MAKE, "not found")
    plan.add(RemoveContainer(name=name("web")), "stack goes down", 1)
    plan.warnings.append("mind the gap")
    assert json.loads(json.dumps(plan.to_json())) == {
        "steps": [
            {
                "number": 1,
                "action": "CreateNetwork",
                "kind": "Network",
                "target": "front",
                "reason": "not found",
                "after": [],
            },
            {
                "number": 2,
                "action": "RemoveContainer",
                "kind": "Container",
                "target": "shop-web-1",
                "reason": "stack goes down",
                "after": [1],
            },
        ],
        "text": "1. CreateNetwork front -- not found\n2. RemoveContainer shop-web-1 after 1 -- stack goes down",
        "warnings": ["mind the gap"],
    }


def test_a_step_waits_for_earlier_ones_only() -> None:
    with pytest.raises(ValueError, match="step 1 waits for a later step"):
        Plan().add(MAKE, "not found", 1)


def test_a_wait_touches_no_container() -> None:
    wait = WaitFor(service=ServiceName("db"), containers=(name("db"),), condition=Condition.HEALTHY)
    assert (target_of(wait), kind_of(wait), containers_of(wait)) == ("db", "Container", ())
    assert containers_of(KillContainer(name=name("db"))) == ("shop-db-1",)


def test_planning_needs_no_networkx() -> None:
    """It takes 0.2 s to import, which an engine that starts does not have."""
    code = "import sys, orchestr8.plan.verbs, orchestr8.plan.desired, orchestr8.plan.graph; print('networkx' in sys.modules)"
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
