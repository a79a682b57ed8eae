"""Networks at the top of the file, with their address pools; and what a service says of one it joins."""

from __future__ import annotations

from orchestr8.stack import patterns
from orchestr8.stack.lists import LABELS, NAMES, OPTIONS, TEXTS, ListOf, NamesOr
from orchestr8.stack.nodes import Node, Sequence
from orchestr8.stack.records import Named, OrNull, Record, ignored, later, now
from orchestr8.stack.resources import EXTERNAL, Resource
from orchestr8.stack.types import Flag, Number, Reading, Schema, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook


class Driver(Text):
    """The one driver there is, by its names; another one would make a different thing."""

    def __init__(self, *known: str) -> None:
        super().__init__("a driver")
        self.known = known

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if node.plain() not in ("", "default", *self.known):
            look.unsupported(node, f"`{where}`: the driver `{node.plain()}`", f"{self.known[0]} is")


class Subnet(Text):
    """The addresses of a network, checked here because the engine has no line to show."""

    def __init__(self) -> None:
        super().__init__("a subnet such as 10.9.0.0/24")

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        from ipaddress import ip_network  # few stacks say one

        found = super().read(node, where, run)
        if found is None or run.is_template(found) or not found.plain():
            return found
        text = str(found.plain())
        try:
            if "%" in text or ("/" in text and not text.rpartition("/")[2].isdigit()):
                raise ValueError("a zone, or a mask in place of a length")
            ip_network(text, strict=False)
        except ValueError:
            return run.wrong(node, where, self.what, code="O8-305")
        return found

    def schema(self) -> Schema:
        return patterns.text(patterns.SUBNET, empty=True)

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        from ipaddress import IPv6Network, ip_network

        text = str(node.plain())
        if not text or "$" in text:
            return
        subnet = ip_network(text, strict=False)
        if isinstance(subnet, IPv6Network):
            look.unsupported(node, f"`{where}`: an IPv6 subnet", "leave it out: networks are IPv4")
        elif text.partition("/")[0] != str(subnet.network_address):
            look.impossible(node, f"`{where}`: {text} is an address inside of its subnet", f"write {subnet}")
        elif subnet.prefixlen > 30:
            look.impossible(node, f"`{where}`: {subnet} has no room for a gateway and a container")
        elif subnet.prefixlen < 8 or subnet.is_loopback or subnet.is_multicast:
            look.impossible(node, f"`{where}`: {subnet} is not for machines of a network", "take one inside 10.0.0.0/8")


class Pools(ListOf):
    """One address pool a network."""

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        super().support(node, where, look)
        for item in node.items[1:] if isinstance(node, Sequence) else ():
            look.unsupported(item, f"`{where}`: a second address pool", "a network has one")


def _subnet_of(pool: Any) -> Any:
    return pool.get("subnet", id(pool))


IPAM: Final = Record("an ipam", {
    "driver": now(Driver("default")),
    "config": now(Pools(Record("an address pool", {
        "subnet": now(Subnet()),
        "ip_range": ignored(Text(), "elsewhere addresses are handed out from it; here from all of the subnet"),
        "gateway": ignored(Text(), "the gateway is the first address of the subnet"),
        "aux_addresses": ignored(Named("a mapping of addresses", Text("an address")), "elsewhere these addresses are left free; here they may be handed out"),
    }), "a list of address pools", unique=_subnet_of, deep=True)),
    "options": ignored(OPTIONS, "they are for the driver of another engine"),
}, null=True)  # fmt: skip

NETWORK: Final = Resource("a network", {
    "name": now(Text("a name", empty=False)),
    "external": now(EXTERNAL),
    "labels": now(LABELS),
    "ipam": now(IPAM),
    "driver": now(Driver("bridge")),
    "driver_opts": ignored(OPTIONS, "they are for the driver of another engine"),
    "internal": later(Flag(), "it would keep containers from reaching outside; here they would reach it"),
    "attachable": ignored(Flag(), "in a cluster it lets other containers join; here every container may be joined"),
    "enable_ipv4": ignored(Flag(), "networks have IPv4 here, and nothing else", usual=True, keep=True),
    "enable_ipv6": ignored(Flag(), "networks have IPv4 only", keep=True),
}, null=True, always={"ipam": {}})  # fmt: skip


class _Volume(Resource):
    strict = True


VOLUME: Final = _Volume("a volume", {
    "name": now(Text("a name", empty=False)),
    "external": now(EXTERNAL),
    "labels": now(LABELS),
    "driver": now(Driver("local")),
    "driver_opts": later(OPTIONS, "they change what is mounted: an NFS share, a directory of the host, a tmpfs"),
}, null=True)  # fmt: skip

_ADDRESS: Final = "elsewhere the container has this address; here one is chosen from the network's subnet"
_IN_NETWORK: Final = OrNull("a network", {
    "aliases": now(NAMES),
    "driver_opts": ignored(OPTIONS, "they are for the driver of another engine"),
    "gw_priority": ignored(Number(cut=True), "elsewhere the network with the highest is the way out; here the first by name"),
    "interface_name": ignored(Text(), "interfaces are called eth0, eth1 and so on"),
    "ipv4_address": later(Text("an IPv4 address"), _ADDRESS),
    "ipv6_address": later(Text("an IPv6 address"), "networks have IPv4 only"),
    "link_local_ips": ignored(TEXTS, "networks have IPv4 addresses of their subnet only"),
    "mac_address": ignored(Text(), "elsewhere the interface has this address; here one is made up"),
    "priority": ignored(Number(cut=True), "networks are joined in the order of their names"),
})  # fmt: skip
SERVICE_NETWORKS: Final = NamesOr("networks", Named("a mapping of networks", _IN_NETWORK))
