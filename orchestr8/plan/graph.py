"""Looking at a plan or a stack as a graph: what goes side by side, and the path that decides how long it takes.

networkx takes 0.2 s to import and is imported when something here is called; planning itself never does.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestr8.model.ids import ServiceName
from orchestr8.model.specs import Desired
from orchestr8.plan.plan import Plan, Step

if TYPE_CHECKING:
    import networkx as nx


def plan_graph(plan: Plan) -> "nx.DiGraph[int]":
    """An edge from each step to those that wait for it."""
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(step.number for step in plan.steps)
    graph.add_edges_from((number, step.number) for step in plan.steps for number in step.after)
    return graph


def service_digraph(desired: Desired) -> "nx.DiGraph[ServiceName]":
    """An edge from each service to those that depend on it, with the condition."""
    import networkx as nx

    graph: nx.DiGraph[ServiceName] = nx.DiGraph()
    graph.add_nodes_from(desired.services)
    for name, service in desired.services.items():
        for each in service.depends_on:
            if each.service in desired.services:
                graph.add_edge(each.service, name, condition=each.condition.value)
    return graph


def generations(graph: "nx.DiGraph[Any]") -> list[list[Any]]:
    """Waves: everything in one can go side by side once the waves before are done."""
    import networkx as nx

    return [sorted(each) for each in nx.topological_generations(graph)]


def critical_path(plan: Plan, seconds: Mapping[int, float] | None = None) -> list[Step]:
    """The chain of steps that took longest by `seconds` a step; without figures, the one with most steps."""
    import networkx as nx

    if not plan.steps:
        return []
    graph = plan_graph(plan)
    weights = {step.number: (seconds or {}).get(step.number, 0.0) if seconds else 1.0 for step in plan.steps}
    # dag_longest_path weighs edges; a step's own time goes on the edges that lead to it, the first step's on a root.
    root = 0
    weighted: nx.DiGraph[int] = nx.DiGraph()
    weighted.add_weighted_edges_from((before, number, weights[number]) for before, number in graph.edges)
    weighted.add_weighted_edges_from((root, step.number, weights[step.number]) for step in plan.steps if not step.after)
    by_number = {step.number: step for step in plan.steps}
    return [by_number[number] for number in nx.dag_longest_path(weighted) if number != root]
