import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import Conflict, InvalidInput
from orchestr8.network.ipam import DEFAULT_POOLS, allot_address, allot_subnet, gateway_of

SUBNETS = st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 30)).map(
    lambda pair: str(ipaddress.ip_network(pair, strict=False))
)


def test_the_pools_are_dockers() -> None:
    assert len(DEFAULT_POOLS) == 31
    assert DEFAULT_POOLS[0] == "172.17.0.0/16"
    assert DEFAULT_POOLS[14:16] == ("172.31.0.0/16", "192.168.0.0/20")
    assert DEFAULT_POOLS[-1] == "192.168.240.0/20"


def test_the_first_pool_that_overlaps_nothing_is_allotted() -> None:
    assert allot_subnet([]) == "172.17.0.0/16"
    assert allot_subnet(["172.17.0.0/16"], ["0.0.0.0/0", "172.18.5.0/24"]) == "172.19.0.0/16"


@given(st.lists(SUBNETS, max_size=40), st.lists(SUBNETS, max_size=40))
def test_an_allotted_subnet_overlaps_nothing(used: list[str], routes: list[str]) -> None:
    try:
        subnet = ipaddress.IPv4Network(allot_subnet(used, routes))
    except Conflict:
        return
    assert str(subnet) in DEFAULT_POOLS
    assert not any(subnet.overlaps(ipaddress.IPv4Network(each)) for each in used + routes)


def test_when_all_pools_are_taken_the_error_says_what_to_do() -> None:
    with pytest.raises(Conflict) as caught:
        allot_subnet(["172.16.0.0/12"], ["192.168.0.0/16"])
    assert caught.value.message == "no address pool is free for a new network"
    assert caught.value.code == "O8-708"
    assert caught.value.helps[1] == "give the network a subnet: ipam.config[0].subnet"


def test_a_requested_subnet_is_taken_though_the_host_routes_it() -> None:
    assert allot_subnet(["10.8.0.0/24"], ["10.9.0.0/16"], requested="10.9.0.0/24") == "10.9.0.0/24"


def test_a_requested_subnet_of_another_network_is_refused() -> None:
    with pytest.raises(Conflict, match=r"subnet 10\.9\.0\.0/24 overlaps 10\.9\.0\.0/16, which another network has"):
        allot_subnet(["10.9.0.0/16"], requested="10.9.0.0/24")


@pytest.mark.parametrize("text", ["10.9.0.1/24", "10.9.0.0/31", "10.9.0.0/33", "fd00::/64", "lan", ""])
def test_what_is_no_usable_subnet_is_refused(text: str) -> None:
    if not text:
        assert allot_subnet([], requested=text) == DEFAULT_POOLS[0]
        return
    with pytest.raises(InvalidInput):
        allot_subnet([], requested=text)


def test_addresses_come_after_the_gateway_in_order() -> None:
    assert gateway_of("10.9.0.0/29") == "10.9.0.1"
    used: list[str] = []
    while len(used) < 5:
        used.append(allot_address("10.9.0.0/29", used))
    assert used == ["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5", "10.9.0.6"]
    with pytest.raises(Conflict, match=r"network 10\.9\.0\.0/29 has no free address"):
        allot_address("10.9.0.0/29", used)


@given(SUBNETS, st.data())
def test_an_allotted_address_is_free_inside_and_no_special_one(subnet: str, data: st.DataObject) -> None:
    network = ipaddress.IPv4Network(subnet)
    inside = st.integers(2, min(network.num_addresses - 2, 300)).map(lambda n: str(network.network_address + n))
    used = data.draw(st.lists(inside, max_size=30, unique=True))
    try:
        address = ipaddress.IPv4Address(allot_address(subnet, used))
    except Conflict:
        assert len(used) == network.num_addresses - 3
        return
    assert str(address) not in used
    assert address in network
    assert str(address) not in (gateway_of(subnet), str(network.network_address), str(network.broadcast_address))
