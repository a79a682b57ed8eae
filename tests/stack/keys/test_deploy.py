"""`deploy`: replicas, limits and restarts; the rest speaks to the scheduler of a cluster."""

import pytest

ALWAYS = {"resources": {}, "placement": {}}


@pytest.mark.parametrize(
    ("written", "long"),
    [
        ("{replicas: '2', labels: [a=b], mode: replicated}", {"replicas": 2, "labels": {"a": "b"}, "mode": "replicated"}),
        ("{update_config: {delay: 60s, parallelism: 0, order: start-first, max_failure_ratio: 0.3}}",
         {"update_config": {"delay": "1m0s", "parallelism": 0, "order": "start-first", "max_failure_ratio": 0.3}}),
        ("{restart_policy: {condition: on-failure, max_attempts: 3, window: 2m}}",
         {"restart_policy": {"condition": "on-failure", "max_attempts": 3, "window": "2m0s"}}),
        ("{placement: {constraints: [a], preferences: [{spread: b}]}}",
         {"placement": {"constraints": ["a"], "preferences": [{"spread": "b"}]}}),
        ("{resources: {limits: {cpus: '0.5', memory: 1g, pids: 5}}}",
         {"resources": {"limits": {"cpus": 0.5, "memory": "1073741824", "pids": 5}}}),
        ("{resources: {reservations: {memory: 1m, devices: [{capabilities: [gpu]}]}}}",
         {"resources": {"reservations": {"memory": "1048576", "devices": [{"capabilities": ["gpu"], "count": -1}]}}}),
        ("{}", {}),
    ],
)  # fmt: skip
def test_values_are_typed(key, written: str, long: dict) -> None:
    assert key.value(written) == {**ALWAYS, **long}


def test_nothing_said_is_nothing(key) -> None:
    assert key.value("") is None
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged(
        "{replicas: 2, resources: {limits: {memory: 1m}}, labels: [a=1]}",
        "{replicas: 0, resources: {limits: {cpus: '1'}}, labels: {b: 2}}",
    ) == {
        "replicas": 0,
        "labels": {"a": "1", "b": "2"},
        "placement": {},
        "resources": {"limits": {"memory": "1048576", "cpus": 1}},
    }


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("{replicas: -1}", "24: error[O8-305] `services.web.deploy.replicas`: must be greater than or equal to 0, found -1"),
        ("{update_config: {order: first}}", ("37: error[O8-305] `services.web.deploy.update_config.order` must be one of "
         "start-first, stop-first, found the text `first`")),
        ("{resources: {reservations: {devices: [{count: 1}]}}}", ("52: error[O8-105] "
         "`services.web.deploy.resources.reservations.devices[0]` has no `capabilities`")),
        ("{resources: {reservations: {devices: [{capabilities: [gpu], count: many}]}}}", ("80: error[O8-305] "
         "`services.web.deploy.resources.reservations.devices[0].count` must be all, or a number, found the text `many`")),
        ("{resources: {reservations: {devices: [{capabilities: [g], count: 1, device_ids: [a]}]}}}", ("71: error[O8-204] "
         "`services.web.deploy.resources.reservations.devices[0]`: `count` and `device_ids` exclude each other")),
    ],
)  # fmt: skip
def test_what_is_no_deploy_is_an_error(key, written: str, error: str) -> None:
    assert key.outcome(written).errors == [f"stack.yml:4:{error}"]


def test_memory_has_a_unit(key) -> None:
    assert key.printed("{resources: {limits: {memory: 512}}}") == """\
error[O8-104]: `services.web.deploy.resources.limits.memory` must be a size such as 512m, found the number 512
 --> stack.yml:4:43
4 |     deploy: {resources: {limits: {memory: 512}}}
  |                                           ^^^
  = help: give it a unit, as text: 512m
"""  # fmt: skip
