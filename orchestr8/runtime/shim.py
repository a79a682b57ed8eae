"""One per container, forked by the forkserver and never exec'd: the parent of the container's PID 1.

It owns what must outlive the engine: stdio and log, the network namespace, DNS and port sockets, exit codes. It
listens on a named socket, so that any later engine can adopt it (`engines`), and it ends when told to (Release), or when
its engine dies before it has run anything; PID 1 follows its death by the parent-death signal. What should run, and when
again, is the engine's to say. No request can end it: a container's life hangs on it.

Nothing is imported after the fork. Idle, it sleeps in one epoll call.
"""

import binascii
import contextlib
import functools
import gc
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from orchestr8.errors import OperationFailed
from orchestr8.kernel import prctl, processors, sockets
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime import init, messages
from orchestr8.runtime.console import Console
from orchestr8.runtime.cradle import Cradle, Makings, can_have_cradle, make_cradle, suits
from orchestr8.runtime.engines import Engines
from orchestr8.runtime.execs import Execs
from orchestr8.runtime.launch import Ground, Launch
from orchestr8.runtime.leftovers import kill_all
from orchestr8.runtime.logsenders.forwarder import Forwarder
from orchestr8.runtime.logwriter import open_log
from orchestr8.runtime.messages import Message
from orchestr8.runtime.oomwatch import OomWatch
from orchestr8.runtime.places import LOG_FILE
from orchestr8.runtime.poller import ENDED, Poller
from orchestr8.runtime.statefile import StateFile
from orchestr8.runtime.streams import Session
from orchestr8.runtime.successors import Ends, kill
from orchestr8.runtime.template import Template
from orchestr8.runtime.terminal import set_size
from orchestr8.runtime.userns import make_namespace

_QUIET_S: Final = 1.0


class Life(NamedTuple):
    """What is different in one that is rehearsed (`rehearsal`)."""

    title: str = "orchestr8-shim (next)"  # while it waits for its order
    mortal: bool = False  # it ends with its forkserver
    become_init: Callable[[init.Birth], NoReturn] = init.run
    quiet_s: float = _QUIET_S  # after which it rests
    learns: bool = False  # each time that it rests: what it has written


