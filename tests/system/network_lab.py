"""What tests of the network share: a machine that is a network namespace of its own with another host beside it, and on
it a manager with two networks and containers that are nothing but their namespaces.
"""

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import anyio
from dnslib import RCODE, DNSRecord

from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.network import links as link_table
from orchestr8.network.firewall.nft import Nft
from orchestr8.network.manager import NetworkManager
from orchestr8.network.netlink import NetlinkSocket
from orchestr8.network.requests import Attachment, NamespaceFds, NamespaceRequest, PublishRequest

T = TypeVar("T")
INSTANCE = "ab12cd34"
FRONT = NetworkName("shop_front")
BACK = NetworkName("shop_back")
SUBNETS = {FRONT: "10.9.0.0/24", BACK: "10.9.1.0/24"}
HOST_ADDRESS = "198.51.100.1"  # of the test's machine on its way to the outside; TEST-NET-2
OUTSIDE_ADDRESS = "198.51.100.2"


def namespace_fd() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def inside(fd: int, work: Callable[[], T]) -> T:
    """The result of `work`, done in a network namespace by a thread that ends afterwards."""

    def run() -> T:
        setns(fd, CloneFlag.NEWNET)
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


class Machine:
    """The test's host and the host outside, which knows the way to the machine's containers, as a hostile one may."""

    def __init__(self) -> None:
        self.fd = namespace_fd()
        made: list[int] = []
        thread = threading.Thread(target=lambda: (unshare(CloneFlag.NEWNET), made.append(namespace_fd())))
        thread.start()
        thread.join()
        self.outside = made[0]
        ip("link", "set", "lo", "up")
        peer = f"/proc/{os.getpid()}/fd/{self.outside}"
        ip("link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", peer)
        ip("addr", "add", f"{HOST_ADDRESS}/24", "dev", "uplink")
        ip("link", "set", "uplink", "up")
        inside(self.outside, self._set_up_outside)

    @staticmethod
    def _set_up_outside() -> None:
        ip("link", "set", "lo", "up")
        ip("addr", "add", f"{OUTSIDE_ADDRESS}/24", "dev", "eth0")
        ip("link", "set", "eth0", "up")
        for subnet in SUBNETS.values():
            ip("route", "add", subnet, "via", HOST_ADDRESS)


def make_machine() -> Iterator[Machine]:
    """The fixture `machine`, once a test module has made it one."""
    home = namespace_fd()
    unshare(CloneFlag.NEWNET)
    made = Machine()
    try:
        yield made
    finally:
        setns(home, CloneFlag.NEWNET)
        for fd in (home, made.fd, made.outside):
            os.close(fd)


class Listener:
    """A TCP server in a namespace that sends each caller the address it sees, and its own name."""

    def __init__(self, fd: int, port: int, name: str, address: str = "0.0.0.0") -> None:
        self.name = name
        self._socket = inside(fd, lambda: socket.create_server((address, port)))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, peer = self._socket.accept()
            with connection:
                if connection.recv(16) == b"end":
                    return
                connection.sendall(f"{self.name} {peer[0]}".encode())

    def close(self, fd: int, port: int, address: str = "127.0.0.1") -> None:
        inside(fd, lambda: _talk(address, port, b"end"))
        self._thread.join()
        self._socket.close()


def _talk(address: str, port: int, word: bytes = b"hi", timeout_s: float = 2.0) -> str:
    with socket.create_connection((address, port), timeout=timeout_s) as connection:
        connection.sendall(word)
        return connection.recv(100).decode()


def call(fd: int, address: str, port: int, timeout_s: float = 2.0) -> str:
    """What the listener at that place says to a caller in a namespace; "" when the call does not get through."""
    try:
        return inside(fd, lambda: _talk(address, port, timeout_s=timeout_s))
    except (TimeoutError, ConnectionError):
        return ""


def no_answer(fd: int, address: str, port: int) -> bool:
    return call(fd, address, port, timeout_s=0.3) == ""


