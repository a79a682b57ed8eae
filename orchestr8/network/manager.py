"""The way into this package for a backend: networks, namespaces, published ports and names of one engine.

An engine that starts calls `start`, then `create_network` for every network it remembers and `adopt` for every
container that is alive, then `sweep`; nothing that lives is touched by any of these. All netlink, netfilter and
namespace work happens in one thread (`thread`), DNS on the event loop. Errors are `OperationFailed` with the kernel's
words, or say what is wrong with what was asked for.
"""

import collections
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from orchestr8.errors import Conflict, OperationFailed
from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.network import netns
from orchestr8.network.bridge import bridge_index, create_bridge
from orchestr8.network.dns.server import DnsServer
from orchestr8.network.dns.upstream import Upstreams
from orchestr8.network.firewall.conntrack import forget_flows
from orchestr8.network.firewall.host import Change, HostFirewall
from orchestr8.network.firewall.rules import HostPort, Target
from orchestr8.network.firewall.watch import RulesetWatch
from orchestr8.network.links import delete_group, delete_links, list_links, list_routes, write_sysctl
from orchestr8.network.names import LinkNames
from orchestr8.network.netlink import NETLINK_NETFILTER, NetlinkSocket
from orchestr8.network.publish import check_requests, reserve
from orchestr8.network.requests import Attachment, NamespaceFds, NamespaceRequest, Published, PublishRequest
from orchestr8.network.thread import NetworkThread

T = TypeVar("T")


@contextmanager
def _failing(what: str, code: str) -> Iterator[None]:
    """An errno from the kernel as an error of ours: what was being done, and the kernel's words as a note."""
    try:
        yield
    except OSError as error:
        raise OperationFailed(f"{what}: {error.strerror}", code=code, notes=[str(error)]) from error


