"""The engine's table in a real kernel, in a network namespace of its own: what happens when the two disagree."""

import errno
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from orchestr8.kernel.namespaces import CloneFlag, setns, unshare
from orchestr8.network.firewall import redirect, rules
from orchestr8.network.firewall.host import Change, HostFirewall
from orchestr8.network.firewall.nft import Nft, NftError
from orchestr8.network.firewall.rules import Elements, HostPort, Target
from orchestr8.network.netlink import (
    NETLINK_NETFILTER,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    NetlinkError,
    NetlinkSocket,
    attribute,
)
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "network_namespaces")]

TABLE = "orchestr8-ab12cd34"
WEB = {HostPort("0.0.0.0", 8080): Target("10.9.0.2", 80)}
OTHER = {HostPort("127.0.0.1", 5432): Target("10.9.0.3", 5432)}


@pytest.fixture
def namespace() -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    unshare(CloneFlag.NEWNET)
    try:
        yield
    finally:
        setns(home, CloneFlag.NEWNET)
        os.close(home)


@pytest.fixture
def firewall(namespace: None) -> Iterator[HostFirewall]:
    made = HostFirewall(TABLE, "o8ab12-b")
    made.install()
    yield made
    made.close()


def run(commands: str) -> None:
    with Nft() as nft:
        nft.run(commands)


def standing() -> Elements:
    with Nft() as nft:
        return rules.parse_elements(nft.ask(f"list table ip {TABLE}"))


def do(firewall: HostFirewall, *, add: Elements | None = None, remove: Elements | None = None) -> Change:
    change = Change(add=add or Elements(), remove=remove or Elements())
    firewall.queue(change)
    firewall.apply()
    return change


def test_changes_that_wait_are_done_in_one_go(firewall: HostFirewall) -> None:
    network = Change(add=Elements(bridges={"o8ab12-bxxxxxxx"}, subnets={"10.9.0.0/24"}))
    port = Change(add=Elements(ports=dict(WEB)))
    firewall.queue(network)
    firewall.queue(port)
    firewall.apply()
    assert standing() == Elements(bridges={"o8ab12-bxxxxxxx"}, subnets={"10.9.0.0/24"}, ports=WEB)
    assert (network.error, port.error) == (None, None)


def test_what_an_earlier_engine_left_in_a_ports_place_is_replaced(firewall: HostFirewall) -> None:
    stale = {HostPort("0.0.0.0", 8080): Target("10.9.0.9", 80)}
    run(rules.change("add", TABLE, Elements(ports=stale | OTHER)))
    assert do(firewall, add=Elements(ports=dict(WEB))).error is None
    assert standing().ports == WEB | OTHER  # the other one may be a live container's, not yet adopted


def test_what_is_removed_before_all_is_adopted_does_not_come_back(firewall: HostFirewall) -> None:
    run(rules.change("add", TABLE, Elements(ports=dict(OTHER))))
    do(firewall, remove=Elements(ports=dict(OTHER)))
    do(firewall, remove=Elements(ports=dict(OTHER)))  # not there any more: written anew
    assert standing().ports == {}


def test_once_settled_only_what_is_known_stands(firewall: HostFirewall) -> None:
    run(rules.change("add", TABLE, Elements(bridges={"o8ab12-bgone"}, subnets={"10.8.0.0/24"}, ports=dict(OTHER))))
    do(firewall, add=Elements(ports=dict(WEB)))
    firewall.settle()
    assert standing() == Elements(ports=WEB)


def test_a_table_that_was_flushed_is_written_anew_by_the_next_change(firewall: HostFirewall) -> None:
    do(firewall, add=Elements(ports=dict(WEB)))
    run("flush ruleset")
    assert do(firewall, add=Elements(ports=dict(OTHER))).error is None
    assert standing().ports == WEB | OTHER


def test_what_is_whole_is_not_written_again(firewall: HostFirewall) -> None:
    def handle() -> object:
        with Nft() as nft:
            return next(each["table"]["handle"] for each in nft.ask(f"list table ip {TABLE}") if "table" in each)

    do(firewall, add=Elements(ports=dict(WEB)))
    before = handle()
    firewall.repair()
    assert handle() == before
    run(f"flush map ip {TABLE} ports_any")
    firewall.repair()
    assert standing().ports == WEB


def test_a_table_of_another_version_is_replaced(namespace: None) -> None:
    run(f"add table ip {TABLE}\nadd map ip {TABLE} ports {{ type inet_service : ipv4_addr; }}\n")
    firewall = HostFirewall(TABLE, "o8ab12-b")
    try:
        firewall.install()
        do(firewall, add=Elements(ports=dict(OTHER)))
        assert standing().ports == OTHER
    finally:
        firewall.close()


def test_a_change_that_the_kernel_refuses_is_told(firewall: HostFirewall) -> None:
    refused = do(firewall, add=Elements(subnets={"no subnet"}))
    assert isinstance(refused.error, NftError)


def test_removing_leaves_nothing(firewall: HostFirewall) -> None:
    run("add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n")
    firewall.check_neighbours()
    firewall.remove()
    with Nft() as nft:
        assert nft.run("list ruleset") == (
            "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"
        )


def test_an_error_keeps_the_words_and_the_number(namespace: None) -> None:
    with pytest.raises(NftError) as caught:
        run("delete table ip nowhere")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.strerror.endswith("No such file or directory")
    assert "delete table ip nowhere" in str(caught.value)
    with Nft() as nft:
        assert nft.ask("list table ip nowhere") == []


def listed() -> str:
    with Nft() as nft:
        return nft.run("list ruleset")


def test_queries_in_a_container_go_where_the_same_rules_as_text_would_send_them(namespace: None) -> None:
    redirect.redirect_dns("127.0.0.11", 41000)
    ours = listed()
    unshare(CloneFlag.NEWNET)
    run(
        "add table ip orchestr8-dns\n"
        "add chain ip orchestr8-dns output { type nat hook output priority -100; }\n"
        "add rule ip orchestr8-dns output ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:41000\n"
        "add rule ip orchestr8-dns output ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:41000\n"
    )
    assert ours == listed() != ""


def batch(subsystem: int, *messages: Message) -> None:
    marks = [Message(kind, struct.pack("!BBH", 0, 0, subsystem), "a mark") for kind in (16, 17)]
    with NetlinkSocket(NETLINK_NETFILTER) as netlink:
        netlink.run_as_one(marks[0], messages, marks[1])


def new_table(name: str, flags: int = NLM_F_CREATE) -> Message:
    return Message(10 << 8, struct.pack("!BBH", socket.AF_INET, 0, 0) + attribute(1, name), f"table {name}", flags)


def test_of_what_is_done_as_one_nothing_stays_when_a_part_is_refused(namespace: None) -> None:
    batch(10, new_table("there"))
    with pytest.raises(NetlinkError, match="table there: File exists"):
        batch(10, new_table("first"), new_table("there", NLM_F_CREATE | NLM_F_EXCL), new_table("last"))
    assert "table ip there" in listed()
    assert "first" not in listed()
    assert "last" not in listed()


def test_a_kernel_without_what_is_asked_for_says_so_of_the_whole(namespace: None) -> None:
    with pytest.raises(NetlinkError, match="a mark"):
        batch(200, new_table("never"))
