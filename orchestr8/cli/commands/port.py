"""`port`: where a container's port is published, for scripts that need the address."""

from __future__ import annotations

from orchestr8.cli.containers import one_container
from orchestr8.cli.parser import UsageError
from orchestr8.errors import NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options


def run(context: Context, options: Options) -> int:
    number, slash, protocol = options.private_port.partition("/")  # docker's `80/udp` as well
    if not slash:
        protocol = options.protocol or "tcp"
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise UsageError(f"{options.private_port} is no port", helps=[f"such as: orchestr8 port {options.service} 80"])
    container = one_container(context, options.service, options.index)
    ports = container.get("ports", [])
    for each in ports:
        if (each["target"], _protocol(each)) == (int(number), protocol):
            context.out.write(f"{_address(each)}\n")
            return 0
    raise NotFound(
        f"{container['name']} publishes no port {number}/{protocol}",
        notes=[f"it is not running: {container['status']}"] if container["state"] != "running" else [],
        helps=[f"{each['target']}/{_protocol(each)} is published at {_address(each)}" for each in ports],
    )


def _protocol(port: dict[str, Any]) -> str:
    return str(port.get("protocol", "tcp"))


def _address(port: dict[str, Any]) -> str:
    host = str(port["host_ip"])
    return f"[{host}]:{port['published']}" if ":" in host else f"{host}:{port['published']}"
