"""Which service comes before which: from the document, or from the labels of what runs when there is no document.

Plain code, not networkx: planning a hundred services must take milliseconds (`plan.graph` is for looking at graphs).
"""

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeVar

from orchestr8.errors import NotFound
from orchestr8.model import labels
from orchestr8.model.ids import ServiceName
from orchestr8.model.observed import ObservedContainer, Snapshot
from orchestr8.model.specs import Condition, Dependency, Desired

_SHOWN: Final = 10  # names of what there is, where none is like the wrong one

Graph = dict[ServiceName, tuple[Dependency, ...]]
Name = TypeVar("Name", bound=str)


def service_graph(desired: Desired | None, snapshot: Snapshot) -> Graph:
    """Every service of the document and of the snapshot, in dependency order, with what it depends on.

    The document's word counts over a label: a label may be older, since a changed `depends_on` re-creates nothing.
    """
    found: Graph = {}
    for container in snapshot.containers.values():
        if not container.oneoff and container.service not in found:
            found[container.service] = read_label(container.labels.get(labels.DEPENDS_ON, ""))
    if desired is not None:
        found.update((name, service.depends_on) for name, service in desired.services.items())
    known = {name: tuple(each for each in edges if each.service in found) for name, edges in found.items()}
    return {name: known[name] for name in topological({name: _names(edges) for name, edges in known.items()})}


def topological(edges: Mapping[Name, Collection[Name]]) -> list[Name]:
    """Names, each after those it depends on; alphabetical where that leaves a choice.

    A cycle can only come from labels of different ages; it is cut at its first name, for `down` must always work.
    """
    missing = {name: {each for each in needs if each in edges and each != name} for name, needs in edges.items()}
    dependents: dict[Name, list[Name]] = {name: [] for name in edges}
    for name, needs in missing.items():
        for each in needs:
            dependents[each].append(name)
    ready = [name for name, needs in missing.items() if not needs]
    heapq.heapify(ready)
    done: dict[Name, None] = {}
    while len(done) < len(edges):
        name = heapq.heappop(ready) if ready else min(each for each in edges if each not in done)
        if name in done:
            continue
        done[name] = None
        for each in dependents[name]:
            missing[each].discard(name)
            if not missing[each] and each not in done:
                heapq.heappush(ready, each)
    return list(done)


def find_cycle(edges: Mapping[Name, Collection[Name]]) -> list[Name]:
    """One cycle as a closed walk, "a b a"; empty when there is none."""
    finished: set[Name] = set()
    for start in sorted(edges):
        path: dict[Name, Iterable[Name]] = {}
        stack = [start]
        while stack:
            name = stack[-1]
            if name in finished:
                stack.pop()
                continue
            rest = path.setdefault(name, iter(sorted(edges.get(name, ()))))
            following = next((each for each in rest if each not in finished), None)
            if following is None:
                finished.add(name)
                del path[name]
                stack.pop()
            elif following in path:
                walk = list(path)
                return [*walk[walk.index(following) :], following]
            else:
                stack.append(following)
    return []


def dependents_of(graph: Graph) -> dict[ServiceName, list[ServiceName]]:
    """For each service those that depend on it directly, in graph order."""
    found: dict[ServiceName, list[ServiceName]] = {name: [] for name in graph}
    for name, edges in graph.items():
        for each in edges:
            found[each.service].append(name)
    return found


def select(graph: Graph, services: Collection[ServiceName] | None, *, with_dependencies: bool) -> list[ServiceName]:
    """The services named (None: all), with what they need if asked for, in graph order."""
    if services is None:
        return list(graph)
    chosen: set[ServiceName] = set()
    todo = sorted(services)
    for name in todo:
        if name not in graph:
            raise NotFound(f"no such service: {name}", helps=near(name, graph))
    while todo:
        name = todo.pop()
        if name not in chosen:
            chosen.add(name)
            if with_dependencies:
                todo.extend(each.service for each in graph[name])
    return [name for name in graph if name in chosen]


def containers_by_service(snapshot: Snapshot) -> dict[ServiceName, list[ObservedContainer]]:
    """Containers of services, one-offs left out, by replica number."""
    found: dict[ServiceName, list[ObservedContainer]] = {}
    for container in sorted(snapshot.containers.values(), key=lambda each: (each.service, each.number, each.name)):
        if not container.oneoff:
            found.setdefault(container.service, []).append(container)
    return found


def write_label(dependencies: Iterable[Dependency]) -> str:
    """Compose's label, `db:service_healthy:false,cache:service_started:true`; the last field is `restart`."""
    return ",".join(f"{each.service}:{each.condition.value}:{str(each.restart).lower()}" for each in dependencies)


def read_label(text: str) -> tuple[Dependency, ...]:
    """Dependencies from Compose's label. What cannot be read as a condition is taken as "started"."""
    found = []
    for entry in filter(None, text.split(",")):
        name, _, rest = entry.partition(":")
        condition, _, restart = rest.partition(":")
        known = Condition(condition) if condition in set(Condition) else Condition.STARTED
        found.append(Dependency(service=ServiceName(name), condition=known, restart=restart == "true"))
    return tuple(sorted(found, key=lambda each: each.service))


def _names(edges: Iterable[Dependency]) -> list[ServiceName]:
    return [each.service for each in edges]


def near(name: str, names: Iterable[str]) -> list[str]:
    """A help that names what was meant, or else what there is."""
    import difflib  # 5 ms to import, and only wanted for a mistyped name

    there = sorted(names)
    if found := difflib.get_close_matches(name, there, n=1, cutoff=0.75):
        return [f"did you mean `{found[0]}`?"]
    more = ", ..." if len(there) > _SHOWN else ""
    return [f"there is: {', '.join(there[:_SHOWN])}{more}"] if there else []
