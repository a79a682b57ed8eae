"""A shim's life acted out in the forkserver before it freezes its heap, with a child that only plays PID 1.

CPython writes into code objects while it counts their runs and specialises them (PEP 659), and into caches as they
fill. What has settled before the fork is not written in each shim: each page left alone is 4 KiB that all shims share,
and a fault less at every start. Later others, whose memory is the frozen heap, live until their program runs and rest
(`resting`): these show what all have then. How a shim behaves is not changed by it, so a rehearsal that cannot be held is
no loss.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from orchestr8.kernel import prctl, sockets
from orchestr8.runtime import messages
from orchestr8.runtime.init import Birth
from orchestr8.runtime.launch import Ground
from orchestr8.runtime.logsenders import packets
from orchestr8.runtime.logsenders.sender import Sender, make_format
from orchestr8.runtime.places import LOG_FILE, STATE_FILE
from orchestr8.runtime.shim import Life, Shim

_TIMES: Final = 12  # eight runs until a function is specialised at all, some more for what depends on others
_PATIENCE_S: Final = 2.0  # with a life that stands still: somebody has stopped a process of it, say
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


def _play(birth: Birth) -> NoReturn:
    """PID 1's part, without a container: it is ready, says a line, and waits for the signal that ends it."""
    try:
        prctl.set_parent_death_signal(signal.SIGKILL)
        sockets.close_all(sockets.receive_packet(birth.sync)[1])  # the network
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        sockets.send_packet(birth.sync, b'{"ready": true, "name": "play"}', [null])
        os.write(birth.stdio[1], b"a line\n")
        birth.sync.close()
        if birth.reaper_fd >= 0:  # as one that executes something: no page is shared with the shim any more
            os.execve("/proc/self/exe", [sys.orig_argv[0], "-I", "-S", "-c", "import signal; signal.pause()"], {})
        signal.sigwaitinfo({signal.SIGTERM})
    finally:
        os._exit(0)


LIFE: Final = Life(
    "orchestr8-shim (rehearsal)", mortal=True, become_init=_play, quiet_s=0, learns=True
)  # of those that rest


@contextlib.contextmanager
def resting(folder: str, spawn: Callable[[bytes, list[int]], int]) -> Iterator[int]:
    """Order a life of a shim, a child that `spawn` has take the order: its pid, while it rests, its program running. It is
    gone afterwards.

    Few things may be alive here while it is forked that are not when others are: what those make would lie elsewhere, and
    nothing would be alike.
    """
    pid = 0
    try:
        _make(folder)
        engine, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with engine:
            engine.settimeout(_PATIENCE_S)
            with control:
                pid = spawn(_order(folder), [control.fileno()])
            _equip(engine)
            sockets.send_packet(engine, messages.encode(messages.Start(request=1)))
            _understand(engine)
            _await_rest(pid)
            yield pid
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        _remove(folder)


def _await_rest(pid: int) -> None:
    """It has answered all that it was asked, and rests when it sleeps with PID 1 for its only child: its cradle has ended, with
    which it shares pages until then. One that does not within a second is as good.
    """
    until = time.monotonic() + 1
    stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    children = os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while time.monotonic() < until:
            if len(os.pread(children, 512, 0).split()) == 1 and b") S " in os.pread(stat, 512, 0):
                return
            os.sched_yield()
    finally:
        os.close(children)
        os.close(stat)


def _act(folder: str, title: prctl.ArgumentArea, times: int) -> None:
    _make(folder)
    try:
        for _ in range(times):
            _live(folder, title)
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
    order = messages.decode(_order(folder))
    assert isinstance(order, messages.Spawn)
    engine, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with engine:
        shim = Shim(order, control, lambda cgroup: Ground(cgroup, -1, title, become_init=_play))
        _equip(engine)
        try:
            _ask(shim, engine, messages.Start(request=1))
            _ask(shim, engine, messages.Query(request=2))
            _ask(shim, engine, messages.Signal(request=3, signal=signal.SIGTERM))
            _hear(shim, engine)  # Exited
        finally:
            sockets.send_packet(engine, messages.encode(messages.Release()))
            shim.run()


def _order(folder: str) -> bytes:
    container = f"{folder.rpartition('-')[2]:0>64}"  # as long as they are
    return messages.encode(
        messages.Spawn(
            container=container, bundle=folder, socket=f"{folder}/{_SOCKET}", cgroup_files=(folder,), plain=False
        )
    )


def _equip(engine: socket.socket) -> None:
    here, null = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in ("/proc/self/ns/net", os.devnull))
    sockets.send_packet(engine, messages.encode(messages.Place()), [null])
    sockets.send_packet(engine, messages.encode(messages.Equip()), [here])
    sockets.close_all([here, null])


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
    _check(_hear(shim, engine))


def _understand(engine: socket.socket) -> messages.Message:
    packet, fds = sockets.receive_packet(engine)
    sockets.close_all(fds)
    if not packet:
        raise ConnectionResetError("a shim has ended")
    answer = messages.decode(packet)
    _check(answer)
    return answer


def _check(answer: messages.Message) -> None:
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