class Lab:
    """A manager with its networks, and containers that are nothing but their namespaces."""

    def __init__(self, machine: Machine, manager: NetworkManager) -> None:
        self.machine = machine
        self.manager = manager
        self.fds: dict[str, NamespaceFds] = {}
        self.extra: list[int] = []
        self.listeners: list[tuple[Listener, int, int]] = []

    def attachment(self, network: NetworkName, host: int) -> Attachment:
        stem = SUBNETS[network].removesuffix("0/24")
        bridge = self.manager.links.bridge(network)
        return Attachment(network=network, bridge=bridge, address=f"{stem}{host}/24", gateway=f"{stem}1")

    async def container(self, name: str, host: int, *networks: NetworkName) -> int:
        """Make one, serve its name and a listener on port 80; returns its namespace."""
        request = NamespaceRequest(
            container_id=ContainerId(name),
            attachments=tuple(self.attachment(network, host) for network in networks or (FRONT,)),
        )
        fds = self.fds[name] = await self.manager.open_namespace(request)
        self.manager.set_names(ContainerId(name), {network: [name] for network in networks or (FRONT,)})
        self.listeners.append((Listener(fds.netns, 80, name), fds.netns, 80))
        return fds.netns

    async def publish(self, name: str, host: int, port: int, host_ip: str = "0.0.0.0") -> int:
        request = PublishRequest(target=80, address=f"10.9.0.{host}", host_ip=host_ip, published_first=port)
        published = await self.manager.publish(ContainerId(name), [request])
        self.extra += published.fds
        return published.ports[0].published

    def close(self) -> None:
        for listener, fd, port in self.listeners:
            listener.close(fd, port)
        for fds in self.fds.values():
            for fd in (fds.netns, fds.dns_udp, fds.dns_tcp):
                os.close(fd)
        for fd in self.extra:
            os.close(fd)


@contextlib.asynccontextmanager
async def lab(machine: Machine, resolv: str = "/nowhere") -> AsyncIterator[Lab]:
    manager = NetworkManager(instance=INSTANCE, upstream_resolv=resolv)
    await manager.start()
    made = Lab(machine, manager)
    try:
        for network, subnet in SUBNETS.items():
            await manager.create_network(network, subnet, manager.links.bridge(network))
        yield made
    finally:
        await anyio.to_thread.run_sync(made.close)
        await manager.close(remove=True)
    assert [link.name for link in our_links()] == []
    assert ruleset() == ""


def our_links() -> list[link_table.Link]:
    with NetlinkSocket() as netlink:
        return [link for link in link_table.list_links(netlink) if link.name.startswith("o8")]


def ruleset() -> str:
    with Nft() as nft:
        return nft.run("list ruleset")


def flows_to(port: int) -> int:
    return Path("/proc/thread-self/net/nf_conntrack").read_text().count(f"dport={port} ")


def in_lab(machine: Machine, work: Callable[[Lab], Any]) -> None:
    async def main() -> None:
        async with lab(machine) as made:
            await work(made)

    anyio.run(main)


async def thread(work: Callable[..., T], *arguments: Any) -> T:
    return await anyio.to_thread.run_sync(lambda: work(*arguments))


def resolve(fd: int, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
    """Sorted answers by 127.0.0.11 port 53, as a program in the namespace gets them."""

    def ask() -> list[str]:
        packed = DNSRecord.question(name, kind).pack()
        if tcp:
            with socket.create_connection(("127.0.0.11", 53), timeout=2) as connection:
                connection.sendall(len(packed).to_bytes(2, "big") + packed)
                raw = connection.recv(65535)[2:]
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
                plain.settimeout(2)
                plain.sendto(packed, ("127.0.0.11", 53))
                raw, sender = plain.recvfrom(65535)
                assert sender == ("127.0.0.11", 53)
        reply = DNSRecord.parse(raw)
        return [RCODE[reply.header.rcode], *sorted(str(each.rdata) for each in reply.rr)]

    return inside(fd, ask)


async def eventually(holds: Callable[[], bool]) -> None:
    """For what the manager does by itself when it is told of a change: there is nothing else to wait for."""
    with anyio.fail_after(5):
        while not await thread(holds):
            await anyio.sleep(0.01)
