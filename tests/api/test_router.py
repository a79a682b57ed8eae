"""Paths, methods, versions and failures: what every route has in common."""

import json

import pytest

from orchestr8.api.errors import as_error, status_of
from orchestr8.api.router import Route, Router
from orchestr8.errors import (
    Conflict,
    Diagnostic,
    InvalidInput,
    InvalidStack,
    NotFound,
    OperationFailed,
    Orchestr8Error,
    Unavailable,
    Unsupported,
)
from orchestr8.wire.http import Answer, Request, Response

pytestmark = pytest.mark.anyio


async def thing(_: Request, name: str) -> Answer:
    return Response(body=name.encode())


async def broken(_: Request) -> Answer:
    raise RuntimeError("a bug")


async def missing(_: Request) -> Answer:
    raise NotFound("no such thing", helps=["look elsewhere"])


ROUTER = Router(
    [
        Route("GET", "/things/{name}", thing),
        Route("POST", "/things/{name}/x", thing),
        Route("GET", "/broken", broken),
        Route("GET", "/missing", missing),
    ]
)


async def ask(method: str, path: str) -> tuple[int, str]:
    answer = await ROUTER(Request(method=method, path=path, query={}, headers={}))
    assert isinstance(answer, Response)
    return answer.status, answer.body.decode()


async def test_a_field_is_one_segment() -> None:
    assert await ask("GET", "/things/a.b-c") == (200, "a.b-c")
    assert (await ask("GET", "/things/a/b"))[0] == 404
    assert (await ask("GET", "/things/"))[0] == 404


async def test_a_head_request_goes_where_get_goes() -> None:
    assert await ask("HEAD", "/things/a") == (200, "a")


async def test_a_path_may_name_the_version() -> None:
    assert await ask("GET", "/v1.0/things/a") == (200, "a")
    status, body = await ask("GET", "/v1.99/things/a")
    assert (status, json.loads(body)["message"]) == (
        400,
        "client version 1.99 is too new. Maximum supported API version is 1.0",
    )
    assert "too old" in (await ask("GET", "/v0.9/things/a"))[1]


async def test_a_wrong_method_is_told_with_the_right_ones() -> None:
    answer = await ROUTER(Request(method="PUT", path="/things/a", query={}, headers={}))
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_an_error_has_its_hints() -> None:
    status, body = await ask("GET", "/missing")
    expected = {"message": "no such thing", "code": "O8-404", "notes": [], "helps": ["look elsewhere"]}
    assert (status, json.loads(body)) == (404, expected)


async def test_a_bug_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    status, body = await ask("GET", "/broken")
    assert status == 500
    assert json.loads(body)["message"] == "the engine failed: RuntimeError: a bug"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("x"), 400), (InvalidStack([Diagnostic("O8-101", "x")], {}), 400), (NotFound("x"), 404),
        (Conflict("x"), 409), (Unsupported("x"), 501), (Unavailable("x"), 503), (OperationFailed("x"), 500),
        (Orchestr8Error("x"), 500),
    ],
)  # fmt: skip
def test_each_class_has_its_status(error: Orchestr8Error, status: int) -> None:
    assert status_of(error) == status


def test_of_a_group_of_known_errors_the_first_is_shown() -> None:
    first = Conflict("first")
    assert as_error(ExceptionGroup("x", [ExceptionGroup("y", [first]), NotFound("second")])) is first


def test_a_group_with_a_bug_in_it_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    assert type(as_error(ExceptionGroup("x", [Conflict("first"), ValueError("bug")]))) is Orchestr8Error
    assert "ValueError: bug" in caplog.text


def test_routes_say_who_takes_a_body() -> None:
    router = Router([Route("PUT", "/things/{name}", thing, takes_body=True), Route("GET", "/things/{name}", thing)])
    assert router.takes_body("PUT", "/v1.0/things/a")
    assert not router.takes_body("PUT", "/v9.9/things/a")
    assert not router.takes_body("GET", "/things/a")
    assert not router.takes_body("PUT", "/things/a/b")
