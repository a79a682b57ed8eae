"""What outlives an engine, what comes back after somebody took it away, and life beside other firewalls."""

import subprocess

import anyio
import pytest

from orchestr8.model.ids import ContainerId
from orchestr8.network.firewall.nft import Nft
from orchestr8.network.manager import NetworkManager
from orchestr8.network.requests import PublishRequest
from tests.requires import requires
from tests.system.network_lab import (
    BACK,
    FRONT,
    HOST_ADDRESS,
    INSTANCE,
    OUTSIDE_ADDRESS,
    SUBNETS,
    Lab,
    Listener,
    Machine,
    call,
    eventually,
    in_lab,
    make_machine,
    our_links,
    resolve,
    ruleset,
    thread,
)

own_machine = pytest.fixture(name="machine")(make_machine)

pytestmark = [pytest.mark.system, requires("root", "network_namespaces")]


def iptables(*arguments: str) -> str:
    return subprocess.run(["iptables-nft", *arguments], check=True, capture_output=True, text=True).stdout


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


@requires("program:iptables-nft")
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
