"""User namespaces of somebody else's document: which ids it has, what belongs to the namespace, mounts with ids of their own.

As with runc the files of the root are there with the host's numbers (podman and dockerd see to that), and a mount's ids are
mapped where it says so. Network, host name and IPC that are made for the container belong to its user namespace: they are made
by a process in there, and PID 1, which needs the host's rights a while longer, joins them (`runtime.userns` says how it builds).
"""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from orchestr8.errors import InvalidInput
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.oci import document
from orchestr8.runtime.userns import HOST, IdRange, Ids, holder, ids_of, ranges_of

_FILES: Final = {"network": "net", "ipc": "ipc", "uts": "uts"}  # below /proc/PID/ns
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC


class Users(NamedTuple):
    """What PID 1 is given of it: descriptors, and the document knows what for."""

    ids: Ids = HOST
    namespaces: dict[str, int] = {}  # noqa: RUF012 - by kind; nobody writes to it
    maps: dict[str, int] = {}  # noqa: RUF012 - user namespaces, by what they map for mounts

    def descriptors(self) -> list[int]:
        return [fd for fd in (self.ids.fd, *self.namespaces.values(), *self.maps.values()) if fd >= 0]

    def ids_on(self, entry: dict[str, Any]) -> Ids:
        """Those that a mount is to be shown with."""
        return Ids(fd=self.maps[_mappings(entry)] if entry.get("uidMappings") else self.ids.fd)

    def close_maps(self) -> None:
        for fd in self.maps.values():
            os.close(fd)


@contextlib.contextmanager
def opened(found: document.Document, joined: int) -> Iterator[Users]:
    """`joined`: the user namespace that is there already; -1: none. The document learns what that one maps."""
    with contextlib.ExitStack() as stack:

        def kept(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        ids = HOST
        namespaces: dict[str, int] = {}
        if document.has(found, "user"):
            ids, namespaces = _made(found, joined)
            for fd in (ids.fd, *namespaces.values()):
                kept(fd)
        maps: dict[str, int] = {}
        for each in found["mounts"]:
            if each.get("uidMappings"):
                if _mappings(each) not in maps:
                    maps[_mappings(each)] = kept(_map_of(each))
            elif each[document.ID_MAP] and ids.fd < 0:
                raise InvalidInput(f"mount {each['destination']}: there are no ids to map it with")
        yield Users(ids, namespaces, maps)


def _mappings(entry: dict[str, Any]) -> str:
    return json.dumps([entry["uidMappings"], entry["gidMappings"]])


def _made(found: document.Document, joined: int) -> tuple[Ids, dict[str, int]]:
    ids = Ids(fd=joined) if joined >= 0 else ids_of(found, 0)._replace(fd=-1)
    kinds = [kind for kind in document.fresh(found) if kind in _FILES]
    flags = CloneFlag(0)
    for kind in kinds:
        flags |= document.NAMESPACES[kind]
    try:
        with holder(ids, flags) as pid:
            if joined >= 0:
                ids = _learn(found, pid)
            user = os.open(f"/proc/{pid}/ns/user", _FLAGS)
            return ids._replace(fd=user), {kind: os.open(f"/proc/{pid}/ns/{_FILES[kind]}", _FLAGS) for kind in kinds}
    except OSError as error:
        raise InvalidInput(f"the user namespace cannot be had: {error.strerror}") from error


def _learn(found: document.Document, pid: int) -> Ids:
    """What a user namespace maps that somebody else has made: the document is as if it had said so."""
    for kind in ("uid", "gid"):
        with open(f"/proc/{pid}/{kind}_map", encoding="ascii") as file:
            ranges = [IdRange(*map(int, line.split())) for line in file]
        found["linux"][f"{kind}Mappings"] = [
            {"containerID": each.inside, "hostID": each.outside, "size": each.size} for each in ranges
        ]
    return ids_of(found, 0)


def _map_of(entry: dict[str, Any]) -> int:
    own = Ids(ranges_of(entry["uidMappings"]), ranges_of(entry["gidMappings"]))
    try:
        with holder(own) as pid:
            return os.open(f"/proc/{pid}/ns/user", _FLAGS)
    except OSError as error:
        raise InvalidInput(f"mount {entry['destination']}: its ids cannot be mapped: {error.strerror}") from error
