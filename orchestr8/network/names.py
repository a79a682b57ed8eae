"""Names of links and tables: derived from what they are for, so that a new engine finds what the old one made.

A link's name has at most 15 bytes. Ours begin with "o8" and four digits of the instance; the instance's whole hash is
the links' group number, which tells two engines apart whose four digits happen to be equal.
"""

import base64
import hashlib
import ipaddress
from typing import Final

DIGEST_LETTERS: Final = 7  # base32, 35 bits: two of 1000 names meet once in 70,000 machines


def _digest(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:DIGEST_LETTERS]


class LinkNames:
    """Names for one engine; `instance` is 8 hex digits (`wire.paths.instance_hash`)."""

    def __init__(self, instance: str) -> None:
        self.prefix: Final = f"o8{instance[:4]}-"
        self.bridge_prefix: Final = f"{self.prefix}b"
        self.veth_prefix: Final = f"{self.prefix}v"
        self.table: Final = f"orchestr8-{instance}"
        number = int(instance, 16) & 0x7FFFFFFE
        self.group: Final = number or 2  # of all our links; 0 is everybody's
        self.doomed_group: Final = self.group | 1  # of those about to be deleted together

    def bridge(self, network: str) -> str:
        return self.bridge_prefix + _digest(network)

    def veth(self, container_id: str, index: int) -> str:
        """The host's end of the container's eth<index>."""
        return self.veth_prefix + _digest(f"{container_id}/{index}")


def mac_address(address: str) -> str:
    """A locally administered MAC made of an IPv4 address.

    The next holder of an address then has its MAC too, and no neighbour keeps a stale ARP entry.
    """
    packed = ipaddress.IPv4Address(address).packed
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x08, *packed))
