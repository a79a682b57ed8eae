import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.order import start_order

NODES = [f"s{number}" for number in range(7)]
GRAPHS = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=12).map(
    lambda edges: {
        node: sorted({after for before, after in edges if before == node and after < before}) for node in NODES
    }
)


@given(GRAPHS)
def test_the_order_is_a_topological_one(graph) -> None:
    order = start_order(graph)
    oracle = nx.DiGraph([(after, before) for before, afters in graph.items() for after in afters])
    assert sorted(order) == NODES
    assert all(order.index(before) < order.index(after) for before, after in oracle.edges)


@given(GRAPHS, st.randoms())
def test_equal_graphs_give_equal_orders(graph, random) -> None:
    shuffled = list(graph)
    random.shuffle(shuffled)
    assert start_order({name: list(reversed(graph[name])) for name in shuffled}) == start_order(graph)


def test_a_cycle_is_printed_edge_by_edge(stack) -> None:
    found = stack("""\
services:
  cache:
    image: rootfs:/
    depends_on: [api]
  api:
    image: rootfs:/
    depends_on:
      worker: {condition: service_healthy}
  worker:
    image: rootfs:/
    depends_on:
      cache: {condition: service_completed_successfully}
  web: {image: 'rootfs:/', depends_on: [api]}
""")
    assert (
        found.text
        == """\
error[O8-201]: dependency cycle: api -> worker -> cache -> api
  --> stack.yml:8:7
 8 |       worker: {condition: service_healthy}
   |       ^^^^^^ 1: api waits for worker to be healthy
12 |       cache: {condition: service_completed_successfully}
   |       ----- 2: worker waits for cache to complete
 4 |     depends_on: [api]
   |                  --- 3: cache waits for api to be started, which closes the loop
   = help: names resolve without depends_on: where one only calls the other later, delete that edge
"""
    )


@pytest.mark.parametrize(
    ("edges", "cycles"),
    [
        ({"a": "a"}, ["a -> a"]),
        ({"a": "b", "b": "a", "c": "d", "d": "c"}, ["a -> b -> a", "c -> d -> c"]),
        ({"a": "b", "b": "c", "c": "b"}, ["b -> c -> b"]),
    ],
)
def test_every_separate_cycle_is_told(stack, edges, cycles) -> None:
    text = "".join(f"  {name}: {{image: 'rootfs:/', depends_on: [{target}]}}\n" for name, target in edges.items())
    missing = "".join(f"  {name}: {{image: 'rootfs:/'}}\n" for name in set(edges.values()) - set(edges))
    found = stack("services:\n" + text + missing)
    assert [error.partition("cycle: ")[2] for error in found.errors] == cycles
