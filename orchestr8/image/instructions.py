"""`commit --change`: instructions of Dockerfiles that change an image's config, applied to one. Pure.

Those that Docker takes there (moby builder/dockerfile, validCommitCommands), with the forms of docker build: JSON lists or a
line for a shell, `KEY=VALUE` pairs in shell quotes. HEALTHCHECK is not among them yet.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.image.documents import environment_of
from orchestr8.model.signals import signal_number

Config = dict[str, Any]
_KEY: Final = re.compile(r"[^\s=]+")
_PORT: Final = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp|sctp))?")


def apply_changes(config: Mapping[str, Any], changes: Iterable[str]) -> Config:
    """The config with all of them. Raises InvalidInput with the instruction that is wrong."""
    changed = dict(config)
    command_said = False
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        name, rest = word.upper(), rest.strip()
        apply = _INSTRUCTIONS.get(name)
        if name == "HEALTHCHECK":
            raise Unsupported(
                "commit --change HEALTHCHECK is not supported yet", helps=["add `healthcheck:` to services"]
            )
        if apply is None:
            raise _wrong(change, f"`{word}` is no instruction that can change an image's settings")
        if not rest:
            raise _wrong(change, f"{name} needs a value")
        apply(changed, rest, change)
        if name == "ENTRYPOINT" and not command_said:
            changed.pop("Cmd", None)  # the words of another program
        command_said |= name == "CMD"
    return changed


def _command(key: str) -> Callable[[Config, str, str], None]:
    def apply(config: Config, rest: str, change: str) -> None:
        config[key] = _words(rest, change) if rest.startswith("[") else ["/bin/sh", "-c", rest]

    return apply


def _text(key: str) -> Callable[[Config, str, str], None]:
    def apply(config: Config, rest: str, _: str) -> None:
        config[key] = rest

    return apply


def _env(config: Config, rest: str, change: str) -> None:
    values = environment_of(config) | _pairs(rest, change)
    config["Env"] = [f"{key}={value}" for key, value in values.items()]


def _label(config: Config, rest: str, change: str) -> None:
    config["Labels"] = {**config.get("Labels", {}), **_pairs(rest, change)}


def _expose(config: Config, rest: str, change: str) -> None:
    ports = rest.split()
    for port in ports:
        if not _PORT.fullmatch(port) or not all(0 < int(each) < 65536 for each in port.split("/")[0].split("-")):
            raise _wrong(change, f"`{port}` is no port")
    found: dict[str, Any] = {port if "/" in port else f"{port}/tcp": {} for port in ports}
    config["ExposedPorts"] = {**config.get("ExposedPorts", {}), **found}


def _volume(config: Config, rest: str, change: str) -> None:
    places = _words(rest, change) if rest.startswith("[") else rest.split()
    config["Volumes"] = {**config.get("Volumes", {}), **{place: {} for place in places}}


def _workdir(config: Config, rest: str, _: str) -> None:
    above = config.get("WorkingDir") or "/"
    config["WorkingDir"] = rest if rest.startswith("/") else f"{above.rstrip('/')}/{rest}"


def _stopsignal(config: Config, rest: str, _: str) -> None:
    signal_number(rest)  # raises for what is none
    config["StopSignal"] = rest


def _onbuild(config: Config, rest: str, _: str) -> None:
    config["OnBuild"] = [*config.get("OnBuild", ()), rest]


_INSTRUCTIONS: Final[dict[str, Callable[[Config, str, str], None]]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _text("User"),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _words(text: str, change: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(change, f"this is no JSON list: {error}") from error
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise _wrong(change, "the list must hold texts alone")
    return found


def _pairs(text: str, change: str) -> dict[str, str]:
    """`KEY=VALUE …`, or the old form of a single one, `KEY VALUE`."""
    if "=" not in text.split(maxsplit=1)[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise _wrong(change, f"`{key}` has no value")
        return {key: value.strip()}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _wrong(change, f"a quote is not closed: {error}") from error
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise _wrong(change, f"`{word}` is not KEY=VALUE")
        found[key] = value
    return found


def _wrong(change: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"--change {change}: {why}", code="O8-504", helps=[f"it may be: {', '.join(sorted(_INSTRUCTIONS))}"]
    )
