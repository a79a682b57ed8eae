"""Noticing that somebody else changed the packet filter under us: `nft flush ruleset`, a firewall that reloads, Docker
that starts. The kernel tells every change to a multicast group, so nothing is polled, and nothing wakes while nothing
changes. What to do about it is `host`'s business.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from orchestr8.network.firewall.neighbours import CHAINS, TABLE
from orchestr8.network.netlink import NETLINK_NETFILTER, RECEIVE_BYTES, SOL_NETLINK, attributes_of, messages_of

NETLINK_ADD_MEMBERSHIP: Final = 1
GROUP_NFTABLES: Final = 7  # values from here on: <linux/netfilter/nfnetlink.h>, nf_tables.h
SUBSYSTEM_NFTABLES: Final = 10
GENERIC_HEADER_BYTES: Final = 4  # struct nfgenmsg, its first byte the family
DELTABLE: Final = 2
NEWCHAIN: Final = 3
DELCHAIN: Final = 5
DELRULE: Final = 8
DELSET: Final = 11
TABLE_NAME: Final = 1  # the table's name has this attribute in messages about tables, chains, rules and sets
CHAIN_NAME: Final = {NEWCHAIN: 3, DELCHAIN: 3, DELRULE: 2}
TELLING: Final = frozenset({DELTABLE, NEWCHAIN, DELCHAIN, DELRULE, DELSET})


def touches(datagram: bytes, own_table: str) -> bool:
    """Whether something of our table vanished, or something changed in the chains where our accept rules may belong.

    Elements do not count: only an engine changes those of its own table.
    """
    for kind, _flags, _sequence, payload in messages_of(datagram):
        subsystem, verb = kind >> 8, kind & 0xFF
        if subsystem != SUBSYSTEM_NFTABLES or verb not in TELLING or payload[:1] != bytes([socket.AF_INET]):
            continue
        texts = {
            each: value.rstrip(b"\0").decode(errors="replace")
            for each, value in attributes_of(payload[GENERIC_HEADER_BYTES:])
        }
        table = texts.get(TABLE_NAME)
        if table == own_table and verb != NEWCHAIN:
            return True
        if table == TABLE and (verb == DELTABLE or texts.get(CHAIN_NAME.get(verb, 0)) in CHAINS):
            return True
    return False


class RulesetWatch:
    """Calls `changed` on the loop; our own rewriting of the table is told like anybody else's."""

    def __init__(self, own_table: str, changed: Callable[[], None]) -> None:
        self._own_table = own_table
        self._changed = changed
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Watch the caller's network namespace, from its thread, which runs the loop."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setblocking(False)
        self._socket.bind((0, 0))  # without a port of its own it would be taken for the sender, and told nothing
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, GROUP_NFTABLES)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            concerned = touches(self._socket.recv(RECEIVE_BYTES), self._own_table)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more was told than the queue holds; what, is lost
            concerned = True
        if concerned:
            self._changed()
