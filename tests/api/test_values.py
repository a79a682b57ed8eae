import pytest

from orchestr8.api.routes.logs import log_query
from orchestr8.api.routes.stacks import order, run_order, stack_name
from orchestr8.api.services import LogPlace, LogQuery
from orchestr8.api.values import json_body, member, number, texts, whole_number
from orchestr8.errors import InvalidInput
from orchestr8.model.ids import ContainerId, ServiceName, StackName
from orchestr8.plan.options import DownOptions, OneOff, UpOptions
from orchestr8.wire.http import Request


def request(body: bytes = b"", **query: str) -> Request:
    return Request(
        method="POST", path="/", query={name: [value] for name, value in query.items()}, headers={}, body=body
    )


def test_a_request_without_body_is_an_empty_object() -> None:
    assert json_body(request()) == {}
    assert json_body(request(b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="the request's body is not"):
        json_body(request(body))


def test_members_have_the_type_they_must_have() -> None:
    assert member({"a": "x"}, "a", str, "") == "x"
    assert member({"a": None}, "a", str, "default") == "default"
    with pytest.raises(InvalidInput, match="a: expected a string, found 1"):
        member({"a": 1}, "a", str, "")
    with pytest.raises(InvalidInput, match="a: expected a whole number, found True"):
        member({"a": True}, "a", int, 0)
    assert texts({"a": ["x"]}, "a") == ("x",)
    assert texts({}, "a") is None
    with pytest.raises(InvalidInput, match="a: expected a list of strings"):
        texts({"a": ["x", 1]}, "a")


def test_query_numbers() -> None:
    assert number(request(since="1.5"), "since", None) == 1.5
    assert number(request(since=""), "since", None) is None
    assert whole_number(request(h="24"), "h", 0) == 24
    with pytest.raises(InvalidInput, match="h: expected a whole number, found '-1'"):
        whole_number(request(h="-1"), "h", 0)
    with pytest.raises(InvalidInput, match="since: expected a number"):
        number(request(since="yesterday"), "since", None)


@pytest.mark.parametrize("name", ["", "Shop", "-a", "a b", "a/b", ".."])
def test_a_stack_has_a_name_that_compose_allows(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a stack's name"):
        stack_name(name)


def test_the_options_of_an_order_are_read_by_their_names() -> None:
    document = {"name": "shop"}
    found = order("shop", "up", {"document": document}, {"services": ["web"], "wait_timeout_s": 3, "unknown": 1})
    assert found.options == UpOptions(services=(ServiceName("web"),), wait_timeout_s=3.0)
    assert found.document == document
    found = order("shop", "down", {}, {"volumes": True})
    assert (found.options, found.document) == (DownOptions(volumes=True), None)


def test_a_document_of_another_stack_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the document is of stack 'other', not of 'shop'"):
        order("shop", "up", {"document": {"name": "other"}}, {})


def test_options_of_a_wrong_type_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="options: expected"):
        order("shop", "up", {}, {"wait": "yes"})


def test_a_run_has_its_settings_as_docker_calls_them() -> None:
    options = {"command": ["a"], "environment": {"B": "2", "A": "1"}, "tty": True, "labels": {"x": "y"}}
    found = run_order("shop", {"document": {"name": "shop"}, "service": "web", "options": options})
    assert isinstance(found.options, OneOff)
    assert found.service == "web"
    assert found.options.command == ("a",)
    assert found.options.environment == (("A", "1"), ("B", "2"))
    assert (found.options.tty, found.options.stdin, found.options.labels) == (True, False, (("x", "y"),))
    with pytest.raises(InvalidInput, match="service: which one"):
        run_order("shop", {"document": {"name": "shop"}})


def test_a_log_query_is_read_from_the_request() -> None:
    query = request(follow="1", tail="10", since="1.5", ends_since="2.5", until="exit", timestamps="1", container="c")
    assert log_query(query, "shop") == LogQuery(
        stack=StackName("shop"),
        container="c",
        follow=True,
        until_exit=True,
        tail=10,
        since=1.5,
        ends_since=2.5,
        timestamps=True,
    )
    assert log_query(request(tail="all", service=""), "shop") == LogQuery(stack=StackName("shop"))


def test_a_place_in_a_log_has_counts_unless_an_older_engine_told_it() -> None:
    id_ = ContainerId("ab12")
    places = {"ab12 T 80 2 9 7": LogPlace(id_, "T", 80, 2, 9, 7), "ab12  0 0": LogPlace(id_, "", 0, 0)}
    for text, place in places.items():
        assert log_query(request(place=text), "shop").places == (place,)


@pytest.mark.parametrize("text", ["", "ab12", "ab12 T 80", "ab12 T 80 2 9", "ab12 T 80 2 9 -1", "ab12 T 80 2 9 7 0"])
def test_what_is_no_place_in_a_log_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a place in a log"):
        log_query(request(place=text), "shop")
