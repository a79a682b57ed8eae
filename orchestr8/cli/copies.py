"""One copy between this machine and containers: what is sent or unpacked here, with the caller's rights, as the caller's own.

What comes out of a container is hostile, so it is unpacked by descriptors that no name and no symlink leads out of, and is
nobody's program with another one's rights: owners, set-id bits and devices come along with -a alone.
"""

from __future__ import annotations

import binascii
import errno
import json
import os
import stat

from orchestr8.cli.cutoff import marked
from orchestr8.cli.landing import CONTENTS, Landing, asserts_directory, land, split
from orchestr8.cli.progress import FAILED
from orchestr8.errors import InvalidInput, NotFound, OperationFailed, Orchestr8Error, Unavailable
from orchestr8.model.told import Told
from orchestr8.storage.archive import ArchiveWriter
from orchestr8.storage.extract import Extractor
from orchestr8.wire.frames import ANNOUNCEMENT, ERROR, HEADER

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.wire.client import Client, Query, Stream

STREAM: Final = "-"
STATUS_HEADER: Final = "x-docker-container-path-stat"
PIECE_BYTES: Final = 1 << 20
_GO_DIRECTORY: Final = 1 << 31  # io/fs.FileMode
_GO_SYMLINK: Final = 1 << 27
_LINKS_MAX: Final = 40  # the kernel's limit in one look-up
_PARENT: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Status:
    """What stands at a path in a container."""

    def __init__(self, header: str) -> None:
        described = json.loads(binascii.a2b_base64(header))
        self.name = str(described["name"])
        self.is_dir = bool(described["mode"] & _GO_DIRECTORY)
        self.is_link = bool(described["mode"] & _GO_SYMLINK)
        self.link = str(described["linkTarget"])


def status_of(client: Client, container: dict[str, Any], path: str, *, follow: bool = False) -> Status | None:
    """None: nothing is there. Raises InvalidInput where nothing can be."""
    where = f"/containers/{container['id']}/archive"
    query = _query(path, follow=follow)
    status, headers = client.head(where, query=query)
    if status == 404:
        return None
    if status >= 400:  # an answer without a body says no more
        with client.open("GET", where, query=query) as response:
            headers = response.headers
    return Status(headers[STATUS_HEADER])


def _query(path: str, *, follow: bool) -> Query:
    return {"path": path, "follow": 1} if follow else {"path": path}


def each_of(containers: list[dict[str, Any]], copy: Callable[[dict[str, Any]], None]) -> None:
    """Copy into all of them, also after one where that failed. Raises the first error, with the names of those that lack it."""
    failed: list[str] = []
    first: Orchestr8Error | None = None
    for each in containers:
        try:
            copy(each)
        except Unavailable:  # nor are the others to be reached
            raise
        except Orchestr8Error as error:
            failed.append(each["name"])
            first = first or error
    if first is not None:
        if len(containers) > 1:
            done = len(containers) - len(failed)
            first.notes = [*first.notes, f"{done} of {len(containers)} containers have it, but not {', '.join(failed)}"]
        raise first


