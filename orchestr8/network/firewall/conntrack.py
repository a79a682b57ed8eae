"""Forgetting the flows to a container that is gone.

A flow whose ends said no goodbye is remembered for five days, with its translation: a client that happens to use the
same port again would be sent to the old address, which may be another container's by then.
"""

import errno
import socket
import struct
from collections.abc import Iterable
from typing import Final

from orchestr8.network.netlink import Message, NetlinkSocket, attribute, nested

# values: <linux/netfilter/nfnetlink.h>, nfnetlink_conntrack.h
DELETE: Final = (1 << 8) | 2  # IPCTNL_MSG_CT_DELETE of the conntrack subsystem
GENERIC_HEADER: Final = struct.pack("!BBH", socket.AF_INET, 0, 0)  # struct nfgenmsg
TUPLE_REPLY: Final = 2
TUPLE_IP: Final = 1
IP_V4_SRC: Final = 1
FILTER: Final = 25
FILTER_ORIG_FLAGS: Final = 1
FILTER_REPLY_FLAGS: Final = 2
BY_SOURCE_ADDRESS: Final = 1
# A kernel that cannot delete by a filter takes the message for a flow with parts missing; one may have no conntrack.
NOT_SUPPORTED: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT})


def forget_flows(netfilter: NetlinkSocket, addresses: Iterable[str]) -> None:
    """Delete every flow that one of `addresses` answers: those that published ports led there."""
    for error in netfilter.attempt([_message(each) for each in addresses]):
        if error is not None and error.errno not in NOT_SUPPORTED:
            raise error


def _message(address: str) -> Message:
    body = (
        GENERIC_HEADER
        + nested(TUPLE_REPLY, nested(TUPLE_IP, attribute(IP_V4_SRC, socket.inet_aton(address))))
        + nested(FILTER, attribute(FILTER_ORIG_FLAGS, 0), attribute(FILTER_REPLY_FLAGS, BY_SOURCE_ADDRESS))
    )
    return Message(DELETE, body, f"forget flows to {address}")
