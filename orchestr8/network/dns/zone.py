"""Names of running containers, and what a container is told about them. Pure.

A container sees the names of its own networks only, Docker's rules: every replica's address for a service's name;
`name.network` as well as `name`; a known name is never asked for outside, even where it has nothing of the wanted type.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.network.dns.wire import Query, answer_addresses, answer_name, reverse_address

Shuffle = Callable[[list[str]], None]


@dataclass(slots=True)
class Network:
    """Names in lower case; each list in the order in which its members came."""

    addresses: dict[str, list[str]] = field(default_factory=dict)  # by name
    names: dict[str, str] = field(default_factory=dict)  # by address: the first name of its container


@dataclass(slots=True)
class Member:
    """A container: its address in each of its networks, and while it runs its names there."""

    addresses: Mapping[NetworkName, str]
    names: Mapping[NetworkName, Sequence[str]] = field(default_factory=dict)


class Zone:
    """Who is attached where (`attach`, `detach`), and who runs under which names (`set_names`, `drop_names`)."""

    def __init__(self) -> None:
        self._members: dict[ContainerId, Member] = {}
        self._networks: dict[NetworkName, Network] = {}

    def attach(self, container_id: ContainerId, addresses: Mapping[NetworkName, str]) -> None:
        self.detach(container_id)
        self._members[container_id] = Member(dict(addresses))

    def detach(self, container_id: ContainerId) -> None:
        self.drop_names(container_id)
        self._members.pop(container_id, None)

    def set_names(self, container_id: ContainerId, names: Mapping[NetworkName, Sequence[str]]) -> None:
        """Replace the container's names. In a network that it is not attached to it has none."""
        self.drop_names(container_id)
        member = self._members.get(container_id)
        if member is None:
            return
        member.names = {
            network: tuple(dict.fromkeys(name.lower() for name in given))
            for network, given in names.items()
            if given and network in member.addresses
        }
        for network, given in member.names.items():
            known = self._networks.setdefault(network, Network())
            address = member.addresses[network]
            for name in given:
                known.addresses.setdefault(name, []).append(address)
            known.names[address] = given[0]

    def drop_names(self, container_id: ContainerId) -> None:
        member = self._members.get(container_id)
        if member is None:
            return
        for network, given in member.names.items():
            known = self._networks[network]
            address = member.addresses[network]
            for name in given:
                known.addresses[name].remove(address)
                if not known.addresses[name]:
                    del known.addresses[name]
            known.names.pop(address, None)
            if not known.addresses:
                del self._networks[network]
        member.names = {}

    def addresses(self, asker: ContainerId, name: str) -> list[str]:
        """Where `name` is for a container: in all of its networks; nothing when nobody there has it."""
        networks = self._networks_of(asker)
        found = [address for network in networks for address in self._in(network, name)]
        if not found:
            found = [
                address
                for network in networks
                if name.endswith(f".{network.lower()}")
                for address in self._in(network, name[: -len(network) - 1])
            ]
        return list(dict.fromkeys(found))

    def name_of(self, asker: ContainerId, address: str) -> str:
        """The name, with its network's, of who has `address` in one of the asker's networks; "" for nobody."""
        for network in self._networks_of(asker):
            known = self._networks.get(network)
            if known and address in known.names:
                return f"{known.names[address]}.{network}"
        return ""

    def _networks_of(self, asker: ContainerId) -> Iterable[NetworkName]:
        member = self._members.get(asker)
        return member.addresses if member else ()

    def _in(self, network: NetworkName, name: str) -> list[str]:
        known = self._networks.get(network)
        return known.addresses.get(name, []) if known else []


class Verdict(enum.Enum):
    FORWARD = "the name is none of ours: ask the host's resolvers"


def decide(zone: Zone, asker: ContainerId, query: Query, shuffle: Shuffle) -> Any | Verdict:
    """The reply (dnslib's, not yet packed) to a container's query, or that it is to be forwarded."""
    if not query.internet:
        return Verdict.FORWARD
    if query.type == "PTR":
        address = reverse_address(query.name)
        name = zone.name_of(asker, address) if address else ""
        return answer_name(query, name) if name else Verdict.FORWARD
    addresses = zone.addresses(asker, query.name)
    if not addresses:
        return Verdict.FORWARD
    if query.type not in ("A", "ANY"):
        return answer_addresses(query, ())
    shuffle(addresses)
    return answer_addresses(query, addresses)
