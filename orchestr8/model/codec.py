"""Frozen dataclasses to JSON values and back, by their annotations: one way to store specs, records and messages."""

import dataclasses
import enum
import functools
import types
import typing
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})  # most of what there is


def to_json(value: Any) -> Any:
    """A JSON-ready copy: dataclasses as dicts, tuples as lists, enums as their values."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    names = _names(kind)
    if names is not None:
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in value]
    if isinstance(value, dict):
        return {str(key): to_json(each) for key, each in value.items()}
    return value


@functools.cache
def _names(kind: type) -> tuple[str, ...] | None:
    """Of a dataclass's fields; None for what is none."""
    return tuple(each.name for each in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def from_json(kind: type[T], data: Any) -> T:
    """The value of type `kind` that `to_json` wrote. Fields this version does not know are ignored, so that an
    older engine can read a newer one's rows; missing ones take their default.

    Raises TypeError or ValueError when the data does not have the shape of `kind`.
    """
    return typing.cast("T", _decode(kind, data))


def _decode(kind: Any, data: Any) -> Any:
    while hasattr(kind, "__supertype__"):  # NewType
        kind = kind.__supertype__
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast("type", kind))
        names = [each.name for each in dataclasses.fields(kind) if each.name in data]
        return typing.cast("Any", kind)(**{name: _decode(hints[name], data[name]) for name in names})
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if data is None:
            return None
        return _decode(next(each for each in get_args(kind) if each is not type(None)), data)
    if origin is tuple:
        arguments = get_args(kind)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(arguments[0], each) for each in data)
        return tuple(_decode(each, item) for each, item in zip(arguments, data, strict=True))
    if origin in (list, frozenset):
        return origin(_decode(get_args(kind)[0], each) for each in data)
    if origin is dict:
        key_kind, value_kind = get_args(kind)
        return {_decode(key_kind, key): _decode(value_kind, each) for key, each in data.items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(data)
    if kind is float and isinstance(data, int):
        return float(data)
    if kind is not Any and not isinstance(data, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(data).__name__}: {data!r}")
    return data
