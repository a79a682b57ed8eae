"""A container's network namespace, made and configured before its program exists; it outlives the program's restarts.

It exists as long as somebody holds its fd or lives in it, which is the shim's part. All of this runs in the network
thread, which walks into the new namespace and back.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.network.bridge import address_message
from orchestr8.network.firewall.redirect import redirect_dns
from orchestr8.network.links import disable_ipv6, write_sysctl
from orchestr8.network.names import LinkNames
from orchestr8.network.netlink import (
    NLM_F_CREATE,
    ROUTE,
    Ifla,
    Kind,
    Message,
    NetlinkSocket,
    attribute,
    link_body,
)
from orchestr8.network.requests import Attachment, NamespaceFds, NamespaceRequest
from orchestr8.network.veth import create_veths

DNS_ADDRESS: Final = "127.0.0.11"
DNS_BACKLOG: Final = 64
LOOPBACK_INDEX: Final = 1  # the kernel's first link in every namespace
# As in Docker: any uid may bind any port and send pings, for the namespace's ports are its own.
SYSCTLS: Final = (("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647"))

RTA_OIF: Final = 4  # values: <linux/rtnetlink.h>
RTA_GATEWAY: Final = 5
RT_TABLE_MAIN: Final = 254
RTPROT_BOOT: Final = 3
RTN_UNICAST: Final = 1


def open_namespace(
    host: NetlinkSocket,
    names: LinkNames,
    request: NamespaceRequest,
    bridges: Mapping[str, int],
    go_home: Callable[[], None],
) -> NamespaceFds:
    """Make the namespace and all that is in it. On a failure everything goes with it, veths included."""
    unshare(CloneFlag.NEWNET)
    try:
        return _furnish(host, names, request, bridges)
    finally:
        go_home()


def _furnish(
    host: NetlinkSocket, names: LinkNames, request: NamespaceRequest, bridges: Mapping[str, int]
) -> NamespaceFds:
    """What makes the thread's new namespace a container's. `host` still speaks to the engine's."""
    with ExitStack() as undo:
        netns = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        undo.callback(os.close, netns)
        for path, value in SYSCTLS:
            write_sysctl(path, value)
        disable_ipv6("default")  # of links to come; ::1 stays
        create_veths(host, names, request.container_id, request.attachments, bridges, netns)
        with NetlinkSocket() as inside:
            inside.run(_inside_messages(request.attachments))
        udp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        redirect_dns(DNS_ADDRESS, _bind_dns(udp, tcp))
        undo.pop_all()
        return NamespaceFds(netns=netns, dns_udp=udp.detach(), dns_tcp=tcp.detach())


def _inside_messages(attachments: Sequence[Attachment]) -> list[Message]:
    """Loopback up; every interface with its address; the first network's gateway as the way out."""
    messages = [Message(Kind.NEWLINK, link_body(index=LOOPBACK_INDEX, up=True), "lo up")]
    for place, attachment in enumerate(attachments):
        name = f"eth{place}"
        messages.append(Message(Kind.NEWLINK, link_body(attribute(Ifla.IFNAME, name), up=True), f"{name} up"))
        messages.append(address_message(socket.if_nametoindex(name), attachment.address, name))
    if attachments:
        body = ROUTE.pack(socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0) + b"".join(
            (
                attribute(RTA_GATEWAY, socket.inet_aton(attachments[0].gateway)),
                attribute(RTA_OIF, socket.if_nametoindex("eth0")),
            )
        )
        messages.append(Message(Kind.NEWROUTE, body, "default route", NLM_F_CREATE))
    return messages


def _bind_dns(udp: socket.socket, tcp: socket.socket) -> int:
    """Both on one random port of 127.0.0.11, so that one rule redirects both and port 53 stays the container's.

    The number that UDP got is free for TCP too: nobody else lives here yet.
    """
    udp.bind((DNS_ADDRESS, 0))
    tcp.bind(udp.getsockname())
    tcp.listen(DNS_BACKLOG)
    port: int = udp.getsockname()[1]
    return port
