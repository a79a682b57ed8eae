import contextlib
import struct

import pytest
from dnslib import EDNS0, QTYPE, RCODE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.network.dns import wire
from orchestr8.network.dns.wire import Malformed, Query, parse_query

EDNS_4096 = EDNS0(udp_len=4096)


def ask(name: str, kind: str = "A", *, edns: bool = False) -> Query:
    record = DNSRecord.question(name, kind)
    if edns:
        record.add_ar(EDNS_4096)
    return parse_query(record.pack())


def test_a_query_is_taken_apart() -> None:
    query = ask("DB.Shop_Default", "AAAA")
    assert (query.name, query.type, query.internet) == ("db.shop_default", "AAAA", True)
    assert query.raw.startswith(struct.pack("!H", query.id))


def test_a_type_without_a_name_is_no_error() -> None:
    raw = bytearray(DNSRecord.question("db").pack())
    raw[-4:-2] = struct.pack("!H", 65280)
    assert parse_query(bytes(raw)).type == "65280"


def test_all_addresses_are_answered_in_the_given_order_and_with_the_callers_spelling() -> None:
    reply = DNSRecord.parse(wire.pack_udp(ask("Db"), wire.answer_addresses(ask("Db"), ["10.9.0.3", "10.9.0.2"])))
    assert [str(each.rdata) for each in reply.rr] == ["10.9.0.3", "10.9.0.2"]
    assert {each.ttl for each in reply.rr} == {0}
    assert str(reply.q.qname) == "Db."
    assert (reply.header.aa, reply.header.ra, reply.header.rd) == (1, 1, 1)


def test_no_address_of_that_family_is_an_empty_answer_without_error() -> None:
    query = ask("db", "AAAA")
    reply = DNSRecord.parse(wire.pack_udp(query, wire.answer_addresses(query, ())))
    assert (RCODE[reply.header.rcode], reply.rr) == ("NOERROR", [])


def test_a_long_answer_is_cut_off_for_who_takes_only_512_bytes() -> None:
    many = [f"10.9.0.{host}" for host in range(2, 202)]
    plain, extended = ask("web"), ask("web", edns=True)
    cut = wire.pack_udp(plain, wire.answer_addresses(plain, many))
    assert len(cut) <= 512
    assert DNSRecord.parse(cut).header.tc == 1
    whole = DNSRecord.parse(wire.pack_udp(extended, wire.answer_addresses(extended, many)))
    assert (len(whole.rr), whole.header.tc) == (200, 0)
    assert [each.rtype for each in whole.ar] == [QTYPE.OPT]


def test_failures_repeat_the_question() -> None:
    reply = DNSRecord.parse(wire.failure(ask("db"), "SERVFAIL"))
    assert (RCODE[reply.header.rcode], str(reply.q.qname), reply.header.qr) == ("SERVFAIL", "db.", 1)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("2.0.9.10.in-addr.arpa", "10.9.0.2"),
        ("9.10.in-addr.arpa", ""),
        ("256.0.9.10.in-addr.arpa", ""),
        ("02.0.9.10.in-addr.arpa", ""),
        ("x.in-addr.arpa", ""),
        ("db", ""),
    ],
)
def test_a_reverse_name_is_an_address_or_nothing(name: str, address: str) -> None:
    assert wire.reverse_address(name) == address


def reply_code(error: Malformed) -> str:
    return RCODE[DNSRecord.parse(error.reply).header.rcode] if error.reply else ""


def test_what_is_no_query_gets_a_format_error_or_no_answer() -> None:
    good = DNSRecord.question("db").pack()
    answer = DNSRecord.question("db").reply().pack()
    two = DNSRecord.question("db")
    two.add_question(two.q)
    update = bytes([*good[:2], 0x28, *good[3:]])
    for raw, code in ((b"", ""), (good[:11], ""), (answer, ""), (good[:15], "FORMERR"), (two.pack(), "FORMERR")):
        with pytest.raises(Malformed) as caught:
            parse_query(bytes(raw))
        assert reply_code(caught.value) == code
    with pytest.raises(Malformed) as caught:
        parse_query(update)
    assert reply_code(caught.value) == "NOTIMP"


@given(st.binary(max_size=600))
def test_random_bytes_are_a_query_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        parse_query(raw)


LABELS = st.lists(st.text(alphabet=st.characters(codec="ascii"), min_size=1, max_size=20), min_size=1, max_size=5)


@given(LABELS, st.sampled_from(["A", "PTR", "TXT"]), st.data())
def test_a_query_with_wrong_bytes_is_a_query_or_malformed(labels: list[str], kind: str, data: st.DataObject) -> None:
    record = DNSRecord.question(".".join(label.replace(".", "-") for label in labels), kind)
    record.add_ar(EDNS_4096)
    raw = bytearray(record.pack())
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        query = parse_query(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except Malformed:
        return
    # and whatever was taken for a query can be answered
    wire.pack_udp(query, wire.answer_addresses(query, ["10.9.0.2"]))
    wire.pack_udp(query, wire.answer_name(query, "db.net"))
    wire.failure(query, "SERVFAIL")
    assert wire.question_end(query.raw) > wire.HEADER_BYTES
    wire.is_reply_to(bytes(raw), query.id, query)


def test_an_upstreams_answer_must_have_the_id_and_the_question() -> None:
    query = ask("example.org")
    good = wire.with_id(DNSRecord.parse(query.raw).reply().pack(), 7)
    assert wire.is_reply_to(good, 7, query)
    assert not wire.is_reply_to(good, 8, query)
    assert not wire.is_reply_to(good[:11], 7, query)
    assert not wire.is_reply_to(wire.with_id(query.raw, 7), 7, query)
    other = wire.with_id(DNSRecord.question("example.com").reply().pack(), 7)
    assert not wire.is_reply_to(other, 7, query)


def test_the_response_code_is_read_from_the_header() -> None:
    assert wire.rcode_of(wire.failure(ask("db"), "REFUSED")) == "REFUSED"
    assert wire.rcode_of(b"short") == ""
