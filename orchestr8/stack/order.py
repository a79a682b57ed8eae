"""The order that `depends_on` asks for, and its cycles, told edge by edge."""

from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from graphlib import CycleError, TopologicalSorter

from orchestr8.stack.nodes import Mapping
from orchestr8.stack.problems import Problems

MAX_CYCLES = 100
_WAITS: dict[str, str] = {
    "service_started": "to be started",
    "service_healthy": "to be healthy",
    "service_completed_successfully": "to complete",
}


def dependencies_of(service: Mapping) -> dict[str, Mapping]:
    node = service.items.get("depends_on")
    if not isinstance(node, Mapping):
        return {}
    return {name: value for name, value in node.items.items() if isinstance(value, Mapping)}


def start_order(graph: MappingOf[str, Iterable[str]]) -> list[str]:
    """Names, dependencies first; equal graphs give equal orders. Raises graphlib.CycleError."""
    sorter: TopologicalSorter[str] = TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order


def with_dependencies(names: Iterable[str], services: Mapping) -> set[str]:
    """The names and all they depend on, directly or not."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        service = services.items.get(name)
        if name in found or not isinstance(service, Mapping):
            continue
        found.add(name)
        waiting.extend(dependencies_of(service))
    return found


def check_cycles(services: Mapping, problems: Problems) -> None:
    """Tell every cycle that shares no service with one already told, up to a number that is enough to begin with."""
    graph = {
        name: [target for target in dependencies_of(service) if target in services.items]
        for name, service in services.items.items()
        if isinstance(service, Mapping)
    }
    for _ in range(MAX_CYCLES):
        try:
            start_order(graph)
        except CycleError as error:
            # graphlib lists a cycle so that each name is a dependency of the next: the edges run backwards.
            cycle = _rotated(list(reversed(error.args[1]))[:-1])
            _tell(cycle, services, problems)
            told = set(cycle)
            graph = {
                name: [target for target in targets if target not in told]
                for name, targets in graph.items()
                if name not in told
            }
        else:
            return


def _rotated(cycle: list[str]) -> list[str]:
    """Starting with its least name, so that a cycle is told in one way."""
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


def _tell(cycle: list[str], services: Mapping, problems: Problems) -> None:
    spans = []
    for number, name in enumerate(cycle, 1):
        target = cycle[number % len(cycle)]
        service = services.items[name]
        assert isinstance(service, Mapping)
        edge = service.items["depends_on"]
        assert isinstance(edge, Mapping)
        condition = dependencies_of(service)[target].items.get("condition")
        wait = _WAITS.get(str(condition.plain()) if condition else "", "to be started")
        closing = ", which closes the loop" if number == len(cycle) else ""
        spans.append(
            edge.keys[target].span(f"{number}: {name} waits for {target} {wait}{closing}", primary=number == 1)
        )
    shown = " -> ".join([*cycle, cycle[0]])
    helps = ["names resolve without depends_on: where one only calls the other later, delete that edge"]
    problems.error("O8-201", f"dependency cycle: {shown}", spans, helps=helps)
