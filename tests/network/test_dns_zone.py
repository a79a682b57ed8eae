import pytest
from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.network.dns import resolv
from orchestr8.network.dns.wire import parse_query
from orchestr8.network.dns.zone import Verdict, Zone, decide

FRONT, BACK = NetworkName("shop_front"), NetworkName("shop_back")
WEB1, WEB2, DB = ContainerId("web1"), ContainerId("web2"), ContainerId("db")


@pytest.fixture
def zone() -> Zone:
    made = Zone()
    made.attach(WEB1, {FRONT: "10.9.0.2", BACK: "10.9.1.2"})
    made.attach(WEB2, {FRONT: "10.9.0.3"})
    made.attach(DB, {BACK: "10.9.1.3"})
    made.set_names(WEB1, {FRONT: ["shop-web-1", "web"], BACK: ["shop-web-1", "web", "gateway"]})
    made.set_names(WEB2, {FRONT: ["shop-web-2", "Web"]})
    made.set_names(DB, {BACK: ["shop-db-1", "db"]})
    return made


def test_a_service_name_is_all_its_replicas(zone: Zone) -> None:
    assert zone.addresses(WEB2, "web") == ["10.9.0.2", "10.9.0.3"]


def test_names_are_those_of_the_askers_own_networks(zone: Zone) -> None:
    assert zone.addresses(WEB2, "db") == []
    assert zone.addresses(WEB1, "db") == ["10.9.1.3"]
    assert zone.addresses(DB, "web") == ["10.9.1.2"]
    assert zone.addresses(WEB1, "web") == ["10.9.0.2", "10.9.0.3", "10.9.1.2"]


def test_a_name_may_say_its_network(zone: Zone) -> None:
    assert zone.addresses(WEB1, "web.shop_back") == ["10.9.1.2"]
    assert zone.addresses(WEB2, "web.shop_back") == []


def test_who_stops_is_found_no_more_but_still_finds_others(zone: Zone) -> None:
    zone.drop_names(WEB1)
    assert zone.addresses(WEB2, "web") == ["10.9.0.3"]
    assert zone.addresses(DB, "gateway") == []
    assert zone.addresses(WEB1, "db") == ["10.9.1.3"]


def test_names_are_replaced_not_added(zone: Zone) -> None:
    zone.set_names(DB, {BACK: ["store"]})
    assert zone.addresses(WEB1, "db") == []
    assert zone.addresses(WEB1, "store") == ["10.9.1.3"]


def test_names_of_a_network_that_one_is_not_attached_to_do_not_count(zone: Zone) -> None:
    zone.set_names(DB, {FRONT: ["db"]})
    assert zone.addresses(WEB1, "db") == []


def test_a_stranger_finds_nothing(zone: Zone) -> None:
    zone.detach(WEB1)
    assert zone.addresses(WEB1, "db") == []
    assert zone.name_of(WEB1, "10.9.1.3") == ""


def test_an_address_has_its_containers_first_name(zone: Zone) -> None:
    assert zone.name_of(WEB1, "10.9.0.3") == "shop-web-2.shop_front"
    assert zone.name_of(WEB2, "10.9.1.3") == ""


NAMES = st.lists(st.sampled_from(["web", "db", "WEB", "x"]), max_size=4)


@given(st.lists(st.tuples(st.sampled_from([WEB1, WEB2, DB]), NAMES, NAMES), max_size=12))
def test_nothing_is_left_when_all_have_gone(steps: list[tuple[ContainerId, list[str], list[str]]]) -> None:
    zone = Zone()
    for place, container in enumerate((WEB1, WEB2, DB)):
        zone.attach(container, {FRONT: f"10.9.0.{place}", BACK: f"10.9.1.{place}"})
    for container, front, back in steps:
        zone.set_names(container, {FRONT: front, BACK: back})
        expected = f"10.9.0.{(WEB1, WEB2, DB).index(container)}"
        assert all(expected in zone.addresses(WEB1, name.lower()) for name in front)
    for container in (WEB1, WEB2, DB):
        zone.detach(container)
    assert (zone._networks, zone._members) == ({}, {})


def told(zone: Zone, asker: ContainerId, name: str, kind: str = "A") -> str:
    """The decision as text: the answers, "nothing", or "forward"."""
    reply = decide(
        zone, asker, parse_query(DNSRecord.question(name, kind).pack()), lambda addresses: addresses.reverse()
    )
    if reply is Verdict.FORWARD:
        return "forward"
    return " ".join(str(each.rdata) for each in reply.rr) or "nothing"


def test_decisions(zone: Zone) -> None:
    assert told(zone, WEB2, "Web") == "10.9.0.3 10.9.0.2"  # shuffled: here turned round
    assert told(zone, WEB2, "web", "AAAA") == "nothing"
    assert told(zone, WEB2, "web", "MX") == "nothing"
    assert told(zone, WEB2, "web", "ANY") == "10.9.0.3 10.9.0.2"
    assert told(zone, WEB2, "db") == "forward"
    assert told(zone, WEB2, "example.org", "AAAA") == "forward"
    assert told(zone, WEB2, "2.0.9.10.in-addr.arpa", "PTR") == "shop-web-1.shop_front."
    assert told(zone, WEB2, "9.9.9.9.in-addr.arpa", "PTR") == "forward"


def test_another_class_than_internet_is_forwarded(zone: Zone) -> None:
    raw = bytearray(DNSRecord.question("web").pack())
    raw[-1] = 3  # CHAOS
    assert decide(zone, WEB1, parse_query(bytes(raw)), lambda _addresses: None) is Verdict.FORWARD


HOST = """\
# made by somebody
nameserver 192.0.2.53
nameserver fe80::1%eth0
nameserver not-an-address
nameserver 192.0.2.53
nameserver 192.0.2.54
nameserver 192.0.2.55
search old.example
search corp.example lan
options timeout:1 rotate
"""


def test_at_most_three_upstreams_are_taken() -> None:
    assert resolv.upstream_servers(HOST) == ["192.0.2.53", "fe80::1%eth0", "192.0.2.54"]
    assert resolv.upstream_servers("") == []


def test_a_container_has_our_server_and_the_hosts_search_domains() -> None:
    assert resolv.container_text(HOST, "127.0.0.11") == (
        "nameserver 127.0.0.11\nsearch corp.example lan\noptions timeout:1 rotate ndots:0\n"
    )
    assert resolv.container_text("options ndots:2\n", "127.0.0.11") == "nameserver 127.0.0.11\noptions ndots:2\n"
    assert resolv.container_text("", "127.0.0.11") == "nameserver 127.0.0.11\noptions ndots:0\n"


def test_who_is_attached_nowhere_has_no_names(zone: Zone) -> None:
    zone.detach(WEB1)
    zone.set_names(WEB1, {FRONT: ["again"]})
    assert zone.addresses(DB, "again") == []
