"""The forkserver: one warm, single-threaded process that forks shims, and restarts the engine when it dies.

It imports everything that shims and inits will need, freezes its heap so that forked children share its pages, and
holds no secret: its memory is mapped in every container's PID 1 until that executes something. So how to start the
engine, with its environment, stays in a memfd that only the child which becomes the engine reads. Started by
`runtime.sealed`; what it forks lives on without it.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Final, NoReturn

from orchestr8.kernel import cgroup_enter, prctl, processors, signals, sockets
from orchestr8.runtime import init, messages, practice, reaper, rehearsal, shim
from orchestr8.runtime.cradle import Makings, UnderWay, can_have_cradle, make_cradle
from orchestr8.runtime.template import Template, make_template
from orchestr8.runtime.template.holes import fill_holes

_RESTART_DELAY_S: Final = 0.1
_RESTART_DELAY_MAX_S: Final = 10.0
_FD_MAX: Final = os.sysconf("SC_OPEN_MAX")
_QUIET_S: Final = 1.0
_PATIENCE_S: Final = 0.1  # for starts, which want the processors for themselves first
_NUMBER_SIZE: Final = 16  # of a processor's number, and more
_STEADY_S: Final = 10.0  # an engine that lived this long starts the delays anew


class Forkserver:
    def __init__(self, engine: socket.socket, title: prctl.ArgumentArea, scratch: str) -> None:
        self._scratch = scratch
        self._engine = engine
        self._title = title
        self.template: Template | None = None
        self.filling: list[bytes] = []  # of the heap's holes; nobody reads it
        self._forked = False  # since memory was last given back
        self._configured = False
        self._spare: socket.socket | None = None
        self._spare_pid = 0
        self._spare_pidfd = -1
        self._spare_is_movable = False  # see processors.expect
        self._under_way: UnderWay | None = None  # of those that start, the last to say where its PID 1 is
        self._last_pid = 0  # of the shim that was forked last
        self._life = shim.Life()  # of what is forked
        self._starting: list[socket.socket] = []  # of shims, until the first start of each is over
        self._reaper_fd = reaper.open_image()
        self._engine_launch_fd = -1
        self._engine_cgroup_files: list[list[str]] = []
        self._engine_since = time.monotonic()
        self._delay_s = _RESTART_DELAY_S

    def serve(self) -> None:
        """Until Shutdown: fork on request; at the end of the engine's stream start the next engine."""
        while True:
            self._settle()
            try:
                packet, fds = sockets.receive_packet(self._engine)
            except ConnectionError:
                packet, fds = b"", []
            if not packet:
                self._restart_engine()
                continue
            if messages.is_spawn(packet):
                self._spawn(packet, fds)
            elif messages.is_copy(packet):
                self._fork_copying(packet, fds)
            else:
                message = messages.decode(packet)
                if isinstance(message, messages.Shutdown):
                    return
                if isinstance(message, messages.Configure):
                    self._configure(message, fds)
            sockets.close_all(fds)

    def rehearse(self, template: Template) -> None:
        """Have the template be what a shim has that rests, seen where all is as for those to come. A spare one shows where
        shims write, and over it this process's own memory settles; what counts in the end is the second one, forked for its
        order, as most are when many start at once. Returns with the template sealed.
        """
        self._life = rehearsal.LIFE
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a child's number is its own until it is waited for
        try:
            self._fork_spare()
            with rehearsal.resting(self._scratch, self._spawn_next) as pid:
                template.take_after(pid)
            self._life = rehearsal.LIFE._replace(learns=False)  # to learn leaves traces, which the others do not have
            with rehearsal.resting(self._scratch, self._spawn_next) as pid:
                template.take_after(pid)
        except Exception as error:  # noqa: BLE001 - a full or read-only /run, say: whatever it is, shims are only larger
            print(f"forkserver: shims will be larger, for a rehearsal failed: {error}", file=sys.stderr, flush=True)
        finally:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            self._life = shim.Life()
            for each in filter(None, (*self._starting, self._spare)):
                each.close()
            self._starting.clear()
            self._spare = self._under_way = None
            self._let_go_of_spare()
            template.seal()

    def _spawn_next(self, packet: bytes, fds: list[int]) -> int:
        """A child's pid. Raises OSError where there is none."""
        self._spawn(packet, fds)
        if not self._last_pid:
            raise ChildProcessError("nothing can be forked")
        return self._last_pid

    def _settle(self) -> None:
        """Use a quiet time: fork the shim of the next container; later give memory back, which the next shims then share too."""
        if self._spare is None and self._configured and self._nobody_starts():
            self._fork_spare()
        if self.template is not None and self._forked and self._quiet_for(_QUIET_S):
            self.template.share_again()
            self._forked = False

    def _nobody_starts(self) -> bool:
        """Wait until each shim has let go of its socket; of the only one, until PID 1 alone is busy. False: the engine asks for
        something first.
        """
        until = time.monotonic() + _PATIENCE_S
        waiting = select.poll()
        waiting.register(self._engine, select.POLLIN)
        while self._starting and not self._only_pid_1_is_busy():
            for each in self._starting:  # a hang-up is always told
                waiting.register(each, select.POLLIN if len(self._starting) == 1 else 0)
            ready = dict(waiting.poll(max(until - time.monotonic(), 0) * 1000))
            if self._engine.fileno() in ready:
                return False
            for each in [each for each in self._starting if not ready or each.fileno() in ready]:
                number = each.recv(_NUMBER_SIZE) if ready and not ready[each.fileno()] & select.POLLHUP else b""
                if number.isdigit():
                    self._under_way = UnderWay(each, int(number))
                else:
                    waiting.unregister(each)
                    self._forget(each)
        return self._quiet_for(0)

    def _only_pid_1_is_busy(self) -> bool:
        return self._under_way is not None and self._starting == [self._under_way.shim]

    def _forget(self, shim: socket.socket) -> None:
        """Its start is over, or has taken too long."""
        self._starting.remove(shim)
        if self._under_way is not None and self._under_way.shim is shim:
            self._under_way = None
        shim.close()

    def _quiet_for(self, seconds: float) -> bool:
        waiting = select.poll()
        waiting.register(self._engine, select.POLLIN)
        return not waiting.poll(seconds * 1000)

    def _configure(self, message: messages.Configure, fds: list[int]) -> None:
        cgroup_enter.enter(message.cgroup_files)  # every shim is born there
        self._configured = True
        self._engine_cgroup_files = message.engine_cgroup_files
        if self._engine_launch_fd >= 0:
            os.close(self._engine_launch_fd)
        self._engine_launch_fd = fds.pop(0) if fds else -1

    def _spawn(self, packet: bytes, fds: list[int]) -> None:
        """Let a shim take this order, and forget it. The order is decoded by the shim: whatever this process touches between
        two forks is memory that the shim before has for itself alone.
        """
        shim, self._spare = self._spare, None
        if shim is not None:
            try:
                self._make_room(messages.processor_of(packet))
                sockets.send_packet(shim, packet, fds)
            except OSError:  # somebody has killed it
                shim.close()
                shim = None
        if shim is None:
            shim = self._fork(packet, fds)
        if shim is not None:
            self._starting.append(shim)

    def _fork_spare(self) -> None:
        """A shim that waits for its order, so that the next start need not wait for a fork."""
        self._spare_is_movable = processors.roams()
        self._spare = self._fork()
        self._spare_pid = self._last_pid
        if self._spare_pid:
            with contextlib.suppress(OSError):  # it has just died
                self._spare_pidfd = os.pidfd_open(self._spare_pid)

    def _make_room(self, processor: int) -> None:
        """Have the spare shim take its order on another one than that: the engine is busy there."""
        if self._spare_pidfd < 0:
            return
        ended = select.poll()
        ended.register(self._spare_pidfd, select.POLLIN)
        if self._spare_is_movable and not ended.poll(0):
            processors.move_off(self._spare_pid, processor)
        self._let_go_of_spare()

    def _let_go_of_spare(self) -> None:
        if self._spare_pidfd >= 0:
            os.close(self._spare_pidfd)
            self._spare_pidfd = -1

    def _fork(self, packet: bytes = b"", fds: list[int] | None = None) -> socket.socket | None:
        """A shim for `packet`, with its descriptors, or one that waits for that on the socket's other end. Either lets go of
        that when its first start is over. None: nothing can be forked.
        """
        ours = theirs = makings = None
        parent, self._last_pid, beside = os.getpid(), 0, None if packet else self._under_way
        try:
            self._forked = True
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if not packet and can_have_cradle(self._reaper_fd):
                makings = Makings.make()
            if beside is not None:
                processors.avoid(beside.processor)
            elif not packet:  # nobody waits for it: let it take no other processor from who does something
                processors.stay()
            try:
                pid = os.fork()
            finally:
                processors.roam()
            if pid:
                self._last_pid = pid
                theirs.close()
                if makings is not None:
                    makings.close()
                return ours
        except OSError as error:  # EAGAIN, ENOMEM: the control socket's end tells the engine
            print(f"forkserver: cannot fork a shim: {error}", file=sys.stderr, flush=True)
            for each in filter(None, (ours, theirs)):
                each.close()
            if makings is not None:
                makings.close()
            return None
        code, cradle, fds = 0, None, fds or []
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a shim waits for its children itself
        try:
            if makings is not None:  # as early as can be: what this process writes until then, both have to copy
                cradle = make_cradle(
                    makings, self._reaper_fd, self._title, self.template, self._life.become_init, beside,
                    movable=self._spare_is_movable,
                )  # fmt: skip
            if self.template is not None:
                self.template.copy_ahead_what_shims_write()
                self.template.keep()
            if makings is not None:
                makings.keep()
            if self._life.mortal:
                prctl.set_parent_death_signal(signal.SIGKILL)
                if os.getppid() != parent:
                    return None
            kept = {0, 1, 2, theirs.fileno(), *fds, *([self._reaper_fd] if self._reaper_fd >= 0 else [])}
            _close_others(kept if cradle is None else {*kept, cradle.sync.fileno(), cradle.pidfd})
            for each in (self._engine, ours, *self._starting):  # closed by now
                each.detach()
            if not packet:
                self._title.write(self._title.prepared(self._life.title))
                prctl.set_name(b"orchestr8-shim")
                processors.expect(movable=self._spare_is_movable)
                packet, fds = _await_order(theirs)
                processors.roam()
            shim.main(packet, fds, theirs, self._reaper_fd, self._title, self.template, cradle, self._life)
        except BaseException:  # noqa: BLE001 - the last frame of this process: its log is the only listener
            code = 1
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(code)

    def _fork_copying(self, packet: bytes, fds: list[int]) -> None:
        """A process that copies files. It imports what it needs itself, from the host's own tree, in which it stays: no shim
        is to carry that.
        """
        try:
            self._forked = True
            if os.fork():
                return
        except OSError as error:  # EAGAIN, ENOMEM: its control socket's end tells the engine
            print(f"forkserver: cannot fork a process that copies: {error}", file=sys.stderr, flush=True)
            return
        try:
            _close_others({0, 1, 2, *fds})
            self._engine.detach()
            self._title.write(self._title.prepared("orchestr8-copy"))
            prctl.set_name(b"orchestr8-copy")
            from orchestr8.runtime import copying

            copying.main(packet, fds)
        except BaseException:  # noqa: BLE001 - as of _fork
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(1)

    def _restart_engine(self) -> None:
        """The engine is gone without a Shutdown: start another, later and later when they keep dying."""
        if self._engine_launch_fd < 0:
            os._exit(0)
        if time.monotonic() - self._engine_since >= _STEADY_S:
            self._delay_s = _RESTART_DELAY_S
        time.sleep(self._delay_s)  # nothing else to do meanwhile: the engine is this process's only client
        self._delay_s = min(self._delay_s * 2, _RESTART_DELAY_MAX_S)
        self._engine_since = time.monotonic()
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                if os.fork() == 0:
                    _execute_engine(self._engine_launch_fd, self._engine_cgroup_files, theirs)
        except OSError as error:  # EAGAIN, ENOMEM: the next round tries again
            print(f"forkserver: cannot start an engine: {error}", file=sys.stderr, flush=True)
            return
        self._engine.close()
        self._engine = ours


