"""DNS messages: what a query asks, and the answers to it. Pure; dnslib is the codec (its import costs 3 ms and a
query with its answer 45 µs; dnspython's 22 ms and 4 MiB). Which answer is given is decided by `zone`.
"""

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dnslib import CLASS, EDNS0, OPCODE, PTR, QTYPE, RCODE, RR, A, DNSError, DNSHeader, DNSRecord
from dnslib.buffer import BufferError as DnsBufferError
from dnslib.label import DNSLabelError

HEADER_BYTES: Final = 12
PLAIN_UDP_BYTES: Final = 512  # RFC 1035: without EDNS
OUR_UDP_BYTES: Final = 1232  # what DNS flag day 2020 settled on: fits any path without fragments
# Replicas come and go within milliseconds, and many programs cache for as long as they are told: so not at all.
TTL_S: Final = 0
REVERSE_SUFFIX: Final = ".in-addr.arpa"


class Malformed(ValueError):
    """Not a DNS query. `reply` is what to send back, empty when even that would be wrong."""

    def __init__(self, why: str, reply: bytes = b"") -> None:
        super().__init__(why)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Query:
    id: int
    name: str  # lower case, without the last dot
    type: str  # "A", "AAAA", "PTR", …; a number in text for one that has no name here
    internet: bool  # of class IN
    raw: bytes
    record: Any  # dnslib's


def parse_query(raw: bytes) -> Query:
    """The query in `raw`; raises Malformed, whatever bytes these are."""
    if len(raw) < HEADER_BYTES:
        raise Malformed("shorter than a header")
    number, flags = struct.unpack_from("!HH", raw)
    if flags & 0x8000:
        raise Malformed("an answer, not a query")
    refusal = DNSRecord(DNSHeader(id=number, qr=1, ra=1, rcode=RCODE.FORMERR)).pack()
    try:
        record = DNSRecord.parse(raw)
        opcode = record.header.get_opcode()
        if opcode != OPCODE.QUERY:
            refusal = DNSRecord(DNSHeader(id=number, qr=1, opcode=opcode, rcode=RCODE.NOTIMP)).pack()
            raise Malformed(f"opcode {opcode}", refusal)
        if len(record.questions) != 1:
            raise Malformed(f"{len(record.questions)} questions", refusal)
        question = record.questions[0]
        name = str(question.qname).rstrip(".").lower()
    # What hostile bytes raise in dnslib (tested with random and with mutated ones): its own errors, and these.
    except (DNSError, DnsBufferError, DNSLabelError, struct.error, UnicodeError, IndexError, ValueError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(str(error), bytes(refusal)) from error
    kind = QTYPE.forward.get(question.qtype) or str(question.qtype)
    return Query(number, name, kind, question.qclass == CLASS.IN, raw, record)


def answer_addresses(query: Query, addresses: Sequence[str]) -> Any:
    """All of `addresses`, in this order; none is "the name exists, but nothing of that type"."""
    return _answer(query, [RR(query.record.q.qname, QTYPE.A, rdata=A(each), ttl=TTL_S) for each in addresses])


def answer_name(query: Query, name: str) -> Any:
    return _answer(query, [RR(query.record.q.qname, QTYPE.PTR, rdata=PTR(name), ttl=TTL_S)])


def _answer(query: Query, records: list[Any]) -> Any:
    reply = query.record.reply(ra=1, aa=1)
    for record in records:
        reply.add_answer(record)
    if _edns(query) is not None:
        reply.add_ar(EDNS0(udp_len=OUR_UDP_BYTES))
    return reply


def failure(query: Query, rcode: str) -> bytes:
    """An answer that says only why there is none: "SERVFAIL", "REFUSED"."""
    reply = query.record.reply(ra=1, aa=0)
    reply.header.set_rcode(getattr(RCODE, rcode))
    return bytes(reply.pack())


def pack_udp(query: Query, reply: Any) -> bytes:
    """The reply as one datagram; cut off, and marked so, when it is longer than the client takes: it asks by TCP."""
    packed = bytes(reply.pack())
    edns = _edns(query)
    limit = max(PLAIN_UDP_BYTES, edns.edns_len) if edns is not None else PLAIN_UDP_BYTES
    return packed if len(packed) <= limit else bytes(reply.truncate().pack())


def _edns(query: Query) -> Any:
    return next((each for each in query.record.ar if each.rtype == QTYPE.OPT), None)


def rcode_of(reply: bytes) -> str:
    """The name of a reply's response code; "" for what is no reply."""
    if len(reply) < HEADER_BYTES:
        return ""
    code = reply[3] & 0x0F
    return str(RCODE.forward.get(code) or code)


def is_reply_to(reply: bytes, number: int, query: Query) -> bool:
    """Whether an upstream's datagram belongs to this question: same id, and the question repeated or left out."""
    if len(reply) < HEADER_BYTES:
        return False
    got, flags, questions = struct.unpack_from("!HHH", reply)
    if got != number or not flags & 0x8000:
        return False
    end = question_end(query.raw)
    return questions == 0 or reply[HEADER_BYTES:end].lower() == query.raw[HEADER_BYTES:end].lower()


def question_end(raw: bytes) -> int:
    """Where the first question ends, in a message that `parse_query` took: names there are never compressed."""
    place = HEADER_BYTES
    while place < len(raw) and 0 < raw[place] < 0xC0:
        place += raw[place] + 1
    return place + (2 if place < len(raw) and raw[place] >= 0xC0 else 1) + 4


def with_id(message: bytes, number: int) -> bytes:
    return struct.pack("!H", number) + message[2:]


def reverse_address(name: str) -> str:
    """The IPv4 address that "2.0.9.10.in-addr.arpa" asks about; "" when it asks about no single one."""
    if not name.endswith(REVERSE_SUFFIX):
        return ""
    try:
        return str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(REVERSE_SUFFIX).split(".")))))
    except ValueError:
        return ""
