import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.errors import InvalidInput
from orchestr8.model.ids import ServiceName, VolumeName
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.specs import (
    AttachmentSpec,
    Condition,
    ContainerSpec,
    Dependency,
    HealthcheckSpec,
    MountKind,
    MountSpec,
    NetworkSpec,
    PortSpec,
    RestartMode,
    RestartPolicy,
    VolumeSpec,
)
from orchestr8.plan.desired import build_desired
from orchestr8.plan.values import duration_s, mode_bits, restart_policy, size_bytes
from tests.worlds import document, needs, service


def container(**changes: Any) -> ContainerSpec:
    content = document({"web": {"image": "rootfs:/", **changes}}, volumes={"data": {"name": "shop_data"}})
    return build_desired(content).services[ServiceName("web")].container


def test_every_key_arrives_where_it_belongs() -> None:
    content = document(
        {
            "web": {
                "image": "rootfs:/srv",
                "command": ["serve", "--fast"],
                "entrypoint": ["/bin/entry"],
                "environment": {"B": "2", "A": "1", "GONE": None},
                "working_dir": "/app",
                "user": "7:8",
                "hostname": "front",
                "init": False,
                "tty": True,
                "stdin_open": True,
                "read_only": True,
                "restart": "on-failure:3",
                "stop_signal": "SIGINT",
                "stop_grace_period": "1m30s",
                "depends_on": {"db": {"condition": "service_healthy", "required": True, "restart": True}},
                "healthcheck": {
                    "test": ["CMD", "curl", "localhost"],
                    "interval": "10s",
                    "timeout": "500ms",
                    "retries": 5,
                    "start_period": "1m",
                    "start_interval": "1s",
                },
                "networks": {"default": None, "back": {"aliases": ["www"]}},
                "ports": [{"mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "published": "8000-8010"}],
                "volumes": [
                    {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}},
                    {"type": "bind", "source": "/abs", "target": "/b", "read_only": True},
                    {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1048576", "mode": 511}},
                ],
                "tmpfs": ["/run:size=64m,mode=755,noexec"],
                "labels": {"k": "v"},
                "container_name": "front",
                "mem_limit": "536870912",
                "cpus": 0.5,
                "pids_limit": 100,
            },
            "db": service(),
        },
        networks={"default": {"name": "shop_default"}, "back": {"name": "shop_back"}},
        volumes={"data": {"name": "shop_data"}},
    )
    web = build_desired(content).services[ServiceName("web")]
    assert (web.container_name, web.replicas) == ("front", 1)
    assert web.depends_on == (
        Dependency(service=ServiceName("db"), condition=Condition.HEALTHY, required=True, restart=True),
    )
    assert web.container == ContainerSpec(
        image="rootfs:/srv",
        entrypoint=("/bin/entry",),
        command=("serve", "--fast"),
        environment=(("A", "1"), ("B", "2")),
        unset_environment=("GONE",),
        working_dir="/app",
        user="7:8",
        hostname="front",
        init=False,
        tty=True,
        stdin_open=True,
        read_only=True,
        mounts=(
            MountSpec(kind=MountKind.BIND, target="/b", source="/abs", read_only=True),
            MountSpec(kind=MountKind.VOLUME, target="/d", source="shop_data", nocopy=True),
            MountSpec(kind=MountKind.TMPFS, target="/run", size_bytes=64 << 20, mode=0o755, options=("noexec",)),
            MountSpec(kind=MountKind.TMPFS, target="/t", size_bytes=1 << 20, mode=0o777),
        ),
        networks=(
            AttachmentSpec(network="shop_back", aliases=("www",)),  # type: ignore[arg-type]
            AttachmentSpec(network="shop_default"),  # type: ignore[arg-type]
        ),
        ports=(PortSpec(target=80, published_first=8000, published_last=8010, host_ip="127.0.0.1"),),
        labels=(("k", "v"),),
        stop_signal="SIGINT",
        stop_timeout_s=90.0,
        restart=RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=3),
        healthcheck=HealthcheckSpec(
            test=("CMD", "curl", "localhost"),
            interval_s=10.0,
            timeout_s=0.5,
            retries=5,
            start_period_s=60.0,
            start_interval_s=1.0,
        ),
        resources=ResourceSpec(memory_max_bytes=512 << 20, cpus=0.5, pids_max=100),
    )


def test_a_bare_service_has_composes_defaults() -> None:
    spec = container()
    assert (spec.command, spec.entrypoint, spec.stop_signal, spec.stop_timeout_s) == (None, None, "SIGTERM", 10.0)
    assert spec.networks == (AttachmentSpec(network="shop_default"),)  # type: ignore[arg-type]
    assert (spec.healthcheck, spec.restart) == (None, RestartPolicy())


def test_an_empty_command_is_not_the_images() -> None:
    assert (container(command=[]).command, container(command=None).command) == ((), None)


@pytest.mark.parametrize(
    "check", [{"disable": True, "test": ["CMD", "x"]}, {"test": ["NONE"]}, {"interval": "5s"}, None]
)
def test_a_check_that_is_off_is_none(check: Any) -> None:
    assert container(healthcheck=check).healthcheck is None


def test_a_zero_in_a_check_means_dockers_default() -> None:
    spec = container(healthcheck={"test": ["CMD", "x"], "interval": "0s", "timeout": "0s", "retries": 0})
    assert spec.healthcheck == HealthcheckSpec(test=("CMD", "x"))


def test_a_port_without_published_may_be_any() -> None:
    (port,) = container(ports=[{"target": 80}]).ports
    assert (port.published_first, port.published_last, port.host_ip, port.protocol) == (0, 0, "0.0.0.0", "tcp")


@pytest.mark.parametrize(
    ("changes", "replicas"),
    [({}, 1), ({"scale": 0}, 0), ({"scale": 4}, 4), ({"deploy": {"replicas": 2}}, 2), ({"deploy": {}}, 1)],
)
def test_replicas_come_from_either_key(changes: dict[str, Any], replicas: int) -> None:
    assert build_desired(document({"web": service(**changes)})).services[ServiceName("web")].replicas == replicas


def test_networks_and_volumes_carry_composes_labels_unless_external() -> None:
    content = document(
        {},
        networks={"front": {"labels": {"mine": "yes"}, "ipam": {"config": [{"subnet": "10.9.0.0/24"}]}}},
        volumes={"data": {"name": "pool", "external": True}, "own": {}},
    )
    found = build_desired(content)
    assert list(found.networks.values()) == [
        NetworkSpec(
            name="shop_front",  # type: ignore[arg-type]
            key="front",
            subnet="10.9.0.0/24",
            labels=(
                ("com.docker.compose.network", "front"),
                ("com.docker.compose.project", "shop"),
                ("mine", "yes"),
            ),
        )
    ]
    assert found.volumes[VolumeName("pool")] == VolumeSpec(name=VolumeName("pool"), key="data", external=True)
    assert found.volumes[VolumeName("shop_own")].labels == (
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.volume", "own"),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "the document: `name` is missing"),
        ({"name": "shop", "services": []}, None),
        ({"name": "shop", "services": ["web"]}, "services: expected a mapping, found list"),
        (document({"web": {}}), "services.web: `image` is missing"),
        (document({"web": service(networks={"nope": None})}), "services.web: network 'nope' is not declared"),
        (document({"web": service(depends_on=needs("db"))}), "service 'web' depends on undefined service 'db'"),
        (
            document({"a": service(depends_on=needs("b")), "b": service(depends_on=needs("a"))}),
            "dependency cycle: a -> b -> a",
        ),
        (document({"web": service(ports=[{"target": 0}])}), "services.web.ports: {'target': 0} is not a port mapping"),
        (document({"web": service(ports=[{}])}), "services.web: not as `config` prints it: KeyError('target')"),
        (document({"web": service(healthcheck={"test": ["curl"]})}), "services.web.healthcheck.test: must begin with"),
        (document({"web": service(restart="sometimes")}), "services.web.restart: 'sometimes' is not a restart policy"),
        (document({"web": service(scale=2, container_name="x")}), "container_name allows one replica, not 2"),
    ],
)
def test_a_document_of_another_shape_is_refused_by_place(content: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert build_desired(content).services == {}
        return
    with pytest.raises(InvalidInput) as caught:
        build_desired(content)
    assert message in caught.value.message


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["environment", "ports", "volumes", "healthcheck", "depends_on", "networks", "command", "tmpfs"]),
)
def test_no_document_makes_the_engine_fall_over(value: Any, key: str) -> None:
    content = json.loads(json.dumps(document({"web": service(**{key: value})})))
    with contextlib.suppress(InvalidInput):
        build_desired(content)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("1h5m30s20ms", 3930.02), ("1.5s", 1.5), ("0", 0), (3, 3), ("0s", 0), ("10us", 1e-5)],
)
def test_durations(text: Any, seconds: float) -> None:
    assert duration_s(text, "x") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [("536870912", 512 << 20), ("512m", 512 << 20), ("1g", 1 << 30), ("64KB", 64 << 10), ("1.5k", 1536), ("-1", 0)],
)
def test_sizes(text: str, count: int) -> None:
    assert size_bytes(text, "x") == count


def test_modes_are_octal_as_text_and_plain_as_numbers() -> None:
    assert (mode_bits("755", "x"), mode_bits("0o755", "x"), mode_bits(493, "x")) == (0o755, 0o755, 0o755)


@pytest.mark.parametrize("text", ["always:3", "on-failure:x", "never"])
def test_bad_restart_policies(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a restart policy"):
        restart_policy(text, "x")


@pytest.mark.parametrize("function", [duration_s, size_bytes, mode_bits])
def test_bad_scalars_name_their_place(function: Any) -> None:
    with pytest.raises(InvalidInput, match=r"services\.web\.x"):
        function("many", "services.web.x")
