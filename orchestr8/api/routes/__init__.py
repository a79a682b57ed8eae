"""The routes of the HTTP interface, one module per resource."""

from orchestr8.api.router import Route
from orchestr8.api.routes import archives, containers, events, execs, layers, logs, stacks, stats, system
from orchestr8.api.services import Services


def all_routes(services: Services) -> list[Route]:
    return [
        *system.routes(services.engine),
        *stacks.routes(services.stacks),
        *stats.routes(services.stacks),
        *containers.routes(services.containers, services.execs),
        *archives.routes(services.containers),
        *layers.routes(services.containers, services.layers),
        *execs.routes(services.execs),
        *logs.routes(services.logs),
        *events.routes(services.events),
    ]
