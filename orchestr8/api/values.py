"""Reading what a request says, with errors that name the field, and writing answers."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from orchestr8.errors import InvalidInput
from orchestr8.model.codec import from_json
from orchestr8.wire.http import Request, Response

T = TypeVar("T")


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status=status, body=json.dumps(value, separators=(",", ":")).encode(), headers=headers or {})


def json_line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object; empty when it has no body."""
    if not request.body.strip():
        return {}
    try:
        value = json.loads(request.body)
    except ValueError as error:
        raise InvalidInput(f"the request's body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInput("the request's body is not a JSON object")
    return value


def member(body: Mapping[str, Any], name: str, kind: type[T], default: T) -> T:
    """A member of a JSON object, of the type it must have; `default` when it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InvalidInput(f"{name}: expected {_NAMES.get(kind, kind.__name__)}, found {value!r:.60}")
    return value


def texts(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """A list of strings; None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidInput(f"{name}: expected a list of strings, found {value!r:.60}")
    return tuple(value)


def decoded(kind: type[T], value: Mapping[str, Any], where: str) -> T:
    """A value of the model out of JSON."""
    try:
        return from_json(kind, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{where}: {error}") from error


def number(request: Request, name: str, default: float | None) -> float | None:
    """A query parameter that is a number; `default` when it is absent or empty."""
    text = request.first(name)
    if not text:
        return default
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{name}: expected a number, found {text!r}") from error


def whole_number(request: Request, name: str, default: int) -> int:
    """A query parameter that is a whole number, not below zero."""
    text = request.first(name)
    if not text:
        return default
    if not text.isdecimal():
        raise InvalidInput(f"{name}: expected a whole number, found {text!r}")
    return int(text)


_NAMES = {dict: "an object", str: "a string", bool: "true or false", list: "a list", int: "a whole number"}
