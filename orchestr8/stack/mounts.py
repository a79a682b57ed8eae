"""`volumes` of a service: `[SOURCE:]TARGET[:OPTIONS]`, or the long form that it stands for; and `tmpfs`.

Paths stay as written here; `normalise` makes them absolute.
"""

from __future__ import annotations

import os
import re

from orchestr8.stack import patterns
from orchestr8.stack.lists import LABELS, OPTIONS, ListOf
from orchestr8.stack.nodes import Mapping, Node, Scalar
from orchestr8.stack.records import Named, Record, ignored, now
from orchestr8.stack.scalars import parse_bytes, parse_mode
from orchestr8.stack.types import Choice, Flag, Mode, Reading, Schema, Size, Text, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

_PROPAGATION: Final = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_SUPPORTED: Final = ("bind", "volume", "tmpfs")
_DRIVE: Final = re.compile(r"[A-Za-z]:\\")


class BadMount(ValueError):
    """Not of the grammar; the text says what is wrong."""


def parse_mount(text: str) -> dict[str, Any]:
    """The long form of a short one. Raises BadMount."""
    parts = _split(text)
    if not text:
        raise BadMount("invalid empty volume spec")
    if len(parts) > 3:
        raise BadMount("too many colons")
    if any(not part for part in parts):
        raise BadMount("empty section between colons")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    source, target = parts[0], parts[1]
    mount: dict[str, Any] = {"type": "bind" if _is_path(source) else "volume", "source": source, "target": target}
    if mount["type"] == "bind":
        mount["bind"] = {"create_host_path": True}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option == "ro":
            mount["read_only"] = True
        elif option == "nocopy":
            mount.setdefault("volume", {})["nocopy"] = True
        elif option in ("z", "Z"):
            mount.setdefault("bind", {})["selinux"] = option
        elif option in _PROPAGATION:
            mount.setdefault("bind", {})["propagation"] = option
        # Other words (cached, delegated, ...) mean nothing here, as in compose.
    return mount


def _is_path(source: str) -> bool:
    return source.startswith(("/", ".", "~")) or is_windows_path(source)


def is_windows_path(source: str) -> bool:
    """A whole path of a machine that is not this one: with a drive, or of a share."""
    return source.startswith("\\\\") or bool(_DRIVE.match(source))


def _split(text: str) -> list[str]:
    """At colons, but not inside `${...}` and not after a drive's letter."""
    parts = [""]
    depth = 0
    for index, letter in enumerate(text):
        if letter == "{" and text[index - 1 : index] == "$":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
        if (
            letter == ":"
            and not depth
            and not (len(parts[-1]) == 1 and _DRIVE.match(parts[-1] + text[index : index + 2]))
        ):
            parts.append("")
        else:
            parts[-1] += letter
    return parts


_LONG: Final = Record(
    "a mount",
    {
        "type": now(Choice("bind", "volume", "tmpfs", "image", "npipe", "cluster")),
        "source": now(Text("a path or the name of a volume")),
        "target": now(Text("a path in the container", empty=False)),
        "read_only": now(Flag()),
        "consistency": ignored(Text(), "it trades freshness for speed on machines that run containers in another one"),
        "bind": now(Record("a bind", {
            "create_host_path": now(Flag(), keep=True),
            "propagation": now(Text("a propagation, such as rslave")),
            "recursive": now(Choice("enabled", "disabled", "writable", "readonly")),
            "selinux": ignored(Choice("z", "Z"), "files get no SELinux label"),
        })),
        "volume": now(Record("a volume", {
            "nocopy": now(Flag()),
            "subpath": now(Text("a path in the volume")),
            "labels": ignored(LABELS, "a volume has the labels of `volumes:`"),
        })),
        "tmpfs": now(Record("a tmpfs", {"size": now(Size()), "mode": now(Mode())})),
        "image": now(Record("an image", {"subpath": now(Text("a path in the image"))})),
    },
    required=("type",),
)  # fmt: skip