class Shim:
    def __init__(
        self,
        order: messages.Spawn,
        control: socket.socket,
        make_ground: Callable[[int], Ground],
        template: Template | None = None,
        cradle: Cradle | None = None,
        starting: socket.socket | None = None,
        life: Life = Life(),
    ) -> None:
        """`make_ground(cgroup_fd)`: what every run stands on, once an engine has brought that. `cradle`: for the first run.
        `starting`: on which is told where PID 1 is busy, when only that is, and whose end tells that the first start is over.
        """
        self._quiet_s = life.quiet_s
        self._learns = life.learns
        self._starting = starting
        self._bundle = order.bundle
        self._order = order
        self._kept: list[int] = []
        self._make_ground = make_ground
        self._ground: Ground | None = None
        self._status = messages.Status(
            container=order.container,
            boot_id=_read("/proc/sys/kernel/random/boot_id"),
            shim_pid=os.getpid(),
            shim_start_ticks=int(_read("/proc/self/stat").rpartition(")")[2].split()[19]),
        )
        self._state_file = StateFile(self._bundle)
        self._poller = Poller()
        self._console = Console(self._poller)
        self._ends = Ends(self._poller)
        self._log = open_log(os.path.join(self._bundle, LOG_FILE), order.log, self._poller, template)
        self._log.on_trouble = self._log_trouble
        self._launch: Launch | None = None
        self._cradle = cradle
        self._start_requests: list[tuple[socket.socket, int]] = []
        self._init_pidfd = -1
        self._oom = OomWatch(self._poller, "", self._out_of_memory)
        self._oom_before = 0
        self._released = False
        self._template = template
        self._stirred = True  # by a request since memory was last given back
        self._engines = Engines(self._poller, order.socket, order.container, self._hear, self._left_alone)
        self._answer, self._tell_all = self._engines.answer, self._engines.tell
        self._execs = Execs(self._poller, order, self._answer, self._tell_all, self._ends)
        self._engines.welcome(control)

    # --- set-up ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        while not (self._released and self._launch is None):
            self.step()
        self._let_go()
        while self._console.attached or self._execs.unread:
            self._poller.wait()
        self._log.linger()

    def step(self) -> None:
        """Sleep until something happens, and do what it asks for. After a quiet while give memory back, once."""
        quiet_s = self._quiet_s if self._stirred else -1
        resting = self._launch.rests_until if self._launch is not None else 0.0
        if resting:
            quiet_s = min(self._quiet_s, max(resting - time.monotonic(), 0))
        happened = self._engines.wait(quiet_s)
        if resting and self._launch is not None and (not happened or time.monotonic() >= resting):
            self._launch.end_cradle()
        if happened:
            return
        self._stirred = False
        self._drop_cradle()
        if self._template is not None:
            if self._learns:
                self._template.learn_what_shims_write()
            self._template.share_again()

    def _drop_cradle(self) -> None:
        """Whoever waits for longer than that does not notice a fork."""
        cradle, self._cradle = self._cradle, None
        if cradle is not None:
            cradle.close(self._poller)

    def _let_go(self) -> None:
        """Give everything of the container back, and tell the engines by the end of their connections.

        Ports first: an engine that waits to be let in hears of this shim's end when the listener is closed.
        """
        sockets.close_all(self._kept)
        self._engines.leave()
        self._start_over()
        self._drop_cradle()
        self._oom.close()
        self._log.close()
        self._state_file.close()
        self._console.finish()
        self._engines.dismiss_all()

    # --- requests -------------------------------------------------------------------------------------------------

    def _hear(self, engine: socket.socket, packet: bytes, fds: list[int]) -> None:
        """One request. Its handler takes out of `fds` what it keeps."""
        self._stirred = True
        try:
            message = messages.decode(packet)
            handler = self._HANDLERS.get(type(message))
            if handler is None:
                raise OperationFailed(f"a shim takes no {type(message).__name__}", code="O8-902")
            handler(self, engine, message, fds)
        except Exception as error:  # noqa: BLE001 - whatever it is: the engine hears it, and the container goes on
            sys.__excepthook__(*sys.exc_info())
            self._answer(engine, messages.Failed(request=messages.request_of(packet), text=str(error)))

    def _left_alone(self) -> None:
        """Nobody knows of a shim that has run nothing yet: what it was made for is begun anew."""
        if self._init_pidfd < 0 and not self._status.runs:
            self._be_released()

    def _query(self, engine: socket.socket, message: Message, _fds: list[int]) -> None:
        self._status.request = message.request
        self._status.log_lost_bytes = self._log.lost_bytes
        self._status.execs_read_bytes = self._execs.read_bytes
        self._status.execs_written_bytes = self._execs.written_bytes
        execs = self._execs.known()
        if execs is not None:
            self._answer(engine, execs)
        self._answer(engine, self._status, self._kept)

    def _release(self, _engine: socket.socket, _message: Message, _fds: list[int]) -> None:
        self._be_released()

    def _be_released(self) -> None:
        """A PID 1 that waits for what nobody will bring any more ends, and that is told as the end of its start."""
        self._released = True
        if self._launch is not None:
            self._launch.end_cradle()
        if self._init_pidfd < 0:
            self._engines.refuse()  # who comes now must not take this shim for one that can be used
            if self._launch is not None:
                self._launch.give_up()

    def _signal(self, engine: socket.socket, message: Message, _fds: list[int]) -> None:
        running = self._execs.find(message.exec)
        pidfd = running.pidfd if running else (-1 if message.exec else self._init_pidfd)
        if pidfd < 0:
            self._answer(engine, messages.Failed(request=message.request, text="the process is not running"))
            return
        with contextlib.suppress(ProcessLookupError):  # it has ended; the exit is about to be read
            signal.pidfd_send_signal(pidfd, message.signal)
        self._answer(engine, messages.Done(request=message.request))

    def _resize(self, engine: socket.socket, message: Message, _fds: list[int]) -> None:
        """Between two runs the size is kept for the next one."""
        running = self._execs.find(message.exec)
        master = running.master if running else (-1 if message.exec else self._console.master)
        waits = not message.exec and self._order.terminal and self._init_pidfd < 0
        if master < 0 and not waits:
            self._answer(engine, messages.Failed(request=message.request, text="there is no such terminal"))
            return
        if not message.exec:
            self._order.rows, self._order.columns = message.rows, message.columns
        if master >= 0:
            set_size(master, message.rows, message.columns)
        self._answer(engine, messages.Done(request=message.request))

    def _attach(self, engine: socket.socket, message: Message, fds: list[int]) -> None:
        """Before a start the session waits for the outputs to appear; while running it gets what comes from now on."""
        early = binascii.a2b_base64(message.early)
        session = Session(
            self._poller, fds.pop(0), raw=self._order.terminal, wants_input=message.stdin, early=early,
            guest=message.guest,
        )  # fmt: skip
        self._console.attach(session)
        self._answer(engine, messages.Done(request=message.request))

    # --- the program ----------------------------------------------------------------------------------------------

    def _place(self, _engine: socket.socket, _message: Message, fds: list[int]) -> None:
        if self._ground is not None:
            raise OperationFailed("a shim has one cgroup", code="O8-902")
        (cgroup_fd,) = fds
        fds.clear()
        if not stat.S_ISDIR(os.fstat(cgroup_fd).st_mode):
            os.close(cgroup_fd)
            cgroup_fd = -1
        self._ground = self._make_ground(cgroup_fd)
        if self._order.id_count:
            self._ground = self._ground._replace(
                user_namespace=make_namespace(self._order.id_base, self._order.id_count)
            )
        try:
            self._oom = OomWatch(self._poller, self._order.oom_file, self._out_of_memory)
        except OSError as error:  # told when the run ends, then
            print(f"shim {self._status.container}: cannot watch its memory: {error}", file=sys.stderr, flush=True)
        self._save()  # not before: until then the run before is the last one that there was

    def _equip(self, _engine: socket.socket, _message: Message, fds: list[int]) -> None:
        if self._kept:
            raise OperationFailed("a shim is equipped once", code="O8-902")
        self._kept = fds[:]
        fds.clear()
        self._status.kept = len(self._kept)
        if self._launch is not None:
            self._give_network(self._launch)

    def _give_network(self, launch: Launch) -> None:
        """What is left of the start is PID 1's: the forkserver may use another processor for the next shim."""
        launch.give_network(self._kept[0])
        if self._starting is not None and launch.processor >= 0:
            with contextlib.suppress(OSError):  # nobody listens any more
                self._starting.send(b"%d" % launch.processor)

    def _prepare(self, _engine: socket.socket, _message: Message, _fds: list[int]) -> None:
        """A cradle, for as long as there is nothing else to do."""
        ground = self._ground
        if ground is None or self._launch is not None or self._cradle is not None:
            return
        if suits(self._order) and can_have_cradle(ground.reaper_fd):
            makings = Makings.make()
            try:
                with self._template.given() if self._template else contextlib.nullcontext():
                    self._cradle = make_cradle(
                        makings, ground.reaper_fd, ground.title, self._template, movable=processors.roams()
                    )
            finally:
                makings.keep()

    def _start(self, engine: socket.socket, message: Message, fds: list[int]) -> None:
        if self._ground is None:
            raise OperationFailed("a shim cannot start anything before it has a cgroup", code="O8-902")
        if message.reach and self._launch is None and isinstance(self._log, Forwarder) and self._log.obstacle != "":
            self._reach(self._log, engine, message, fds)
            return
        if self._launch is not None:
            if self._init_pidfd >= 0:
                self._answer(engine, self._started(message.request))
            else:
                self._start_requests.append((engine, message.request))
            return
        self._start_requests.append((engine, message.request))
        self._oom_before = self._oom.kills()
        joined = dict(zip(message.joined, fds, strict=True))
        if joined or not suits(self._order):
            self._drop_cradle()
        cradle, self._cradle = self._cradle, None
        self._begin(joined, cradle)

    def _begin(self, joined: dict[str, int], cradle: Cradle | None = None) -> None:
        assert self._ground is not None
        try:
            self._launch = Launch(self._poller, self._ends, self._order, self._ground, self._launched, joined, cradle)
            if self._kept:
                self._give_network(self._launch)
        except OSError as error:
            self._fail_start(str(error), 128)

    def _reach(self, log: Forwarder, engine: socket.socket, message: Message, fds: list[int]) -> None:
        """A start that wants the log's receiver to be there: wait until that is known, or fail."""
        if log.obstacle:
            self._start_requests.append((engine, message.request))
            self._fail_start(log.obstacle, 128, code="O8-631")
            return
        held = fds[:]
        fds.clear()
        log.when_known(lambda: self._start_after_all(engine, message, held))

    def _start_after_all(self, engine: socket.socket, message: Message, fds: list[int]) -> None:
        try:
            if not self._released:
                self._start(engine, message, fds)
        finally:
            sockets.close_all(fds)

    def _start_over(self) -> None:
        self._start_requests.clear()
        if self._starting is not None:
            self._starting.close()
            self._starting = None

    def _started(self, request: int) -> messages.Started:
        return messages.Started(
            request=request, pid=self._status.pid, started_at=self._status.started_at, protocol=messages.PROTOCOL
        )

    def _launched(self, error: tuple[str, int] | None) -> None:
        launch = self._launch
        assert launch is not None
        if error is not None:
            kill(launch.pidfd)  # it is ending by itself, or has to be made to
            self._poller.watch(launch.pidfd, ENDED, functools.partial(self._start_failed, *error))
            return
        self._init_pidfd = launch.pidfd
        self._stirred = True
        self._status.__dict__.update(
            state="running", pid=launch.pid, started_at=time.time(), finished_at=0.0, exit_code=None,
            oom_killed=False, runs=self._status.runs + 1,
        )  # fmt: skip
        if launch.stdio.master >= 0 and self._order.rows and self._order.columns:  # given while PID 1 was busy, perhaps
            set_size(launch.stdio.master, self._order.rows, self._order.columns)
        self._console.open(launch.stdio, self._log.write)
        self._poller.watch(self._init_pidfd, ENDED, self._ended)
        self._save()
        for engine, request in self._start_requests:
            self._answer(engine, self._started(request))
        # To those too that came while this was under way.
        self._tell_all(self._started(0), but={engine for engine, _ in self._start_requests})
        self._start_over()
        self._execs.begin_run()

    def _start_failed(self, text: str, exit_code: int, _events: int) -> None:
        launch = self._launch
        assert launch is not None
        if os.waitid(os.P_PIDFD, launch.pidfd, os.WEXITED | os.WNOHANG) is None:
            return
        self._poller.forget(launch.pidfd)
        launch.close()
        self._launch = None
        if launch.again and not self._released:
            self._begin({})
        else:
            self._fail_start(text, exit_code)

    def _fail_start(self, text: str, exit_code: int, *, code: str = "") -> None:
        now = time.time()
        self._status.__dict__.update(
            state="exited" if self._status.runs else "created", pid=0, exit_code=exit_code, finished_at=now
        )
        self._save()
        for engine, request in self._start_requests:
            self._answer(engine, messages.Failed(request=request, text=text, exit_code=exit_code, code=code))
        self._start_over()
        self._console.finish()

    def _ended(self, _events: int) -> None:
        """PID 1 is gone and with it all of its namespace, or of its cgroup where it shares that: drain the output, record, and only then tell."""
        ended = os.waitid(os.P_PIDFD, self._init_pidfd, os.WEXITED | os.WNOHANG)
        if ended is None:
            return
        assert self._launch is not None
        if not self._order.namespaces & CloneFlag.NEWPID:
            # Of v2's hierarchy, or of any of v1's: a container is in all of them.
            kill_all(self._order.cgroup_leaf or next(map(os.path.dirname, self._order.cgroup_files), ""))
        launch, self._launch = self._launch, None
        launch.stdio.close_slave()
        self._console.drain()
        self._log.end_run()
        self._console.finish()
        launch.unmount()
        self._poller.forget(self._init_pidfd)
        os.close(self._init_pidfd)
        os.close(launch.null)
        self._init_pidfd = -1
        code = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
        self._oom.look()
        status = self._status
        status.__dict__.update(
            state="exited",
            pid=0,
            exit_code=code,
            finished_at=time.time(),
            oom_killed=self._oom.kills() > self._oom_before,
            log_lost_bytes=self._log.lost_bytes,
        )
        self._save()
        told = {name: getattr(status, name) for name in ("exit_code", "oom_killed", "started_at", "finished_at")}
        self._tell_all(messages.Exited(**told, run=status.runs))
        launch.end_cradle()

    def _log_trouble(self, reason: str) -> None:
        self._tell_all(messages.LogTrouble(reason=reason, lost_bytes=self._log.lost_bytes))

    def _out_of_memory(self) -> None:
        self._tell_all(messages.OutOfMemory(run=self._status.runs))

    def _save(self) -> None:
        self._state_file.save(self._status)

    # --- exec -----------------------------------------------------------------------------------------------------

    def _exec(self, engine: socket.socket, message: Message, fds: list[int]) -> None:
        if self._launch is None or self._init_pidfd < 0:
            self._answer(engine, messages.Failed(request=message.request, text="the container is not running"))
            return
        assert isinstance(message, messages.Exec)
        try:
            self._execs.start(engine, message, fds[0], self._init_pidfd, self._launch.null)
        except OSError as error:
            self._answer(engine, messages.Failed(request=message.request, text=str(error)))
        else:
            fds.pop(0)

    _HANDLERS: Final = {
        messages.Query: _query,
        messages.Release: _release,
        messages.Signal: _signal,
        messages.Resize: _resize,
        messages.Attach: _attach,
        messages.Place: _place,
        messages.Equip: _equip,
        messages.Prepare: _prepare,
        messages.Start: _start,
        messages.Exec: _exec,
    }