class CopyIn:
    """Files of this machine, or a tar from the standard input, into containers."""

    def __init__(self, context: Context, source: str, options: Options) -> None:
        self._context = context
        self._source = source
        self._keep_owner = bool(options.archive)
        self._follow = bool(options.follow_link)

    def run(self, containers: list[dict[str, Any]], destination: str) -> None:
        if self._source == STREAM:
            self._stream(containers, destination)
            return
        path, is_dir = self._find()
        with self._context.progress() as progress:
            progress.begin(f"cp {self._context.stack}")
            progress.planned(len(containers))

            def copy(container: dict[str, Any]) -> None:
                step = {"kind": "Container", "name": container["name"]}
                progress.step({**step, "status": "Copying"})
                try:
                    self._into(container, destination, path, is_dir=is_dir)
                except Orchestr8Error as error:
                    progress.step({**step, "status": FAILED, "error": {"message": error.message}})
                    raise
                progress.step({**step, "status": "Copied"})

            each_of(containers, copy)

    def _find(self) -> tuple[str, bool]:
        """Where the source is, and whether it is a directory."""
        path = self._source
        try:
            if self._follow:
                end = path[len(path.rstrip("/.")) :] if asserts_directory(path) else ""
                path = os.path.realpath(path, strict=True) + ("/." if end.endswith("/.") else "")
            mode = os.lstat(path).st_mode
        except OSError as error:
            kind = NotFound if error.errno == errno.ENOENT else InvalidInput
            raise kind(f"{self._source}: {(error.strerror or '').lower()}", code="O8-640") from error
        if stat.S_ISSOCK(mode):
            raise InvalidInput(f"{self._source} is a socket, which is nothing without its program", code="O8-640")
        return path, stat.S_ISDIR(mode)

    def _into(self, container: dict[str, Any], destination: str, path: str, *, is_dir: bool) -> None:
        destination, status = self._resolved(container, destination)
        landing = land(
            self._source,
            destination,
            source_is_dir=is_dir,
            there=status is not None,
            there_is_dir=status is not None and status.is_dir,
        )

        def write(send: Callable[[bytes], None]) -> None:
            writer = ArchiveWriter(send, owner=None if self._keep_owner else (0, 0))
            try:
                _add(writer, path, os.fsencode(landing.name), is_dir=is_dir)
            except ConnectionError:
                raise
            except OSError as error:
                raise OperationFailed(f"cannot read {path}: {error}", code="O8-640") from error
            writer.finish()

        self._upload(container, landing.folder, write)

    def _resolved(self, container: dict[str, Any], path: str) -> tuple[str, Status | None]:
        """The path that a copy is to replace or to become, symlinks at its end followed; one that leads nowhere is made."""
        status = self._status(container, path)
        links = 0
        while status is not None and status.is_link:
            links += 1
            if links > _LINKS_MAX:
                raise InvalidInput(f"{path} in the container: too many symlinks", code="O8-640")
            path = os.path.join(split(path)[0], status.link)
            status = self._status(container, path)
        return path, status

    def _status(self, container: dict[str, Any], path: str) -> Status | None:
        """A file with a "/" behind it is as nothing, as it is for docker: what can become of that is `land`'s to say."""
        try:
            return status_of(self._context.client, container, path)
        except InvalidInput:
            return None

    def _stream(self, containers: list[dict[str, Any]], destination: str) -> None:
        if os.isatty(0):
            raise InvalidInput(
                "the archive is to come on the standard input, which is a terminal",
                helps=[f"tar -c FILE | orchestr8 cp - SERVICE:{destination}"],
            )
        for each in containers:
            status = status_of(self._context.client, each, destination, follow=True)
            if status is None or not status.is_dir:
                raise InvalidInput(f'destination "{each["name"]}:{destination}" must be a directory', code="O8-640")
        if len(containers) == 1:
            self._upload(containers[0], destination, _passing(0))
            return
        import tempfile  # only for several: the input comes once

        with tempfile.TemporaryFile(buffering=0) as spool:
            _spool(spool)

            def copy(container: dict[str, Any]) -> None:
                spool.seek(0)
                self._upload(container, destination, _passing(spool.fileno()))

            each_of(containers, copy)

    def _upload(
        self, container: dict[str, Any], folder: str, write: Callable[[Callable[[bytes], None]], None]
    ) -> None:  # fmt: skip
        where = f"/containers/{container['id']}/archive"
        answer = self._context.client.upload("PUT", where, write, query={"path": folder})
        warn(self._context, answer["Warnings"])


def _add(writer: ArchiveWriter, path: str, name: bytes, *, is_dir: bool) -> None:
    if is_dir:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            writer.add_directory(fd, name)
        finally:
            os.close(fd)
        return
    folder, base = os.path.split(path)
    fd = os.open(folder or ".", _PARENT)
    try:
        writer.add(fd, base, name)
    finally:
        os.close(fd)


def _passing(fd: int) -> Callable[[Callable[[bytes], None]], None]:
    def write(send: Callable[[bytes], None]) -> None:
        while data := os.read(fd, PIECE_BYTES):
            send(data)

    return write


def _spool(file: IO[bytes]) -> None:
    while data := os.read(0, PIECE_BYTES):
        file.write(data)