class Mount(Type):
    """One entry of `volumes`. Canonical form: the long one."""

    what = 'a mount such as "./data:/data", or {type: bind, source: ./data, target: /data}'

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return self._checked(node, where, run)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        if run.is_template(node) and ":" not in node.value:
            return node
        try:
            long = parse_mount(node.value)
        except BadMount as error:
            return run.bad(node, where, str(error), helps=['the short form is "SOURCE:TARGET" or "SOURCE:TARGET:ro"'])
        if long["type"] == "volume":
            long.setdefault("volume", {})
        return self._checked(_mapping(long, node), where, run)

    def _checked(self, node: Mapping, where: str, run: Reading) -> Node | None:
        long = _LONG.read(node, where, run)
        if not isinstance(long, Mapping) or "type" not in long.items:
            return None
        kind = str(long.items["type"].plain())
        source, target = long.items.get("source"), long.items.get("target")
        if kind == "bind" and (source is None or source.plain() == "") and f"{where}.source" not in run.broken:
            return run.bad(node, where, "a bind mount needs a `source`", code="O8-105")
        if target is None:
            if f"{where}.target" not in run.broken:
                run.broken.add(f"{where}.target")
                run.problems.error("O8-105", f"`{where}` has no `target`", node, helps=["add `target:`"])
            return None
        if run.is_template(long.items["type"]):
            return long
        if kind == "tmpfs" and source is not None and source.plain():
            return run.bad(source, where, "a tmpfs has no `source`", helps=["remove it"])
        result = Mapping(at=node)
        for key in sorted(long.items, key=_rank):
            if key in _KINDS and key != kind:
                run.problems.warn(
                    "O8-111", f"`{where}.{key}` has no effect on a mount of type {kind}", long.keys[key]
                )  # fmt: skip
            value = long.items[key]
            if key == "target":
                value = _clean(value)
            result.set(key, value, long.keys[key])
        if kind == "bind":
            bind = result.items.get("bind")
            options = Mapping(bind.items, bind.keys, at=bind) if isinstance(bind, Mapping) else Mapping(at=node)
            if "create_host_path" not in options.items:
                options.set("create_host_path", Scalar(True, at=node))
            result.set("bind", options)
        return result

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if not isinstance(node, Mapping):
            return
        kind, target = node.items["type"], node.items["target"]
        if str(kind.plain()) not in _ELSEWHERE and kind.plain() not in _SUPPORTED:  # a variable, kept as it is
            return
        if kind.plain() not in _SUPPORTED:
            look.unsupported(kind, f"`{where}`: a mount of type {kind.plain()}", _ELSEWHERE[str(kind.plain())])
            return
        source = node.items.get("source")
        if source and kind.plain() == "bind" and is_windows_path(str(source.plain())):
            message = f"`{where}`: the source `{source.plain()}` is a path of Windows, which this machine does not have"
            look.impossible(source, message, "name a path of this machine, such as ./data")
        if not str(target.plain()).startswith("/"):
            look.impossible(
                target, f"`{where}`: the target `{target.plain()}` must be an absolute path in the container",
                f"write /{str(target.plain()).lstrip('./')}",
            )  # fmt: skip
        self._impossible(node, where, look)
        _LONG.support(node, where, look)

    def _impossible(self, node: Mapping, where: str, look: SupportLook) -> None:
        """Values that compose takes, and dockerd refuses."""
        bind, volume = node.items.get("bind"), node.items.get("volume")
        said = {**bind.items} if isinstance(bind, Mapping) else {}
        propagation, recursive = said.get("propagation"), said.get("recursive")
        words = str(propagation.plain() or "rprivate") if propagation else "rprivate"
        if propagation and words not in _PROPAGATION:
            message = f"`{where}.bind.propagation`: `{words}` is none of {', '.join(sorted(_PROPAGATION))}"
            look.impossible(propagation, message)
        if recursive and recursive.plain() == "readonly":
            read_only = node.items.get("read_only")
            if not (read_only and read_only.plain() is True):
                look.impossible(
                    recursive, f"`{where}.bind.recursive: readonly` needs `read_only: true`", "add `read_only: true`"
                )
            elif words not in ("private", "rprivate"):
                look.impossible(
                    recursive, f"`{where}.bind.recursive: readonly` and propagation {words} exclude each other"
                )
        path = volume.items.get("subpath") if isinstance(volume, Mapping) else None
        clean = os.path.normpath(str(path.plain())) if path and path.plain() else ""
        if path and (clean.startswith(("/", "../")) or clean == ".."):
            look.impossible(path, f"`{where}.volume.subpath`: `{path.plain()}` does not lie in the volume",
                            "write it relative to the volume's root")  # fmt: skip

    def document(self, node: Node) -> Any:
        return _LONG.document(node)

    def schema(self) -> Schema:
        def of(kind: str, then: Schema) -> Schema:
            return {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then}

        sourced: Schema = {"properties": {"source": {"minLength": 1}}, "required": ["source"]}
        sourceless: Schema = {"properties": {"source": {"maxLength": 0}}}
        long = {
            **_LONG.schema(),
            "required": ["type", "target"],
            "allOf": [of("bind", sourced), of("tmpfs", sourceless)],
        }
        return {"oneOf": [patterns.text(patterns.MOUNT), long]}


