"""Values of specs as a stack file spells them, cut to what differs: for the reasons of plans. What may be shown is
`plan.diff`'s business.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from orchestr8.model.secrecy import without_user_part
from orchestr8.model.specs import MountKind, MountSpec, PortSpec, RestartPolicy

MOST_LETTERS: Final = 60  # of a value
_BEFORE: Final = 20  # letters in front of the first that differs


def spelt(before: Any, after: Any) -> tuple[str, str] | None:
    """Both in words, "" for nothing; None when words would not tell them apart, or there are none for them."""
    if (before or after) and _is_ports(before) and _is_ports(after):  # those that both have are no change
        return _ports(before, after), _ports(after, before)
    texts = _spelt(before), _spelt(after)
    if texts[0] is None or texts[1] is None or texts[0] == texts[1]:
        return None
    return _cut(texts[0], texts[1])


def _spelt(value: Any) -> str | None:
    if value is None:
        return ""
    if type(value) in _WORDS:
        return _WORDS[type(value)](value)
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return json.dumps([without_user_part(each) for each in value], ensure_ascii=False)
    if isinstance(value, str):
        return json.dumps(without_user_part(value), ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value) if isinstance(value, (int, float)) else None


def _mount(mount: MountSpec) -> str:
    text = mount.source or ("an anonymous volume" if mount.kind is MountKind.VOLUME else mount.kind.value)
    return f"{text}{f' (of it: {mount.subpath})' if mount.subpath else ''}{':ro' if mount.read_only else ''}"


def _restart(policy: RestartPolicy) -> str:
    return f"{policy.mode.value}{f':{policy.max_retries}' if policy.max_retries else ''}"


_WORDS: Final[dict[type, Callable[[Any], str]]] = {MountSpec: _mount, RestartPolicy: _restart}


def _is_ports(value: Any) -> bool:
    return value is None or (isinstance(value, tuple) and all(isinstance(each, PortSpec) for each in value))


def _ports(these: tuple[PortSpec, ...] | None, without: tuple[PortSpec, ...] | None) -> str:
    return ", ".join(_port(each) for each in these or () if each not in (without or ()))


def _port(port: PortSpec) -> str:
    """`127.0.0.1:8080-8090:80/udp`, with the usual left out."""
    address = "" if port.host_ip == "0.0.0.0" else f"[{port.host_ip}]:" if ":" in port.host_ip else f"{port.host_ip}:"
    last = f"-{port.published_last}" if port.published_last > port.published_first else ""
    published = f"{port.published_first}{last}:" if port.published_first else ":" if address else ""
    return f"{address}{published}{port.target}{'' if port.protocol == 'tcp' else f'/{port.protocol}'}"


def _cut(before: str, after: str) -> tuple[str, str]:
    """Both short enough, and with the first place where they differ in sight."""
    pairs = enumerate(zip(before, after, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))
    start = same - _BEFORE if same > MOST_LETTERS - 3 - _BEFORE else 0
    return _window(before, start), _window(after, start)


def _window(text: str, start: int) -> str:
    if len(text) <= MOST_LETTERS:
        return text
    start = min(start, len(text) - _BEFORE) if start else 0
    head = "..." if start else ""
    room = MOST_LETTERS - len(head)
    rest = text[start:]
    return head + (rest if len(rest) <= room else f"{rest[: room - 3]}...")
