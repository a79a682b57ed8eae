"""The bridge of a network: its link, its address as the gateway, and what the kernel must know about it.

Isolation between bridges is `firewall.rules`'.
"""

import errno
import ipaddress
import socket

from orchestr8.network.ipam import gateway_of
from orchestr8.network.links import delete_links, disable_ipv6, write_sysctl
from orchestr8.network.names import LinkNames, mac_address
from orchestr8.network.netlink import (
    ADDRESS,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Ifla,
    Kind,
    LinkInfo,
    Message,
    NetlinkError,
    NetlinkSocket,
    attribute,
    link_body,
    mac_bytes,
    nested,
)

IFA_ADDRESS = 1  # values: <linux/if_addr.h>
IFA_LOCAL = 2
IFA_BROADCAST = 4
BR_FORWARD_DELAY = 1  # values: <linux/if_link.h>, IFLA_BR_*
BR_STP_STATE = 5


def create_bridge(netlink: NetlinkSocket, names: LinkNames, bridge: str, subnet: str) -> None:
    """Make the bridge, or find it as an earlier engine made it.

    One that exists without its address is half-made or meant for another subnet, and nothing lives on it: made anew.
    """
    address = f"{gateway_of(subnet)}/{ipaddress.IPv4Network(subnet).prefixlen}"
    existed = _add_link(netlink, names, bridge, subnet)
    if existed and not _add_address(netlink, bridge, address):
        _tune(netlink, bridge)
        return
    if existed:
        delete_links(netlink, [bridge], names.doomed_group)
        _add_link(netlink, names, bridge, subnet)
    _add_address(netlink, bridge, address)
    _tune(netlink, bridge)


def _add_link(netlink: NetlinkSocket, names: LinkNames, bridge: str, subnet: str) -> bool:
    """True when the link existed. A fixed MAC: the kernel's own choice changes with every port that comes or goes."""
    body = link_body(
        attribute(Ifla.IFNAME, bridge),
        attribute(Ifla.ADDRESS, mac_bytes(mac_address(gateway_of(subnet)))),
        attribute(Ifla.GROUP, names.group),
        nested(
            Ifla.LINKINFO,
            attribute(LinkInfo.KIND, "bridge"),
            nested(LinkInfo.DATA, attribute(BR_FORWARD_DELAY, 0), attribute(BR_STP_STATE, 0)),
        ),
    )
    return _exists(netlink, Message(Kind.NEWLINK, body, f"create bridge {bridge}", NLM_F_CREATE | NLM_F_EXCL))


def _add_address(netlink: NetlinkSocket, bridge: str, address: str) -> bool:
    """True when the bridge did not have the address before."""
    return not _exists(netlink, address_message(socket.if_nametoindex(bridge), address, bridge))


def _exists(netlink: NetlinkSocket, message: Message) -> bool:
    (error,) = netlink.attempt([message])
    if error is None:
        return False
    if error.errno == errno.EEXIST:
        return True
    raise error


def _tune(netlink: NetlinkSocket, bridge: str) -> None:
    disable_ipv6(bridge)
    # Replies to a client on the host's loopback come back over the bridge to a 127/8 address; see firewall.rules.
    write_sysctl(f"net/ipv4/conf/{bridge}/route_localnet", "1")
    netlink.run([Message(Kind.NEWLINK, link_body(attribute(Ifla.IFNAME, bridge), up=True), f"bridge {bridge} up")])


def address_message(index: int, address: str, about: str) -> Message:
    """Give interface `index` an address with its prefix and broadcast address."""
    interface = ipaddress.IPv4Interface(address)
    body = ADDRESS.pack(socket.AF_INET, interface.network.prefixlen, 0, 0, index) + b"".join(
        attribute(kind, value.packed)
        for kind, value in (
            (IFA_LOCAL, interface.ip),
            (IFA_ADDRESS, interface.ip),
            (IFA_BROADCAST, interface.network.broadcast_address),
        )
    )
    return Message(Kind.NEWADDR, body, f"address {address} of {about}", NLM_F_CREATE | NLM_F_EXCL)


def bridge_index(bridge: str) -> int:
    """The link's number; the calling thread must be in the engine's namespace."""
    try:
        return socket.if_nametoindex(bridge)
    except OSError as error:
        raise NetlinkError(errno.ENODEV, f"bridge {bridge}") from error