_KINDS: Final = ("bind", "volume", "tmpfs", "image")
_ELSEWHERE: Final = {
    "image": "it would mount the files of an image; bind, volume and tmpfs are supported",
    "npipe": "it is a pipe of Windows; bind, volume and tmpfs are supported",
    "cluster": "it is a volume of a cluster; bind, volume and tmpfs are supported",
}
_KEYS: Final = ("type", "source", "target", "read_only")


def _rank(key: str) -> tuple[int, str]:
    return (_KEYS.index(key) if key in _KEYS else len(_KEYS), key)


def _mapping(value: dict[str, Any], at: Node) -> Mapping:
    result = Mapping(at=at)
    for key, item in value.items():
        result.set(key, _mapping(item, at) if isinstance(item, dict) else Scalar(item, at=at))
    return result


def _clean(target: Node) -> Node:
    """`/a/../b/` is `/b`: one place, one mount."""
    text = target.plain()
    if not isinstance(target, Scalar) or not isinstance(text, str) or not text.startswith("/") or "$" in text:
        return target
    return Scalar("/" + os.path.normpath(text).lstrip("/"), target.text, at=target)


def mount_target(mount: Any) -> Any:
    """Two mounts with this equal are one."""
    return mount["target"] if isinstance(mount, dict) else mount


class Loan(Text):
    """`SERVICE[:ro|rw]` or `container:NAME[:ro|rw]`."""

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        text = str(node.plain()).removeprefix("container:")
        whose, colon, mode = text.partition(":")
        if not whose or (colon and mode not in ("ro", "rw")):
            look.impossible(
                node,
                f"`{where}`: `{node.plain()}` names no container",
                "write SERVICE, SERVICE:ro or container:NAME:ro",
            )


VOLUMES_FROM: Final = ListOf(Loan(), "a list of services and containers")


class StorageOptions(Named):
    """Docker's options of a container's layer; with overlayfs there is one."""

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if not isinstance(node, Mapping):
            return
        for key, value in node.items.items():
            if key != "size":
                look.impossible(
                    node.keys[key], f"`{where}.{key}`: a layer has no such option", "the only one is `size`"
                )
                continue
            try:
                size = parse_bytes(str(value.plain()))
            except ValueError:
                size = -1
            if size < LAYER_MIN:
                look.impossible(value, f"`{where}.size`: `{value.plain()}` is no size of at least 8m")


LAYER_MIN: Final = 8 << 20  # with less, hardly anything is left beside what the file system needs itself
STORAGE_OPTIONS: Final = StorageOptions("a mapping of options", OPTIONS.kind)


class Tmpfs(Type):
    """`/run` or `/run:size=64m,mode=755,noexec`. Canonical form: the text."""

    what = "a path in the container, and options, such as /run:size=64m"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        if run.is_template(node):
            return node
        path, _, options = node.value.partition(":")
        if not path.startswith("/"):
            return run.wrong(node, where, self.what, code="O8-305")
        for option in filter(None, options.split(",")):
            name, equals, value = option.partition("=")
            try:
                if name == "size" and equals and not value.endswith("%"):
                    parse_bytes(value)
                elif name == "mode" and equals:
                    parse_mode(value)
            except ValueError:
                return run.bad(node, where, f"`{option}` is not a {name}")
        return node

    def schema(self) -> Schema:
        return patterns.text(patterns.TMPFS)
