"""pyroute2, the field's library, reads our messages back: an oracle for what we write by hand."""

import struct
from typing import Any

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from orchestr8.model.ids import NetworkName
from orchestr8.network.bridge import address_message
from orchestr8.network.netlink import HEADER, Message
from orchestr8.network.requests import Attachment
from orchestr8.network.veth import _create, _tune

ATTACHMENT = Attachment(
    network=NetworkName("shop_default"), bridge="o8ab12-bcafe12", address="10.9.0.2/24", gateway="10.9.0.1"
)


def read(kind: Any, message: Message) -> Any:
    packet = HEADER.pack(HEADER.size + len(message.body), message.kind, message.flags, 1, 0) + message.body
    decoded = kind(packet)
    decoded.decode()
    return decoded


def test_a_veth_pair_is_what_pyroute2_reads() -> None:
    link = read(ifinfmsg, _create("o8ab12-v0000001", "eth0", ATTACHMENT, bridge=7, group=9, netns_fd=33))
    assert (link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_MASTER"), link.get_attr("IFLA_GROUP")) == (
        "o8ab12-v0000001",
        7,
        9,
    )
    assert link["flags"] & 1  # IFF_UP
    info = link.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert (peer.get_attr("IFLA_IFNAME"), peer.get_attr("IFLA_NET_NS_FD")) == ("eth0", 33)
    assert len(peer.get_attr("IFLA_ADDRESS").split(":")) == 6
    for end in (link, peer):
        assert (end.get_attr("IFLA_NUM_TX_QUEUES"), end.get_attr("IFLA_NUM_RX_QUEUES")) == (1, 1)


def test_a_bridge_port_is_what_pyroute2_reads() -> None:
    link = read(ifinfmsg, _tune("o8ab12-v0000001", "0123456789ab"))
    assert link.get_attr("IFLA_IFALIAS") == "0123456789ab"
    info = link.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_SLAVE_KIND") == "bridge"
    assert info.get_attr("IFLA_INFO_SLAVE_DATA").get_attr("IFLA_BRPORT_MODE") == 1


def test_an_address_is_what_pyroute2_reads() -> None:
    address = read(ifaddrmsg, address_message(5, "10.9.0.2/24", "eth0"))
    assert (address["index"], address["prefixlen"], address["family"]) == (5, 24, 2)
    assert address.get_attr("IFA_LOCAL") == "10.9.0.2"
    assert address.get_attr("IFA_BROADCAST") == "10.9.0.255"


def test_a_header_is_the_kernels() -> None:
    assert HEADER.pack(16, 16, 0x605, 1, 0) == struct.pack("=IHHII", 16, 16, 0x605, 1, 0)