class NetworkManager:
    def __init__(
        self, *, instance: str, upstream_resolv: str = "/etc/resolv.conf", name_of: Callable[[ContainerId], str] = str
    ) -> None:
        """`instance` is 8 hex digits, `wire.paths.instance_hash(root)`; `name_of`: how a container is called in errors."""
        self._name_of: Final = name_of
        self.links: Final = LinkNames(instance)
        self._thread: Final = NetworkThread()
        self._firewall: Final = HostFirewall(self.links.table, self.links.bridge_prefix)
        self._dns: Final = DnsServer(Upstreams(upstream_resolv))
        self._netlink: NetlinkSocket | None = None
        self._netfilter: NetlinkSocket | None = None
        self._subnets: Final[dict[str, str]] = {}  # by bridge
        self._ports: Final[dict[ContainerId, dict[HostPort, Target]]] = {}
        self._watch: Final = RulesetWatch(self.links.table, self._ruleset_changed)
        self._ready = False
        self._repair_waits = False
        self._doomed: Final[collections.deque[str]] = collections.deque()  # links that wait for their deletion

    async def start(self) -> None:
        """In the caller's network namespace: forwarding, our table, and the neighbours' accept rules."""
        self._thread.start()
        with _failing("cannot set up networking", "O8-702"):
            await self._thread.run(self._start)
            self._ready = True
            self._watch.open()

    def _start(self) -> None:
        self._netlink = NetlinkSocket()
        self._netfilter = NetlinkSocket(NETLINK_NETFILTER)
        with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
            forwards = file.read().strip() == "1"
        if not forwards:
            write_sysctl("net/ipv4/ip_forward", "1")
        self._firewall.install()

    def _ruleset_changed(self) -> None:
        """Somebody, perhaps we, took rules away: see what is missing, once for all that is told until then."""
        if not self._repair_waits:
            self._repair_waits = True
            self._thread.post(self._repair, "putting back the engine's firewall rules")

    def _repair(self) -> None:
        self._repair_waits = False
        self._firewall.repair()

    async def close(self, *, remove: bool) -> None:
        """End DNS and the thread; with `remove`, our table, our accept rules and all of our links vanish too.

        After a `start` that failed nothing stands, and its own error is the one to be told.
        """
        self._dns.close_all()
        self._watch.close()
        try:
            if remove and self._ready:
                with _failing("cannot remove the engine's networks", "O8-702"):
                    await self._thread.run(self._remove)
        finally:
            self._thread.post(self._close, "closing the network thread")
            await self._thread.close()

    def _remove(self) -> None:
        self._firewall.remove()
        delete_group(self._host, self.links.group)

    def _close(self) -> None:
        self._firewall.close()
        for each in (self._netlink, self._netfilter):
            if each is not None:
                each.close()
        self._netlink = self._netfilter = None

    @property
    def _host(self) -> NetlinkSocket:
        if self._netlink is None:
            raise RuntimeError("the network manager was not started")
        return self._netlink

    async def host_routes(self) -> list[str]:
        """What this machine has routes to, as CIDRs: for `ipam.allot_subnet`."""
        with _failing("cannot read the routes", "O8-702"):
            return await self._thread.run(lambda: list_routes(self._host))

    async def create_network(self, name: NetworkName, subnet: str, bridge: str) -> None:
        """Make the network's bridge and its place in the firewall, or find them. `bridge` is `links.bridge(name)`."""
        change = Change()
        change.add.bridges.add(bridge)
        change.add.subnets.add(subnet)

        def work() -> None:
            # The rules first: at no instant is there a bridge that nothing isolates.
            self._firewall.queue(change)
            self._firewall.apply()
            _raise(change)
            self._firewall.check_neighbours()
            create_bridge(self._host, self.links, bridge, subnet)

        with _failing(f"cannot create network {name}", "O8-703"):
            await self._thread.run(work)
        self._subnets[bridge] = subnet

    async def remove_network(self, name: NetworkName, bridge: str) -> None:
        """Take the network out of the firewall and remove its bridge. That it is gone already is fine.

        The kernel takes 40 ms over a bridge, so that goes on after the return: in the network thread, ahead of
        whatever is asked for next.
        """
        change = Change()
        change.remove.bridges.add(bridge)
        subnet = self._subnets.pop(bridge, "")
        if subnet:
            change.remove.subnets.add(subnet)
        self._firewall.queue(change)
        with _failing(f"cannot remove network {name}", "O8-703"):
            await self._apply(change)
        self._doomed.append(bridge)
        self._thread.post(self._delete_doomed, f"deleting bridge {bridge}")

    def _delete_doomed(self) -> None:
        """All links that wait for it, the other callers' too: together they take as long as one."""
        names = []
        while self._doomed:
            names.append(self._doomed.popleft())
        delete_links(self._host, names, self.links.doomed_group)

    async def open_namespace(self, request: NamespaceRequest) -> NamespaceFds:
        """Make a container's network namespace with its interfaces and its DNS, which is served from now on.

        The fds are the caller's, for the shim. The namespace lives as long as somebody has it open.
        """
        container_id = request.container_id
        with _failing(f"cannot make the network of container {container_id}", "O8-704"):
            fds = await self._thread.run(lambda: self._open(request))
            try:
                await self._serve(container_id, request.attachments, fds.dns_udp, fds.dns_tcp)
            except BaseException:
                for fd in (fds.netns, fds.dns_udp, fds.dns_tcp):
                    os.close(fd)
                raise
        return fds

    def _open(self, request: NamespaceRequest) -> NamespaceFds:
        bridges = {each.bridge: bridge_index(each.bridge) for each in request.attachments}
        return netns.open_namespace(self._host, self.links, request, bridges, self._thread.go_home)

    async def _serve(
        self, container_id: ContainerId, attachments: Sequence[Attachment], dns_udp: int, dns_tcp: int
    ) -> None:
        addresses = {each.network: each.address.partition("/")[0] for each in attachments}
        self._dns.zone.attach(container_id, addresses)
        await self._dns.open(container_id, dns_udp, dns_tcp)

    async def close_namespace(self, container_id: ContainerId) -> None:
        """Serve the container's DNS no more and forget its names. Its links vanish with the namespace."""
        self._dns.close(container_id)
        self._dns.zone.detach(container_id)

    async def publish(self, container_id: ContainerId, ports: Sequence[PublishRequest]) -> Published:
        """Reserve the ports and send what comes there to the container: all of them, or none and an error.

        The fds are the caller's, for the shim: they hold the ports.
        """
        if not ports:
            return Published()
        check_requests(ports)
        change = Change()

        def reserve_all() -> Published:
            reserved = reserve(ports)
            for port, request in zip(reserved.ports, ports, strict=True):
                key = HostPort(port.host_ip, port.published)
                change.add.ports[key] = Target(request.address, request.target)
            self._firewall.queue(change)
            return reserved

        with _failing(f"cannot publish the ports of container {container_id}", "O8-705"):
            try:
                reserved = await self._thread.run(reserve_all)
            except Conflict as conflict:
                conflict.notes = self._own_holders(ports) or conflict.notes  # shims hold them, and say little
                raise
            mine = self._ports.setdefault(
                container_id, {}
            )  # before the rules: another container may want them meanwhile
            mine.update(change.add.ports)
            try:
                await self._apply(change)
            except BaseException:
                for key in change.add.ports:
                    mine.pop(key, None)
                for fd in reserved.fds:
                    os.close(fd)
                raise
        return reserved

    def _own_holders(self, ports: Sequence[PublishRequest]) -> list[str]:
        """Which containers of this engine have the ports that could not be had."""
        wanted = {number for each in ports for number in range(each.published_first, _last(each) + 1)}
        return [
            f"container {self._name_of(owner)} publishes {key.host_ip}:{key.port}"
            for owner, held in sorted(self._ports.items())
            for key in sorted(held)
            if key.port in wanted
        ]

    async def _apply(self, change: Change) -> None:
        """Have a queued change done, together with whatever else is queued by then."""
        await self._thread.run(self._firewall.apply)
        _raise(change)

    async def unpublish(self, container_id: ContainerId) -> None:
        """Send nothing more to the container. The ports are free once the shim closes their sockets."""
        change = Change()
        change.remove.ports = self._ports.pop(container_id, {})
        if not change.remove.ports:
            return
        self._firewall.queue(change)

        def work() -> None:
            self._firewall.apply()
            if self._netfilter is not None:
                forget_flows(self._netfilter, {target.address for target in change.remove.ports.values()})

        with _failing(f"cannot withdraw the ports of container {container_id}", "O8-705"):
            await self._thread.run(work)
            _raise(change)

    async def adopt(
        self,
        container_id: ContainerId,
        *,
        dns_udp: int,
        dns_tcp: int,
        attachments: Sequence[Attachment],
        ports: Sequence[PublishRequest] = (),
    ) -> None:
        """Serve a container that an earlier engine started: DNS on copies of the shim's sockets, and its ports.

        `ports` as they were bound: `published_first` is the port in use, whose socket the shim has.
        """
        change = Change()
        change.add.ports = {
            HostPort(each.host_ip, each.published_first): Target(each.address, each.target) for each in ports
        }
        with _failing(f"cannot adopt the network of container {container_id}", "O8-704"):
            await self._serve(container_id, attachments, dns_udp, dns_tcp)
            if change.add.ports:
                self._ports[container_id] = dict(change.add.ports)
                self._firewall.queue(change)
                await self._apply(change)

    def set_names(self, container_id: ContainerId, names: Mapping[NetworkName, Sequence[str]]) -> None:
        """Let the container be found, from now on, under these names of each network, and no others.

        The first name of a network is the one that reverse look-ups answer: give the container's own.
        """
        self._dns.zone.set_names(container_id, names)

    def drop_names(self, container_id: ContainerId) -> None:
        """Let the container be found no more, for it does not run; queries from it are still answered."""
        self._dns.zone.drop_names(container_id)

    async def sweep(
        self, live_containers: Collection[ContainerId], live_networks: Collection[NetworkName]
    ) -> list[str]:
        """Remove what an engine that died left behind: links of ours without a living owner, elements nobody adopted.

        Returns the links' names.
        """
        bridges = {self.links.bridge(name) for name in live_networks}
        containers = set(live_containers)

        def work() -> list[str]:
            leftovers = [
                link.name
                for link in list_links(self._host)
                if link.group in (self.links.group, self.links.doomed_group)
                and link.name.startswith(self.links.prefix)
                and link.name not in bridges
                and link.alias not in containers
            ]
            delete_links(self._host, leftovers, self.links.doomed_group)
            self._firewall.settle()
            return leftovers

        with _failing("cannot remove what an earlier engine left behind", "O8-702"):
            return await self._thread.run(work)


def _raise(change: Change) -> None:
    if change.error is not None:
        raise change.error


def _last(request: PublishRequest) -> int:
    return max(request.published_first, request.published_last)
