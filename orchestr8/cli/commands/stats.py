"""`stats`: what containers use, once or again each second; as docker's table, or as JSON lines with its fields.

The engine reads when it is asked and keeps nothing, so a rate takes two readings: the first two follow each other soon.
"""

from __future__ import annotations

import json
import time

from orchestr8.cli.containers import ask_for_services
from orchestr8.cli.follow import NEXT_ENGINE_S, await_next_engine
from orchestr8.cli.render import table_text
from orchestr8.wire.client import Client

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.output import Output
    from orchestr8.cli.parser import Options

    Stats = dict[str, Any]  # one container's, see api/routes/stats.py

FIRST_S: Final = 0.3  # between the first two readings: much longer than a tick, by which the kernel accounts
EACH_S: Final = 1.0
UNKNOWN: Final = "--"
HEAD: Final = {  # by docker's field
    "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %",
    "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS", "ThrottledPerc": "THROTTLED", "OOMKills": "OOM",
}  # fmt: skip
_NO_WRAP, _WRAP, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[?7l", "\x1b[?7h", "\x1b[K", "\x1b[J"


def run(context: Context, options: Options) -> int:
    before = ask_for_services(context, "stats", options.services, stopped=options.all)
    follow = _Reader(context, options.services, stopped=options.all)
    display = _Display(context.out) if not options.no_stream and options.format != "json" else None
    pause_s = FIRST_S
    while True:
        time.sleep(pause_s)
        now = follow.read()
        lines = [fields(each, {there["id"]: there for there in before}.get(each["id"])) for each in now]
        if options.format == "json":
            context.out.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        else:
            text = table_text(list(HEAD.values()), [[str(line[name]) for name in HEAD] for line in lines])
            display.show(text) if display else context.out.write(text)
        if options.no_stream:
            return 0
        before, pause_s = now, EACH_S


class _Reader:
    """Reads again, of the next engine where one is killed; one that ended in order is not started for it."""

    def __init__(self, context: Context, services: Sequence[str], *, stopped: bool) -> None:
        path = context.client.path
        self._client = Client(path, lambda: await_next_engine(path, NEXT_ENGINE_S))
        self._path = f"/stacks/{context.stack}/stats"
        self._query: dict[str, Any] = {"service": list(services)} if services else {}
        self._query |= {"all": 1} if stopped else {}

    def read(self) -> list[Stats]:
        found: list[Stats] = self._client.request("GET", self._path, query=self._query)
        return found


class _Display:
    """A table that is drawn in place on a terminal, and one after the other elsewhere. Never more rows than there are."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._rows = 0

    def show(self, text: str) -> None:
        if not self._output.terminal:
            self._output.write(text)
            return
        _, rows = self._output.size()
        lines = text.splitlines()
        if len(lines) > rows - 1:
            lines[max(rows - 2, 1) :] = [f"… and {len(lines) - max(rows - 2, 1)} more"]
        up = f"\x1b[{self._rows}A" if self._rows else ""
        drawn = "".join(f"\r{line}{_CLEAR_LINE}\n" for line in lines)
        self._output.write(f"{up}{_NO_WRAP}{drawn}{_CLEAR_BELOW}{_WRAP}")
        self._rows = len(lines)


def fields(now: Stats, before: Stats | None) -> dict[str, Any]:
    """One container's in docker's words, and three of our own: how long limits of processors held it back, how often it
    had processes killed for lack of memory, and the figures themselves, in the fields of Docker's API.
    """
    line = {"ID": now["id"], "Container": now["id"], "Name": now["name"], "Service": now["service"]}
    if "cpu_stats" not in now:
        return {**line, **dict.fromkeys([name for name in HEAD if name not in line], UNKNOWN), "Stats": None}
    memory = now["memory_stats"]
    used = memory["usage"] - memory["stats"]["inactive_file"]
    known = memory["usage"] > 0  # what runs has some: else it is not accounted on this machine
    networks, blocks = now["networks"].values(), now["blkio_stats"]["io_service_bytes_recursive"]
    return {
        **line,
        "CPUPerc": _percent(_cpu_share(now, before)),
        "MemUsage": f"{binary_size(used)} / {binary_size(memory['limit'])}" if known else UNKNOWN,
        "MemPerc": _percent(used / memory["limit"] if known and memory["limit"] else None),
        "NetIO": _both(sum(each["rx_bytes"] for each in networks), sum(each["tx_bytes"] for each in networks)),
        "BlockIO": _both(*(sum(each["value"] for each in blocks if each["op"] == op) for op in ("read", "write"))),
        "PIDs": str(now["pids_stats"]["current"]),
        "ThrottledPerc": _percent(_throttled_share(now, before)),
        "OOMKills": memory["oom_kills"] if known else UNKNOWN,
        "Stats": {name: value for name, value in now.items() if isinstance(value, dict)},
    }


def _cpu_share(now: Stats, before: Stats | None) -> float | None:
    """Of one processor: docker's `CPU %`, which may be more than 100. None: not known yet."""
    if before is None or "cpu_stats" not in before:
        return None
    this, that = now["cpu_stats"], before["cpu_stats"]
    passed = this["system_cpu_usage"] - that["system_cpu_usage"]
    used = _since(this["cpu_usage"]["total_usage"], that["cpu_usage"]["total_usage"])
    known = passed > 0 and this["cpu_usage"]["total_usage"] > 0  # what runs has used some
    return used / passed * this["online_cpus"] if known else None


def _throttled_share(now: Stats, before: Stats | None) -> float | None:
    """Of the periods since `before`, those in which it was made to wait; None where no limit is set."""
    this = now["cpu_stats"]["throttling_data"]
    that = (before or {}).get("cpu_stats", {}).get("throttling_data", {"periods": 0, "throttled_periods": 0})
    if not this["periods"]:
        return None
    periods = _since(this["periods"], that["periods"])
    return _since(this["throttled_periods"], that["throttled_periods"]) / periods if periods else 0.0


def _since(now: int, before: int) -> int:
    """What was added to a count; one that is less than it was began anew."""
    return now - before if now >= before else now


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.2f}%"


def _both(one: int, other: int) -> str:
    return f"{decimal_size(one)} / {decimal_size(other)}"


def binary_size(size: float) -> str:
    """`340KiB`, as docker/go-units `BytesSize` has it: 4 digits."""
    return _size(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), 4)


def decimal_size(size: float) -> str:
    """`1.22kB`, as `HumanSizeWithPrecision` of 3 digits."""
    return _size(size, 1000, ("B", "kB", "MB", "GB", "TB", "PB"), 3)


def _size(size: float, base: int, units: Sequence[str], digits: int) -> str:
    level = 0
    while size >= base and level < len(units) - 1:
        size /= base
        level += 1
    text = f"{size:.{digits}g}"
    return (f"{size:.0f}" if "e" in text else text) + units[level]
