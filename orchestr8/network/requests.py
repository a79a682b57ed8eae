"""What a caller hands to `NetworkManager` and gets back. Addresses are allotted by the caller with `ipam`."""

from dataclasses import dataclass

from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.model.observed import BoundPort


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One interface: the n-th attachment of a request becomes eth<n>; the first one holds the default route."""

    network: NetworkName
    bridge: str  # the link's name, from `LinkNames.bridge`
    address: str  # with its prefix, e.g. "10.9.0.2/24"
    gateway: str  # the bridge's own address, e.g. "10.9.0.1"
    mac: str = ""  # "": derived from the address


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRequest:
    container_id: ContainerId
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFds:
    """Belong to the receiver, who passes them on to the shim and then closes them. All are close-on-exec."""

    netns: int
    dns_udp: int
    dns_tcp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """One port of one container. `published_first` 0: any free port; a range: its first free one."""

    target: int
    address: str  # the container's, without prefix
    host_ip: str = "0.0.0.0"
    published_first: int = 0
    published_last: int = 0  # 0: the same as first
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """`ports[n]` is what request n got. Whoever holds `fds`, listening sockets that nobody reads, holds the ports."""

    ports: tuple[BoundPort, ...] = ()
    fds: tuple[int, ...] = ()
