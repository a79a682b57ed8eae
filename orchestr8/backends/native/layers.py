"""What of a container's file system is its own, and all of it, for who asks: found by its bundle, read by `storage.layers`.

In threads, which are few and not those of the engine's other work: who asks may read slowly. No lock is held meanwhile, so a
program may run on and change what is read, and the container may be removed, which is told.
"""

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import anyio
import anyio.from_thread

from orchestr8.backends.native.containers import Container
from orchestr8.backends.native.making import Surroundings
from orchestr8.image.reference import parse_image
from orchestr8.image.resolve import resolve
from orchestr8.model.changes import FileChange
from orchestr8.model.records import ContainerRecord
from orchestr8.runtime.bundle import IMAGE
from orchestr8.runtime.rootfs import OVERLAY
from orchestr8.runtime.userns import split_overlay
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.changes import Comparison
from orchestr8.storage.covers import Cover
from orchestr8.storage.layers import Tree, opened
from orchestr8.storage.pack import write_tree
from orchestr8.storage.skeleton import without_skeleton

T = TypeVar("T")

_READERS: Final = 16  # at once; others wait
_BATCH: Final = 1000
go_on: Final = anyio.from_thread.check_cancelled  # who asked may have left, and the engine may be about to end


class Layers(NamedTuple):
    """A container's layers, as three trees at their roots."""

    upper: Tree  # its own layer alone
    base: Tree  # what lies below that
    merged: Tree
    own: frozenset[str]  # places on which the runtime mounts, for itself
    document: dict[str, Any]  # the bundle's


@contextlib.contextmanager
def opened_layers(around: Surroundings, record: ContainerRecord, document: dict[str, Any]) -> Iterator[Layers]:
    """`document`: the bundle's, which says what was mounted when it was made. Covers are those of today."""
    lower = split_overlay(document["annotations"][OVERLAY]).lowerdirs
    covers = _covers(around.root, record, document)
    with contextlib.ExitStack() as stack:
        layer = stack.enter_context(
            around.snapshots.layer(record.id, limited_size=bool(record.spec.storage_bytes))
        )  # fmt: skip
        merged = stack.enter_context(opened([layer, *lower], covers, covered=1, go_on=go_on))
        theirs = {each.target for each in record.spec.mounted} | {each.target for each in record.spec.files}
        ours = [each["destination"] for each in document["mounts"] if each["destination"] not in theirs]
        yield Layers(
            upper=stack.enter_context(opened([layer], go_on=go_on)),
            base=stack.enter_context(opened(lower, covers, go_on=go_on)),
            merged=merged,
            own=frozenset(merged.real_path(path) for path in ours),
            document=document,
        )


@contextlib.contextmanager
def opened_base(root: str, record: ContainerRecord, document: dict[str, Any]) -> Iterator[Tree]:
    """The container's image alone, when it is a directory: without what this engine puts below one."""
    lower = split_overlay(document["annotations"][OVERLAY]).lowerdirs
    with opened(without_skeleton(lower, root), _covers(root, record, document), go_on=go_on) as tree:
        yield tree


def _covers(root: str, record: ContainerRecord, document: dict[str, Any]) -> Sequence[Cover]:
    """Of a directory, those of today: an image of the store has none."""
    return () if IMAGE in document["annotations"] else resolve(parse_image(record.spec.image), root).covers


class LayerReader:
    """Of all containers of one engine."""

    def __init__(self, around: Surroundings) -> None:
        self._around: Final = around
        self._threads: Final = anyio.CapacityLimiter(_READERS)

    async def changes(self, container: Container, tell: Callable[[Sequence[FileChange]], Awaitable[None]]) -> None:
        def read(layers: Layers) -> None:
            found = Comparison(layers.upper, layers.base, layers.own).run()
            while batch := [FileChange(each.kind, each.path) for each in itertools.islice(found, _BATCH)]:
                _from_thread(tell, batch)

        await self.read(container, read)

    async def export(self, container: Container, send: Callable[[bytes], Awaitable[None]]) -> None:
        def read(layers: Layers) -> None:
            writer = ArchiveWriter(lambda data: _from_thread(send, data))
            write_tree(layers.merged, writer)
            writer.finish()

        await self.read(container, read)

    async def read(self, container: Container, read: Callable[[Layers], T]) -> T:
        """What `read` makes of a container's layers, in a thread. NotFound, if it was removed meanwhile."""
        document = await container.layout()

        def run() -> T:
            with opened_layers(self._around, container.record, document) as layers:
                return read(layers)

        found = await anyio.to_thread.run_sync(run, limiter=self._threads)
        container.check_there()
        return found


def _from_thread(function: Callable[[Any], Awaitable[None]], value: Any) -> None:
    async def run() -> None:
        await function(value)

    anyio.from_thread.run(run)
