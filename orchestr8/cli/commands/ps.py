"""`ps`: a stack's containers, as a table, as JSON lines with compose's fields, or as ids."""

from __future__ import annotations

import json
import time

from orchestr8.cli.containers import list_containers
from orchestr8.cli.render import table_text
from orchestr8.wire.durations import human_duration

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options

HEAD: Final = ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS")
COMMAND_WIDTH: Final = 20


def run(context: Context, options: Options) -> int:
    containers = list_containers(context, options.services, stopped=options.all)
    now = time.time()
    if options.quiet:
        text = "".join(f"{each['id']}\n" for each in containers)
    elif options.format == "json":
        text = "".join(json.dumps(fields(each, now), ensure_ascii=False) + "\n" for each in containers)
    else:
        text = table_text(HEAD, [_row(each, now) for each in containers])
    context.out.write(text)
    return 0


def _row(container: dict[str, Any], now: float) -> tuple[str, ...]:
    return (
        container["name"], container["image"], _command(container, COMMAND_WIDTH), container["service"],
        _ago(container, now), container["status"], _ports(container),
    )  # fmt: skip


def fields(container: dict[str, Any], now: float) -> dict[str, Any]:
    """Compose's names for what is known. Its LocalVolumes, Mounts and Size are left out: nobody measures them here."""
    return {
        "Command": _command(container, COMMAND_WIDTH),
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(container["created_at"])),
        "ExitCode": container.get("exit_code") or 0,
        "Health": container.get("health") or "",
        "ID": container["id"],
        "Image": container["image"],
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(container.get("labels", {}).items())),
        "Name": container["name"],
        "Names": container["name"],
        "Networks": ",".join(sorted(container.get("addresses", {}))),
        "Ports": _ports(container),
        "Project": container["stack"],
        "Publishers": [
            {
                "URL": port["host_ip"],
                "TargetPort": port["target"],
                "PublishedPort": port["published"],
                "Protocol": port.get("protocol", "tcp"),
            }
            for port in container.get("ports", [])
        ],
        "RunningFor": _ago(container, now),
        "Service": container["service"],
        "State": "paused" if container.get("paused") else container["state"],
        "Status": container["status"],
    }


def _command(container: dict[str, Any], width: int) -> str:
    """In quotes and cut, as Docker's tools show it."""
    words = " ".join(container.get("command", ()))
    printable = "".join(letter if letter.isprintable() else " " for letter in words)
    return f'"{printable if len(printable) <= width else printable[: width - 1] + "…"}"'


def _ago(container: dict[str, Any], now: float) -> str:
    return f"{human_duration(now - container['created_at'])} ago"


def _ports(container: dict[str, Any]) -> str:
    return ", ".join(
        f"{port['host_ip']}:{port['published']}->{port['target']}/{port.get('protocol', 'tcp')}"
        for port in container.get("ports", [])
    )
