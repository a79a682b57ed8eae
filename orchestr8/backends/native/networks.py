"""What is allotted to networks and containers, and what the network package is asked to make of it."""

from collections.abc import Iterable, Mapping
from typing import Final

import anyio

from orchestr8.errors import NotFound
from orchestr8.model.ids import ContainerId, NetworkName, StackName
from orchestr8.model.records import ContainerRecord, NetworkRecord, Registry
from orchestr8.model.specs import ContainerSpec, NetworkSpec
from orchestr8.network.dns.resolv import container_text
from orchestr8.network.ipam import allot_address, allot_subnet, gateway_of
from orchestr8.network.manager import NetworkManager
from orchestr8.network.netns import DNS_ADDRESS
from orchestr8.network.requests import Attachment, NamespaceFds, NamespaceRequest, Published, PublishRequest

_RESOLV_CONF: Final = "/etc/resolv.conf"


class Networks:
    """Addresses are allotted from the registry's rows, so two creations at once must not interleave: no await between
    reading what is used and putting the new row where the next reader sees it.
    """

    def __init__(self, manager: NetworkManager, registry: Registry) -> None:
        self._manager = manager
        self._registry = registry
        self._allotted: dict[NetworkName, set[str]] = {}  # addresses of containers whose rows are being written
        self._creating = anyio.Lock()

    async def create(self, stack: StackName, spec: NetworkSpec) -> None:
        """Make the network, or make again what is missing of it."""
        async with self._creating:  # two stacks may name the same one
            record = await self._recorded(stack, spec)
        await self._manager.create_network(record.name, record.subnet, record.bridge)

    async def _recorded(self, stack: StackName, spec: NetworkSpec) -> NetworkRecord:
        record = self._registry.networks.get(spec.name)
        if record is None:
            routes = await self._manager.host_routes()
            used = [each.subnet for each in self._registry.networks.values()]
            subnet = allot_subnet(used, routes, requested=spec.subnet)
            record = NetworkRecord(
                name=spec.name,
                stack=stack,
                key=spec.key,
                subnet=subnet,
                requested_subnet=spec.subnet,
                bridge=self._manager.links.bridge(spec.name),
                labels=dict(spec.labels),
            )
            await self._registry.save(record)
        return record

    async def remove(self, name: NetworkName) -> None:
        record = self._registry.networks.get(name)
        if record is not None:
            await self._manager.remove_network(record.name, record.bridge)
            await self._registry.forget(record)

    def allot(
        self, spec: ContainerSpec, present: Mapping[NetworkName, tuple[str, ...]]
    ) -> dict[NetworkName, tuple[str, ...]]:
        """An address in each network that `present` lacks; the caller stores them and then calls `settled`."""
        addresses: dict[NetworkName, tuple[str, ...]] = {}
        for attachment in spec.networks:
            if attachment.network in present:
                continue
            network = self._record(attachment.network)
            used = {
                address
                for container in self._registry.containers.values()
                for address in container.addresses.get(network.name, ())
            }
            address = allot_address(network.subnet, used | self._allotted.get(network.name, set()))
            addresses[network.name] = (address,)
        for name, each in addresses.items():  # only now: a network that is full keeps no address of another one
            self._allotted.setdefault(name, set()).update(each)
        return addresses

    def settled(self, addresses: dict[NetworkName, tuple[str, ...]]) -> None:
        for name, each in addresses.items():
            self._allotted.get(name, set()).difference_update(each)

    def _record(self, name: NetworkName) -> NetworkRecord:
        record = self._registry.networks.get(name)
        if record is None:
            raise NotFound(f"network {name} does not exist", code="O8-700")
        return record

    def _attachments(self, record: ContainerRecord) -> tuple[Attachment, ...]:
        attachments = []
        for each in record.spec.networks:
            network = self._record(each.network)
            prefix = network.subnet.rpartition("/")[2]
            attachments.append(
                Attachment(
                    network=network.name,
                    bridge=network.bridge,
                    address=f"{record.addresses[network.name][0]}/{prefix}",
                    gateway=gateway_of(network.subnet),
                )
            )
        return tuple(attachments)

    async def open_namespace(self, record: ContainerRecord) -> NamespaceFds:
        request = NamespaceRequest(container_id=record.id, attachments=self._attachments(record))
        return await self._manager.open_namespace(request)

    async def close_namespace(self, container_id: ContainerId) -> None:
        await self._manager.close_namespace(container_id)

    def _ports(self, record: ContainerRecord) -> list[PublishRequest]:
        addresses = [address for each in record.spec.networks for address in record.addresses[each.network]]
        return [
            PublishRequest(
                target=port.target,
                address=addresses[0],
                host_ip=port.host_ip,
                published_first=port.published_first,
                published_last=port.published_last,
                protocol=port.protocol,
            )
            for port in record.spec.ports
            if addresses
        ]

    async def publish(self, record: ContainerRecord) -> Published:
        requests = self._ports(record)
        return await self._manager.publish(record.id, requests) if requests else Published()

    async def unpublish(self, container_id: ContainerId) -> None:
        await self._manager.unpublish(container_id)

    def announce(self, record: ContainerRecord) -> None:
        """The container answers to its names from now on: its own, aliases, and unless it is a one-off the service's."""
        names = {}
        for each in record.spec.networks:
            shared = [*([] if record.oneoff else [record.service]), *each.aliases]
            names[each.network] = list(dict.fromkeys([record.name, record.id, *shared]))
        self._manager.set_names(record.id, names)

    def withdraw(self, container_id: ContainerId) -> None:
        self._manager.drop_names(container_id)

    async def adopt(self, record: ContainerRecord, *, dns_udp: int, dns_tcp: int) -> None:
        requests = [
            PublishRequest(
                target=bound.target,
                address=request.address,
                host_ip=bound.host_ip,
                published_first=bound.published,
                protocol=bound.protocol,
            )
            for request, bound in zip(self._ports(record), record.ports, strict=False)
        ]
        await self._manager.adopt(
            record.id, dns_udp=dns_udp, dns_tcp=dns_tcp, attachments=self._attachments(record), ports=requests
        )

    async def restore(self) -> None:
        """Make every recorded network's bridge again where it is gone: after a reboot, or by somebody's hand."""
        for record in self._registry.networks.values():
            await self._manager.create_network(record.name, record.subnet, record.bridge)

    async def sweep(self, live: Iterable[ContainerId]) -> None:
        await self._manager.sweep(set(live), set(self._registry.networks))

    def resolv_conf(self) -> str:
        """The file of a container: our DNS server, the host's search domains."""
        try:
            with open(_RESOLV_CONF, encoding="utf-8", errors="replace") as file:
                host = file.read()
        except FileNotFoundError:
            host = ""
        return container_text(host, DNS_ADDRESS)
