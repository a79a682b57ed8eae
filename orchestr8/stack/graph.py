"""The services of a stack and who waits for whom: what `graph` draws. Drawing is `drawings`' business."""

from __future__ import annotations

from orchestr8.stack.order import start_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Edge:
    """`service` waits for `target` to fulfil `condition`; not `required`: its failure is only told."""

    __slots__ = ("condition", "required", "restart", "service", "target")

    def __init__(self, service: str, target: str, content: Mapping[str, Any]) -> None:
        self.service = service
        self.target = target
        self.condition = str(content.get("condition", "service_started"))
        self.required = bool(content.get("required", True))
        self.restart = bool(content.get("restart", False))


class Graph:
    """One stack. Names and edges are sorted, so that equal stacks give equal drawings."""

    def __init__(self, document: Mapping[str, Any], disabled: Mapping[str, Iterable[str]]) -> None:
        services = document["services"]
        self.name = str(document["name"])
        self.images = {name: str(services[name].get("image", "")) for name in sorted(services)}
        self.edges = [
            Edge(name, target, content)
            for name in self.images
            for target, content in sorted(services[name].get("depends_on", {}).items())
            if target in services
        ]
        self.networks = {name: sorted(services[name].get("networks") or {}) for name in self.images}
        self.volumes = {
            name: sorted({
                str(each["source"]) for each in services[name].get("volumes", ())
                if each.get("type") == "volume" and each.get("source")
            }) for name in self.images
        }  # fmt: skip
        self.disabled = {name: sorted(disabled[name]) for name in sorted(disabled)}

    def targets(self, service: str) -> list[Edge]:
        """What a service waits for."""
        return [edge for edge in self.edges if edge.service == service]

    @property
    def roots(self) -> list[str]:
        """Services that nobody waits for."""
        waited_for = {edge.target for edge in self.edges}
        return [name for name in self.images if name not in waited_for]

    def users(self, uses: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        """Turned round: by network or volume, the services that use it."""
        names = sorted({each for used in uses.values() for each in used})
        return {name: [service for service in self.images if name in uses[service]] for name in names}

    def layers(self) -> list[list[str]]:
        """Services in rows: each is below all that wait for it, as high up as that lets it be."""
        row = dict.fromkeys(self.images, 0)
        waits: dict[str, list[str]] = {name: [] for name in self.images}
        for edge in self.edges:
            waits[edge.service].append(edge.target)
        for name in reversed(start_order(waits)):
            for target in waits[name]:
                row[target] = max(row[target], row[name] + 1)
        rows: list[list[str]] = [[] for _ in range(max(row.values(), default=-1) + 1)]
        for name, number in row.items():
            rows[number].append(name)
        return rows
