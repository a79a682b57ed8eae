"""The server and the way upstream, over sockets on the loopback; every upstream is a fake in the same loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from dnslib import RCODE, RR, DNSRecord

from orchestr8.model.ids import ContainerId, NetworkName
from orchestr8.network.dns import server, upstream
from orchestr8.network.dns.server import DnsServer
from orchestr8.network.dns.upstream import Upstreams

ASKER = ContainerId("asker")
NETWORK = NetworkName("shop_default")
Behaviour = Callable[[DNSRecord], DNSRecord | None]


def address_of(text: str) -> Behaviour:
    def answer(query: DNSRecord) -> DNSRecord:
        reply = query.reply()
        reply.add_answer(*RR.fromZone(f"{query.q.qname} 60 A {text}"))
        return reply

    return answer


def fails_with(rcode: str) -> Behaviour:
    def answer(query: DNSRecord) -> DNSRecord:
        reply = query.reply()
        reply.header.rcode = getattr(RCODE, rcode)
        return reply

    return answer


def says_nothing(_query: DNSRecord) -> None:
    return None


class FakeUpstream(asyncio.DatagramProtocol):
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = DNSRecord.parse(data)
        self.asked.append(str(query.q.qname))
        reply = self.behaviour(query)
        if reply is not None:
            forged = reply.pack()
            self.transport.sendto(bytes([forged[0] ^ 1]) + forged[1:], addr)  # another's: wrong id, to be ignored
            self.transport.sendto(reply.pack(), addr)


async def serve_stream(behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    length = int.from_bytes(await reader.readexactly(2), "big")
    reply = behaviour(DNSRecord.parse(await reader.readexactly(length)))
    if reply is not None:
        packed = reply.pack()
        writer.write(len(packed).to_bytes(2, "big") + packed)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


class Lab:
    def __init__(self, dns: DnsServer, udp: socket.socket, tcp: socket.socket, fakes: list[FakeUpstream]) -> None:
        self.dns = dns
        self.udp = udp
        self.tcp = tcp
        self.fakes = fakes

    async def ask(self, name: str, kind: str = "A") -> list[str]:
        return told(await self.exchange(DNSRecord.question(name, kind).pack()))

    async def exchange(self, packed: bytes) -> bytes:
        async with await anyio.create_connected_udp_socket(*self.udp.getsockname()) as client:
            await client.send(packed)
            return await client.receive()

    async def ask_by_tcp(self, *names: str) -> list[list[str]]:
        """All questions at once on one connection; the answers in the order in which they came."""
        reader, writer = await asyncio.open_connection(*self.tcp.getsockname())
        for name in names:
            packed = DNSRecord.question(name).pack()
            writer.write(len(packed).to_bytes(2, "big") + packed)
        answers = []
        for _ in names:
            length = int.from_bytes(await reader.readexactly(2), "big")
            answers.append(told(await reader.readexactly(length)))
        writer.close()
        await writer.wait_closed()
        return answers


def told(raw: bytes) -> list[str]:
    reply = DNSRecord.parse(raw)
    return [RCODE[reply.header.rcode], *(str(each.rdata) for each in reply.rr)]


@contextlib.asynccontextmanager
async def lab(tmp_path: Path, *behaviours: Behaviour, timeout_s: float = 0.05) -> AsyncIterator[Lab]:
    """A server for one container that knows itself as `asker`, and upstreams 127.1.0.1, 127.1.0.2, … on one port."""
    loop = asyncio.get_running_loop()
    fakes: list[FakeUpstream] = []
    async with contextlib.AsyncExitStack() as stack:
        port = 0
        for place, behaviour in enumerate(behaviours):
            transport, fake = await loop.create_datagram_endpoint(
                lambda behaviour=behaviour: FakeUpstream(behaviour), local_addr=(f"127.1.0.{place + 1}", port)
            )
            stack.callback(transport.abort)
            port = transport.get_extra_info("sockname")[1]
            stream = await asyncio.start_server(
                lambda reader, writer, behaviour=behaviour: serve_stream(behaviour, reader, writer),
                f"127.1.0.{place + 1}",
                port,
            )
            stack.callback(stream.close)
            fakes.append(fake)
        resolv = tmp_path / "resolv.conf"
        resolv.write_text("".join(f"nameserver 127.1.0.{place + 1}\n" for place in range(len(behaviours))))
        dns = DnsServer(Upstreams(str(resolv), port, timeout_s), shuffle=lambda addresses: addresses.sort())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_server(("127.0.0.1", 0)) as tcp:
            udp.bind(("127.0.0.1", 0))
            dns.zone.attach(ASKER, {NETWORK: "10.9.0.2"})
            dns.zone.set_names(ASKER, {NETWORK: ["asker"]})
            await dns.open(ASKER, udp.fileno(), tcp.fileno())
            stack.callback(dns.close_all)
            yield Lab(dns, udp, tcp, fakes)
        await asyncio.sleep(0)


def in_lab(tmp_path: Path, work: Callable[[Lab], object], *behaviours: Behaviour, timeout_s: float = 0.05) -> None:
    async def main() -> None:
        async with lab(tmp_path, *behaviours, timeout_s=timeout_s) as made:
            await work(made)  # type: ignore[misc]

    anyio.run(main)


def test_own_names_are_answered_and_never_asked_for_outside(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        assert await made.ask("asker") == ["NOERROR", "10.9.0.2"]
        assert await made.ask("asker", "AAAA") == ["NOERROR"]
        assert await made.ask_by_tcp("asker") == [["NOERROR", "10.9.0.2"]]
        assert made.fakes[0].asked == []

    in_lab(tmp_path, work, address_of("192.0.2.1"))


def test_other_names_are_asked_for_outside(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        assert await made.ask("example.org") == ["NOERROR", "192.0.2.1"]
        assert made.fakes[0].asked == ["example.org."]
        assert await made.ask_by_tcp("example.org") == [["NOERROR", "192.0.2.1"]]

    in_lab(tmp_path, work, address_of("192.0.2.1"), timeout_s=5)


@pytest.mark.parametrize("first", [fails_with("SERVFAIL"), fails_with("REFUSED"), says_nothing])
def test_the_next_server_is_asked_when_one_has_no_answer(tmp_path: Path, first: Behaviour) -> None:
    async def work(made: Lab) -> None:
        assert await made.ask("example.org") == ["NOERROR", "192.0.2.2"]
        assert [fake.asked for fake in made.fakes] == [["example.org."]] * 2

    in_lab(tmp_path, work, first, address_of("192.0.2.2"))


def test_that_a_name_does_not_exist_is_an_answer(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        assert await made.ask("example.org") == ["NXDOMAIN"]
        assert made.fakes[1].asked == []

    in_lab(tmp_path, work, fails_with("NXDOMAIN"), address_of("192.0.2.2"), timeout_s=5)


def test_without_any_answer_the_failure_is_told(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        assert await made.ask("example.org") == ["SERVFAIL"]
        assert await made.ask_by_tcp("example.org") == [["SERVFAIL"]]

    in_lab(tmp_path, work, says_nothing, says_nothing)
    in_lab(tmp_path, work)


def test_the_list_of_servers_is_read_again_when_it_changes(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        assert await made.ask("example.org") == ["NOERROR", "192.0.2.1"]
        (tmp_path / "resolv.conf").write_text("# now the second one\nnameserver 127.1.0.2\n")
        assert await made.ask("example.org") == ["NOERROR", "192.0.2.2"]
        (tmp_path / "resolv.conf").unlink()
        assert await made.ask("example.org") == ["SERVFAIL"]

    in_lab(tmp_path, work, address_of("192.0.2.1"), address_of("192.0.2.2"), timeout_s=5)


def test_more_than_its_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "IN_FLIGHT_EACH", 2)

    async def work(made: Lab) -> None:
        answers: list[list[str]] = []

        async def ask() -> None:
            answers.append(await made.ask("example.org"))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
        assert sorted(answers) == [["REFUSED"], ["SERVFAIL"], ["SERVFAIL"]]
        assert await made.ask("example.org") == ["SERVFAIL"]

    in_lab(tmp_path, work, says_nothing, timeout_s=0.2)


def test_a_broken_datagram_gets_a_format_error_and_the_next_one_its_answer(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        assert told(await made.exchange(DNSRecord.question("asker").pack()[:15])) == ["FORMERR"]
        assert await made.ask("asker") == ["NOERROR", "10.9.0.2"]

    in_lab(tmp_path, work)


def test_many_questions_on_one_connection_are_all_answered(tmp_path: Path) -> None:
    """More than may wait at once, known and forwarded ones mixed."""

    async def work(made: Lab) -> None:
        names = ["asker", "example.org"] * server.PIPELINE * 2
        answers = await made.ask_by_tcp(*names)
        assert sorted(map(tuple, answers)) == sorted(
            [("NOERROR", "10.9.0.2"), ("NOERROR", "192.0.2.1")] * server.PIPELINE * 2
        )

    in_lab(tmp_path, work, address_of("192.0.2.1"), timeout_s=5)


def test_a_connection_that_says_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.01)

    async def work(made: Lab) -> None:
        _reader, writer = await asyncio.open_connection(*made.tcp.getsockname())
        writer.write(b"\0")
        with contextlib.suppress(ConnectionResetError):
            assert await _reader.read() == b""
        writer.close()
        assert await made.ask("asker") == ["NOERROR", "10.9.0.2"]

    in_lab(tmp_path, work)


def test_too_many_connections_do_not_keep_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 1)

    async def work(made: Lab) -> None:
        _reader, first = await asyncio.open_connection(*made.tcp.getsockname())
        reader, second = await asyncio.open_connection(*made.tcp.getsockname())
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        for writer in (first, second):
            writer.close()
        assert await made.ask("asker") == ["NOERROR", "10.9.0.2"]

    in_lab(tmp_path, work)


def test_after_closing_the_container_is_served_no_more_and_its_sockets_are_its_holders(tmp_path: Path) -> None:
    async def work(made: Lab) -> None:
        made.dns.close(ASKER)
        await asyncio.sleep(0)
        packed = DNSRecord.question("asker").pack()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(packed, made.udp.getsockname())
        assert made.udp.recv(512) == packed  # it waits there for the next engine

    in_lab(tmp_path, work)
