import errno
import os
from pathlib import Path

import pytest

from orchestr8.errors import Conflict, InvalidInput, OperationFailed, Unsupported
from orchestr8.network import publish
from orchestr8.network.requests import PublishRequest

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 109 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 110 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 120 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 121 1 0000000000000000 100 0 0 10 0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with nginx (two processes on one socket) and a database."""
    net = tmp_path / "thread-self" / "net"
    net.mkdir(parents=True)
    (net / "tcp").write_text(TCP)
    (net / "tcp6").write_text(TCP6)
    for pid, name, inodes in ((7, "nginx", (109,)), (12, "nginx", (109, 5)), (30, "db", (110, 121))):
        fds = tmp_path / str(pid) / "fd"
        fds.mkdir(parents=True)
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
        (fds / "0").symlink_to("/dev/null")
        for place, inode in enumerate(inodes):
            (fds / str(place + 3)).symlink_to(f"socket:[{inode}]")
    (tmp_path / "self").mkdir()
    return tmp_path


def test_listening_sockets_are_found_by_port_whatever_their_address() -> None:
    assert publish.listening_sockets(TCP, 8080) == {"109": "0.0.0.0"}
    assert publish.listening_sockets(TCP, 8081) == {"110": "127.0.0.1"}
    assert publish.listening_sockets(TCP6, 8081) == {"120": "::1"}
    assert publish.listening_sockets(TCP, 22) == {}


def test_the_holders_of_a_port_are_named(proc: Path) -> None:
    assert publish.port_holders("127.0.0.1", 8080, str(proc)) == [
        "nginx (process 7) holds it at 0.0.0.0",
        "nginx (process 12) holds it at 0.0.0.0",
    ]
    assert publish.port_holders("0.0.0.0", 8081, str(proc)) == ["db (process 30) holds it at 127.0.0.1"]
    assert publish.port_holders("10.0.0.1", 8082, str(proc)) == ["db (process 30) holds it at ::"]


def test_a_holder_at_another_address_is_not_in_the_way(proc: Path) -> None:
    assert publish.port_holders("10.0.0.1", 8081, str(proc)) == []


def test_a_kernel_without_ipv6_is_fine(proc: Path) -> None:
    (proc / "thread-self" / "net" / "tcp6").unlink()
    assert publish.port_holders("0.0.0.0", 8082, str(proc)) == []


def wanted(first: int, last: int = 0, host_ip: str = "127.0.0.1", protocol: str = "tcp") -> PublishRequest:
    return PublishRequest(
        target=80, address="10.9.0.2", host_ip=host_ip, published_first=first, published_last=last, protocol=protocol
    )


def test_only_tcp_on_ipv4_can_be_published() -> None:
    with pytest.raises(Unsupported, match="port 80/udp cannot be published yet"):
        publish.check_requests([wanted(1, protocol="udp")])
    with pytest.raises(Unsupported, match="a port cannot be published at `::1` yet"):
        publish.check_requests([wanted(1, host_ip="::1")])
    publish.check_requests([wanted(1)])


def test_more_ports_than_one_message_can_carry_are_refused_at_once() -> None:
    publish.check_requests([wanted(0)] * 240)
    with pytest.raises(Unsupported, match="one container cannot publish 241 ports: 240 at most"):
        publish.check_requests([wanted(0)] * 241)


def test_any_port_is_a_port_of_the_kernels_choice_and_stays_reserved() -> None:
    reserved = publish.reserve([wanted(0), wanted(0)])
    try:
        first, second = (each.published for each in reserved.ports)
        assert first != second
        assert [(each.host_ip, each.target) for each in reserved.ports] == [("127.0.0.1", 80)] * 2
        with pytest.raises(Conflict) as caught:
            publish.reserve([wanted(first)])
        assert caught.value.code == "O8-401"
        assert caught.value.message == f"port 127.0.0.1:{first} is already in use"
        assert any(f"(process {os.getpid()}) holds it at 127.0.0.1" in note for note in caught.value.notes)
    finally:
        for fd in reserved.fds:
            os.close(fd)


def test_all_ports_are_reserved_or_none() -> None:
    taken = publish.reserve([wanted(0)])
    before = len(os.listdir("/proc/self/fd"))
    try:
        with pytest.raises(Conflict):
            publish.reserve([wanted(0), wanted(taken.ports[0].published)])
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        os.close(taken.fds[0])


def test_an_address_that_is_not_this_machines_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidInput, match=r"port 192\.0\.2\.1:8080 cannot be published: this machine has no address"):
        publish.reserve([wanted(8080, host_ip="192.0.2.1")])


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EADDRINUSE, Conflict, "all of the ports 127.0.0.1:8000-8001 are already in use"),
        (
            errno.EACCES,
            OperationFailed,
            "port 127.0.0.1:8000-8001 cannot be published: this engine may not bind low ports",
        ),
        (errno.ENOBUFS, OperationFailed, "port 127.0.0.1:8000-8001 cannot be published: No buffer space available"),
    ],
)
def test_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, number: int, kind: type, message: str) -> None:
    def fail(_host_ip: str, _port: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(publish, "_listen", fail)
    with pytest.raises(kind) as caught:
        publish.reserve([wanted(8000, 8001)])
    assert caught.value.message == message
