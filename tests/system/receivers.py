"""Receivers of logs for tests: sockets of the test's own, which it reads when it wants to, and real ones: rsyslogd, journald."""

import contextlib
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from e2e.pace import SLOW

DEADLINE_S: Final = 8.0 * SLOW
_KINDS: Final = {
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM), "unixgram": (socket.AF_UNIX, socket.SOCK_DGRAM),
    "tcp": (socket.AF_INET, socket.SOCK_STREAM), "tcp+tls": (socket.AF_INET, socket.SOCK_STREAM),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM),
}  # fmt: skip


class Receiver:
    """Listens, and keeps what it is sent. It reads only when it is asked to."""

    def __init__(self, network: str, place: str, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """`place`: the socket's path, or an address; `port`: 0 for any."""
        family, kind = _KINDS[network]
        self._tls = tls
        self._streams = kind == socket.SOCK_STREAM
        self._socket = socket.socket(family, kind)
        self._peers: list[socket.socket] = []
        self._torn: dict[int, bytes] = {}
        self.messages: list[bytes] = []
        if family == socket.AF_UNIX:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place)
            self._socket.bind(place)
            self.address = f"{network}://{place}"
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((place, port))
            self.port = self._socket.getsockname()[1]
            self.address = f"{network}://{place}:{self.port}"
        if self._streams:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)  # what it does not read stays away
            self._socket.listen()

    def read(self, wait_s: float = 0.0) -> None:
        """Take what has come, for as long as something does."""
        while True:
            ready = select.select([self._socket, *self._peers], [], [], wait_s)[0]
            if not ready:
                return
            for each in ready:
                self._take(each)

    def _take(self, sock: socket.socket) -> None:
        if not self._streams:
            self.messages.append(sock.recv(1 << 17))
        elif sock is self._socket:
            peer = sock.accept()[0]
            if self._tls:
                peer.settimeout(DEADLINE_S)
                try:
                    peer = self._tls.wrap_socket(peer, server_side=True)
                except OSError:  # the sender did not like the certificate
                    return
            self._peers.append(peer)
        else:
            try:
                data = sock.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                self._peers.remove(sock)
                sock.close()
                return
            *lines, rest = (self._torn.pop(sock.fileno(), b"") + data).split(b"\n")
            self._torn[sock.fileno()] = rest
            self.messages += [line + b"\n" for line in lines]

    def texts(self) -> list[str]:
        """What the messages say, after the first `]: `."""
        return [message.decode(errors="replace").partition("]: ")[2].rstrip("\n") for message in self.messages]

    def until(self, count: int) -> list[str]:
        """Read until there are so many messages."""
        deadline = time.monotonic() + DEADLINE_S
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} of {count} came: {self.messages[-20:]}"
            self.read(0.05)
        return self.texts()

    def close(self) -> None:
        for each in (self._socket, *self._peers):
            each.close()
        self._peers.clear()


@contextlib.contextmanager
def in_background(receiver: Receiver) -> Iterator[None]:
    """It reads all the time, as TLS needs it: somebody has to shake hands."""
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            receiver.read(0.02)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def make_certificates(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path, Path]:
    """(CA, certificate, key) for `host`, made by openssl."""
    ca, ca_key, cert, key, request = (folder / name for name in ("ca.pem", "ca.key", "cert.pem", "key.pem", "csr.pem"))
    extension = folder / "extension"
    extension.write_text(f"subjectAltName=IP:{host}\n", encoding="ascii")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    for command in (
        [*new, "/CN=test authority", "-x509", "-days", "2", "-keyout", str(ca_key), "-out", str(ca)],
        [*new, f"/CN={host}", "-keyout", str(key), "-out", str(request)],
        ["openssl", "x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial",
         "-days", "2", "-extfile", str(extension), "-out", str(cert)],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    return ca, cert, key


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def rsyslogd(folder: Path, inputs: str, settings: str = "") -> Iterator[Path]:
    """Debian's rsyslogd with these inputs: yields the file into which it writes tag and text of each message."""
    out = folder / "received"
    (folder / "rsyslog.conf").write_text(
        f"""global(workDirectory="{folder}" maxMessageSize="64k" processInternalMessages="on" {settings})
{inputs}
template(name="said" type="string" string="%pri% %hostname% %syslogtag%|%msg%\\n")
if $inputname != "rsyslogd" and $syslogtag != "rsyslogd:" then {{
    action(type="omfile" file="{out}" template="said" asyncWriting="off")
}}
""",
        encoding="utf-8",
    )
    command = ["rsyslogd", "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield out
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


class Journal:
    """systemd's journald, in a namespace of its own (systemd-journald.service(8)): another one beside the machine's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = f"/run/systemd/journal.{name}/socket"

    def entries(self) -> list[dict[str, Any]]:
        command = ["journalctl", f"--namespace={self.name}", "-o", "json", "--no-pager", "-q", "--all"]
        said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        return [each for each in map(json.loads, said.splitlines()) if "CONTAINER_ID" in each]

    def until(self, count: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + DEADLINE_S
        while len(found := self.entries()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} came: {found}"
        return found


@contextlib.contextmanager
def journald(name: str) -> Iterator[Journal]:
    journal = Journal(name)
    with subprocess.Popen(["/lib/systemd/systemd-journald", name], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + DEADLINE_S
            while not os.path.exists(journal.socket):
                assert process.poll() is None, "journald has ended"
                assert time.monotonic() < deadline, "journald does not listen"
                time.sleep(0.01)
            yield journal
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)
            machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
            for place in (
                f"/run/systemd/journal.{name}",
                *(f"{top}/log/journal/{machine}.{name}" for top in ("/run", "/var")),
            ):
                subprocess.run(["rm", "-rf", place], check=True)
