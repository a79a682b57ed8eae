"""`export`: a container's whole file system as a tar archive, to a file or to the standard output."""

from __future__ import annotations

import errno
import json
import os
import stat

from orchestr8.cli.containers import one_container
from orchestr8.cli.cutoff import marked
from orchestr8.cli.output import write_all
from orchestr8.cli.parser import UsageError
from orchestr8.errors import OperationFailed, Unavailable, error_from_json
from orchestr8.wire.frames import ERROR, STDOUT, FrameReader

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.wire.client import Stream


def run(context: Context, options: Options) -> int:
    if not options.output and context.out.terminal:
        raise UsageError(
            "a tar archive is nothing to be shown on a terminal",
            helps=[f"orchestr8 export -o FILE {options.service}", f"orchestr8 export {options.service} | tar -t"],
        )
    container = one_container(context, options.service, options.index)
    with context.client.upgrade("GET", f"/containers/{container['id']}/export") as stream:
        if options.output:
            _write_file(stream, options.output)
        else:
            with marked(context.out.fd):
                _copy(stream, context.out.fd)
    return 0


def _write_file(stream: Stream, path: str) -> None:
    """Whole or not at all: what was there before stays until the archive is complete. A device or pipe is written to."""
    try:
        ordinary = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        ordinary = True
    try:
        if ordinary:
            _replace(stream, os.path.realpath(path))
        else:
            with open(path, "wb", buffering=0) as file, marked(file.fileno()):
                _copy(stream, file.fileno())
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror}") from error


def _replace(stream: Stream, path: str) -> None:
    folder, beside = os.path.dirname(path), f"{path}.{os.getpid()}.part"
    named = False
    fd = _nameless(folder)
    if fd < 0:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        named = True
    try:
        try:
            _copy(stream, fd)
            if not named:
                os.link(f"/proc/self/fd/{fd}", beside, src_dir_fd=fd)  # with a descriptor the link in /proc is followed
                named = True
        finally:
            os.close(fd)
        os.rename(beside, path)
    except BaseException:
        if named:
            os.unlink(beside)
        raise


def _nameless(folder: str) -> int:
    """A new file in a directory that is gone with whoever writes it, however that ends; -1: there are none there."""
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}:
            return -1
        raise


def _copy(stream: Stream, fd: int) -> None:
    """Up to the word that this is all. Raises what the engine says instead."""
    frames = FrameReader()
    while data := stream.receive():
        for frame in frames.feed(data):
            if frame.stream == STDOUT:
                write_all(fd, frame.payload)
            elif frame.stream == ERROR:
                raise error_from_json(500, json.loads(frame.payload))
            elif json.loads(frame.payload).get("end"):
                return
    raise Unavailable(
        "the engine went away before the archive was complete", helps=["do it again: what there is of it is cut off"]
    )
