"""Syslog messages, byte for byte as Docker's driver forms them (moby, daemon/logger/syslog; RackSec/srslog, formatter.go).

    ""            <30>Nov 27 06:38:56 TAG[PID]: text
    rfc3164       <30>Nov 27 06:38:56 HOST TAG[PID]: text
    rfc5424       <30>1 2026-11-27T06:38:59Z HOST TAG PID TAG - text
    rfc5424micro  <30>1 2026-11-27T06:38:59.051578Z HOST TAG PID TAG - text

Each ends with a newline; over TLS the formats of RFC 5424 have their length in front (RFC 5425, 4.3). Times are the machine's
local time, of when the line was read, not of when it is sent. What is bytes in a line stays those bytes.
"""

import time
from collections.abc import Callable
from typing import Final

from orchestr8.runtime.logsenders.lines import Line

SEVERITIES: Final = {1: 6, 2: 3}  # of stdout: informational; of stderr: error
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SECOND: Final = 1_000_000_000


class SyslogFormat:
    def __init__(self, form: str, *, facility: int, tag: str, hostname: str, pid: int, counted: bool = False) -> None:
        """`counted`: formats of RFC 5424 have their length in front."""
        self._facility = facility
        self._tag = tag
        self._hostname = hostname or "-"
        self._pid = pid
        self._make = _HEADS[form]
        self._grain = 1000 if form == "rfc5424micro" else _SECOND  # ns for which a head stays the same
        self._counted = counted and form.startswith("rfc5424")
        self._heads: dict[int, tuple[int, bytes]] = {}  # stream -> of which moment, and what

    def message(self, stream: int, line: Line) -> bytes:
        """The message for a line; b"" for an empty one, of which Docker sends none either."""
        if not line.text:
            return b""
        message = self._head(stream, line.at) + line.text + b"\n"
        return b"%d %s" % (len(message), message) if self._counted else message

    def block(self, stream: int, lines: bytes, at: int) -> bytes:
        """The messages for whole lines, none of them empty, one after the other; not with lengths in front."""
        head = self._head(stream, at)
        return head + lines[:-1].replace(b"\n", b"\n" + head) + b"\n"

    def _head(self, stream: int, at: int) -> bytes:
        moment = at // self._grain
        known, head = self._heads.get(stream, (-1, b""))
        if known != moment:
            text = self._make(at, self._hostname, self._tag, self._pid)
            head = f"<{self._facility << 3 | SEVERITIES[stream]}>{text}".encode("utf-8", "surrogateescape")
            self._heads[stream] = moment, head
        return head


def _stamp(at: int) -> str:
    local = time.localtime(at // _SECOND)
    return f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2} {local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}"


def _rfc3339(at: int, fraction: str = "") -> str:
    local = time.localtime(at // _SECOND)
    minutes = local.tm_gmtoff // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "Z"
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + fraction + zone


def _unix(at: int, _hostname: str, tag: str, pid: int) -> str:
    return f"{_stamp(at)} {tag}[{pid}]: "


def _rfc3164(at: int, hostname: str, tag: str, pid: int) -> str:
    return f"{_stamp(at)} {hostname} {tag}[{pid}]: "


def _rfc5424(at: int, hostname: str, tag: str, pid: int) -> str:
    return f"1 {_rfc3339(at)} {hostname} {tag} {pid} {tag} - "


def _rfc5424micro(at: int, hostname: str, tag: str, pid: int) -> str:
    return f"1 {_rfc3339(at, f'.{at % _SECOND // 1000:06}')} {hostname} {tag} {pid} {tag} - "


_HEADS: Final[dict[str, Callable[[int, str, str, int], str]]] = {
    "": _unix, "rfc3164": _rfc3164, "rfc5424": _rfc5424, "rfc5424micro": _rfc5424micro,
}  # fmt: skip
