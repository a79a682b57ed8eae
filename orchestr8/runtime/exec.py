"""A further program in a running container, forked by the container's shim: `exec`, hooks and health checks.

The shim's child joins the container through PID 1's pidfd in one call (setns(2)), takes its cgroups and rights, and only
then has a successor born into its pid namespace, who becomes the program. Until then no program of the container can
see it: one with CAP_SYS_PTRACE could go through it to the host. The successor is not dumpable and holds no descriptor
but its stdio and a socket of the shim's (CVE-2016-9962, CVE-2024-21626).
"""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from orchestr8.errors import InvalidInput, Orchestr8Error
from orchestr8.kernel import capabilities, cgroup_enter, prctl, rlimit, sockets
from orchestr8.kernel.clone import Successor, clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.runtime import joining, program
from orchestr8.runtime.launch import DISTURBED, Stdio
from orchestr8.runtime.messages import Exec, Spawn
from orchestr8.runtime.poller import READ, Poller
from orchestr8.runtime.setup import report, write_oom_score
from orchestr8.runtime.successors import Ends, Reserve, bury, follow, has_ended
from orchestr8.runtime.terminal import set_size
from orchestr8.runtime.userns import Ids
from orchestr8.runtime.users import read_file, resolve_user

# A container that has made cgroups below its own, as an engine or systemd inside of it does, has no processes in there
# any more: v2 refuses them beside controllers for children, and in a domain that has become threaded.
_NO_PROCESSES: Final = {errno.EBUSY, errno.EOPNOTSUPP}

_JOINED: Final = (
    CloneFlag.NEWNS | CloneFlag.NEWNET | CloneFlag.NEWIPC | CloneFlag.NEWUTS | CloneFlag.NEWCGROUP
)  # fmt: skip


class ExecProcess:
    """One such program from its fork to the end of the hand-shake. `on_end(error)`: None when the program runs."""

    def __init__(
        self,
        poller: Poller,
        ends: Ends,
        order: Exec,
        container: Spawn,
        init_pidfd: int,
        null: int,
        on_end: Callable[[tuple[str, int] | None], None],
    ) -> None:
        self._poller = poller
        self._ends = ends
        self._on_end = on_end
        self._error: tuple[str, int] | None = None
        self._successor = Successor()
        self._reserve = Reserve()
        try:
            self.stdio = Stdio(terminal=order.tty, stdin=order.stdin, null=null)
        except OSError:
            self._reserve.spend()
            raise
        try:
            self._sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ends.listen(self._look)
            try:
                with theirs:
                    self.pid, self.pidfd = self._clone(order, container, init_pidfd, theirs)
            except OSError:
                ends.ignore(self._look)
                raise
        except OSError:
            self._reserve.spend()
            self.stdio.close()  # a socket closes itself
            raise
        self.stdio.close_child_side()
        self._poller.watch(self._sync.fileno(), READ, self._receive)

    def _clone(self, order: Exec, container: Spawn, init_pidfd: int, theirs: socket.socket) -> tuple[int, int]:
        with contextlib.ExitStack() as opened, self._successor.given():
            cgroup_fd = cgroup_enter.open_cgroup(container.cgroup_leaf)
            if cgroup_fd >= 0:
                opened.callback(os.close, cgroup_fd)
            try:
                pid, pidfd = clone(cgroup_fd=cgroup_fd)
            except OSError as error:
                if cgroup_fd < 0 or error.errno not in _NO_PROCESSES:
                    raise
                cgroup_fd = cgroup_enter.open_cgroup(init_leaf(container, init_pidfd))
                opened.callback(os.close, cgroup_fd)
                pid, pidfd = clone(cgroup_fd=cgroup_fd)
            if pid == 0:
                _run(order, container, theirs, init_pidfd, self.stdio.child, self._successor)
            return pid, pidfd

    def _receive(self, _events: int) -> None:
        if not self._hear():  # closed by execve, or by the end of a child that has said why
            self._finish()

    def _look(self) -> None:
        """Who is succeeded may be stopped before its end, with the container that is frozen, when its successor has ended.

        That one must be waited for by then: PID 1's end waits for it (pid_namespaces(7)).
        """
        if has_ended(self._successor):
            self._sync.setblocking(False)
            while self._hear():
                pass
            self._finish()

    def _hear(self) -> bool:
        """One packet. False: there is none any more."""
        try:
            packet, fds = sockets.receive_packet(self._sync)
            try:
                if packet:
                    said = json.loads(packet)
                    if "terminal" in said:
                        self.stdio.take_terminal(fds)
                    else:
                        self._error = (said["text"], said["exit_code"])
                    return True
            finally:
                sockets.close_all(fds)  # what was not taken
        except BlockingIOError:
            return False
        except DISTURBED as error:
            self._error = self._error or (f"lost contact with the new process: {error}", 128)
        return False

    def _finish(self) -> None:
        self._poller.forget(self._sync.fileno())
        self._sync.close()
        try:
            first = self.pidfd
            self.pid, self.pidfd = follow(self._ends, self._successor, self.pid, first, self._reserve)
            if self.pidfd != first:
                bury(self._poller, first)  # it ends by itself
        except OSError as error:
            self._error = self._error or (str(error), 128)
        self._reserve.spend()
        self._ends.ignore(self._look)
        self._on_end(self._error)


