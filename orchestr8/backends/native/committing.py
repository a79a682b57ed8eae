"""An image of a container: its own layer upon those of its image, and what it was given as settings.

A directory as image (`rootfs:`) has no layers with digests, so it is packed as the lowest one, with its covers: the image is
whole by itself, and stays what it is whatever becomes of the directory. It is packed once for all containers on it, as long
as the status of no file in it changes. Blocking, in threads.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orchestr8.backends.native.layers import Layers, go_on, opened_base
from orchestr8.image.documents import config_of, history_entry, moment
from orchestr8.image.instructions import apply_changes
from orchestr8.image.resolve import DEFAULT_PATH
from orchestr8.image.store import ImageStore
from orchestr8.model.images import CommitSpec, Committed
from orchestr8.model.records import ContainerRecord
from orchestr8.model.told import Told
from orchestr8.runtime.bundle import IMAGE
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.blobs import Blob, BlobWriter
from orchestr8.storage.changes import Comparison
from orchestr8.storage.layers import Tree
from orchestr8.storage.pack import fingerprint, put_directory, write_changes, write_tree

_PATH: Final = [f"PATH={DEFAULT_PATH}"]  # what a directory as image says of its program


class Base(NamedTuple):
    """What a container's image is made of."""

    config: dict[str, Any]
    layers: list[tuple[Blob, str]]  # with their diff ids, from the lowest up
    history: list[dict[str, Any]]


def commit(
    store: ImageStore, base: Base, record: ContainerRecord, layers: Layers, wanted: CommitSpec, created_at: float
) -> Committed:
    """`created_at`: seconds since the epoch."""
    created = moment(created_at)
    store.check_height(len(base.layers) + 1)
    config = apply_changes(config_of(record.spec, base.config), wanted.changes)
    left_out = Told()
    with store.blobs.writing() as blob:
        writer = ArchiveWriter(_sink(blob), told=left_out.tell)
        put_directory("/", layers.upper.itself(), {}, writer)
        write_changes(Comparison(layers.upper, layers.base, layers.own), layers.upper, writer, left_out.tell)
        writer.finish()
        layer = blob.finish()
    command = " ".join(layers.document["process"]["args"])
    history = history_entry(created, command, author=wanted.author, comment=wanted.message)
    made = store.add(
        config,
        [*base.layers, (layer, layer.digest)],
        [*base.history, history],
        name=wanted.name,
        created=created,
        author=wanted.author,
    )
    return Committed(id=made.id, warnings=left_out.sentences())


def base_of(
    store: ImageStore, root: str, record: ContainerRecord, document: dict[str, Any], created_at: float
) -> Base:  # fmt: skip
    """`root`: the engine's. A directory is packed, unless that was done and nothing in it has changed."""
    digest = document["annotations"].get(IMAGE)
    if digest is not None:
        image = store.stored(digest)
        layers = list(zip(image.layers, image.diff_ids, strict=True))
        return Base(image.config, layers, list(image.document.get("history") or ()))
    with opened_base(root, record, document) as tree:
        blob = store.base(fingerprint(tree), lambda: _pack(store, tree))
    history = history_entry(moment(created_at), record.spec.image, comment="a directory, packed")
    return Base({"Env": list(_PATH)}, [(blob, blob.digest)], [history])


def _pack(store: ImageStore, tree: Tree) -> tuple[Blob, bool]:
    """A tree as a layer, and whether it is what it was before."""
    before = fingerprint(tree)
    with store.blobs.writing() as blob:
        writer = ArchiveWriter(_sink(blob))
        put_directory("/", tree.itself(), {}, writer)
        write_tree(tree, writer)
        writer.finish()
        made = blob.finish()
    return made, fingerprint(tree) == before


def _sink(blob: BlobWriter) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        go_on()
        blob.write(data)

    return write
