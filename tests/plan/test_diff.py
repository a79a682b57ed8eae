import dataclasses
from typing import Any

import pytest

from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, ServiceName, StackName
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.observed import ObservedContainer
from orchestr8.model.specs import (
    AttachmentSpec,
    ContainerSpec,
    HealthcheckSpec,
    MountKind,
    MountSpec,
    PortSpec,
    RestartMode,
    RestartPolicy,
    ServiceSpec,
)
from orchestr8.plan.diff import changed_keys, is_stale, why_stale

BIND = MountSpec(kind=MountKind.BIND, source="/a", target="/t")
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


def why(old: dict[str, Any], new: dict[str, Any]) -> str:
    before, after = (dataclasses.replace(OLD, **changes) for changes in (old, new))
    seen = ObservedContainer(
        id=ContainerId("1"), name=ContainerName("shop-web-1"), stack=StackName("shop"), service=ServiceName("web"),
        number=1, image=before.image,
    )  # fmt: skip
    return why_stale(ServiceSpec(name=ServiceName("web"), container=after), seen, before)


def test_a_name_that_went_to_another_image_is_a_change() -> None:
    service = ServiceSpec(name=ServiceName("web"), container=OLD, config_hash="1:a")
    seen = ObservedContainer(
        id=ContainerId("1"), name=ContainerName("shop-web-1"), stack=StackName("shop"), service=ServiceName("web"),
        number=1, image=OLD.image, config_hash="1:a",
    )  # fmt: skip
    assert not is_stale(service, seen, OLD)
    outdated = dataclasses.replace(seen, image_outdated=True)
    assert is_stale(service, outdated, OLD)
    assert why_stale(service, outdated, OLD) == f"image {OLD.image} is another one by now"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            {"environment": (("A", "1"),), "origins": (("environment.A", "stack.yml:4"),)},
            {"environment": (("A", "2"),), "origins": (("environment.A", ".env:1"),)},
            'environment.A changed: "1" (stack.yml:4) -> "2" (.env:1)',
        ),
        ({"environment": ()}, {"environment": (("A", ""),)}, 'environment.A added: ""'),
        ({"environment": (("A", "x"),)}, {"environment": ()}, 'environment.A removed: was "x"'),
        (
            {"environment": (("DB_PASSWORD", "a"),)},
            {"environment": (("DB_PASSWORD", "b"),), "origins": (("environment.DB_PASSWORD", ".env:3"),)},
            "environment.DB_PASSWORD changed: (masked) -> (masked) (.env:3)",
        ),
        (  # made of a variable that is a secret
            {"environment": (("DSN", "a"),), "origins": (("environment.DSN", "s.yml:1 (masked)"),)},
            {"environment": (("DSN", "b"),), "origins": (("environment.DSN", "s.yml:1 (masked)"),)},
            "environment.DSN changed: (masked) (s.yml:1) -> (masked) (s.yml:1)",
        ),
        (
            {"environment": (("DSN", "pg://u:one@h/d"),)}, {"environment": (("DSN", "pg://u:two@h/e"),)},
            'environment.DSN changed: "pg://u:***@h/d" -> "pg://u:***@h/e"',
        ),
        ({}, {"command": ("a", "b c"), "origins": (("command", "s.yml:2"),)}, 'command added: ["a", "b c"] (s.yml:2)'),
        ({"user": ""}, {"user": "1"}, 'user added: "1"'),
        ({"resources": ResourceSpec(cpus=1)}, {}, "cpus removed: was 1"),
        ({"stop_timeout_s": 10.0}, {"stop_timeout_s": 2.5}, "stop_grace_period changed: 10 -> 2.5"),
        (
            {"networks": (), "origins": (("networks.default", "s.yml:9"),)},
            {"origins": (("networks.default", "s.yml:8"),)},
            "networks.shop_default changed (s.yml:8)",
        ),
        (
            {"ports": (PortSpec(target=80),), "origins": (("ports", "s.yml:5"),)},
            {"ports": (PortSpec(target=81),), "origins": (("ports", "o.yml:5"),)},
            "ports changed: 80 (s.yml:5) -> 81 (o.yml:5)",
        ),
        (  # those that stay are no change
            {"ports": (PortSpec(target=80), PortSpec(target=1, published_first=8001, published_last=8003, protocol="udp"))},
            {"ports": (PortSpec(target=80), PortSpec(target=1, published_first=9000, published_last=9000, host_ip="::1"))},
            "ports changed: 8001-8003:1/udp -> [::1]:9000:1",
        ),
        ({"ports": ()}, {"ports": (PortSpec(target=80, host_ip="127.0.0.1"),)}, "ports added: 127.0.0.1::80"),
        ({"mounts": (BIND,)}, {"mounts": (dataclasses.replace(BIND, source="/b", read_only=True),)}, "volumes./t changed: /a -> /b:ro"),
        ({"mounts": (BIND,)}, {"mounts": (dataclasses.replace(BIND, propagation="rslave"),)}, "volumes./t changed"),
        ({"restart": RestartPolicy()}, {"restart": RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=3)}, "restart changed: no -> on-failure:3"),
        (  # long ones are cut to where they differ
            {"command": ("sh", "-c", "x" * 90 + "one" + "y" * 90)}, {"command": ("sh", "-c", "x" * 90 + "two" + "y" * 90)},
            f"command changed: ...{'x' * 20}one{'y' * 31}... -> ...{'x' * 20}two{'y' * 31}...",
        ),
        (
            {"command": ("x" * 90,)}, {"command": ("x" * 90 + " --more",)},
            f"command changed: ...{'x' * 20}\"] -> ...{'x' * 20} --more\"]",
        ),
        ({"labels": (("k", "v"),)}, {"labels": (("k", "w"),)}, "labels.k changed"),
        (
            {"contents": (("secrets.key", "sha256:1"),), "origins": (("secrets.key", "s.yml:7"),)},
            {"contents": (("secrets.key", "sha256:2"),), "origins": (("secrets.key", "s.yml:7"),)},
            "secrets.key changed (s.yml:7)",
        ),
        ({"user": "x" * 100}, {"user": "\n"}, f'user changed: "{"x" * 56}... -> "\\n"'),
        (
            {"environment": tuple((f"V{number}", "1") for number in range(8))},
            {"environment": tuple((f"V{number}", "2") for number in range(8))},
            "; ".join(f'environment.V{number} changed: "1" -> "2"' for number in range(5)) + "; 3 more settings changed",
        ),
    ],
)  # fmt: skip
def test_a_change_is_told_with_values_and_places(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    assert why(old, new) == reason


def test_where_a_setting_stands_makes_no_other_container() -> None:
    assert dataclasses.replace(OLD, origins=(("image", "a:1"),)) == dataclasses.replace(
        OLD, origins=(("image", "b:2"),)
    )
