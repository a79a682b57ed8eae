import dataclasses
from typing import Any

import pytest

from orchestr8.model.ids import NetworkName
from orchestr8.model.specs import (
    AttachmentSpec,
    ContainerSpec,
    HealthcheckSpec,
    MountKind,
    MountSpec,
    PortSpec,
    ResourceSpec,
    RestartMode,
    RestartPolicy,
)
from orchestr8.plan.diff import changed_keys

OLD = ContainerSpec(
    image="rootfs:/",
    environment=(("A", "1"), ("B", "2")),
    mounts=(MountSpec(kind=MountKind.TMPFS, target="/run"),),
    networks=(AttachmentSpec(network=NetworkName("shop_default")),),
    healthcheck=HealthcheckSpec(test=("CMD", "x")),
)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, []),
        ({"image": "rootfs:/b"}, ["image"]),
        ({"command": ("a",), "entrypoint": ()}, ["entrypoint", "command"]),
        ({"environment": (("B", "3"), ("C", "4"))}, ["environment.A", "environment.B", "environment.C"]),
        ({"unset_environment": ("D",)}, ["environment.D"]),
        ({"labels": (("k", "v"),)}, ["labels.k"]),
        ({"mounts": ()}, ["volumes./run"]),
        ({"mounts": (MountSpec(kind=MountKind.TMPFS, target="/run", mode=0o755),)}, ["volumes./run"]),
        ({"networks": ()}, ["networks.shop_default"]),
        ({"ports": (PortSpec(target=80),)}, ["ports"]),
        ({"healthcheck": None}, ["healthcheck"]),
        (
            {"healthcheck": HealthcheckSpec(test=("CMD", "y"), interval_s=1, start_period_s=2)},
            ["healthcheck.test", "healthcheck.interval", "healthcheck.start_period"],
        ),
        ({"restart": RestartPolicy(mode=RestartMode.ALWAYS)}, ["restart"]),
        ({"resources": ResourceSpec(memory_max_bytes=1, cpus=1.0, pids_max=1)}, ["mem_limit", "cpus", "pids_limit"]),
        ({"stop_timeout_s": 1.0, "stop_signal": "SIGINT"}, ["stop_signal", "stop_grace_period"]),
    ],
)
def test_changed_keys_are_the_stack_files_words(changes: dict[str, Any], keys: list[str]) -> None:
    assert changed_keys(OLD, dataclasses.replace(OLD, **changes)) == keys
