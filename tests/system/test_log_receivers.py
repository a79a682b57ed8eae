"""What containers write, received by others: every network, what a receiver may do, and what becomes of the sender."""

import contextlib
import os
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.model.specs import LogDriver, LogSpec
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import alive, children_of
from tests.system.receivers import Receiver, free_port, in_background, make_certificates
from tests.system.runtime_fixtures import Box, Runtime, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

MIB = 1 << 20


def syslog(address: str, *, copied: bool = True, queue_bytes: int = MIB, **options: str) -> LogSpec:
    named = {name.replace("_", "-"): text for name, text in options.items()}
    return LogSpec(
        driver=LogDriver.SYSLOG, max_bytes=200 * MIB, copied=copied, queue_bytes=queue_bytes,
        options=(("syslog-address", address), *sorted(named.items())),
    )  # fmt: skip


@pytest.fixture(params=["unixgram", "unix", "udp", "tcp"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    network = request.param
    found = Receiver(network, str(tmp_path / "socket") if network.startswith("unix") else "127.0.0.1")
    yield found
    found.close()


@pytest.fixture
def tcp() -> Iterator[Receiver]:
    found = Receiver("tcp", "127.0.0.1")
    yield found
    found.close()


def sender_of(box: Box) -> int:
    """The child of the shim that sends."""
    named = [pid for pid in children_of(box.shim_pid) if b"orchestr8-log" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(named) == 1, named
    return named[0]


def unsent(text: str) -> list[int]:
    """The numbers of lines in our notes of what was not sent."""
    return [int(each) for each in re.findall(r"orchestr8: (\d+) lines? \(\d+ bytes\) of this log w\w+ not sent", text)]


async def start(box: Box, *, reach: bool = True) -> Box:
    box.pid = (await box.shim.start(reach=reach)).pid
    return box


async def test_lines_arrive_as_messages_and_in_our_own_log(runtime: Runtime, receiver: Receiver) -> None:
    script = "echo one; echo; echo two; sleep 0.1; echo wrong >&2; sleep 0.1; printf unfinished"
    box = await runtime.create("sh", "-c", script, logging=syslog(receiver.address, tag="{{.ID}}/{{lower .ImageName}}"))
    await start(box)
    assert await box.wait() == 0
    assert receiver.until(4) == ["one", "two", "wrong", "unfinished"], "an empty line is no message"
    stamp = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    shape = rf"<(\d+)>{stamp} {box.id}/rootfs:{re.escape(runtime.image.lower())}\[{box.shim_pid}\]: .*\n"
    found = [re.fullmatch(shape, message.decode()) for message in receiver.messages]
    assert [each and each[1] for each in found] == ["30", "30", "27", "30"], receiver.messages
    assert (box.log(), box.log("stderr")) == ("one\n\ntwo\nunfinished", "wrong\n")


async def test_another_run_goes_on_where_the_last_one_ended(runtime: Runtime, receiver: Receiver) -> None:
    box = await runtime.create("sh", "-c", "echo begun; printf 'cut off'", logging=syslog(receiver.address))
    for run in (1, 2):
        await start(box)
        await box.wait(run)
    assert receiver.until(4) == ["begun", "cut off", "begun", "cut off"]


async def test_a_first_start_fails_without_its_receiver(runtime: Runtime, tmp_path: Path) -> None:
    port = free_port()
    for address, why in (
        (f"tcp://127.0.0.1:{port}", "Connection refused"),
        (f"unix://{tmp_path}/none", "No such file or directory"),
        (f"unixgram://{tmp_path}/none", "No such file or directory"),
        (f"tcp+tls://127.0.0.1:{port}", "Connection refused"),
        ("udp://no-such-host.invalid", ""),
    ):
        box = await runtime.create("echo", "hello", logging=syslog(address))
        with pytest.raises(OperationFailed) as refused:
            await start(box)
        assert refused.value.code == "O8-631"
        assert refused.value.message.startswith(f"the receiver of its log, syslog {address}, cannot be reached: ")
        assert refused.value.message.endswith(why)
        assert (box.log(), box.exits, box.state()["runs"]) == ("", [], 0), "nothing has run"


async def test_a_later_start_waits_for_nobody_and_what_it_says_is_sent_later(
    runtime: Runtime, receiver: Receiver
) -> None:
    receiver.close()
    box = await runtime.create(
        "sh", "-c", "echo early; read go; echo late", stdin_open=True, logging=syslog(receiver.address)
    )
    client = await box.attach(stdin=True)
    await start(box, reach=False)
    await client.until_text(b"early")
    network = receiver.address.partition(":")[0]
    place = receiver.address.partition("//")[2].rpartition(":")[0] or receiver.address.partition("//")[2]
    again = Receiver(network, place, getattr(receiver, "port", 0))
    client.socket.sendall(b"go\n")
    with contextlib.closing(again):
        await eventually(lambda: again.read() or again.texts()[-1:] == ["late"], "what comes later")
        assert again.texts() == ["early", "late"] or (network == "udp" and again.texts() == ["late"])
        assert await box.wait() == 0


async def test_a_receiver_that_does_not_read_stalls_nobody(runtime: Runtime, tcp: Receiver) -> None:
    """Every line is either received or counted, in the place where it is missing."""
    count = 1_000_000
    script = f"seq {count}; echo done >&2; read go; echo after; read go"
    box = await runtime.create("sh", "-c", script, stdin_open=True, logging=syslog(tcp.address, tag="t"))
    client = await box.attach(stdin=True)
    await start(box)
    await client.until(lambda each: b"done\n" in each.stderr)
    assert box.log().count("\n") == count, "our own copy has all of it"
    await eventually(lambda: box.log_troubles, "the loss is told")
    assert box.log_troubles[0][0] == f"syslog {tcp.address}: it takes less than is written"
    assert (await box.status()).log_lost_bytes > 0
    await eventually(lambda: tcp.read(0.5) or tcp.messages, "it reads at last, until nothing comes")
    client.socket.sendall(b"go\n")
    await eventually(lambda: tcp.read(0.05) or tcp.texts()[-1:] == ["after"], "what comes later")
    client.socket.sendall(b"go\n")
    assert await box.wait() == 0
    said = tcp.texts()
    gaps = unsent("\n".join(said))
    numbers = [int(text) for text in said if text.isdecimal()]
    assert numbers == sorted(set(numbers)), "each once, in order, and whole"
    assert len(said) - len(gaps) + sum(gaps) == count + 2, "every line is received, or counted"
    assert {text for text in said if not text.isdecimal() and not text.startswith("orchestr8: ")} <= {"done", "after"}
    assert sum(unsent(box.log("stderr"))) == sum(gaps), "our own copy says so too"
    assert box.log_troubles[-1][0] == ""


@pytest.mark.parametrize("is_released", [False, True])
async def test_what_a_program_left_behind_is_accounted_for_after_its_end(
    runtime: Runtime, tcp: Receiver, *, is_released: bool
) -> None:
    """It filled the queue and ended; the receiver hears of what is missing when it reads, though nothing more is written."""
    count = 500_000
    box = await runtime.create("sh", "-c", f"seq {count}; printf torn", logging=syslog(tcp.address, tag="t"))
    await start(box)
    assert await box.wait() == 0
    assert (box.log().count("\n"), box.log()[-5:]) == (count, "\ntorn")
    if is_released:
        box.shim.release()
    await eventually(lambda: tcp.read(0.1) or unsent("\n".join(tcp.texts()[-2:])), "the gap")
    said = tcp.texts()
    gaps = unsent("\n".join(said))
    numbers = [int(text) for text in said if text.isdecimal()]
    assert numbers == sorted(set(numbers)), "each once, in order, and whole"
    assert len(numbers) + sum(gaps) == count
    assert len(numbers) + len(gaps) == len(said), "nothing else"
    assert sum(unsent(box.log("stderr"))) == sum(gaps)


async def test_a_receiver_that_dies_and_returns_gets_the_rest(runtime: Runtime, tcp: Receiver) -> None:
    script = "while read line; do echo $line; done"
    box = await runtime.create("sh", "-c", script, stdin_open=True, logging=syslog(tcp.address))
    client = await box.attach(stdin=True)
    await start(box)
    client.socket.sendall(b"one\n")
    assert tcp.until(1) == ["one"]
    tcp.close()
    client.socket.sendall(b"two\n")
    await client.until_text(b"two\n")
    await eventually(lambda: "cannot be reached" in runtime.said(), "the engine's log tells")
    client.socket.sendall(b"three\n")
    await client.until_text(b"three\n")
    with contextlib.closing(Receiver("tcp", "127.0.0.1", tcp.port)) as again:
        assert again.until(2) == ["two", "three"]
        client.socket.sendall(b"four\n")
        assert again.until(3) == ["two", "three", "four"]
        assert f"{box.id}: the receiver of its log, syslog {tcp.address}, is reached again" in runtime.said()


async def test_datagrams_to_nobody_are_counted(runtime: Runtime) -> None:
    port = free_port()
    box = await runtime.create(
        "sh", "-c", "for n in 1 2 3 4 5; do echo $n; sleep 0.05; done", logging=syslog(f"udp://127.0.0.1:{port}")
    )
    await start(box)
    assert await box.wait() == 0
    await eventually(lambda: box.log_troubles, "the loss is told")
    assert box.log_troubles[0][0] == f"syslog udp://127.0.0.1:{port}: Connection refused"
    (count,) = unsent(box.log("stderr"))
    assert 3 <= count <= 5, "of the last ones nobody has heard yet"


async def test_a_sender_that_is_killed_is_replaced_and_the_queue_is_still_there(
    runtime: Runtime, tcp: Receiver
) -> None:
    box = await runtime.create(
        "sh", "-c", "while read line; do echo $line; done", stdin_open=True, logging=syslog(tcp.address)
    )
    client = await box.attach(stdin=True)
    await start(box)
    client.socket.sendall(b"one\n")
    assert tcp.until(1) == ["one"]
    first = sender_of(box)
    os.kill(first, signal.SIGSTOP)
    client.socket.sendall(b"two\nthree\n")
    await client.until_text(b"three\n")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not alive(first), "its end")
    await client.until(lambda _: children_of(box.shim_pid))
    client.socket.sendall(b"four\n")  # the one after it may not have come to stay yet
    assert tcp.until(4) == ["one", "two", "three", "four"]
    assert sender_of(box) != first
    assert await box.sh("echo fine") == "fine\n"


async def test_a_shim_that_ends_does_not_wait_for_ever(runtime: Runtime, tcp: Receiver) -> None:
    """The engine hears at once, the sender has some seconds, and then it says what it has not sent."""
    box = await runtime.create("sh", "-c", "seq 300000", logging=syslog(tcp.address, queue_bytes=4 * MIB))
    await start(box)
    assert await box.wait() == 0
    shim, sender = box.shim_pid, sender_of(box)
    box.shim.release()
    await box.lost.wait()
    await eventually(lambda: not alive(shim) and not alive(sender), "their ends", within_s=20)
    assert re.search(rf"{box.id}: the receiver of its log, .* took not all of it: \d+ lines", runtime.said())


async def test_nothing_is_kept_here_when_that_is_not_wanted(runtime: Runtime, receiver: Receiver) -> None:
    box = await runtime.create("sh", "-c", "echo there", logging=syslog(receiver.address, copied=False))
    await start(box)
    assert await box.wait() == 0
    assert receiver.until(1) == ["there"]
    assert not os.path.exists(box.log_path)


async def test_a_sender_holds_nothing_of_its_container(runtime: Runtime, tcp: Receiver) -> None:
    """Nor of its shim: a socket, the queue, and the descriptors 0 to 2; and it stands in the engine's network."""
    box = await runtime.create("sleep", "inf", logging=syslog(tcp.address))
    await start(box)
    sender = sender_of(box)
    await eventually(lambda: tcp.read() or len(os.listdir(f"/proc/{sender}/fd")) == 5, "its connection")
    assert all(
        os.readlink(f"/proc/{sender}/fd/{fd}").startswith("socket:")
        for fd in os.listdir(f"/proc/{sender}/fd")
        if int(fd) > 2
    )
    networks = [os.readlink(f"/proc/{pid}/ns/net") for pid in (sender, "self", box.pid)]
    assert networks[0] == networks[1] != networks[2]
    mapped = Path(f"/proc/{sender}/maps").read_text(encoding="ascii")
    assert "libssl" not in mapped
    os.kill(box.shim_pid, signal.SIGKILL)
    await eventually(lambda: not alive(sender), "a sender ends with its shim")


@requires("program:openssl")
async def test_tls_checks_who_receives(runtime: Runtime, tmp_path: Path) -> None:
    ca, cert, key = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = Receiver("tcp+tls", "127.0.0.1", tls=context)
    own: dict[str, Any] = {"syslog_tls_cert": str(cert), "syslog_tls_key": str(key)}

    async def run(**options: str) -> Box:
        spec = syslog(receiver.address, syslog_format="rfc5424", **options)
        box = await runtime.create("sh", "-c", "echo hello; echo wrong >&2", logging=spec)
        await start(box)
        return box

    async def refused(**options: str) -> str:
        with pytest.raises(OperationFailed) as told:
            await run(**options)
        return told.value.message.partition("cannot be reached: ")[2]

    with in_background(receiver):
        assert "certificate verify failed" in await refused(**own)
        assert (await refused(syslog_tls_ca_cert="/none", **own)) == (
            "syslog-tls-ca-cert: /none: No such file or directory"
        )
        for name in ("cert", "key"):
            missing = {**own, f"syslog_tls_{name}": "/none"}
            said = f"syslog-tls-{name}: /none: No such file or directory"
            assert await refused(syslog_tls_skip_verify="true", **missing) == said
        for options in ({"syslog_tls_ca_cert": str(ca)}, {"syslog_tls_skip_verify": "true"}):
            receiver.messages.clear()
            box = await run(**options, **own)
            assert await box.wait() == 0
            await eventually(lambda: len(receiver.messages) == 2, "two messages")
            stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"
            tail = rf"1 {stamp} {re.escape(os.uname().nodename)} {box.id} {box.shim_pid} {box.id} -"
            found = [re.fullmatch(rf"(\d+) (<\d+>{tail} \w+\n)", each.decode()) for each in receiver.messages]
            assert all(each and int(each[1]) == len(each[2]) for each in found), receiver.messages
    receiver.close()
