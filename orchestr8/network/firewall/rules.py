"""The rules as nft's own text: pure functions, compared word for word by tests.

One table of family `ip` per engine. Bridges, subnets and published ports are elements of sets and maps, so a packet
meets the same few rules whether there is one network or a thousand, and a change is an element, not a rule:

    before routing, first   127/8 to or from a bridge is dropped: `route_localnet`, which replies to the host's own
                            loopback clients need, would else open the host's loopback services to containers
    before routing, output  a packet to an address of this machine and a published port goes to the container
    forward                 into a bridge comes what belongs to a known flow, what starts on the same bridge, and what
                            was sent here by a published port; anything else is dropped, which is the isolation
    after routing           out of a subnet to anywhere but our bridges: masquerade; and so for a client on the host's
                            loopback, and for a container that calls a published port (its peer may sit on the same
                            bridge and would answer it directly, past the translation)

The chain for forwarding has policy accept and says nothing of packets that do not go to our bridges: those are
other people's.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

ANY_ADDRESS: Final = "0.0.0.0"
SETS: Final = (("set", "bridges"), ("set", "inside"), ("set", "subnets"), ("map", "ports"), ("map", "ports_any"))


class HostPort(NamedTuple):
    host_ip: str
    port: int


class Target(NamedTuple):
    address: str
    port: int


@dataclass(slots=True)
class Elements:
    """What stands in the table's sets and maps."""

    bridges: set[str] = field(default_factory=set)
    subnets: set[str] = field(default_factory=set)
    ports: dict[HostPort, Target] = field(default_factory=dict)

    def copy(self) -> "Elements":
        return Elements(set(self.bridges), set(self.subnets), dict(self.ports))

    def update(self, other: "Elements") -> None:
        self.bridges |= other.bridges
        self.subnets |= other.subnets
        self.ports |= other.ports

    def contains(self, other: "Elements") -> bool:
        return (
            self.bridges >= other.bridges
            and self.subnets >= other.subnets
            and self.ports.items() >= other.ports.items()
        )

    def subtract(self, other: "Elements") -> None:
        self.bridges -= other.bridges
        self.subnets -= other.subnets
        for key in other.ports:
            self.ports.pop(key, None)


def base(table: str) -> str:
    """The table, its sets and its chains with their rules. Safe to repeat: elements stay, rules are written anew."""
    return f"""\
add table ip {table}
add set ip {table} bridges {{ type ifname; }}
add set ip {table} inside {{ type ifname . ifname; }}
add set ip {table} subnets {{ type ipv4_addr; flags interval; }}
add map ip {table} ports {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; }}
add map ip {table} ports_any {{ type inet_service : ipv4_addr . inet_service; }}
add chain ip {table} raw {{ type filter hook prerouting priority raw; policy accept; }}
add chain ip {table} forward {{ type filter hook forward priority filter; policy accept; }}
add chain ip {table} to_bridge
add chain ip {table} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}
add chain ip {table} output {{ type nat hook output priority -100; policy accept; }}
add chain ip {table} published
add chain ip {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush table ip {table}
add rule ip {table} raw iifname @bridges ip daddr 127.0.0.0/8 drop
add rule ip {table} raw iifname @bridges ip saddr 127.0.0.0/8 drop
add rule ip {table} forward oifname @bridges jump to_bridge
add rule ip {table} to_bridge ct state established,related accept
add rule ip {table} to_bridge iifname . oifname @inside accept
add rule ip {table} to_bridge ct status dnat accept
add rule ip {table} to_bridge drop
add rule ip {table} prerouting fib daddr type local jump published
add rule ip {table} output fib daddr type local jump published
add rule ip {table} published dnat to ip daddr . tcp dport map @ports
add rule ip {table} published dnat to tcp dport map @ports_any
add rule ip {table} postrouting oifname @bridges ip saddr 127.0.0.0/8 masquerade
add rule ip {table} postrouting ip saddr @subnets ct status dnat masquerade
add rule ip {table} postrouting ip saddr @subnets oifname != @bridges masquerade
"""


RULES: Final = base("").count("add rule")


def remove_table(table: str) -> str:
    """`delete` needs the table to be there; adding first makes it so."""
    return f"add table ip {table}\ndelete table ip {table}\n"


def change(verb: str, table: str, elements: Elements) -> str:
    """`verb` is add or delete. Ports on all addresses of the host have a map of their own, looked at second."""
    lines = []
    for bridge in sorted(elements.bridges):
        lines.append(f'bridges {{ "{bridge}" }}')
        lines.append(f'inside {{ "{bridge}" . "{bridge}" }}')
    lines += [f"subnets {{ {subnet} }}" for subnet in sorted(elements.subnets)]
    for key, target in sorted(elements.ports.items()):
        value = f" : {target.address} . {target.port}" if verb == "add" else ""
        if key.host_ip == ANY_ADDRESS:
            lines.append(f"ports_any {{ {key.port}{value} }}")
        else:
            lines.append(f"ports {{ {key.host_ip} . {key.port}{value} }}")
    return "".join(f"{verb} element ip {table} {line}\n" for line in lines)


def rewrite(table: str, elements: Elements) -> str:
    """The whole table anew, whatever stood there: one transaction, so that no packet sees a half of it."""
    flush = "".join(f"flush {kind} ip {table} {name}\n" for kind, name in SETS)
    return base(table) + flush + change("add", table, elements)


def parse_elements(objects: Iterable[dict[str, Any]]) -> Elements:
    """What `list table` says, as libnftables' JSON, of a table that `base` made."""
    found: dict[str, list[Any]] = {}
    for each in objects:
        for kind, name in SETS:
            if each.get(kind, {}).get("name") == name:
                found[name] = each[kind].get("elem", [])
    ports = {
        HostPort(host_ip, port): Target(*target["concat"])
        for (host_ip, port), target in [(key["concat"], target) for key, target in found.get("ports", [])]
    }
    ports |= {HostPort(ANY_ADDRESS, key): Target(*target["concat"]) for key, target in found.get("ports_any", [])}
    subnets: set[str] = set()
    for each in found.get("subnets", []):
        subnets.update(_cidrs(each))
    return Elements(bridges=set(found.get("bridges", [])), subnets=subnets, ports=ports)


def _cidrs(element: Any) -> list[str]:
    """An element of an interval set: nft prints a prefix, or a range where that is no prefix."""
    if isinstance(element, str):
        return [f"{element}/32"]
    if "prefix" in element:
        return [f"{element['prefix']['addr']}/{element['prefix']['len']}"]
    first, last = (ipaddress.IPv4Address(each) for each in element["range"])
    return [str(each) for each in ipaddress.summarize_address_range(first, last)]
