"""A shim's life acted out in the forkserver before it freezes its heap, with a child that only plays PID 1.

CPython writes into code objects while it counts their runs and specialises them (PEP 659), and into caches as they
fill. What has settled before the fork is not written in each shim: each page left alone is 4 KiB that all shims share,
and a fault less at every start. What a shim writes all the same is seen in another one, whose memory is the frozen heap.
How a shim behaves is not changed by it, so a rehearsal that cannot be held is no loss.
"""

import array
import contextlib
import os
import signal
import socket
import sys
from typing import Final, NoReturn

from orchestr8.kernel import prctl, sockets
from orchestr8.runtime import messages
from orchestr8.runtime.init import Birth
from orchestr8.runtime.launch import Ground
from orchestr8.runtime.logsenders import packets
from orchestr8.runtime.logsenders.sender import Sender, make_format
from orchestr8.runtime.shim import LOG_FILE, Shim
from orchestr8.runtime.statefile import STATE_FILE
from orchestr8.runtime.template import Run, Template

_TIMES: Final = 12  # eight runs until a function is specialised at all, some more for what depends on others
_SOCKET: Final = "socket"
_RECEIVER: Final = "receiver"
_FOLDERS: Final = (os.path.dirname(LOG_FILE),)


def rehearse(folder: str, title: prctl.ArgumentArea) -> None:
    """Act `_TIMES` lives, with files in `folder`, which must not exist and is gone afterwards.

    The caller has its children reaped by the kernel (SIGCHLD ignored), and has so again when this returns.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # as in a shim, which waits for PID 1
    try:
        _act(folder, title, _TIMES)
    except OSError as error:  # a full or read-only /run: the engine itself will soon say so with a place
        print(
            f"forkserver: shims will be a little larger, for the rehearsal failed: {error}", file=sys.stderr, flush=True
        )
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def find_private(folder: str, title: prctl.ArgumentArea, template: Template) -> tuple[Run, ...]:
    """What a shim has of the template for itself after a life. Empty when that cannot be found out."""
    reader, writer = os.pipe()
    with open(reader, "rb") as report:
        try:
            if os.fork() == 0:
                _tell_private(folder, title, template, writer)
        except OSError:  # the next fork will fail as well, and its failure is told
            return ()
        finally:
            os.close(writer)
        numbers = memoryview(report.read()).cast("Q")
    return tuple(Run(*numbers[at : at + 2]) for at in range(0, len(numbers), 2))


def _tell_private(folder: str, title: prctl.ArgumentArea, template: Template, writer: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _act(folder, title, 1, sending=False)
        numbers = array.array("Q", [number for run in template.private() for number in run])
        with open(writer, "wb", closefd=False) as report:
            report.write(numbers)
        code = 0
    except OSError as error:
        print(f"forkserver: shims start a little later, for a rehearsal failed: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _act(folder: str, title: prctl.ArgumentArea, times: int, *, sending: bool = True) -> None:
    _make(folder)
    try:
        for _ in range(times):
            _live(folder, title)
            if sending:
                _send(folder)
    finally:
        _remove(folder)


def _make(folder: str) -> None:
    os.mkdir(folder, 0o700)
    for name in _FOLDERS:
        os.mkdir(f"{folder}/{name}")


def _remove(folder: str) -> None:
    """What is left of it: the engine after one that died over this takes the folder for a dead forkserver's."""
    for name in (STATE_FILE, LOG_FILE, _SOCKET, _RECEIVER):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")
    for name in (*_FOLDERS, ""):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(f"{folder}/{name}")


def _live(folder: str, title: prctl.ArgumentArea) -> None:
    """What an engine asks of a shim from its first breath to its last: start, query, signal, release."""
    order = messages.decode(
        messages.encode(
            messages.Spawn(container="rehearsal", bundle=folder, socket=f"{folder}/{_SOCKET}", cgroup_files=(folder,))
        )
    )
    assert isinstance(order, messages.Spawn)
    engine, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with engine:
        shim = Shim(order, control, lambda cgroup: Ground(cgroup, -1, title, become_init=_play))
        here, null = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/self/ns/net", os.devnull))
        sockets.send_packet(engine, messages.encode(messages.Place()), [null])
        sockets.send_packet(engine, messages.encode(messages.Equip()), [here])
        sockets.close_all([here, null])
        try:
            _ask(shim, engine, messages.Start(request=1))
            _ask(shim, engine, messages.Query(request=2))
            _ask(shim, engine, messages.Signal(request=3, signal=signal.SIGTERM))
            _hear(shim, engine)  # Exited
        finally:
            sockets.send_packet(engine, messages.encode(messages.Release()))
            shim.run()


def _send(folder: str) -> None:
    """What the child of a shim does that sends its log: a line of each stream to a receiver, and the end."""
    path = f"{folder}/{_RECEIVER}"
    order = {
        "kind": "syslog", "name": _RECEIVER, "container": _RECEIVER, "owner": _RECEIVER, "network": "unixgram", "path": path, "tls": None,
        "facility": 3, "format": "rfc3164", "tag": _RECEIVER,
    }  # fmt: skip
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        for kind in (packets.STDOUT, packets.STDERR):
            ours.send(packets.HEADER.pack(kind, 0) + b"a line\n")
        ours.shutdown(socket.SHUT_WR)
        Sender(theirs, order, make_format(order, 1)).run()
    os.unlink(path)


def _ask(shim: Shim, engine: socket.socket, request: messages.Message) -> None:
    sockets.send_packet(engine, messages.encode(request))
    answer = _hear(shim, engine)
    if isinstance(answer, messages.Failed):  # no clone to be had here, say: nothing more would come
        raise OSError(answer.text)


def _hear(shim: Shim, engine: socket.socket) -> messages.Message:
    """What the shim says next; until then it may do what it wants to do."""
    while True:
        try:
            packet, fds = _receive_now(engine)
        except BlockingIOError:
            shim.step()
            continue
        sockets.close_all(fds)
        if not packet:
            raise ConnectionResetError("the shim let go of its engine")
        return messages.decode(packet)


def _receive_now(engine: socket.socket) -> tuple[bytes, list[int]]:
    engine.setblocking(False)
    return sockets.receive_packet(engine)


def _play(birth: Birth) -> NoReturn:
    """PID 1's part, without a container: it is ready, says a line, and waits for the signal that ends it."""
    try:
        prctl.set_parent_death_signal(signal.SIGKILL)
        sockets.close_all(sockets.receive_packet(birth.sync)[1])  # the network
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        sockets.send_packet(birth.sync, b'{"ready": true, "name": "play"}', [null])
        os.write(birth.stdio[1], b"a line\n")
        birth.sync.close()
        signal.sigwaitinfo({signal.SIGTERM})
    finally:
        os._exit(0)
