"""A container's beginning as its caller sees it: `create`. PID 1 is this process's child, and with the end of `create` that of
whoever called it, a subreaper (conmon, containerd's shim). What comes after: `lifecycle`.
"""

import contextlib
import json
import os
import signal
import socket
import time
from typing import Any, NamedTuple

from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.kernel import cgroup_enter, sockets
from orchestr8.kernel.cgroup import CgroupPlace
from orchestr8.kernel.clone import Successor, clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.oci import birth, document, groups, hooks, lifecycle, state, userns
from orchestr8.oci.state import Container, Record
from orchestr8.runtime.program import ProgramError
from orchestr8.runtime.rootfs import CGROUP_MOUNTS


class Order(NamedTuple):
    bundle: str
    console: int  # connected to who wants the terminal's master; -1: nobody
    size: dict[str, int]  # of the terminal, where the document says none; {}: nor does anybody else
    pid_file: str
    preserved: int  # so many descriptors from 3 on are the program's
    listening: int  # and so many of them are sockets that it is told of
    keyring: bool
    systemd: bool
    warn: lifecycle.Warn


def create(container: Container, order: Order) -> int:
    """PID 1, waiting for `start`. What was made is undone when it cannot be."""
    found = document.read(order.bundle, order.warn)
    _check_console(found, order)
    found["process"]["consoleSize"] = found["process"].get("consoleSize") or order.size
    if order.listening:
        found["process"]["env"] += [f"LISTEN_FDS={order.listening}", "LISTEN_PID=1"]
    with contextlib.ExitStack() as undo:
        container.make()
        undo.callback(container.remove)
        group = groups.Group(groups.path_of(found, container.id, systemd=order.systemd))
        resources = found["linux"]["resources"]
        place = group.make(resources)
        undo.callback(lifecycle.clear, group)
        for warning in place.warnings:
            order.warn(warning)
        found["annotations"][CGROUP_MOUNTS] = json.dumps(group.views(resources))
        filter_ = seccomp_program(found)
        if filter_:
            container.write("seccomp.bpf", filter_)
        container.write("config.json", json.dumps(found).encode())
        os.mkfifo(container.unborn, 0o600)
        container.save(_record(container.id, found, order, place))
        pid = _beget(container, found, order, place, filter_, undo)
        if order.pid_file:
            state.replace(order.pid_file, str(pid).encode())
        undo.pop_all()
        group.close()
    return pid


def _check_console(found: document.Document, order: Order) -> None:
    if found["process"]["terminal"] and order.console < 0:
        raise InvalidInput("a terminal that nobody here looks after needs --console-socket")
    if not found["process"]["terminal"] and order.console >= 0:
        raise InvalidInput("--console-socket is for containers with a terminal")


def _record(name: str, found: document.Document, order: Order, place: CgroupPlace) -> Record:
    own = {key: value for key, value in found["annotations"].items() if key != CGROUP_MOUNTS}
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    created = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"
    return Record(
        id=name, bundle=order.bundle, rootfs=found["root"]["path"], cgroup=place.group, created=created,
        oci_version=found["ociVersion"], annotations=own,
    )  # fmt: skip


def seccomp_program(found: document.Document) -> bytes:
    """What `linux.seccomp` says, compiled; b"" where it says nothing."""
    profile = found["linux"].get("seccomp")
    if not profile:
        return b""
    from orchestr8.kernel import seccomp, seccomp_profile  # libseccomp is for those who need it

    names = found["process"]["capabilities"].get("bounding", [])
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    return seccomp.compile_profile(seccomp_profile.parse(profile, names, os.uname().machine, (release[0], release[1])))


