import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.model.observed import Snapshot
from orchestr8.plan.graph import critical_path, generations, plan_graph, service_digraph
from orchestr8.plan.order import find_cycle, topological
from orchestr8.plan.plan import Plan
from orchestr8.plan.verbs import plan_up
from tests.worlds import desired, needs, service

SHOP = desired(web=service(depends_on=needs("api")), api=service(depends_on=needs("db")), db=service(), mail=service())


def test_services_form_generations() -> None:
    assert generations(service_digraph(SHOP)) == [["db", "mail"], ["api"], ["web"]]


def test_the_critical_path_is_the_longest_chain() -> None:
    plan = plan_up(SHOP, Snapshot())
    assert [str(step.action) for step in critical_path(plan)] == [
        "CreateNetwork shop_default",
        "CreateContainer shop-db-1",
        "StartContainer shop-db-1",
        "StartContainer shop-api-1",
        "StartContainer shop-web-1",
    ]


def test_the_critical_path_follows_the_time_spent() -> None:
    plan = plan_up(SHOP, Snapshot())
    slow = next(step.number for step in plan.steps if str(step.action) == "StartContainer shop-mail-1")
    assert [str(step.action) for step in critical_path(plan, {slow: 9.0})][-1] == "StartContainer shop-mail-1"


def test_an_empty_plan_has_no_critical_path() -> None:
    assert critical_path(Plan()) == []


NAMES = [f"s{number}" for number in range(7)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), max_size=7)


@settings(deadline=None)
@given(GRAPHS)
def test_networkx_agrees_about_order_and_cycles(edges: dict[str, set[str]]) -> None:
    import networkx as nx

    known = {name: {each for each in needs if each in edges} for name, needs in edges.items()}
    graph = nx.DiGraph([(each, name) for name, needs in known.items() for each in needs])
    graph.add_nodes_from(known)
    cycle = find_cycle(known)
    assert bool(cycle) is not nx.is_directed_acyclic_graph(graph)
    order = topological(known)
    assert sorted(order) == sorted(known)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in known[before] for before, after in itertools.pairwise(cycle))
    else:
        assert order == list(nx.lexicographical_topological_sort(graph))


def test_a_plan_is_a_graph_of_its_steps() -> None:
    graph = plan_graph(plan_up(SHOP, Snapshot()))
    assert generations(graph)[0] == [1]
