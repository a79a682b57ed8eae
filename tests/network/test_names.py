from hypothesis import given
from hypothesis import strategies as st

from orchestr8.network.names import LinkNames, mac_address

INSTANCES = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)


def test_names_are_readable_and_stay_the_same() -> None:
    names = LinkNames("ab12cd34")
    assert [names.prefix, names.bridge("shop_default"), names.veth("0123456789ab", 0), names.table] == [
        "o8ab12-",
        "o8ab12-bjlwoz4h",
        "o8ab12-v47uoku5",
        "orchestr8-ab12cd34",
    ]


@given(INSTANCES, st.text(max_size=200), st.integers(0, 100))
def test_a_link_name_fits_the_kernel(instance: str, name: str, index: int) -> None:
    names = LinkNames(instance)
    for each in (names.bridge(name), names.veth(name, index)):
        assert len(each.encode()) == 15
        assert each.startswith(names.prefix)


@given(INSTANCES)
def test_a_group_is_never_everybodys_and_never_the_doomed_one(instance: str) -> None:
    names = LinkNames(instance)
    assert 0 < names.group < names.doomed_group < 2**31


def test_the_interfaces_of_a_container_have_names_of_their_own() -> None:
    names = LinkNames("ab12cd34")
    assert len({names.veth(container, index) for container in ("a", "b") for index in range(3)}) == 6


def test_a_mac_is_made_of_the_address() -> None:
    assert mac_address("10.9.0.2") == "02:08:0a:09:00:02"
