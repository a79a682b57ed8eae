"""The pair of links between a bridge and a container: messages only, sent by `netns`.

The container's end is made directly in its namespace, under its final name; nothing is moved or renamed.
"""

import errno
import socket
from collections.abc import Mapping, Sequence

from orchestr8.network.links import delete_links
from orchestr8.network.names import LinkNames, mac_address
from orchestr8.network.netlink import (
    LINK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Ifla,
    Kind,
    LinkInfo,
    Message,
    NetlinkSocket,
    attribute,
    link_body,
    mac_bytes,
    nested,
)
from orchestr8.network.requests import Attachment

VETH_INFO_PEER = 1  # <linux/veth.h>
BRPORT_MODE = 4  # IFLA_BRPORT_MODE of <linux/if_link.h>: hairpin
INET6_ADDR_GEN_MODE = 8  # IFLA_INET6_ADDR_GEN_MODE
ADDR_GEN_MODE_NONE = b"\1"


def create_veths(
    netlink: NetlinkSocket,
    names: LinkNames,
    container_id: str,
    attachments: Sequence[Attachment],
    bridges: Mapping[str, int],
    netns_fd: int,
) -> None:
    """All pairs of a container, on their bridges (name to number); `netlink` is the socket of the engine's namespace.

    A name that exists belongs to an earlier namespace of this same container, on its way out.
    """
    links = [names.veth(container_id, index) for index in range(len(attachments))]
    messages = [
        message
        for index, (link, attachment) in enumerate(zip(links, attachments, strict=True))
        for message in (
            _create(link, f"eth{index}", attachment, bridges[attachment.bridge], names.group, netns_fd),
            _tune(link, container_id),
        )
    ]
    results = netlink.attempt(messages)
    if any(result is not None and result.errno == errno.EEXIST for result in results[::2]):
        delete_links(netlink, links, names.doomed_group)
        results = netlink.attempt(messages)
    for result in results:
        if result is not None:
            raise result


def _create(link: str, peer: str, attachment: Attachment, bridge: int, group: int, netns_fd: int) -> Message:
    """Both ends at once: ours up and on its bridge, the other one directly in the container's namespace.

    With one queue each, where newer kernels would make one for every processor, with its files in sysfs, which took a third
    of the time on two processors. Only XDP and GRO on the link would use more than one.
    """
    queues = attribute(Ifla.NUM_TX_QUEUES, 1) + attribute(Ifla.NUM_RX_QUEUES, 1)
    mac = attachment.mac or mac_address(attachment.address.partition("/")[0])
    other_end = LINK.pack(0, 0, 0, 0, 0) + b"".join(
        (
            attribute(Ifla.IFNAME, peer),
            attribute(Ifla.ADDRESS, mac_bytes(mac)),
            attribute(Ifla.NET_NS_FD, netns_fd),
            queues,
        )
    )
    body = link_body(
        attribute(Ifla.IFNAME, link),
        attribute(Ifla.MASTER, bridge),
        attribute(Ifla.GROUP, group),
        queues,
        nested(
            Ifla.LINKINFO,
            attribute(LinkInfo.KIND, "veth"),
            nested(LinkInfo.DATA, nested(VETH_INFO_PEER, other_end)),
        ),
        up=True,
    )
    return Message(Kind.NEWLINK, body, f"create veth {link} on {attachment.bridge}", NLM_F_CREATE | NLM_F_EXCL)


def _tune(link: str, container_id: str) -> Message:
    """What the kernel takes only for a link that exists. The alias says whose it is.

    Hairpin: with bridge-nf-call-iptables on, a container that calls its own published port is sent back to the port
    that it came from. No IPv6 address: a bridge's port needs none, and its router solicitations would be noise.
    """
    body = link_body(
        attribute(Ifla.IFNAME, link),
        attribute(Ifla.ALIAS, container_id),
        nested(
            Ifla.LINKINFO,
            attribute(LinkInfo.SLAVE_KIND, "bridge"),
            nested(LinkInfo.SLAVE_DATA, attribute(BRPORT_MODE, b"\1")),
        ),
        nested(Ifla.AF_SPEC, nested(socket.AF_INET6, attribute(INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE))),
    )
    return Message(Kind.NEWLINK, body, f"set up veth {link}")
