"""Who reaches whom, and how a container sees its network: on the real kernel, with a host outside."""

import os
import socket
from pathlib import Path

import anyio
import pytest

from orchestr8.errors import Conflict
from orchestr8.model.ids import ContainerId
from orchestr8.network import links as link_table
from orchestr8.network.requests import PublishRequest
from tests.requires import requires
from tests.system.network_lab import (
    BACK,
    FRONT,
    HOST_ADDRESS,
    OUTSIDE_ADDRESS,
    Lab,
    Listener,
    Machine,
    call,
    flows_to,
    in_lab,
    inside,
    ip,
    make_machine,
    no_answer,
    thread,
)

own_machine = pytest.fixture(name="machine")(make_machine)

pytestmark = [pytest.mark.system, requires("root", "network_namespaces")]


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


def test_both_ends_of_a_link_have_a_single_queue(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        one = await made.container("one", 2)
        for shown in (
            ip("-d", "-o", "link", "show", "type", "veth"),
            inside(one, lambda: ip("-d", "-o", "link", "show", "eth0")),
        ):
            assert "numtxqueues 1 " in shown
            assert "numrxqueues 1 " in shown

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


def test_a_port_that_two_containers_want_at_the_same_moment_is_named_with_the_one_that_got_it(machine: Machine) -> None:
    async def work(made: Lab) -> None:
        for number, name in enumerate(("web", "web2"), 2):
            await made.container(name, number)
        failed: list[Conflict] = []

        async def publish(name: str, number: int) -> None:
            try:
                await made.publish(name, number, 8080)
            except Conflict as conflict:
                failed.append(conflict)

        async with anyio.create_task_group() as tasks:
            for number, name in enumerate(("web", "web2"), 2):
                tasks.start_soon(publish, name, number)
        assert [each.notes for each in failed] == [["container web publishes 0.0.0.0:8080"]]

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
