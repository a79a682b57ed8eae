"""Content by digest: an OCI image layout (image-spec, image-layout.md) that other tools read as it lies there.

    <path>/oci-layout
    <path>/index.json                what there is, by name: the newest of each
    <path>/blobs/sha256/<hex>        layers, configs, manifests: each is what its name says, or not there
    <path>/blobs/sha256/<hex>.new    being written; left over only by a crash

What the documents say is image's business.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from orchestr8.errors import InvalidInput, NotFound, OperationFailed
from orchestr8.kernel.descriptors import write_whole

INDEX: Final = "application/vnd.oci.image.index.v1+json"
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_FREE_BYTES: Final = 256 << 20  # what is left to everything else on the disk
_LOOK_EACH_BYTES: Final = 64 << 20


class Blob(NamedTuple):
    digest: str  # "sha256:…"
    size: int
    media_type: str = ""  # of a layer that is no plain tar: how it is compressed is said there alone


class BlobWriter:
    """One that is being written: `write`, then `finish`."""

    def __init__(self, store: "BlobStore", fd: int, path: str) -> None:
        self._store = store
        self._fd = fd
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        self._looked = -_LOOK_EACH_BYTES

    def write(self, data: bytes) -> None:
        """Raises OperationFailed before the disk is full: a container decides how much this is."""
        if self._size - self._looked >= _LOOK_EACH_BYTES:
            self._looked = self._size
            disk = os.fstatvfs(self._fd)
            if disk.f_bavail * disk.f_frsize < _FREE_BYTES + _LOOK_EACH_BYTES:
                raise OperationFailed(
                    f"an image would fill the disk: after {self._size:,} bytes of it too little is left",
                    code="O8-505",
                    notes=[f"it would lie in {self._store.path}"],
                    helps=["make room; how images are removed, says: orchestr8 explain O8-505"],
                )
        self._hash.update(data)
        self._size += len(data)
        write_whole(self._fd, data)

    def finish(self) -> Blob:
        """In its place, and on the disk."""
        blob = Blob(f"sha256:{self._hash.hexdigest()}", self._size)
        os.fsync(self._fd)
        os.rename(self._path, self._store.path_of(blob.digest))
        return blob


class BlobStore:
    def __init__(self, path: str) -> None:
        self.path: Final = path
        self._blobs: Final = f"{path}/blobs/sha256"

    def path_of(self, digest: str) -> str:
        """Where a blob lies, whether it is there or not."""
        if not DIGEST.fullmatch(digest):
            raise InvalidInput(f"{digest!r:.100} is no digest", code="O8-500")
        return f"{self._blobs}/{digest.removeprefix('sha256:')}"

    def has(self, blob: Blob) -> bool:
        try:
            return os.stat(self.path_of(blob.digest)).st_size == blob.size
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[BlobWriter]:
        """What is not finished is taken away."""
        self._make()
        path = f"{self._blobs}/{os.urandom(8).hex()}.new"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield BlobWriter(self, fd, path)
        finally:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def put(self, data: bytes) -> Blob:
        with self.writing() as blob:
            blob.write(data)
            return blob.finish()

    def read(self, digest: str) -> bytes:
        """A small one, whole. Raises NotFound, and OperationFailed when it is not what it was."""
        try:
            with open(self.path_of(digest), "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            raise NotFound(f"{digest} is not in {self.path}", code="O8-506") from error
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise OperationFailed(f"{digest} in {self.path} is damaged", code="O8-506")
        return data

    def index(self) -> list[dict[str, Any]]:
        """Descriptors of manifests, with their annotations."""
        try:
            with open(f"{self.path}/index.json", encoding="utf-8") as file:
                return list(json.load(file)["manifests"])
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise OperationFailed(f"{self.path}/index.json is damaged: {error}", code="O8-506") from error

    def write_index(self, manifests: list[dict[str, Any]]) -> None:
        """One at a time is the caller's part."""
        self._make()
        self._replace("index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})

    def half_made(self) -> list[str]:
        """What an engine that died over them has left of blobs."""
        with contextlib.suppress(FileNotFoundError):
            return [entry.path for entry in os.scandir(self._blobs) if entry.name.endswith(".new")]
        return []

    def _make(self) -> None:
        os.makedirs(self._blobs, mode=0o700, exist_ok=True)
        if not os.path.exists(f"{self.path}/oci-layout"):
            self._replace("oci-layout", {"imageLayoutVersion": "1.0.0"})

    def _replace(self, name: str, value: Mapping[str, Any]) -> None:
        fresh = f"{self.path}/{name}.new"
        with open(fresh, "w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, f"{self.path}/{name}")
