"""What is allotted when several want something at once."""

from dataclasses import dataclass, field
from typing import cast

import anyio
import pytest

from orchestr8.backends.native.networks import Networks
from orchestr8.errors import Conflict
from orchestr8.model.ids import NetworkName, StackName
from orchestr8.model.records import NetworkRecord, Registry
from orchestr8.model.specs import AttachmentSpec, ContainerSpec, NetworkSpec
from orchestr8.network.manager import NetworkManager
from orchestr8.network.names import LinkNames

pytestmark = pytest.mark.anyio
WIDE, NARROW = NetworkName("wide"), NetworkName("narrow")


@dataclass
class FakeRegistry:
    """Takes as long to store as a disk does: another task has its turn meanwhile."""

    networks: dict[NetworkName, NetworkRecord] = field(default_factory=dict)
    containers: dict[str, object] = field(default_factory=dict)

    async def save(self, record: NetworkRecord) -> None:
        await anyio.lowlevel.checkpoint()
        self.networks[record.name] = record


class FakeManager:
    links = LinkNames("0123abcd")

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    async def host_routes(self) -> list[str]:
        await anyio.lowlevel.checkpoint()
        return []

    async def create_network(self, name: str, subnet: str, _bridge: str) -> None:
        self.made.append((name, subnet))


def networks_of(registry: FakeRegistry, manager: FakeManager) -> Networks:
    return Networks(cast("NetworkManager", manager), cast("Registry", registry))


async def test_a_network_that_two_stacks_make_at_once_has_one_subnet() -> None:
    registry, manager = FakeRegistry(), FakeManager()
    networks = networks_of(registry, manager)
    async with anyio.create_task_group() as tasks:
        for stack in ("a", "b"):
            tasks.start_soon(networks.create, StackName(stack), NetworkSpec(name=WIDE, key="wide"))
        tasks.start_soon(networks.create, StackName("a"), NetworkSpec(name=NARROW, key="narrow"))
    assert sorted(manager.made) == [
        ("narrow", "172.18.0.0/16"), ("wide", "172.17.0.0/16"), ("wide", "172.17.0.0/16")
    ]  # fmt: skip


async def test_a_full_network_costs_no_address_of_another_one() -> None:
    registry = FakeRegistry()
    for name, subnet in ((WIDE, "10.0.0.0/24"), (NARROW, "10.0.1.0/30")):
        registry.networks[name] = NetworkRecord(name=name, stack=StackName("s"), key=name, subnet=subnet, bridge="b")
    networks = networks_of(registry, FakeManager())
    both = ContainerSpec(image="rootfs:/", networks=(AttachmentSpec(network=WIDE), AttachmentSpec(network=NARROW)))
    assert networks.allot(both, {}) == {WIDE: ("10.0.0.2",), NARROW: ("10.0.1.2",)}
    for _ in range(3):
        with pytest.raises(Conflict, match="no free address"):
            networks.allot(both, {})
    wide = ContainerSpec(image="rootfs:/", networks=(AttachmentSpec(network=WIDE),))
    assert networks.allot(wide, {}) == {WIDE: ("10.0.0.3",)}
