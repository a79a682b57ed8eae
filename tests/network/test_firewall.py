"""The rules, word for word, and what is read back of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestr8.network.firewall import neighbours, rules
from orchestr8.network.firewall.rules import Elements, HostPort, Target

TABLE = "orchestr8-ab12cd34"


def test_the_table() -> None:
    assert rules.base("T") == (
        "add table ip T\n"
        "add set ip T bridges { type ifname; }\n"
        "add set ip T inside { type ifname . ifname; }\n"
        "add set ip T subnets { type ipv4_addr; flags interval; }\n"
        "add map ip T ports { type ipv4_addr . inet_service : ipv4_addr . inet_service; }\n"
        "add map ip T ports_any { type inet_service : ipv4_addr . inet_service; }\n"
        "add chain ip T raw { type filter hook prerouting priority raw; policy accept; }\n"
        "add chain ip T forward { type filter hook forward priority filter; policy accept; }\n"
        "add chain ip T to_bridge\n"
        "add chain ip T prerouting { type nat hook prerouting priority dstnat; policy accept; }\n"
        "add chain ip T output { type nat hook output priority -100; policy accept; }\n"
        "add chain ip T published\n"
        "add chain ip T postrouting { type nat hook postrouting priority srcnat; policy accept; }\n"
        "flush table ip T\n"
        "add rule ip T raw iifname @bridges ip daddr 127.0.0.0/8 drop\n"
        "add rule ip T raw iifname @bridges ip saddr 127.0.0.0/8 drop\n"
        "add rule ip T forward oifname @bridges jump to_bridge\n"
        "add rule ip T to_bridge ct state established,related accept\n"
        "add rule ip T to_bridge iifname . oifname @inside accept\n"
        "add rule ip T to_bridge ct status dnat accept\n"
        "add rule ip T to_bridge drop\n"
        "add rule ip T prerouting fib daddr type local jump published\n"
        "add rule ip T output fib daddr type local jump published\n"
        "add rule ip T published dnat to ip daddr . tcp dport map @ports\n"
        "add rule ip T published dnat to tcp dport map @ports_any\n"
        "add rule ip T postrouting oifname @bridges ip saddr 127.0.0.0/8 masquerade\n"
        "add rule ip T postrouting ip saddr @subnets ct status dnat masquerade\n"
        "add rule ip T postrouting ip saddr @subnets oifname != @bridges masquerade\n"
    )


SAMPLE = Elements(
    bridges={"o8ab12-bxxxxxxx"},
    subnets={"10.9.0.0/24"},
    ports={
        HostPort("0.0.0.0", 8080): Target("10.9.0.2", 80),
        HostPort("127.0.0.1", 5432): Target("10.9.0.3", 5432),
    },
)


def test_a_network_and_its_ports_are_elements() -> None:
    assert rules.change("add", TABLE, SAMPLE) == (
        f'add element ip {TABLE} bridges {{ "o8ab12-bxxxxxxx" }}\n'
        f'add element ip {TABLE} inside {{ "o8ab12-bxxxxxxx" . "o8ab12-bxxxxxxx" }}\n'
        f"add element ip {TABLE} subnets {{ 10.9.0.0/24 }}\n"
        f"add element ip {TABLE} ports_any {{ 8080 : 10.9.0.2 . 80 }}\n"
        f"add element ip {TABLE} ports {{ 127.0.0.1 . 5432 : 10.9.0.3 . 5432 }}\n"
    )


def test_ports_are_removed_by_key_whatever_they_led_to() -> None:
    assert rules.change("delete", TABLE, Elements(ports=SAMPLE.ports)) == (
        f"delete element ip {TABLE} ports_any {{ 8080 }}\ndelete element ip {TABLE} ports {{ 127.0.0.1 . 5432 }}\n"
    )


def test_writing_anew_empties_what_stood_there_first() -> None:
    assert rules.rewrite(TABLE, SAMPLE) == (
        rules.base(TABLE)
        + f"flush set ip {TABLE} bridges\nflush set ip {TABLE} inside\nflush set ip {TABLE} subnets\n"
        + f"flush map ip {TABLE} ports\nflush map ip {TABLE} ports_any\n"
        + rules.change("add", TABLE, SAMPLE)
    )


def test_the_table_is_removed_whether_it_is_there_or_not() -> None:
    assert rules.remove_table("T") == "add table ip T\ndelete table ip T\n"


def test_elements_are_read_back_from_what_nft_lists() -> None:
    listed: list[dict[str, Any]] = [
        {"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "ip", "name": TABLE, "handle": 1}},
        {"set": {"name": "bridges", "elem": ["o8ab12-bxxxxxxx"]}},
        {"set": {"name": "inside", "elem": [{"concat": ["o8ab12-bxxxxxxx", "o8ab12-bxxxxxxx"]}]}},
        {
            "set": {
                "name": "subnets",
                "elem": [{"prefix": {"addr": "10.9.0.0", "len": 24}}, {"range": ["10.8.0.0", "10.8.2.255"]}, "1.2.3.4"],
            }
        },
        {"map": {"name": "ports", "elem": [[{"concat": ["127.0.0.1", 5432]}, {"concat": ["10.9.0.3", 5432]}]]}},
        {"map": {"name": "ports_any", "elem": [[8080, {"concat": ["10.9.0.2", 80]}]]}},
    ]
    subnets = {"10.9.0.0/24", "10.8.0.0/23", "10.8.2.0/24", "1.2.3.4/32"}
    assert rules.parse_elements(listed) == Elements(bridges=SAMPLE.bridges, subnets=subnets, ports=SAMPLE.ports)
    assert rules.parse_elements([]) == Elements()


ELEMENTS = st.builds(
    Elements,
    bridges=st.sets(st.sampled_from("abc")),
    subnets=st.sets(st.sampled_from("xyz")),
    ports=st.dictionaries(st.builds(HostPort, st.just("1.1.1.1"), st.integers(1, 4)), st.just(Target("2.2.2.2", 1))),
)


@given(ELEMENTS, ELEMENTS)
def test_what_is_added_is_contained_and_what_is_taken_is_not(one: Elements, other: Elements) -> None:
    one.update(other)
    assert one.contains(other)
    one.subtract(other)
    assert not one.bridges & other.bridges
    assert not one.subnets & other.subnets
    assert not one.ports.keys() & other.ports.keys()


PREFIX = "o8ab12-b"


def chain(name: str, policy: str = "") -> dict[str, Any]:
    hook = {"hook": "forward", "prio": 0, "policy": policy} if policy else {}
    return {"chain": {"family": "ip", "table": "filter", "name": name, **hook}}


def rule(chain_name: str, handle: int, interface: str) -> dict[str, Any]:
    match = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": interface}}
    expr = [match, {"counter": {"packets": 0, "bytes": 0}}, {"accept": None}]
    return {"rule": {"family": "ip", "table": "filter", "chain": chain_name, "handle": handle, "expr": expr}}


def test_nothing_is_done_where_no_other_firewall_drops() -> None:
    assert neighbours.correct([], PREFIX) == ""
    assert neighbours.correct([chain("FORWARD", "accept")], PREFIX) == ""


def test_one_pair_of_rules_goes_before_all_others_where_forwarding_drops() -> None:
    assert neighbours.correct([chain("FORWARD", "drop")], PREFIX) == (
        'insert rule ip filter FORWARD oifname "o8ab12-b*" counter accept\n'
        'insert rule ip filter FORWARD iifname "o8ab12-b*" counter accept\n'
    )


def test_dockers_own_place_for_it_is_preferred() -> None:
    assert neighbours.wanted_chain([chain("FORWARD", "drop"), chain("DOCKER-USER")]) == "DOCKER-USER"
    assert neighbours.wanted_chain([chain("FORWARD", "accept"), chain("DOCKER-USER")]) == "DOCKER-USER"


def test_a_pair_that_stands_where_it_should_is_left_alone() -> None:
    pair = [rule("FORWARD", handle, f"{PREFIX}*") for handle in (4, 5)]
    others = [rule("FORWARD", 6, "docker0"), rule("FORWARD", 7, "o8ffff-b*")]
    assert neighbours.correct([chain("FORWARD", "drop"), *pair, *others], PREFIX) == ""


def test_a_pair_moves_when_docker_comes_and_goes_when_nothing_drops_any_more() -> None:
    pair = [rule("FORWARD", handle, f"{PREFIX}*") for handle in (4, 5)]
    deleted = "delete rule ip filter FORWARD handle 4\ndelete rule ip filter FORWARD handle 5\n"
    assert neighbours.correct([chain("FORWARD", "drop"), chain("DOCKER-USER"), *pair], PREFIX) == (
        deleted
        + 'insert rule ip filter DOCKER-USER oifname "o8ab12-b*" counter accept\n'
        + 'insert rule ip filter DOCKER-USER iifname "o8ab12-b*" counter accept\n'
    )
    assert neighbours.correct([chain("FORWARD", "accept"), *pair], PREFIX) == deleted
    assert neighbours.withdraw([chain("FORWARD", "drop"), *pair], PREFIX) == deleted


def test_half_a_pair_is_made_whole() -> None:
    half = [chain("FORWARD", "drop"), rule("FORWARD", 4, f"{PREFIX}*")]
    assert neighbours.correct(half, PREFIX).count("delete") == 1
    assert neighbours.correct(half, PREFIX).count("insert") == 2
