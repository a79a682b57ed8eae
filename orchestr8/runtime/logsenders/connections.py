"""Connections to receivers of logs. They block: only the child of a shim uses them.

`send` takes messages out of a deque as it sends them, so that after an error what is left in it was not sent: it goes to
the next connection. A stream takes several in one, a line each. Of what a broken connection had taken already nobody can say how far it came.
"""

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from orchestr8.runtime.logsenders.journal import send_large

LOCAL_PATHS: Final = ("/dev/log", "/var/run/syslog", "/var/run/log")  # RackSec/srslog, srslog_unix.go
_CONNECT_S: Final = 10.0
_FINISH_S: Final = 2.0
_UNHEARD_MS: Final = 60_000  # for which a peer that says nothing of what it was sent is taken to be there
_KINDS: Final = {
    "unix": socket.SOCK_STREAM, "unixgram": socket.SOCK_DGRAM, "udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM,
    "tcp+tls": socket.SOCK_STREAM,
}  # fmt: skip

Lost = Callable[[int, int, str], None]  # messages, their bytes, why


class Connection(Protocol):
    def send(self, batch: deque[bytes]) -> None:
        """Send from the left, and take out what was sent. Raises OSError when this connection is of no more use."""
        ...

    def finish(self) -> None:
        """Nothing more is sent: see that what was sent comes to be read. Waits for no more than `_FINISH_S`."""
        ...

    def close(self) -> None: ...


class Stream:
    """TCP, perhaps with TLS, or a stream socket of the machine's own."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, batch: deque[bytes]) -> None:
        self._look()
        data = memoryview(b"".join(batch))
        sent = 0
        try:
            while sent < len(data):
                sent += self._socket.send(data[sent:])
        finally:
            while batch and sent >= len(batch[0]):
                sent -= len(batch.popleft())
            if sent:  # of the messages in this one those that went out whole need not go out again
                batch[0] = batch[0][batch[0].rfind(b"\n", 0, sent) + 1 :]

    def _look(self) -> None:
        """A peer that has closed is noticed before anything is sent to it, which would be lost."""
        self._socket.settimeout(0)
        try:
            while self._socket.recv(4096):  # nothing that a receiver of logs says means anything
                pass
        except OSError as error:
            if isinstance(error, BlockingIOError) or _wants_more(error):
                return
            raise
        finally:
            self._socket.settimeout(None)
        raise ConnectionResetError(errno.ECONNRESET, "it has closed the connection")

    def finish(self) -> None:
        """To close with something unread resets the connection, and the peer may lose what it has not read itself."""
        self._socket.settimeout(_FINISH_S)
        if hasattr(self._socket, "unwrap"):
            self._socket = self._socket.unwrap()  # says goodbye, and waits for the peer's
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(4096):
            pass

    def close(self) -> None:
        self._socket.close()


def _wants_more(error: OSError) -> bool:
    """TLS has nothing to give out yet (ssl.SSLWantReadError, which only who speaks TLS has loaded)."""
    return type(error).__name__ == "SSLWantReadError"


class Datagrams:
    """UDP, or a datagram socket of the machine's own. `large`: how to send what no datagram takes."""

    def __init__(
        self, sock: socket.socket, on_lost: Lost, large: Callable[[socket.socket, bytes], None] | None = None
    ) -> None:
        self._socket = sock
        self._on_lost = on_lost
        self._large = large
        self._last_bytes = 0  # of the datagram before

    def send(self, batch: deque[bytes]) -> None:
        while batch:
            message = batch[0]
            try:
                self._put(message)
            except OSError as error:
                if error.errno == errno.ECONNREFUSED and self._socket.family != socket.AF_UNIX:
                    # What an earlier one met is told now (icmp(7)), and this one was not sent.
                    self._on_lost(1, self._last_bytes, error.strerror or "")
                    continue
                if error.errno != errno.EMSGSIZE:
                    raise
                self._on_lost(1, len(message), error.strerror or "")
            self._last_bytes = len(message)
            batch.popleft()

    def _put(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except OSError as error:
            if self._large is None or error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._large(self._socket, message)

    def finish(self) -> None:
        """Hear of the last one, if there is something to hear by now."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._on_lost(1, self._last_bytes, os.strerror(number))

    def close(self) -> None:
        self._socket.close()


def connect(order: Mapping[str, Any], on_lost: Lost) -> Connection:
    """To the receiver of `order` (`runtime.logorder`). Raises OSError, also for a name that is not known, and what TLS
    finds wrong.
    """
    if order["kind"] == "journald":
        return Datagrams(_connect_path("unixgram", order["path"]), on_lost, send_large)
    network = order["network"]
    if not network:
        network, sock = _connect_local()
    elif order["path"]:
        sock = _connect_path(network, order["path"])
    else:
        sock = _connect_host(network, order["host"], order["port"])
    if _KINDS[network] == socket.SOCK_DGRAM:
        return Datagrams(sock, on_lost)
    return Stream(_secure(sock, order["host"], order["tls"]) if order["tls"] else sock)


def _connect_path(network: str, path: str) -> socket.socket:
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_UNIX, _KINDS[network]))
        sock.connect(path)
        undo.pop_all()
        return sock


def _connect_local() -> tuple[str, socket.socket]:
    """Wherever the machine's own syslog listens."""
    for network in ("unixgram", "unix"):
        for path in LOCAL_PATHS:
            with contextlib.suppress(OSError):
                return network, _connect_path(network, path)
    raise FileNotFoundError(errno.ENOENT, f"no syslog listens at {', '.join(LOCAL_PATHS)}")


def _connect_host(network: str, host: str, port: int) -> socket.socket:
    """The first of the name's addresses that answers. As bytes, a name brings no codec of Python's along."""
    failure = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host.encode(), port, type=_KINDS[network]):
        with contextlib.ExitStack() as undo:
            try:
                sock = undo.enter_context(socket.socket(family, kind, protocol))
                sock.settimeout(_CONNECT_S)
                if kind == socket.SOCK_STREAM:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
                sock.connect(address)
                sock.settimeout(None)
            except OSError as error:
                failure = error
            else:
                undo.pop_all()
                return sock
    raise failure


