"""Networks on the real kernel: each test's machine is a network namespace of its own, with another host beside it."""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from dnslib import RCODE, DNSRecord

from orchestr8.errors import Conflict
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.network import links as link_table
from orchestr8.network.firewall.nft import Nft
from orchestr8.network.manager import NetworkManager
from orchestr8.network.netlink import NetlinkSocket
from orchestr8.network.requests import Attachment, NamespaceFds, NamespaceRequest, PublishRequest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

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


@pytest.fixture
def machine() -> Iterator[Machine]:
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


async def eventually(holds: Callable[[], bool]) -> None:
    """For what the manager does by itself when it is told of a change: there is nothing else to wait for."""
    with anyio.fail_after(5):
        while not await thread(holds):  # noqa: ASYNC110
            await anyio.sleep(0.01)


def test_containers_of_one_network_reach_each_other(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        await made.container("two", 3)
        assert await thread(call, one, "10.9.0.3", 80) == "two 10.9.0.2"

    in_lab(machine, work)


def test_containers_of_different_networks_do_not_reach_each_other(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        two = await made.container("two", 3, BACK)
        assert await thread(no_answer, one, "10.9.1.3", 80)
        assert await thread(no_answer, two, "10.9.0.2", 80)

    in_lab(machine, work)


def test_a_container_of_two_networks_reaches_both(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("front", 2)
        await made.container("back", 2, BACK)
        both = await made.container("both", 3, FRONT, BACK)
        assert await thread(call, both, "10.9.0.2", 80) == "front 10.9.0.3"
        assert await thread(call, both, "10.9.1.2", 80) == "back 10.9.1.3"

    in_lab(machine, work)


def test_the_way_out_is_masqueraded(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        outside = await thread(Listener, machine.outside, 80, "outside")
        made.listeners.append((outside, machine.outside, 80))
        one = await made.container("one", 2)
        assert await thread(call, one, OUTSIDE_ADDRESS, 80) == f"outside {HOST_ADDRESS}"

    in_lab(machine, work)


def test_an_unpublished_port_is_out_of_reach_from_outside_and_within_from_the_host(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("one", 2)
        assert await thread(no_answer, machine.outside, "10.9.0.2", 80)
        assert await thread(call, machine.fd, "10.9.0.2", 80) == "one 10.9.0.1"

    in_lab(machine, work)


def test_a_published_port_answers_outside_loopback_itself_and_other_networks(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        web = await made.container("web", 2)
        beside = await made.container("beside", 3)
        apart = await made.container("apart", 2, BACK)
        await made.publish("web", 2, 8080)
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"
        assert await thread(call, machine.fd, "127.0.0.1", 8080) == "web 10.9.0.1"
        assert await thread(call, machine.fd, HOST_ADDRESS, 8080) == f"web {HOST_ADDRESS}"
        for caller in (web, beside, apart):
            assert await thread(call, caller, HOST_ADDRESS, 8080) == "web 10.9.0.1"

    in_lab(machine, work)


def test_a_bridge_that_calls_the_packet_filter_changes_none_of_that(machine: Machine) -> None:
    """With br_netfilter on, frames between ports of one bridge pass through the ip hooks too."""
    if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
        pytest.skip("needs br_netfilter")

    async def work(made: Lab) -> None:
        link_table.write_sysctl("net/bridge/bridge-nf-call-iptables", "1")
        web = await made.container("web", 2)
        beside = await made.container("beside", 3)
        await made.publish("web", 2, 8080)
        assert await thread(call, web, HOST_ADDRESS, 8080) == "web 10.9.0.1"
        assert await thread(call, beside, HOST_ADDRESS, 8080) == "web 10.9.0.1"
        assert await thread(call, beside, "10.9.0.2", 80) == "web 10.9.0.3"
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"

    in_lab(machine, work)


def test_a_port_published_on_loopback_stays_there(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("web", 2)
        await made.publish("web", 2, 8080, "127.0.0.1")
        assert await thread(call, machine.fd, "127.0.0.1", 8080) == "web 10.9.0.1"
        assert await thread(no_answer, machine.outside, HOST_ADDRESS, 8080)

    in_lab(machine, work)


def test_a_port_published_on_one_address_is_found_at_no_other(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("web", 2)
        await made.publish("web", 2, 8080, HOST_ADDRESS)
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"
        assert await thread(call, machine.fd, HOST_ADDRESS, 8080) == f"web {HOST_ADDRESS}"
        assert await thread(no_answer, machine.fd, "127.0.0.1", 8080)

    in_lab(machine, work)


def test_a_container_does_not_reach_the_loopback_of_the_host(machine: Machine) -> None:
    """route_localnet on the bridge would let it in."""

    async def work(made: Lab) -> None:
        secret = await thread(Listener, machine.fd, 9000, "secret", "127.0.0.1")
        made.listeners.append((secret, machine.fd, 9000))
        one = await made.container("one", 2)
        await thread(inside, one, lambda: ip("addr", "del", "127.0.0.1/8", "dev", "lo"))
        await thread(inside, one, lambda: ip("route", "add", "127.0.0.1/32", "via", "10.9.0.1", "dev", "eth0"))
        await thread(inside, one, lambda: link_table.write_sysctl("net/ipv4/conf/eth0/route_localnet", "1"))
        assert await thread(no_answer, one, "127.0.0.1", 9000)
        await thread(inside, one, lambda: ip("addr", "add", "127.0.0.1/8", "dev", "lo"))

    in_lab(machine, work)


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


def test_names_are_resolved_within_a_network_only(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        await made.container("two", 3)
        await made.container("apart", 4, BACK)
        both = await made.container("both", 5, FRONT, BACK)
        assert await thread(resolve, one, "TWO") == ["NOERROR", "10.9.0.3"]
        assert await thread(resolve, one, "two.shop_front") == ["NOERROR", "10.9.0.3"]
        assert await thread(lambda: resolve(one, "two", tcp=True)) == ["NOERROR", "10.9.0.3"]
        assert await thread(resolve, one, "two", "AAAA") == ["NOERROR"]
        assert await thread(resolve, one, "3.0.9.10.in-addr.arpa", "PTR") == ["NOERROR", "two.shop_front."]
        assert await thread(resolve, one, "apart") == ["SERVFAIL"]  # this machine has no resolver to ask
        assert await thread(resolve, both, "apart") == ["NOERROR", "10.9.1.4"]

    in_lab(machine, work)


def test_all_replicas_are_answered_until_they_stop(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        for host in (3, 4):
            await made.container(f"web-{host}", host)
            made.manager.set_names(ContainerId(f"web-{host}"), {FRONT: [f"web-{host}", "web"]})
        assert await thread(resolve, one, "web") == ["NOERROR", "10.9.0.3", "10.9.0.4"]
        made.manager.drop_names(ContainerId("web-3"))
        assert await thread(resolve, one, "web") == ["NOERROR", "10.9.0.4"]

    in_lab(machine, work)


def test_a_container_may_have_a_name_server_of_its_own(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        await made.container("two", 3)
        own = await thread(Listener, one, 53, "own")
        made.listeners.append((own, one, 53))
        assert await thread(call, one, "127.0.0.1", 53) == "own 127.0.0.1"
        assert await thread(resolve, one, "two") == ["NOERROR", "10.9.0.3"]

    in_lab(machine, work)


def test_a_namespace_is_furnished_like_dockers(machine: Machine) -> None:
    def look() -> list[str]:
        settings = ("net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range")
        return [
            *(" ".join(Path("/proc/sys", path).read_text().split()) for path in settings),
            *(line.strip() for line in ip("-o", "-br", "addr").splitlines()),
            *(line.strip() for line in ip("route").splitlines()),
            ip("-br", "link", "show", "eth0").split()[2],
        ]

    async def work(made: Lab) -> None:
        one = await made.container("one", 2, FRONT, BACK)
        found = [" ".join(line.split()) for line in await thread(inside, one, look)]
        assert [line.split("@")[0] + " " + line.partition(" ")[2] if "@" in line else line for line in found] == [
            "0",
            "0 2147483647",
            "lo UNKNOWN 127.0.0.1/8 ::1/128",
            "eth0 UP 10.9.0.2/24",
            "eth1 UP 10.9.1.2/24",
            "default via 10.9.0.1 dev eth0",
            "10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.2",
            "10.9.1.0/24 dev eth1 proto kernel scope link src 10.9.1.2",
            "02:08:0a:09:00:02",
        ]

    in_lab(machine, work)


def test_a_port_in_use_is_an_error_that_names_the_port_and_its_holder(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("web", 2)
        with socket.create_server(("127.0.0.1", 8080)), pytest.raises(Conflict) as caught:
            await made.publish("web", 2, 8080)
        assert caught.value.code == "O8-401"
        assert caught.value.message == "port 0.0.0.0:8080 is already in use"
        comm = await thread(Path("/proc/self/comm").read_text)
        assert caught.value.notes == [f"{comm.strip()} (process {os.getpid()}) holds it at 127.0.0.1"]
        await made.publish("web", 2, 8080)
        with pytest.raises(Conflict) as again:
            await made.publish("web", 2, 8080, "127.0.0.1")
        assert again.value.notes[-1] == "container web publishes 0.0.0.0:8080"

    in_lab(machine, work)


def test_a_range_gives_its_first_free_port_and_none_gives_any(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("web", 2)
        wanted = PublishRequest(target=80, address="10.9.0.2", published_first=8000, published_last=8001)
        for expected in (8000, 8001):
            published = await made.manager.publish(ContainerId("web"), [wanted])
            made.extra += published.fds
            assert published.ports[0].published == expected
            assert await thread(call, machine.fd, "127.0.0.1", expected) == "web 10.9.0.1"
        with pytest.raises(Conflict, match=r"all of the ports 0\.0\.0\.0:8000-8001 are already in use"):
            await made.manager.publish(ContainerId("web"), [wanted])
        ephemeral = await made.publish("web", 2, 0)
        assert await thread(call, machine.fd, "127.0.0.1", ephemeral) == "web 10.9.0.1"

    in_lab(machine, work)


def test_an_unpublished_port_is_closed_and_its_flows_are_forgotten(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("web", 2)
        await made.publish("web", 2, 8080)
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"
        assert flows_to(8080) == 1
        await made.manager.unpublish(ContainerId("web"))
        assert flows_to(8080) == 0
        assert await thread(no_answer, machine.outside, HOST_ADDRESS, 8080)

    in_lab(machine, work)


def test_a_new_engine_adopts_what_lives_and_sweeps_what_does_not(machine: Machine) -> None:
    async def main() -> None:
        first = NetworkManager(instance=INSTANCE, upstream_resolv="/nowhere")
        await first.start()
        made = Lab(machine, first)
        for network, subnet in SUBNETS.items():
            await first.create_network(network, subnet, first.links.bridge(network))
        web = await made.container("web", 2)
        await made.container("gone", 3, BACK)
        await made.publish("web", 2, 8080)
        request = PublishRequest(target=80, address="10.9.1.3", published_first=8081)
        made.extra += (await first.publish(ContainerId("gone"), [request])).fds
        await first.close(remove=False)  # as good as dead: nothing of it is left but what the kernel keeps
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"

        second = NetworkManager(instance=INSTANCE, upstream_resolv="/nowhere")
        await second.start()
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"
        await second.create_network(FRONT, SUBNETS[FRONT], second.links.bridge(FRONT))
        fds = made.fds["web"]
        await second.adopt(
            ContainerId("web"),
            dns_udp=fds.dns_udp,
            dns_tcp=fds.dns_tcp,
            attachments=[made.attachment(FRONT, 2)],
            ports=[PublishRequest(target=80, address="10.9.0.2", published_first=8080)],
        )
        second.set_names(ContainerId("web"), {FRONT: ["web"]})
        swept = await second.sweep([ContainerId("web")], [FRONT])
        assert sorted(swept) == sorted([second.links.bridge(BACK), second.links.veth("gone", 0)])
        assert sorted(link.name for link in our_links()) == sorted(
            [second.links.bridge(FRONT), second.links.veth("web", 0)]
        )
        assert "8080 : 10.9.0.2 . 80" in ruleset()
        assert "8081" not in ruleset()
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"
        assert await thread(resolve, web, "web") == ["NOERROR", "10.9.0.2"]
        await second.unpublish(ContainerId("web"))
        assert "8080" not in ruleset()
        await thread(made.close)
        await second.close(remove=True)
        assert our_links() == []
        assert ruleset() == ""

    anyio.run(main)


def test_a_container_may_be_opened_again_while_its_old_namespace_is_still_there(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("one", 2)
        old = made.fds["one"]
        new = await made.container("one", 2)
        two = await made.container("two", 3)
        assert await thread(resolve, new, "two") == ["NOERROR", "10.9.0.3"]
        assert await thread(call, two, "10.9.0.2", 80) == "one 10.9.0.3"
        made.extra += (old.netns, old.dns_udp, old.dns_tcp)

    in_lab(machine, work)


def test_rules_that_somebody_flushed_come_back(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        await made.container("web", 2)
        await made.publish("web", 2, 8080)
        before = ruleset()
        for command in ("flush ruleset", f"flush chain ip {made.manager.links.table} raw"):
            with Nft() as nft:
                nft.run(command)
            await eventually(lambda: ruleset() == before)
        assert await thread(call, machine.outside, HOST_ADDRESS, 8080) == f"web {OUTSIDE_ADDRESS}"

    in_lab(machine, work)


def iptables(*arguments: str) -> str:
    return subprocess.run(["iptables-nft", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("iptables-nft") is None, reason="needs iptables-nft")
def test_a_firewall_that_drops_what_it_does_not_know_lets_our_bridges_through(machine: Machine) -> None:
    """Docker's start, seen from here: FORWARD drops, and a chain for users' rules is the place to say otherwise."""

    async def until(expected: str) -> None:
        await eventually(lambda: expected in iptables("-S"))

    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        outside = await thread(Listener, machine.outside, 80, "outside")
        made.listeners.append((outside, machine.outside, 80))
        iptables("-P", "FORWARD", "DROP")
        prefix = made.manager.links.bridge_prefix
        await until(f"-A FORWARD -i {prefix}+ -j ACCEPT\n-A FORWARD -o {prefix}+ -j ACCEPT\n")
        assert await thread(call, one, OUTSIDE_ADDRESS, 80) == f"outside {HOST_ADDRESS}"
        iptables("-N", "DOCKER-USER")
        iptables("-A", "DOCKER-USER", "-j", "RETURN")
        iptables("-I", "FORWARD", "-j", "DOCKER-USER")
        accepts = [f"-A DOCKER-USER -{way} {prefix}+ -j ACCEPT" for way in "io"]
        await until("\n".join([*accepts, "-A DOCKER-USER -j RETURN"]))
        assert "-A FORWARD -i" not in iptables("-S")
        assert await thread(call, one, OUTSIDE_ADDRESS, 80) == f"outside {HOST_ADDRESS}"
        await made.manager.close(remove=True)
        assert prefix not in iptables("-S")
        with Nft() as nft:
            nft.run("flush ruleset")
        await made.manager.start()

    in_lab(machine, work)
