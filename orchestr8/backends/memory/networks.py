"""What a machine's networks hand out, only remembered: subnets, addresses in them, host ports. Refuses what is taken."""

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from orchestr8.errors import Conflict, NotFound, OperationFailed
from orchestr8.model.ids import NetworkName, StackName
from orchestr8.model.observed import BoundPort, ObservedNetwork
from orchestr8.model.specs import NetworkSpec, PortSpec

_POOL: Final = "10.201.0.0/16"
_EPHEMERAL: Final = (32768, 60999)

Addresses = Mapping[NetworkName, tuple[str, ...]]


class MemoryNetworks:
    def __init__(self) -> None:
        self.seen: dict[NetworkName, ObservedNetwork] = {}

    def create(self, stack: StackName, spec: NetworkSpec) -> None:
        if spec.name in self.seen:
            return
        used = {ipaddress.ip_network(each.subnet) for each in self.seen.values()}
        pools = ipaddress.ip_network(_POOL).subnets(new_prefix=24)
        wanted = ipaddress.ip_network(spec.subnet) if spec.subnet else next(each for each in pools if each not in used)
        if any(wanted.overlaps(each) for each in used if each.version == wanted.version):
            raise Conflict(f"subnet {wanted} of network {spec.name} overlaps with another network", code="O8-708")
        self.seen[spec.name] = ObservedNetwork(
            name=spec.name,
            stack=stack,
            key=spec.key,
            subnet=str(wanted),
            requested_subnet=spec.subnet,
            bridge=f"o8mem-b{len(self.seen)}",
            labels=dict(spec.labels),
        )

    def remove(self, name: NetworkName) -> None:
        del self.seen[name]

    def allot(
        self, wanted: Iterable[NetworkName], held: Addresses, everyone: Collection[Addresses]
    ) -> dict[NetworkName, tuple[str, ...]]:
        """An address in each network: the one that is held, and another one only in a network that has been replaced.

        `everyone`: what all containers hold.
        """
        addresses = dict(held)
        for network in wanted:
            if network not in self.seen:
                raise NotFound(f"network {network} does not exist")
            if network not in addresses:
                used = {place for each in everyone for place in each.get(network, ())}
                hosts = ipaddress.ip_network(self.seen[network].subnet).hosts()
                next(hosts)  # the gateway
                addresses[network] = (next(str(each) for each in hosts if str(each) not in used),)
        return addresses


def bind(port: PortSpec, bound: Iterable[BoundPort]) -> BoundPort:
    """`bound`: what running containers have."""
    used = {(each.published, each.protocol) for each in bound}
    first, last = (port.published_first, port.published_last) if port.published_first else _EPHEMERAL
    free = next((each for each in range(first, last + 1) if (each, port.protocol) not in used), None)
    if free is None:
        wanted = f"{first}" if first == last else f"{first}-{last}"
        raise OperationFailed(f"port {port.host_ip}:{wanted} is already in use", code="O8-401")
    return BoundPort(host_ip=port.host_ip, published=free, target=port.target, protocol=port.protocol)
