"""resolv.conf(5): the host's upstream servers, and the text for a container. Pure."""

import ipaddress
from typing import Final

UPSTREAMS: Final = 3  # glibc's MAXNS, and Docker's
COMMENT: Final = ("#", ";")


def upstream_servers(text: str) -> list[str]:
    """The addresses of its `nameserver` lines, a zone index included, at most three."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1]):
            found.append(words[1])
    return list(dict.fromkeys(found))[:UPSTREAMS]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def container_text(host_text: str, server: str) -> str:
    """Our server, the host's search domains and options. ndots:0, so that a service's name is tried as it is first,
    unless the host says otherwise.
    """
    kept = [
        line.strip() for line in host_text.splitlines() if line.split()[:1] and line.split()[0] in ("search", "options")
    ]
    search = [line for line in kept if line.startswith("search")][-1:]  # the last one counts
    options = [word for line in kept if line.startswith("options") for word in line.split()[1:]]
    if not any(word.startswith("ndots:") for word in options):
        options.append("ndots:0")
    return "\n".join([f"nameserver {server}", *search, f"options {' '.join(options)}"]) + "\n"
