"""Links and packet filters, in a network namespace that ends with the trial; and whether the host forwards packets."""

import os
import socket
from collections.abc import Iterator
from typing import Final

from orchestr8.doctor.findings import Finding, Host, missing, ok, untried, warning
from orchestr8.doctor.trial import attempt
from orchestr8.errors import Orchestr8Error
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.network.bridge import create_bridge
from orchestr8.network.firewall import rules
from orchestr8.network.firewall.nft import Nft
from orchestr8.network.firewall.redirect import redirect_dns
from orchestr8.network.links import write_sysctl
from orchestr8.network.names import LinkNames
from orchestr8.network.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Ifla,
    Kind,
    LinkInfo,
    Message,
    NetlinkSocket,
    attribute,
    link_body,
    nested,
)

_NAMES: Final = LinkNames("d0c70000")
_FORWARD: Final = "/proc/sys/net/ipv4/ip_forward"
_PARENT: Final = 5  # IFLA_LINK of <linux/if_link.h>: what macvlan and ipvlan lie on
_VXLAN_ID: Final = 1  # IFLA_VXLAN_ID
_SUBNET: Final = "192.0.2.0/24"  # RFC 5737: for documentation
_LATER: Final = ("macvlan", "ipvlan", "vxlan")  # of networks that the engine does not make yet


def links(host: Host) -> Iterator[Finding]:
    if not host.privileged:
        yield untried("links")
        return
    try:
        yield ok("links", attempt(_bridge_and_veth, CloneFlag.NEWNET))
    except Orchestr8Error as error:
        yield missing("links", error.message, "load the modules: modprobe -a bridge veth")
    lacking = [kind for kind in _LATER if not _has(kind)]
    if lacking:
        yield warning(
            "further links", f"this kernel has no {', '.join(lacking)}; no network of a stack needs them yet",
            f"modprobe -a {' '.join(lacking)}",
        )  # fmt: skip
    else:
        yield ok("further links", ", ".join(_LATER))


def _bridge_and_veth() -> str:
    with NetlinkSocket() as netlink:
        create_bridge(netlink, _NAMES, "o8doctor-b", _SUBNET)
        netlink.run([_link("veth")])
    return "bridge, veth"


def _has(kind: str) -> bool:
    try:
        attempt(lambda: _make(kind), CloneFlag.NEWNET)
    except Orchestr8Error:
        return False
    return True


def _make(kind: str) -> str:
    with NetlinkSocket() as netlink:
        netlink.run([_link("veth")])
        netlink.run([_link(kind, beneath="o8doctor-veth")])
    return kind


def _link(kind: str, beneath: str = "") -> Message:
    parent = attribute(_PARENT, socket.if_nametoindex(beneath)) if beneath else b""
    data = nested(LinkInfo.DATA, attribute(_VXLAN_ID, 1)) if kind == "vxlan" else b""
    body = link_body(
        attribute(Ifla.IFNAME, f"o8doctor-{kind}"), parent, nested(Ifla.LINKINFO, attribute(LinkInfo.KIND, kind), data)
    )
    return Message(Kind.NEWLINK, body, f"create {kind}", NLM_F_CREATE | NLM_F_EXCL)


def packet_filter(host: Host) -> Iterator[Finding]:
    if not host.privileged:
        yield untried("nftables")
        return
    try:
        yield ok("nftables", attempt(_ruleset, CloneFlag.NEWNET))
    except Orchestr8Error as error:
        remedy = "; ".join(error.helps) or "a kernel with nf_tables, nf_nat, nft_fib_ipv4, nft_masq and nf_conntrack"
        yield missing("nftables", error.message, remedy)


def _ruleset() -> str:
    """An engine's own table, and that by which names are asked for in a container."""
    with Nft() as nft:
        nft.run(rules.base(_NAMES.table))
    redirect_dns("192.0.2.1", 5353)
    return f"{rules.RULES} rules set"


def forwarding(host: Host) -> Iterator[Finding]:
    """The engine turns it on with the first network; a host may keep it from that."""
    with open(_FORWARD, encoding="ascii") as file:
        on = file.read().strip() == "1"
    if on:
        yield ok("ip_forward", "on")
    elif not host.privileged:
        yield untried("ip_forward")
    elif os.access(_FORWARD, os.W_OK):
        yield ok("ip_forward", "off; the engine turns it on with the first network")
    else:
        yield missing(
            "ip_forward", "off, and /proc/sys cannot be written to", "sysctl net.ipv4.ip_forward=1 on the host"
        )
    if host.privileged:
        try:
            attempt(_set_sysctl, CloneFlag.NEWNET)
        except Orchestr8Error as error:
            yield missing("sysctls", error.message, "mount /proc/sys read-write")
        else:
            yield ok("sysctls", "those of a network namespace can be set")


def _set_sysctl() -> str:
    write_sysctl("net/ipv4/ip_unprivileged_port_start", "0")
    return ""