def _read(path: str) -> str:
    """A small file of the kernel's. By descriptor: a buffered reader would be memory that each shim keeps."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode(errors="replace").strip()
    finally:
        os.close(fd)


def main(
    packet: bytes,
    fds: list[int],
    starting: socket.socket,
    reaper_fd: int,
    title: prctl.ArgumentArea,
    template: Template | None,
    cradle: Cradle | None,
    life: Life,
) -> None:
    """The life of a shim, in the child that the forkserver has just forked.

    `packet`: a Spawn, with its descriptor; `starting`: see Shim; `reaper_fd`: what PID 1 turns into, or -1; `template`: what the
    forkserver's heap was; `cradle`: where PID 1 can be born.
    """
    gc.enable()  # the forkserver's heap is frozen; what a client or an exec leaves here has cycles
    os.setsid()
    order = messages.decode(packet)
    assert isinstance(order, messages.Spawn)
    title.write(title.prepared(f"orchestr8-shim {order.container}"))
    prctl.set_name(b"orchestr8-shim")
    (control_fd,) = fds
    control = socket.socket(fileno=control_fd)
    ground = functools.partial(Ground, reaper_fd=reaper_fd, title=title, become_init=life.become_init)
    Shim(order, control, ground, template, cradle, starting, life).run()