def _secure(sock: socket.socket, host: str, tls: Mapping[str, Any]) -> socket.socket:
    """TLS 1.2 or later. The files are read now, so new ones count from the next connection on."""
    try:
        import ssl  # 4 MiB: for the child that needs it alone, never in a shim
    except ImportError as error:  # a Python without it, or another one since this one started
        sock.close()
        raise OSError(errno.ELIBACC, f"TLS is not there: {error}") from error
    with contextlib.ExitStack() as undo:
        undo.enter_context(sock)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not tls["verify"]:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls["ca"]:
            _named("syslog-tls-ca-cert", tls["ca"], lambda: context.load_verify_locations(tls["ca"]))
        else:
            context.load_default_certs()
        if tls["cert"]:
            _named("syslog-tls-cert", tls["cert"], lambda: _try_to_open(tls["cert"]))  # OpenSSL has one error for both
            _named("syslog-tls-key", tls["key"], lambda: _try_to_open(tls["key"]))
            # No pass phrase: it would be asked for on a terminal that is not there.
            _named(
                "syslog-tls-cert", tls["cert"], lambda: context.load_cert_chain(tls["cert"], tls["key"], password="")
            )
        sock.settimeout(_CONNECT_S)
        secured = undo.enter_context(context.wrap_socket(sock, server_hostname=host))
        secured.settimeout(None)
        undo.pop_all()
        return secured


def _try_to_open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def _named(option: str, path: str, load: Callable[[], None]) -> None:
    """An error of `load` with the option and the file's name, which OpenSSL does not tell."""
    try:
        load()
    except OSError as error:
        raise OSError(error.errno or errno.EINVAL, f"{option}: {path}: {error.strerror or error}") from error
