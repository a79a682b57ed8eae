"""`deploy` of a service."""

import pytest


def deploy(service, text: str) -> dict:
    found = service(f"deploy: {text}", acting=False).web["deploy"]
    assert found.pop("resources", {}) is not None
    assert found.pop("placement", {}) is not None
    return found


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("{replicas: '2', labels: [a=b], mode: replicated}", {"replicas": 2, "labels": {"a": "b"}, "mode": "replicated"}),
        ("{update_config: {delay: 60s, parallelism: 0, order: start-first, max_failure_ratio: 0.3}}",
         {"update_config": {"delay": "1m0s", "parallelism": 0, "order": "start-first", "max_failure_ratio": 0.3}}),
        ("{restart_policy: {condition: on-failure, max_attempts: 3, window: 2m}}",
         {"restart_policy": {"condition": "on-failure", "max_attempts": 3, "window": "2m0s"}}),
    ],
)  # fmt: skip
def test_values_are_typed(service, text: str, long: dict) -> None:
    assert deploy(service, text) == long


def test_limits_and_reservations(service) -> None:
    found = service(
        "deploy: {resources: {limits: {cpus: '0.5', memory: 1g, pids: 5}, "
        "reservations: {memory: 1m, devices: [{capabilities: [gpu]}]}}}", acting=False,
    ).web["deploy"]  # fmt: skip
    assert found["resources"] == {
        "limits": {"cpus": 0.5, "memory": "1073741824", "pids": 5},
        "reservations": {"memory": "1048576", "devices": [{"capabilities": ["gpu"], "count": -1}]},
    }
    assert found["placement"] == {}


def test_nothing_said_is_nothing(service) -> None:
    assert service("deploy:", acting=False).web == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{replicas: -1}", "24: error[O8-305] `services.web.deploy.replicas`: must be greater than or equal to 0, found -1"),
        ("{update_config: {order: first}}", ("37: error[O8-305] `services.web.deploy.update_config.order` must be one of "
         "start-first, stop-first, found the text `first`")),
        ("{resources: {limits: {memory: 5}}}", ("43: error[O8-104] `services.web.deploy.resources.limits.memory` must be a size "
         "such as 512m, found the number 5")),
        ("{resources: {reservations: {devices: [{count: 1}]}}}", ("52: error[O8-105] "
         "`services.web.deploy.resources.reservations.devices[0]` has no `capabilities`")),
        ("{resources: {reservations: {devices: [{capabilities: [gpu], count: many}]}}}", ("80: error[O8-305] "
         "`services.web.deploy.resources.reservations.devices[0].count` must be all, or a number, found the text `many`")),
        ("{resources: {reservations: {devices: [{capabilities: [g], count: 1, device_ids: [a]}]}}}", ("71: error[O8-204] "
         "`services.web.deploy.resources.reservations.devices[0]`: `count` and `device_ids` exclude each other")),
    ],
)  # fmt: skip
def test_what_is_no_deploy_is_an_error(service, text: str, error: str) -> None:
    assert service(f"deploy: {text}", acting=False).errors == [f"stack.yml:4:{error}"]
