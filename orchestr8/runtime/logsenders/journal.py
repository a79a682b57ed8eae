"""Entries of the journal in its native protocol, with the fields of Docker's driver (moby, daemon/logger/journald).

A field is `NAME=value` and a newline; a value that has newlines follows its name, a newline and its length in 64 bits,
little-endian. An entry is one datagram, or a sealed memfd that comes with an empty one when it is too large:
systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

import fcntl
import os
import socket
import struct
import time
from array import array
from collections.abc import Iterable
from typing import Final

from orchestr8.runtime.logsenders.lines import Line
from orchestr8.runtime.logsenders.syslog import SEVERITIES

_LENGTH: Final = struct.Struct("<Q")
_SECOND: Final = 1_000_000_000
_EPOCH_BYTES: Final = 32


class JournalFormat:
    """`fields`: what all entries of a container have."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        epoch = ("CONTAINER_LOG_EPOCH", os.urandom(_EPOCH_BYTES).hex())
        self._common = b"".join(
            encode_field(name, text.encode("utf-8", "surrogateescape")) for name, text in (*fields, epoch)
        )
        self._ordinal = 0

    def message(self, stream: int, line: Line) -> bytes:
        """The entry for a line, which may be empty."""
        self._ordinal += 1
        return b"".join((
            encode_field("PRIORITY", b"%d" % SEVERITIES[stream]),
            encode_field("MESSAGE", line.text),
            self._common,
            encode_field("SYSLOG_TIMESTAMP", _time_text(line.at)),
            encode_field("CONTAINER_LOG_ORDINAL", b"%d" % self._ordinal),
            _part_fields(line) if line.part_of else b"",
        ))  # fmt: skip


def encode_field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + _LENGTH.pack(len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"


def _part_fields(line: Line) -> bytes:
    fields = [
        ("CONTAINER_PARTIAL_ID", line.part_of.encode()),
        ("CONTAINER_PARTIAL_ORDINAL", b"%d" % line.ordinal),
        ("CONTAINER_PARTIAL_LAST", b"true" if line.last else b"false"),
    ]
    if not line.last:
        fields.append(("CONTAINER_PARTIAL_MESSAGE", b"true"))
    return b"".join(encode_field(name, value) for name, value in fields)


def _time_text(at: int) -> bytes:
    """RFC 3339 in UTC, with as many digits of the second as are not zero."""
    fraction = f".{at % _SECOND:09}".rstrip("0").rstrip(".")
    return (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // _SECOND)) + fraction + "Z").encode()


def send_large(sock: socket.socket, entry: bytes) -> None:
    """An entry that no datagram takes: in a file that nobody can change any more, else the journal would not read it."""
    fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(entry)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(
            fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        )
        sock.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))])
    finally:
        os.close(fd)