def init_leaf(container: Spawn, init_pidfd: int) -> str:
    """The cgroup v2 directory in which PID 1 is by now, which may be below the one that it was born in."""
    with open(f"/proc/self/fdinfo/{init_pidfd}", "rb") as info:
        pid = next(line.split()[1].decode() for line in info if line.startswith(b"Pid:"))
    with open(f"/proc/{pid}/cgroup", "rb") as groups:
        path: str = next(line[3:].decode().rstrip("\n") for line in groups if line.startswith(b"0::"))
    below: str = path.partition(f"/{container.container}")[2]
    return f"{container.cgroup_leaf}{below}"


def _run(
    order: Exec,
    container: Spawn,
    sync: socket.socket,
    init_pidfd: int,
    stdio: list[int],
    successor: Successor,
) -> NoReturn:
    code = 128
    try:
        prctl.set_dumpable(False)
        with open(os.path.join(container.bundle, "config.json"), "rb") as document:
            config = json.load(document)
        write_oom_score(config["process"].get("oomScoreAdj", 0))  # whatever the engine has
        seccomp_program = program.read_filter(container.seccomp)
        held = capabilities.names_of(capabilities.read().permitted) if order.privileged else ()
        cgroup_enter.enter(container.cgroup_files)
        joining.join(init_pidfd, _JOINED | CloneFlag.NEWPID | CloneFlag(container.namespaces & CloneFlag.NEWTIME))
        for number, fd in enumerate(stdio):
            os.dup2(fd, number, inheritable=True)
        program.keep_only(sync.fileno(), init_pidfd if container.id_count else -1)
        os.chdir("/")
        program.new_session_keyring()
        if order.tty:
            _open_terminal(sync, order)
        process = exec_process(order, config, read_file("/etc/passwd"), read_file("/etc/group"), held)
        limits = program.limits_of(process)
        rlimit.make_room(limits)
        if container.id_count:
            _enter_user_namespace(container, init_pidfd, process["user"])
        entered = program.try_working_directory(process["cwd"])
        program.raise_walls(program.pack_walls(process, seccomp_program))
        program.enter_working_directory(process["cwd"], entered=entered)
        joining.take_over(successor)
        os.setsid()
        if order.tty:
            program.take_terminal(0)
        program.reset_signals()
        rlimit.settle(limits)
        program.execute(process["args"], process["env"])
    except Orchestr8Error as error:
        code = getattr(error, "exit_code", 126)
        report(sync, error, code)
    except BaseException as error:  # noqa: BLE001 - the shim must hear of it: nobody else can
        report(sync, error, code)
    finally:
        os._exit(code)


def _enter_user_namespace(container: Spawn, init_pidfd: int, user: dict[str, Any]) -> None:
    """After the stdio is given away, which is the host's to do; the other namespaces, which it owns, are joined."""
    ids = Ids.from_base(container.id_base, container.id_count, init_pidfd)
    program.give_stdio(ids, user)
    ids.join()


def _open_terminal(sync: socket.socket, order: Exec) -> None:
    master, slave = joining.open_terminal()
    if order.rows and order.columns:
        set_size(master, order.rows, order.columns)
    sockets.send_packet(sync, b'{"terminal": true}', [master])
    os.close(master)
    for number in (0, 1, 2):
        os.dup2(slave, number, inheritable=True)
    os.close(slave)


def exec_process(
    order: Exec, config: dict[str, Any], passwd: bytes, group: bytes, held: Iterable[str] = ()
) -> dict[str, Any]:
    """OCI's `process` of the new program: the container's own, with what the order changes.

    `held`: the capabilities that this process can give, for an order that wants them all.
    """
    base = config["process"]
    environment = {text.partition("=")[0]: text for text in base["env"]}
    process = {**base, "args": list(order.argv), "terminal": order.tty}
    own = base.get("capabilities", {})
    # The bounding set is the container's unless more is asked for; what root keeps, a plain user does not get.
    bounding = sorted({*own.get("bounding", []), *held}) if order.privileged else own.get("bounding", [])
    uid = base["user"]["uid"]
    if order.user:
        user = resolve_user(order.user, passwd, group)
        uid = user.uid
        process["user"] = {"uid": uid, "gid": user.gid, "additionalGids": list(user.groups)}
        environment["HOME"] = f"HOME={user.home}"
    if order.user or order.privileged:
        granted = bounding if uid == 0 else []
        process["capabilities"] = {"bounding": bounding, "effective": granted, "permitted": granted}
    environment.update({text.partition("=")[0]: text for text in order.environment})
    if order.tty:
        environment.setdefault("TERM", "TERM=xterm")
    process["env"] = list(environment.values())
    process["cwd"] = order.working_dir or base["cwd"]
    if not process["args"]:
        raise InvalidInput("there is no command to execute", code="O8-611")
    if not process["cwd"].startswith("/"):
        raise InvalidInput(f"working directory `{process['cwd']}` must be absolute", code="O8-612")
    return process
