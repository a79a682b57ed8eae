import pytest

from orchestr8.errors import NotFound
from orchestr8.model.ids import ServiceName
from orchestr8.model.observed import Snapshot
from orchestr8.model.specs import Condition, Dependency
from orchestr8.plan.order import find_cycle, read_label, select, service_graph, topological, write_label
from tests.plan.snapshots import snapshot_of
from tests.worlds import desired, names, needs, service

SHOP = desired(web=service(depends_on=needs("api")), api=service(depends_on=needs("db")), db=service(), mail=service())


def test_dependencies_come_first_and_names_decide_the_rest() -> None:
    assert topological({"c": ["a"], "b": ["c"], "a": [], "d": []}) == ["a", "c", "b", "d"]


def test_a_cycle_among_labels_is_cut() -> None:
    assert topological({"a": ["b"], "b": ["a"], "c": ["a"]}) == ["a", "b", "c"]


def test_a_cycle_is_found_as_a_closed_walk() -> None:
    assert find_cycle({"api": ["worker"], "worker": ["cache"], "cache": ["api"], "db": []}) == [
        "api",
        "worker",
        "cache",
        "api",
    ]
    assert find_cycle({"a": ["b"], "b": []}) == []
    assert find_cycle({"a": ["a"]}) == ["a", "a"]


def test_the_documents_word_counts_over_a_label() -> None:
    later = desired(web=service(), api=service(depends_on=needs("web")), db=service())
    assert list(service_graph(later, snapshot_of(SHOP))) == ["db", "mail", "web", "api"]


def test_selecting_takes_along_what_is_needed() -> None:
    graph = service_graph(SHOP, Snapshot())
    assert select(graph, names("api"), with_dependencies=True) == ["db", "api"]
    assert select(graph, names("api"), with_dependencies=False) == ["api"]
    assert select(graph, None, with_dependencies=False) == ["db", "api", "mail", "web"]
    with pytest.raises(NotFound, match="no such service: apis"):
        select(graph, names("apis"), with_dependencies=True)
    with pytest.raises(NotFound) as caught:
        select(graph, names("cache"), with_dependencies=True)
    assert caught.value.helps == ["there is: api, db, mail, web"]


def test_the_label_is_composes() -> None:
    dependencies = (
        Dependency(service=ServiceName("cache"), restart=True),
        Dependency(service=ServiceName("db"), condition=Condition.HEALTHY),
    )
    text = "cache:service_started:true,db:service_healthy:false"
    assert write_label(dependencies) == text
    assert read_label(text) == dependencies


@pytest.mark.parametrize("text", ["db", "db:", "db:someday:maybe"])
def test_an_odd_label_still_gives_an_order(text: str) -> None:
    assert read_label(text) == (Dependency(service=ServiceName("db")),)


def test_no_label_means_no_dependency() -> None:
    assert read_label("") == ()
