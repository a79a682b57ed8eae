"""A process that lives for one copy: it resolves one path among a container's files, and reads or writes there.

Forked by the forkserver, so without the engine's secrets and threads, and easily ended: with the pipe that the engine
holds, or by its pidfd. It says what it found (Found or Refused), waits for a client's connection (Send, Receive), and ends.

A container that runs is seen as its programs see it, mounts included: a copy of its mount tree, taken in its mount
namespace, which this process leaves at once (nothing of ours may be looked for among its files: CVE-2019-14271). One that
does not run has its root and its volumes mounted in a namespace that ends with this process. Either way the tree is
private and mounted `nodev`, so no device is opened whatever a racing program swaps in, and each path is resolved by
openat2 inside of it (CVE-2018-15664, CVE-2026-42306). With a user namespace of the container's own, this process enters
that: it has the container's rights and no others, and ids are the container's.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import stat
from typing import Any, Final, NoReturn

from orchestr8.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OperationFailed,
    Orchestr8Error,
    Unavailable,
    Unsupported,
)
from orchestr8.kernel import mount as mounts
from orchestr8.kernel import sockets
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.mount import MountAttr, MountFlag
from orchestr8.kernel.namespaces import CloneFlag, setns
from orchestr8.kernel.openat2 import Resolve, open_in_root
from orchestr8.model.told import Told
from orchestr8.runtime import messages
from orchestr8.runtime.setup import write_oom_score
from orchestr8.runtime.userns import Ids
from orchestr8.storage.archive import KERNEL_OWNED, ArchiveWriter
from orchestr8.storage.extract import Extractor
from orchestr8.wire import frames
from orchestr8.wire.body import ChunkedBody, SizedBody

_READ_BYTES: Final = 1 << 20
_OOM_SCORE: Final = 1000  # the most: what it does can be done again, containers and the engine cannot
_WALLS: Final = MountAttr.NODEV | MountAttr.NOSUID | MountAttr.NOEXEC
AFTER_UPGRADE: Final = "if orchestr8 was upgraded since its engine started: orchestr8 engine stop, and copy again"
TMPFS: Final = 0x01021994  # TMPFS_MAGIC, <linux/magic.h>
_STATUS: Final = {InvalidInput: 400, NotFound: 404, Conflict: 409, Unsupported: 501, Unavailable: 503}


def main(packet: bytes, fds: list[int]) -> NoReturn:
    """`packet`: a Copy, with its descriptors."""
    control = socket.socket(fileno=fds[0])
    code = 0
    try:
        _end_with(fds[1])
        _show(control)
        write_oom_score(_OOM_SCORE)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # ignored by the forkserver; a user namespace's holder is waited for
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _serve(control, messages.decode(packet), fds[2] if len(fds) > 2 else -1)
    except ConnectionError:
        code = 1  # the engine does not listen any more
    except BaseException as error:  # noqa: BLE001 - the engine must hear of it: nobody else can
        code = 1
        with contextlib.suppress(OSError):
            sockets.send_packet(control, messages.encode(_refusal(error)))
    finally:
        os._exit(code)


def _end_with(pipe: int) -> None:
    """Be killed by SIGIO once nobody has the pipe's other end: whatever this process is just waiting for."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    gone = select.poll()
    gone.register(pipe, 0)
    if gone.poll(0):
        os._exit(1)


def _show(control: socket.socket) -> None:
    """Who this is, before anything that might take long: so that its end can be brought about, and waited for."""
    this = os.pidfd_open(os.getpid())
    sockets.send_packet(control, messages.encode(messages.Copying()), [this])
    os.close(this)


def _serve(control: socket.socket, order: messages.Message, extra: int) -> None:
    try:
        view = _running(order, extra) if order.pid else _standing(order, extra)
        place = Place(view, order)
        answer: messages.Message = place.describe()
    except (Orchestr8Error, OSError) as error:
        answer = _refusal(error)
    sockets.send_packet(control, messages.encode(answer))
    if isinstance(answer, messages.Refused):
        return
    wanted, fds = sockets.receive_packet(control)
    if not wanted:
        return
    message = messages.decode(wanted)
    with socket.socket(fileno=fds[0]) as client:
        if isinstance(message, messages.Send):
            told = place.send(Outlet(client, framed=message.framed))
        else:
            early = os.pread(fds[1], os.fstat(fds[1]).st_size, 0)
            told = place.receive(Inlet(client, message.length, early))
    sockets.send_packet(control, messages.encode(messages.Copied(told=told)))


