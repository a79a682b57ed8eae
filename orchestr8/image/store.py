"""The images of one engine: found by name or id, added, and as layers for overlayfs.

    <root>/images/                     an OCI image layout, see `storage.blobs`
    <root>/layers/<40 hex digits>/     a layer of an image, unpacked when a container first needs it
    <root>/bases/<fingerprint>         JSON: the layer that a directory (`rootfs:`) was packed as, as long as it is what it was

Nothing is taken away yet: a layer may be some container's.
"""

import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from orchestr8.errors import NotFound, OperationFailed, Orchestr8Error, Unsupported
from orchestr8.image import documents
from orchestr8.image.documents import Stored
from orchestr8.image.unpack import unpack
from orchestr8.model.told import Told
from orchestr8.storage.blobs import Blob, BlobStore

_log: Final = logging.getLogger(__name__)
_FOLDER_DIGITS: Final = 40  # of a digest: what all layers of a mount are called must fit in a page
_MOUNT_BYTES: Final = (
    3500  # of a page, for the layers of an image; the container's own lies on them, the skeleton below
)
_writing: Final = threading.Lock()
_unpacking: Final = threading.Lock()


class ImageStore:
    def __init__(self, root: str) -> None:
        self.blobs: Final = BlobStore(f"{root}/images")
        self._layers: Final = f"{root}/layers"
        self._bases: Final = f"{root}/bases"
        self.named: dict[str, str] = {}  # what `look` and `add` found last: full name → digest of a manifest

    def look(self) -> None:
        """Take note of what has which name."""
        annotated = [(each.get("annotations") or {}, each["digest"]) for each in self.blobs.index()]
        self.named = {notes[documents.NAME]: digest for notes, digest in annotated if documents.NAME in notes}

    def words(self) -> set[str]:
        """All by which `find` finds an image: full names, and ids."""
        self.look()
        found = [self._whole(each["digest"], "") for each in self.blobs.index()]
        return {*self.named, *(word for each in found if each is not None for word in (each.id, each.digest))}

    def is_another(self, name: str, digest: str) -> bool:
        """Whether that name is an image's other than this one."""
        return self.named.get(name, digest) != digest

    def find(self, name: str) -> Stored | None:
        """By full name, or by id; None: there is none."""
        for descriptor in self.blobs.index():
            if (descriptor.get("annotations") or {}).get(documents.NAME) == name:
                return self.stored(descriptor["digest"])
        if name.startswith("sha256:"):
            for descriptor in self.blobs.index():
                found = self._whole(descriptor["digest"], name)
                if found is not None and name in (found.id, found.digest):
                    return found
        return None

    def _whole(self, digest: str, wanted: str) -> Stored | None:
        """None for one that is damaged, which is passed over unless it is the one that is wanted."""
        try:
            return self.stored(digest)
        except Orchestr8Error as error:
            if digest == wanted:
                raise
            _log.warning("the image %.100r in %s is passed over: %s", digest, self.blobs.path, error.message)
            return None

    def stored(self, digest: str) -> Stored:
        """By its manifest's digest. Raises NotFound."""
        config, layers = documents.read_manifest(self.blobs.read(digest), digest)
        document, diff_ids = documents.read_config(self.blobs.read(config), config)
        if len(diff_ids) != len(layers):
            raise OperationFailed(
                f"the image {digest} has {len(layers)} layers, and its config tells of {len(diff_ids)}", code="O8-506"
            )
        return Stored(digest, config, document, layers, diff_ids)

    def add(
        self, config: Mapping[str, Any], layers: Sequence[tuple[Blob, str]], history: Sequence[Mapping[str, Any]], *,
        name: str, created: str, author: str,
    ) -> Stored:  # fmt: skip
        """An image of layers that are there, with their diff ids. One that had the name loses it."""
        diff_ids = [diff_id for _, diff_id in layers]
        document = documents.image_config(config, diff_ids, history, created=created, author=author)
        made = self.blobs.put(document)
        manifest = self.blobs.put(documents.manifest(made, [blob for blob, _ in layers]))
        descriptor: dict[str, Any] = {
            "mediaType": documents.MANIFEST, "digest": manifest.digest, "size": manifest.size,
        }  # fmt: skip
        if name:
            descriptor["annotations"] = {documents.NAME: name}
        with _writing:
            known = [_without_name(each, name) for each in self.blobs.index()]
            known = [each for each in known if each["digest"] != manifest.digest or "annotations" in each]
            if name or manifest.digest not in {each["digest"] for each in known}:
                known.append(descriptor)
            self.blobs.write_index(known)
            self.look()
        return self.stored(manifest.digest)

    def lowerdirs(self, image: Stored) -> tuple[str, ...]:
        """Its layers as directories, from the uppermost down. Raises NotFound when a blob is missing."""
        self.check_height(len(image.layers))
        found = []
        for blob in reversed(image.layers):
            folder = f"{self._layers}/{blob.digest.removeprefix('sha256:')[:_FOLDER_DIGITS]}"
            if not os.path.isdir(folder):
                self._unpack(image, blob, folder)
            found.append(os.path.realpath(folder))
        return tuple(found)

    def check_height(self, layers: int) -> None:
        """Raises Unsupported for more layers than one mount can be told of: the kernel takes a page of options."""
        highest = (_MOUNT_BYTES - 4 * len(self._layers)) // (len(os.path.realpath(self._layers)) + _FOLDER_DIGITS + 2)
        if layers > highest:
            raise Unsupported(
                f"an image of {layers} layers cannot be mounted: {highest} are the most here",
                code="O8-507",
                helps=["make one of them: orchestr8 export SERVICE | tar -x -C DIR, and `image: rootfs:DIR`"],
            )

    def _unpack(self, image: Stored, blob: Blob, folder: str) -> None:
        with _unpacking:  # replicas need the same at the same time
            if os.path.isdir(folder):
                return
            if not self.blobs.has(blob):
                raise NotFound(f"the layer {blob.digest} of the image {image.id} is not there", code="O8-506")
            told = Told()
            try:
                unpack(self.blobs.path_of(blob.digest), blob, folder, told.tell)
            finally:
                for sentence in told.sentences():
                    _log.warning("a layer of %s: %r", image.id, sentence)

    def base(self, fingerprint: str, pack: Callable[[], tuple[Blob, bool]]) -> Blob:
        """The layer that a tree with this fingerprint is, packed when there is none; `pack` also says whether it has the
        fingerprint still.
        """
        path = f"{self._bases}/{fingerprint}"
        try:
            with open(path, encoding="utf-8") as file:
                known = Blob(*json.load(file))
            if self.blobs.has(known):
                return known
        except (FileNotFoundError, ValueError, TypeError):
            pass  # never packed, or a power cut took the note
        blob, same = pack()
        if same:
            os.makedirs(self._bases, mode=0o700, exist_ok=True)
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                json.dump(blob, file)
            os.rename(f"{path}.new", path)
        return blob

    def half_made(self) -> list[str]:
        """What an engine that died over them has left of blobs and layers."""
        found = self.blobs.half_made()
        for folder in (self._layers, self._bases):
            if os.path.isdir(folder):
                found += [entry.path for entry in os.scandir(folder) if entry.name.endswith(".new")]
        return found


def _without_name(descriptor: dict[str, Any], name: str) -> dict[str, Any]:
    if name and (descriptor.get("annotations") or {}).get(documents.NAME) == name:
        return {key: value for key, value in descriptor.items() if key != "annotations"}
    return descriptor
