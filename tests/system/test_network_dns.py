"""Names as programs in containers resolve them, by 127.0.0.11 port 53."""

import pytest

from orchestr8.model.ids import ContainerId
from tests.requires import requires
from tests.system.network_lab import (
    BACK,
    FRONT,
    Lab,
    Listener,
    Machine,
    call,
    in_lab,
    make_machine,
    resolve,
    thread,
)

own_machine = pytest.fixture(name="machine")(make_machine)

pytestmark = [pytest.mark.system, requires("root", "network_namespaces")]


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