def reason(error: BaseException) -> Orchestr8Error:
    """What goes wrong here as an error of ours."""
    if isinstance(error, Orchestr8Error):
        return error
    if isinstance(error, OSError) and error.strerror:
        return OperationFailed(f"the copy failed: {error.strerror}", code="O8-640")
    # This module is younger than those that its forkserver has loaded, where a release was installed in between.
    return OperationFailed(f"the copy failed: {type(error).__name__}: {error}", code="O8-640", helps=[AFTER_UPGRADE])


def _refusal(failure: BaseException) -> messages.Refused:
    error = reason(failure)
    status = next((number for kind, number in _STATUS.items() if isinstance(error, kind)), 500)
    return messages.Refused(status=status, error=error.to_json())


def _running(order: messages.Message, pidfd: int) -> int:
    """A private copy of the tree that the process behind `pidfd` has as its root."""
    _check_bindable(order.pid)
    own, root, here = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/self/ns/mnt", "/", "."))
    try:
        setns(pidfd, CloneFlag.NEWNS)
        try:
            tree = mounts.open_tree("/", recursive=True)
        finally:
            setns(own, CloneFlag.NEWNS)  # which makes this the namespace's root: the engine's may be another
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(here)
        mounts.set_attributes(tree, propagation=MountFlag.PRIVATE, recursive=True)
        mounts.set_attributes(tree, on=_WALLS, recursive=True)
        if order.id_count:
            Ids.from_base(order.id_base, order.id_count, pidfd).join()
    except SyscallError as error:
        if error.errno == errno.ESRCH:
            raise Conflict("the container ended just now") from error
        raise
    finally:
        sockets.close_all([own, root, here])
    return tree


def _standing(order: messages.Message, layer: int) -> int:
    from orchestr8.runtime.standing import stand_up  # which most copies do not need

    return stand_up(order, layer)


def _check_bindable(pid: int) -> None:
    """What a program has made unbindable has no copies: the place below it would be seen in its stead."""
    try:
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            fields = [line.partition(" - ")[0].split() for line in file]
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Conflict("the container ended just now") from error
    for line in fields:
        if "unbindable" in line[6:]:
            raise Unsupported(
                f"{line[4]} is mounted unbindable: nothing can be copied while the container runs",
                helps=["stop the container first"],
            )


