"""Which subnet a network gets and which address a container: pure arithmetic over what is taken already.

Networks and containers in use are remembered by the caller; routes of the host come from `NetworkManager.host_routes`.
IPv4 only until something serves IPv6.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from orchestr8.errors import Conflict, InvalidInput

# Docker's local pools (moby daemon/libnetwork/ipamutils): fifteen /16, then sixteen /20.
DEFAULT_POOLS: Final = tuple(f"172.{second}.0.0/16" for second in range(17, 32)) + tuple(
    f"192.168.{third}.0/20" for third in range(0, 256, 16)
)
SMALLEST_PREFIX: Final = 30  # two hosts: the gateway and one container


def parse_subnet(text: str) -> ipaddress.IPv4Network:
    """A subnet as a user may write it; host bits are an error, as in compose."""
    try:
        subnet = ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidInput(f"`{text}` is not a subnet: {error}", helps=["write it as in 10.9.0.0/24"]) from error
    if not isinstance(subnet, ipaddress.IPv4Network):
        raise InvalidInput(f"subnet `{text}` is IPv6, which is not supported yet")
    if subnet.prefixlen > SMALLEST_PREFIX:
        raise InvalidInput(
            f"subnet `{text}` has no room for a gateway and a container",
            helps=[f"use a prefix of /{SMALLEST_PREFIX} or shorter"],
        )
    return subnet


def allot_subnet(
    used: Iterable[str],
    host_routes: Iterable[str] = (),
    *,
    pools: Iterable[str] = DEFAULT_POOLS,
    requested: str = "",
) -> str:
    """The requested subnet when no network of ours overlaps it, else the first pool that is free here.

    A requested one may overlap a route of the host: the user may know better. A default route stands in nobody's way.
    """
    ours = [ipaddress.IPv4Network(each) for each in used]
    if requested:
        subnet = parse_subnet(requested)
        for other in ours:
            if subnet.overlaps(other):
                raise Conflict(
                    f"subnet {subnet} overlaps {other}, which another network has",
                    code="O8-708",
                    helps=["choose another subnet, or take that network down first"],
                )
        return str(subnet)
    routes = [ipaddress.IPv4Network(each) for each in host_routes]
    taken = ours + [route for route in routes if route.prefixlen]
    for text in pools:
        pool = ipaddress.IPv4Network(text)
        if not any(pool.overlaps(each) for each in taken):
            return str(pool)
    raise Conflict(
        "no address pool is free for a new network",
        code="O8-708",
        notes=[f"{len(taken)} subnets of networks and host routes overlap all of the pools"],
        helps=["take networks down that are not needed", "give the network a subnet: ipam.config[0].subnet"],
    )


def gateway_of(subnet: str) -> str:
    """The bridge's own address: the first host."""
    return str(ipaddress.IPv4Network(subnet).network_address + 1)


def allot_address(subnet: str, used: Iterable[str]) -> str:
    """The lowest host address that is neither the gateway's nor used."""
    network = ipaddress.IPv4Network(subnet)
    first = int(network.network_address)
    # Not by `ipaddress`, which takes ten times as long: it is asked about every container of the network.
    taken = {int.from_bytes(socket.inet_pton(socket.AF_INET, each)) for each in used}
    for number in range(first + 2, first + network.num_addresses - 1):
        if number not in taken:
            return str(ipaddress.IPv4Address(number))
    raise Conflict(
        f"network {subnet} has no free address",
        code="O8-708",
        notes=[f"{len(taken)} addresses are in use"],
        helps=["give the network a larger subnet"],
    )
