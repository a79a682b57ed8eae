"""Where a container's published ports are to be found: for `up`'s last line. Pure."""

from typing import Any, Final

from orchestr8.model.observed import BoundPort, ObservedContainer

# A browser shows nothing there: IANA's ports of services that people run in stacks.
NOT_HTTP: Final = frozenset(
    {21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 2379, 3306, 4222, 5432, 5672,
     6379, 6380, 8883, 9042, 9092, 11211, 26257, 27017}
)  # fmt: skip
HTTPS: Final = frozenset({443, 8443})
ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})


def published_addresses(container: ObservedContainer) -> list[dict[str, Any]]:
    return [
        {
            "service": container.service,
            "container": container.name,
            **({"url": url} if (url := url_of(port)) else {}),
            "host_ip": port.host_ip,
            "published": port.published,
            "target": port.target,
        }
        for port in container.ports
    ]


def url_of(port: BoundPort) -> str:
    """What to open on this machine; "" for what is no page as far as its number tells."""
    if port.protocol != "tcp" or port.target in NOT_HTTP:
        return ""
    host = "127.0.0.1" if port.host_ip in ANY_ADDRESS else port.host_ip
    if port.target in HTTPS:
        return f"https://{host}" + (f":{port.published}" if port.published != 443 else "")
    return f"http://{host}" + (f":{port.published}" if port.published != 80 else "")
