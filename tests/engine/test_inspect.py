"""What `inspect` tells: Docker's names, for all that a spec can say."""

import dataclasses
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestr8.engine.inspect import describe, moment
from orchestr8.model.backend import ProbeResult
from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.limits import ResourceSpec, UlimitSpec
from orchestr8.model.observed import BoundPort, ContainerState, Health, ObservedContainer, ObservedVolume
from orchestr8.model.records import HealthRecord
from orchestr8.model.specs import (
    AttachmentSpec,
    ContainerSpec,
    DeviceSpec,
    HealthcheckSpec,
    IsolationSpec,
    MountKind,
    MountSpec,
    PortSpec,
    RestartMode,
    RestartPolicy,
)

Make = Callable[..., dict[str, Any]]
STACK = StackName("shop")
NETWORK = NetworkName("shop_default")
DATA = VolumeName("shop_data")
SPEC = ContainerSpec(
    image="rootfs:/srv",
    command=("serve",),
    environment=(("A", "b=c"),),
    mounts=(
        MountSpec(kind=MountKind.VOLUME, target="/data", source=DATA),
        MountSpec(kind=MountKind.BIND, target="/etc/x", source="/x", read_only=True),
        MountSpec(kind=MountKind.TMPFS, target="/tmp"),
    ),
    networks=(AttachmentSpec(network=NETWORK, aliases=("www",)),),
    ports=(PortSpec(target=80), PortSpec(target=53, published_first=5353, published_last=5353, protocol="udp")),
    restart=RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=3),
    healthcheck=HealthcheckSpec(test=("CMD", "true"), interval_s=1.5),
    resources=ResourceSpec(memory_max_bytes=64 << 20, cpus=1.5, ulimits=(UlimitSpec(name="nofile", soft=1, hard=2),)),
    isolation=IsolationSpec(
        no_new_privileges=True, seccomp="unconfined", system_paths=False, cap_add=("CAP_NET_ADMIN",),
        devices=(DeviceSpec(source="/dev/fuse", target="/dev/fuse", access="rw"),), sysctls=(("net.core.somaxconn", "9"),),
    ),
)  # fmt: skip
CONTAINER = ObservedContainer(
    id=ContainerId("0123456789ab"), name=ContainerName("shop-web-1"), stack=STACK, service=ServiceName("web"), number=1,
    image="rootfs:/srv", command=("serve", "-v"), state=ContainerState.RUNNING, pid=77, health=Health.HEALTHY,
    created_at=1767182400.25, started_at=1767182401.0, restarts=2, addresses={NETWORK: ("172.18.0.2",)},
    ports=(BoundPort(host_ip="0.0.0.0", published=32768, target=80),),
)  # fmt: skip
VOLUMES = {DATA: ObservedVolume(name=DATA, stack=STACK, key="data", path="/var/data")}


def test_all_that_a_spec_says_has_dockers_name() -> None:
    found = describe(CONTAINER, SPEC, VOLUMES)
    assert (found["Id"], found["Name"], found["Path"], found["Args"]) == (
        "0123456789ab",
        "/shop-web-1",
        "serve",
        ["-v"],
    )
    assert (found["Created"], found["RestartCount"]) == ("2025-12-31T12:00:00.250000Z", 2)
    state = found["State"]
    assert (state["Status"], state["Running"], state["Pid"], state["Health"]) == (
        "running",
        True,
        77,
        {"Status": "healthy", "FailingStreak": 0, "Log": []},
    )
    assert state["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert [(each["Type"], each["Source"], each["Destination"], each["RW"]) for each in found["Mounts"]] == [
        ("volume", "/var/data", "/data", True),
        ("bind", "/x", "/etc/x", False),
        ("tmpfs", "", "/tmp", True),
    ]
    host = found["HostConfig"]
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert (host["Memory"], host["NanoCpus"]) == (67108864, 1_500_000_000)
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined"]
    assert host["PortBindings"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "5353"}],
    }
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    config = found["Config"]
    assert (config["Env"], config["Hostname"], config["Healthcheck"]["Interval"]) == (
        ["A=b=c"],
        "0123456789ab",
        1_500_000_000,
    )
    network = found["NetworkSettings"]
    assert network["Ports"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "53/udp": None}
    assert network["Networks"] == {NETWORK: {"Aliases": ["www"], "IPAddress": "172.18.0.2"}}


def test_health_is_told_with_what_the_last_probes_said() -> None:
    found = describe(
        dataclasses.replace(CONTAINER, health=None, state=ContainerState.EXITED), SPEC, VOLUMES,
        HealthRecord(
            name=CONTAINER.name, stack=STACK, id=CONTAINER.id, started_at=CONTAINER.started_at, status=Health.UNHEALTHY,
            failing_streak=2, results=(
                ProbeResult(exit_code=7, output="no answer\n", started_at=1.5, ended_at=2.5),
                ProbeResult(exit_code=None, output=""),
            ),
        ),
    )  # fmt: skip
    never = "0001-01-01T00:00:00Z"
    assert found["State"]["Health"] == {
        "Status": "unhealthy",
        "FailingStreak": 2,
        "Log": [
            {"Start": "1970-01-01T00:00:01.500000Z", "End": "1970-01-01T00:00:02.500000Z", "ExitCode": 7, "Output": "no answer\n"},
            {"Start": never, "End": never, "ExitCode": -1, "Output": ""},
        ],
    }  # fmt: skip


def test_a_moment_that_has_not_come_is_dockers() -> None:
    assert moment(0.0) == "0001-01-01T00:00:00Z"
    assert moment(1.9999999) == "1970-01-01T00:00:02.000000Z"


@pytest.mark.anyio
async def test_a_container_is_inspected_by_name_and_by_the_beginning_of_its_id(start: Any, make_document: Make) -> None:
    async with start() as engine:
        assert (await engine.work("/stacks/shop/up", {"document": make_document(web=["sleep", "1000"])}))[-1][
            "type"
        ] == "done"

        def ask(reference: str) -> dict[str, Any]:
            found: dict[str, Any] = engine.client.request("GET", f"/containers/{reference}/json")
            return found

        found = await anyio.to_thread.run_sync(ask, "shop-web-1")
        assert found["State"]["Status"] == "running"
        assert await anyio.to_thread.run_sync(ask, found["Id"][:6]) == found