class Place:
    """One path, resolved once."""

    def __init__(self, view: int, order: messages.Message) -> None:
        self._view = view
        self._running = bool(order.pid)
        path = self._path = order.path
        if not path or "\0" in path:
            raise InvalidInput("path: it cannot be empty, nor have a zero byte")
        last = path.rstrip("/").rpartition("/")[2]
        # What ends in "/", "/." or ".." is a directory, and a symlink to one is followed, as the kernel does.
        flags = os.O_PATH | (0 if order.follow or order.write else os.O_NOFOLLOW)
        try:
            self._fd = open_in_root(view, path, flags)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:
                raise NotFound(f"could not find {path} in the container", code="O8-640") from error
            raise InvalidInput(f"{path} in the container: {(error.strerror or '').lower()}", code="O8-640") from error
        self._status = os.fstat(self._fd)
        self._name = "." if last in {"", ".", ".."} else last
        if mounts.filesystem_type(self._fd) in KERNEL_OWNED:
            raise OperationFailed(f"{path} in the container is the kernel's, and no file to be copied", code="O8-640")
        if order.write:
            self._check_writable()
        elif stat.S_ISSOCK(self._status.st_mode):
            raise InvalidInput(
                f"{path} in the container is a socket, which is nothing without its program", code="O8-640"
            )

    def _check_writable(self) -> None:
        if not stat.S_ISDIR(self._status.st_mode):
            raise InvalidInput(f"{self._path} in the container is no directory", code="O8-640")
        if os.fstatvfs(self._fd).f_flag & os.ST_RDONLY:
            raise Conflict(f"cannot write to {self._path} in the container: {self._why_read_only()}", code="O8-642")

    def _why_read_only(self) -> str:
        if self._status.st_dev == os.fstat(self._view).st_dev:
            return "its root is read-only"
        if not self._running and mounts.filesystem_type(self._fd) == TMPFS:
            return "a tmpfs is mounted there, which is empty until the container runs"
        return "what is mounted there is read-only"

    def describe(self) -> messages.Found:
        status = self._status
        link = os.readlink("", dir_fd=self._fd) if stat.S_ISLNK(status.st_mode) else ""
        return messages.Found(
            name=self._name, mode=status.st_mode, size=status.st_size, mtime_ns=status.st_mtime_ns, link=link
        )

    def send(self, outlet: "Outlet") -> tuple[str, ...]:
        writer = ArchiveWriter(outlet.write)
        try:
            writer.add_opened(self._fd, self._name.encode(errors="surrogateescape"))
            writer.finish()
        except ConnectionError:
            raise
        except (Orchestr8Error, OSError) as error:
            outlet.fail(_refusal(error))
            raise
        outlet.end()
        return ()

    def close(self) -> None:
        os.close(self._fd)

    def receive(self, inlet: "Inlet", *, own: bool = True) -> tuple[str, ...]:
        told = Told()
        is_root = os.path.samestat(self._status, os.fstat(self._view))
        # Below the container's own root absolute symlinks mean what they mean to it; elsewhere they would lead away.
        resolve = Resolve.IN_ROOT if is_root else Resolve.BENEATH
        Extractor(self._fd, own=own, resolve=resolve, told=told.tell).run(inlet.read)
        return told.sentences()


class Outlet:
    """The client's connection as a sink of bytes. It may be non-blocking, for the engine has it, too."""

    def __init__(self, client: socket.socket, *, framed: bool) -> None:
        self._client = client
        self._framed = framed

    def write(self, data: bytes) -> None:
        head, tail = (frames.head(frames.STDOUT, len(data)), b"") if self._framed else (b"%x\r\n" % len(data), b"\r\n")
        self._send([memoryview(head), memoryview(data), memoryview(tail)])

    def end(self) -> None:
        whole = frames.encode(frames.ANNOUNCEMENT, b'{"whole":true}') if self._framed else b"0\r\n\r\n"
        self._send([memoryview(whole)])

    def fail(self, refusal: messages.Refused) -> None:
        """Chunks cannot say it: there the missing end does."""
        if self._framed:
            self._send([memoryview(frames.encode(frames.ERROR, _json(refusal.error)))])

    def _send(self, pieces: list[memoryview]) -> None:
        while pieces:
            try:
                sent = self._client.sendmsg(pieces)
            except BlockingIOError:
                _wait(self._client, select.POLLOUT)
                continue
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if pieces:
                pieces[0] = pieces[0][sent:]


class Inlet:
    """The body of a request as a source of bytes."""

    def __init__(self, client: socket.socket, length: int | None, early: bytes) -> None:
        self._client = client
        self._body = ChunkedBody() if length is None else SizedBody(length)
        self._early = early

    def read(self) -> bytes:
        """b"" at the end. Raises InvalidInput where it was cut off."""
        while not self._body.ended:
            data, self._early = self._early, b""
            if not data:
                data = self._receive()
                if not data:
                    raise InvalidInput("the client went away before the archive had ended", code="O8-641")
            if data := self._body.feed(data):
                return data
        return b""

    def _receive(self) -> bytes:
        while True:
            try:
                return self._client.recv(_READ_BYTES)
            except BlockingIOError:
                _wait(self._client, select.POLLIN)
            except ConnectionError:
                return b""


def _wait(client: socket.socket, event: int) -> None:
    waiting = select.poll()
    waiting.register(client, event)
    waiting.poll()


def _json(value: dict[str, Any]) -> bytes:
    import json

    return json.dumps(value).encode()