class CopyOut:
    """Files of a container to this machine, or as tar to the standard output."""

    def __init__(self, context: Context, container: dict[str, Any], source: str, options: Options) -> None:
        self._context = context
        self._container = container
        self._source = source
        self._own = bool(options.archive) and os.geteuid() == 0
        if options.archive and not self._own:
            warn(context, ["only root can keep owners; what is copied will be yours"])
        self._follow = bool(options.follow_link)

    def run(self, destination: str) -> None:
        if destination == STREAM:
            self._stream()
            return
        there, there_is_dir = _look(destination)
        with self._open() as stream:
            self._unpack(stream, destination, there=there, there_is_dir=there_is_dir)

    def _unpack(self, stream: Stream, destination: str, *, there: bool, there_is_dir: bool) -> None:
        status = Status(stream.headers[STATUS_HEADER])
        resolved = os.path.realpath(destination) if os.path.islink(destination) else destination
        landing = land(
            self._source, resolved, source_is_dir=status.is_dir, there=there, there_is_dir=there_is_dir
        )  # fmt: skip
        root = self._open_folder(landing, status)
        rename = None
        if CONTENTS not in {landing.name, status.name}:
            rename = (os.fsencode(status.name), os.fsencode(landing.name))
        told = Told()
        try:
            Extractor(root, own=self._own, rename=rename, told=told.tell).run(Framed(stream).read)
        finally:
            os.close(root)
            warn(self._context, told.sentences())

    def _open_folder(self, landing: Landing, status: Status) -> int:
        """What the archive is unpacked into; made, where it is the copy itself."""
        try:
            if status.name == CONTENTS and landing.name != CONTENTS:
                path = os.path.join(landing.folder, landing.name)
                os.mkdir(path)
                return os.open(path, _PARENT)
            return os.open(landing.folder, _PARENT)
        except OSError as error:
            raise InvalidInput(f"{landing.folder}: {(error.strerror or '').lower()}", code="O8-640") from error

    def _open(self) -> Stream:
        query = _query(self._source, follow=self._follow)
        try:
            return self._context.client.upgrade("GET", f"/containers/{self._container['id']}/archive", query=query)
        except NotFound as error:
            raise self._missing() from error

    def _missing(self) -> NotFound:
        return NotFound(f"could not find {self._source} in {self._container['name']}", code="O8-640")

    def _stream(self) -> None:
        if os.isatty(1):
            raise InvalidInput(
                "the archive would go to a terminal", helps=["add `> FILE.tar`, or `| tar -t`"]
            )  # fmt: skip
        with self._open() as stream, marked(self._context.out.fd):
            source = Framed(stream)
            while data := source.read():
                self._context.out.write_bytes(data)


def _look(path: str) -> tuple[bool, bool]:
    """(whether something is there, whether it is a directory). Raises InvalidInput where nothing can be."""
    try:
        return True, stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        folder = split(os.path.realpath(path) if os.path.islink(path) else path)[0]
        if not os.path.isdir(folder):
            raise InvalidInput(f'invalid output path: directory "{folder}" does not exist', code="O8-640") from None
        return False, False
    except OSError as error:
        raise InvalidInput(f"{path}: {(error.strerror or '').lower()}", code="O8-640") from error


def warn(context: Context, sentences: Iterable[str]) -> None:
    for each in sentences:
        context.err.write(f"warning: {each}\n")


class Framed:
    """What comes in frames as a source of bytes, without putting frames together. Raises the error that one of them tells."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = b""
        self._left = 0
        self._said = b""  # of a frame that is no data
        self._kind = 0
        self._whole = False

    def read(self) -> bytes:
        """b"" at the end."""
        while not self._whole:
            data = self._rest or self._stream.receive()
            self._rest = b""
            if not data:
                raise Unavailable(
                    "the copy was cut off", helps=["look at why it ended: orchestr8 engine logs", "copy again"]
                )
            if not self._left:
                while len(data) < HEADER.size and (more := self._stream.receive()):
                    data += more
                self._kind, _, self._left = HEADER.unpack_from(data.ljust(HEADER.size, b"\0"))
                data = data[HEADER.size :]
            piece = data[: self._left]
            self._rest = data[self._left :]
            self._left -= len(piece)
            if self._kind in {ANNOUNCEMENT, ERROR}:
                self._said += piece
                if not self._left:
                    self._hear()
            elif piece:
                return piece
        return b""

    def _hear(self) -> None:
        said, self._said = json.loads(self._said), b""
        if self._kind == ERROR:
            raise OperationFailed(said["message"], code=said["code"], notes=said["notes"], helps=said["helps"])
        self._whole = bool(said.get("whole"))