def _beget(
    container: Container, found: document.Document, order: Order, place: CgroupPlace, filter_: bytes,
    undo: contextlib.ExitStack,
) -> int:  # fmt: skip
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.ExitStack() as opened:
        opened.enter_context(ours)
        opened.enter_context(theirs)
        fifo = os.open(container.unborn, os.O_RDWR | os.O_CLOEXEC)
        opened.callback(os.close, fifo)
        joined = {kind: _open_namespace(kind, path) for kind, path in document.joined(found)}
        for fd in joined.values():
            opened.callback(os.close, fd)
        learnt = "user" in joined
        users = opened.enter_context(userns.opened(found, joined.pop("user", -1)))
        if learnt:
            container.write("config.json", json.dumps(found).encode())
        leaf = cgroup_enter.open_cgroup(place.leaf)
        if leaf >= 0:
            opened.callback(os.close, leaf)
        inside = {kind: fd for kind, fd in joined.items() if kind != "pid"}
        successor = Successor()
        begun = birth.Birth(
            document=found, state=container.report("creating"), sync=theirs, fifo=fifo, console=order.console, joined=inside,
            processes=joined.get("pid", -1), successor=successor, users=users, tasks=place.tasks, filter=filter_,
            preserved=order.preserved, keyring=order.keyring,
        )  # fmt: skip
        with successor.given() if "pid" in joined else contextlib.nullcontext():
            pid, pidfd = clone(_born(found, users), cgroup_fd=leaf)
            if pid == 0:
                birth.run(begun)  # and never leaves the blocks around this, which undo things
        opened.callback(os.close, pidfd)
        line = [pid]
        undo.callback(_end, line, successor)
        theirs.close()
        container.save(container.record._replace(pid=pid, started=state.start_time(pid)))
        _hear(ours, birth.MOUNTED, found)
        report = container.report("creating")
        for kind in ("prestart", "createRuntime"):
            hooks.run(kind, found["hooks"][kind], report)
        sockets.send_packet(ours, birth.GO)
        _hear(ours, birth.READY, found)
        if successor.pid:
            container.save(container.record._replace(pid=successor.pid, started=state.start_time(successor.pid)))
        os.rename(container.unborn, container.fifo)
        if successor.pid:
            os.waitpid(pid, 0)
            line[0] = successor.pid
    return line[0]


def _born(found: document.Document, users: userns.Users) -> CloneFlag:
    """What PID 1 is cloned into: not its cgroup's, which it has to be in first, nor those of a user namespace."""
    flags = CloneFlag(0)
    for kind in document.fresh(found):
        if kind not in {"cgroup", "user", *users.namespaces}:
            flags |= document.NAMESPACES[kind]
    return flags


def _open_namespace(kind: str, path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"the {kind} namespace {path} cannot be joined: {error.strerror}") from error


def _hear(sync: socket.socket, expected: dict[str, bool], found: document.Document) -> None:
    try:
        packet, _ = sockets.receive_packet(sync)
    except ConnectionResetError:
        packet = b""
    if not packet:
        limit = (found["linux"]["resources"].get("memory") or {}).get("limit") or -1
        helps = [f"its memory limit of {limit} bytes may be too low"] if limit > 0 else []
        raise OperationFailed("PID 1 died while it set the container up", helps=helps)
    try:
        said = json.loads(packet)
        if said == expected:
            return
        problem = told(said)
    except (ValueError, KeyError, TypeError) as error:  # whoever may trace it may speak for it
        raise OperationFailed("what PID 1 says makes no sense") from error
    raise problem


def told(said: dict[str, Any]) -> Exception:
    """What the other side could not do. Callers look for runc's words in it, to find an exit code."""
    code, text = said["exit_code"], said["text"]
    if code == 127:
        return ProgramError(f"{text}: executable file not found in $PATH", code)
    if code == 126 and "denied" in text:
        return ProgramError(f"{text}: permission denied", code)
    return ProgramError(text, code) if code == 126 else OperationFailed(text)


def _end(line: list[int], successor: Successor) -> None:
    """Who was to be PID 1, unless it was waited for, and who has succeeded it."""
    for pid in {*line, successor.pid} - {0}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