def _close_others(kept: set[int]) -> None:
    numbers = sorted(kept)
    for low, high in zip(numbers, [*numbers[1:], _FD_MAX], strict=True):
        os.closerange(low + 1, high)


def _await_order(forkserver: socket.socket) -> tuple[bytes, list[int]]:
    """What a spare shim is to do; it ends with its forkserver."""
    packet, fds = sockets.receive_packet(forkserver)
    if not packet:
        os._exit(0)
    return packet, fds


def _execute_engine(launch_fd: int, cgroup_files: list[list[str]], theirs: socket.socket) -> NoReturn:
    try:
        os.setsid()
        for candidates in cgroup_files:  # out of the shims' group, which an engine removes when it ends
            if not cgroup_enter.enter_first(candidates):
                print(f"forkserver: the engine cannot go to any of {candidates}", file=sys.stderr, flush=True)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        launch = json.loads(os.pread(launch_fd, os.fstat(launch_fd).st_size, 0))
        argv = launch["argv"]
        os.set_inheritable(theirs.fileno(), True)
        os.execve(argv[0], [*argv, "--forkserver-fd", str(theirs.fileno())], launch["environment"])
    except BaseException:  # noqa: BLE001 - see _spawn
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(1)


def main(engine_fd: int, scratch: str) -> None:
    """Entry point of `python -I -S -c`; `engine_fd` is a SOCK_SEQPACKET socket, `scratch` a folder not there yet."""
    signals.reset_reserved()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps shims: their ends are told by their sockets
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, init.WAITED)  # inherited by PID 1s, which wait for them
    # Inherited: nobody but root looks into a shim, nor into what it forks, until that executes something.
    prctl.set_dumpable(False)
    os.closerange(3, engine_fd)
    os.closerange(engine_fd + 1, _FD_MAX)
    os.set_inheritable(engine_fd, False)
    title = prctl.ArgumentArea()
    server = Forkserver(socket.socket(fileno=engine_fd), title, scratch)
    prctl.set_name(b"orchestr8-fork")
    sys.path_importer_cache.clear()
    practice.practise()
    rehearsal.rehearse(scratch, title)
    title.write(title.prepared("orchestr8-forkserver"))
    gc.disable()
    gc.collect()
    server.filling = fill_holes()
    gc.freeze()
    try:
        server.template = make_template()
    except OSError as error:
        print(f"forkserver: shims will be larger, for they cannot share its heap: {error}", file=sys.stderr, flush=True)
    if server.template is not None:
        server.rehearse(server.template)
    # From here on SIGCHLD is ignored, so what a shim of this process's leaves that is killed ends here, unseen. Not every
    # machine's PID 1 waits for strangers, and one that nobody has waited for keeps PID 1 of its pid namespace from ending
    # (pid_namespaces(7)). The shims of a forkserver that is gone are the machine's.
    prctl.set_child_subreaper()
    server.serve()
