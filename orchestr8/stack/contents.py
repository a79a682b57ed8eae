"""What secrets, configs and seccomp profiles hold, read on the user's side: the engine opens no file on a client's word.

The contents go beside the document, never into what `config` prints. What services mount is read, and nothing else: a
secret of a build is for whoever builds.
"""

from __future__ import annotations

import os

from orchestr8.errors import Orchestr8Error
from orchestr8.model.secrecy import MAX_CONTENT
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.source import is_file, names_in, read_bytes
from orchestr8.stack.suggest import closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from orchestr8.stack.load import Loaded

_OPTION: Final = ("seccomp=", "seccomp:")  # the second one is Docker's older spelling
_BUILT_IN: Final = ("", "unconfined", "builtin")


def read_contents(loaded: Loaded) -> dict[str, bytes]:
    """`secrets.NAME`, `configs.NAME` → the bytes, of all that services are given.

    Raises InvalidStack with every one that is not to be had.
    """
    problems = Problems()
    problems.sources = loaded.sources
    found = {}
    for section, name in _granted(loaded):
        try:
            data = _content(loaded, section, name)
        except Orchestr8Error as error:
            problems.error(
                error.code, error.message, _place(loaded, section, name), helps=_helps(loaded, section, name)
            )
            continue
        if len(data) > MAX_CONTENT:
            problems.error(
                "O8-406", f"{section[:-1]} `{name}` holds {len(data):,} bytes; at most {MAX_CONTENT:,} fit",
                _place(loaded, section, name), helps=["mount a large file by `volumes:`"],
            )  # fmt: skip
        found[f"{section}.{name}"] = data
    problems.raise_errors()
    return found


def _helps(loaded: Loaded, section: str, name: str) -> list[str]:
    """What to do about a content that is not to be had."""
    said = loaded.document[section][name]
    if "environment" in said:
        return [f"export {said['environment']}=…, or write it into .env"]
    directory, file = os.path.split(str(said.get("file", "")))
    near = closest(file, names_in(directory))
    return [f"did you mean {os.path.join(directory, near)}?"] if near else ["name a file that can be read by `file:`"]


def digests(loaded: Loaded) -> dict[str, str]:
    """`secrets.NAME`, `configs.NAME` → the digest of what it holds now, for those that can be read."""
    found = {}
    for section, name in _granted(loaded):
        path = loaded.document[section][name].get("file")
        if path is None or is_file(path):
            try:
                found[f"{section}.{name}"] = digest(_content(loaded, section, name))
            except Orchestr8Error:
                continue  # whoever mounts it tells
    return found


def digest(data: bytes) -> str:
    from hashlib import sha256  # its import brings OpenSSL along, for the few stacks that have secrets or configs

    return f"sha256:{sha256(data).hexdigest()}"


def _granted(loaded: Loaded) -> list[tuple[str, str]]:
    """(section, name) of what services are given and the stack itself fills, each once."""
    services = loaded.document.get("services", {}).values()
    names = {
        (section, str(grant["source"]))
        for section in ("configs", "secrets")
        for service in services
        for grant in service.get(section) or ()
    }
    return sorted(
        each for each in names if loaded.document.get(each[0], {}).get(each[1], {}).get("external") is not True
    )


def _content(loaded: Loaded, section: str, name: str) -> bytes:
    said = loaded.document[section][name]
    given = loaded.contents.get(f"{section}.{name}", said.get("content"))
    if given is not None:
        return str(given).encode()
    if "environment" in said:
        message = f"variable {said['environment']} is not set, and {section[:-1]} `{name}` has its content from it"
        raise Orchestr8Error(message, code="O8-406")
    return read_bytes(str(said.get("file", "")), "O8-406", f"file of {section[:-1]} `{name}`")


def _place(loaded: Loaded, section: str, name: str) -> Node:
    """Where the stack file says what it is."""
    node: Node = loaded.root
    for step in (section, name):
        assert isinstance(node, Mapping)
        node = node.items[step]
    said = node.items if isinstance(node, Mapping) else {}
    return next((said[key] for key in ("file", "environment", "content") if key in said), node)


def read_profiles(loaded: Loaded) -> dict[str, Any]:
    """`FILE`, as `security_opt: [seccomp=FILE]` has it → the profile. Paths start at the project's directory.

    Raises InvalidStack with every one that cannot be read or is no JSON object.
    """
    problems = Problems()
    problems.sources = loaded.sources
    found: dict[str, Any] = {}
    for node, path in _profile_names(loaded):
        if path not in found:
            try:
                found[path] = _profile(loaded, path)
            except Orchestr8Error as error:
                problems.error(error.code, error.message, node)
    problems.raise_errors()
    return found


def _profile_names(loaded: Loaded) -> Iterator[tuple[Node, str]]:
    services = loaded.root.items.get("services")
    for name, service in services.items.items() if isinstance(services, Mapping) else ():
        options = service.items.get("security_opt") if isinstance(service, Mapping) else None
        for node in options.items if isinstance(options, Sequence) and name in loaded.document["services"] else ():
            text = str(node.plain())
            if isinstance(node, Scalar) and text.startswith(_OPTION) and text[len(_OPTION[0]) :] not in _BUILT_IN:
                yield node, text[len(_OPTION[0]) :]


def _profile(loaded: Loaded, path: str) -> Any:
    import json

    data = read_bytes(os.path.join(loaded.working_dir, os.path.expanduser(path)), "O8-407", "seccomp profile")
    try:
        profile = json.loads(data)
    except ValueError as error:
        raise Orchestr8Error(f"seccomp profile {path} is not JSON: {error}", code="O8-407") from error
    if not isinstance(profile, dict):
        raise Orchestr8Error(f"seccomp profile {path} is not a JSON object", code="O8-407")
    return profile
