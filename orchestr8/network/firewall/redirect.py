"""How a container's queries reach our DNS: two rules in its own namespace, by nfnetlink.

Of all rules these alone are set at each start, and libnftables would take nearly twice as long: it reads its tables of names
anew, asks for what there is, and parses. Tests compare with what it makes of the same rules as text.
"""

import socket
import struct
from typing import Final

from orchestr8.network.netlink import (
    NETLINK_NETFILTER,
    NLM_F_APPEND,
    NLM_F_CREATE,
    Message,
    NetlinkSocket,
    attribute,
    nested,
)

TABLE: Final = "orchestr8-dns"
CHAIN: Final = "output"
DNS_PORT: Final = 53
_PRIORITY: Final = -100  # of translation by destination: <linux/netfilter_ipv4.h>, NF_IP_PRI_NAT_DST
_LOCAL_OUT: Final = 3  # NF_INET_LOCAL_OUT

# values: <linux/netfilter/nfnetlink.h> and nf_tables.h, whose numbers are in network order
_SUBSYSTEM: Final = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | number for number in (0, 3, 6))
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 1, 3, 4, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_ELEMENT: Final = 1
_NAME, _DATA = 1, 2
_VALUE: Final = 1
_PAYLOAD_TO, _PAYLOAD_BASE, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 1, 2, 3, 4
_NETWORK, _TRANSPORT = 1, 2
_META_TO, _META_KEY = 1, 2
_L4PROTO: Final = 16
_COMPARE_FROM, _COMPARE_HOW, _COMPARE_WITH = 1, 2, 3
_EQUAL: Final = 0
_IMMEDIATE_TO, _IMMEDIATE_DATA = 1, 2
_NAT_TYPE, _NAT_FAMILY, _NAT_ADDRESS, _NAT_PORT = 1, 2, 3, 5
_DESTINATION: Final = 1
_FIRST, _SECOND = 1, 2  # registers
_ADDRESS_AT: Final = 16  # of the destination, in an IPv4 header
_PORT_AT: Final = 2  # of the destination, in a UDP or TCP header


def redirect_dns(address: str, port: int) -> None:
    """In the calling thread's network namespace: what is sent to port 53 of `address` goes to `port` of it.

    The way back needs no rule: connection tracking knows it. Raises NetlinkError.
    """
    hook = nested(_CHAIN_HOOK, _number(_HOOK_NUMBER, _LOCAL_OUT), _number(_HOOK_PRIORITY, _PRIORITY))
    chain = attribute(_CHAIN_TABLE, TABLE) + attribute(_CHAIN_NAME, CHAIN) + hook + attribute(_CHAIN_TYPE, "nat")
    about = "redirect DNS"
    with NetlinkSocket(NETLINK_NETFILTER) as netlink:
        netlink.run_as_one(
            Message(_BATCH_BEGIN, _header(socket.AF_UNSPEC, _SUBSYSTEM), about),
            [
                Message(_NEW_TABLE, _header() + attribute(_TABLE_NAME, TABLE), f"{about}: table", NLM_F_CREATE),
                Message(_NEW_CHAIN, _header() + chain, f"{about}: chain", NLM_F_CREATE),
                *(
                    Message(_NEW_RULE, _header() + _rule(each, address, port), f"{about}: rule", NLM_F_CREATE | NLM_F_APPEND)
                    for each in (socket.IPPROTO_UDP, socket.IPPROTO_TCP)
                ),
            ],
            Message(_BATCH_END, _header(socket.AF_UNSPEC, _SUBSYSTEM), about),
        )  # fmt: skip


def _header(family: int = socket.AF_INET, resource: int = 0) -> bytes:
    return struct.pack("!BBH", family, 0, resource)  # struct nfgenmsg


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!i", value))


def _rule(protocol: int, address: str, port: int) -> bytes:
    """As text: `ip daddr ADDRESS udp dport 53 dnat to ADDRESS:PORT`, or tcp."""
    packed = socket.inet_aton(address)
    expressions = (
        _load(_NETWORK, _ADDRESS_AT, 4),
        _is_equal(packed),
        _expression("meta", _number(_META_KEY, _L4PROTO), _number(_META_TO, _FIRST)),
        _is_equal(struct.pack("=B", protocol)),
        _load(_TRANSPORT, _PORT_AT, 2),
        _is_equal(struct.pack("!H", DNS_PORT)),
        _put(_FIRST, packed),
        _put(_SECOND, struct.pack("!H", port)),
        _expression(
            "nat",
            _number(_NAT_TYPE, _DESTINATION),
            _number(_NAT_FAMILY, socket.AF_INET),
            _number(_NAT_ADDRESS, _FIRST),
            _number(_NAT_PORT, _SECOND),
        ),
    )
    return attribute(_RULE_TABLE, TABLE) + attribute(_RULE_CHAIN, CHAIN) + nested(_RULE_EXPRESSIONS, *expressions)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(_ELEMENT, attribute(_NAME, name), nested(_DATA, *attributes))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload",
        _number(_PAYLOAD_TO, _FIRST),
        _number(_PAYLOAD_BASE, base),
        _number(_PAYLOAD_OFFSET, offset),
        _number(_PAYLOAD_LENGTH, length),
    )


def _is_equal(value: bytes) -> bytes:
    data = nested(_COMPARE_WITH, attribute(_VALUE, value))
    return _expression("cmp", _number(_COMPARE_FROM, _FIRST), _number(_COMPARE_HOW, _EQUAL), data)


def _put(register: int, value: bytes) -> bytes:
    return _expression("immediate", _number(_IMMEDIATE_TO, register), nested(_IMMEDIATE_DATA, attribute(_VALUE, value)))
