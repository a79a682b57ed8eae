import errno
import struct

from hypothesis import given
from hypothesis import strategies as st

from orchestr8.network import netlink
from orchestr8.network.firewall import watch


def test_an_attribute_is_padded_to_four_bytes_but_says_its_own_length() -> None:
    assert netlink.attribute(3, "br0") == b"\x08\x00\x03\x00br0\0"
    assert netlink.attribute(3, "lo") == b"\x07\x00\x03\x00lo\0\0"
    assert netlink.attribute(10, 7) == b"\x08\x00\x0a\x00\x07\0\0\0"
    assert netlink.nested(18, netlink.attribute(1, b"x")) == b"\x0c\x00\x12\x80\x05\x00\x01\x00x\0\0\0"


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_are_read_as_they_were_written(pairs: list[tuple[int, bytes]]) -> None:
    packed = b"".join(netlink.attribute(kind, value) for kind, value in pairs)
    assert list(netlink.attributes_of(packed)) == pairs


@given(st.binary(max_size=200))
def test_reading_ends_whatever_the_bytes_are(data: bytes) -> None:
    list(netlink.attributes_of(data))
    list(netlink.messages_of(data))
    watch.touches(data, "T")


def test_an_error_has_the_kernels_words_where_there_are_some() -> None:
    plain = netlink.NetlinkError(errno.ENODEV, "bridge o8ab12-b")
    assert str(plain) == "bridge o8ab12-b: No such device"
    told = netlink.NetlinkError(errno.EINVAL, "address 10.9.0.1/24 of x", "ipv4: Invalid prefix length")
    assert str(told) == "address 10.9.0.1/24 of x: ipv4: Invalid prefix length"


def told(verb: int, table: str, name_attribute: int = 0, name: str = "", family: int = 2, subsystem: int = 10) -> bytes:
    """A datagram of the kernel's about one change of the packet filter."""
    payload = struct.pack("!BBH", family, 0, 1) + netlink.attribute(watch.TABLE_NAME, table)
    if name:
        payload += netlink.attribute(name_attribute, name)
    return netlink.HEADER.pack(netlink.HEADER.size + len(payload), subsystem << 8 | verb, 0, 0, 0) + payload


def test_what_vanishes_from_our_table_is_noticed() -> None:
    for verb in (watch.DELTABLE, watch.DELCHAIN, watch.DELRULE, watch.DELSET):
        assert watch.touches(told(verb, "T"), "T")


def test_changes_of_the_neighbours_chains_are_noticed() -> None:
    assert watch.touches(told(watch.DELTABLE, "filter"), "T")
    assert watch.touches(told(watch.NEWCHAIN, "filter", 3, "FORWARD"), "T")
    assert watch.touches(told(watch.DELCHAIN, "filter", 3, "DOCKER-USER"), "T")
    assert watch.touches(told(watch.DELRULE, "filter", 2, "DOCKER-USER"), "T")


def test_other_changes_are_not_our_business() -> None:
    new_element, new_rule = 12, 6
    assert not watch.touches(told(new_element, "T"), "T")
    assert not watch.touches(told(new_rule, "filter", 2, "FORWARD"), "T")
    assert not watch.touches(told(watch.NEWCHAIN, "T", 3, "to_bridge"), "T")
    assert not watch.touches(told(watch.DELTABLE, "other"), "T")
    assert not watch.touches(told(watch.DELCHAIN, "filter", 3, "INPUT"), "T")
    assert not watch.touches(told(watch.DELTABLE, "T", family=10), "T")
    assert not watch.touches(told(watch.DELTABLE, "T", subsystem=1), "T")
