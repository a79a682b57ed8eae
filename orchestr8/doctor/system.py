"""The kernel: its calls, namespaces, the rights of whoever asks, filters of system calls, security modules."""

import errno
import os
import select
import signal
from collections.abc import Iterator
from typing import Final

from orchestr8.doctor.findings import Finding, Host, missing, ok, untried, warning, why
from orchestr8.doctor.trial import attempt
from orchestr8.errors import Orchestr8Error
from orchestr8.kernel import capabilities, openat2
from orchestr8.kernel.clone import clone
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.kernel.prctl import set_no_new_privileges

_NEEDED_CALLS: Final = "Linux 5.12 or later is needed"
_NAMESPACES: Final = {  # by what /proc/self/ns calls them: the flag, and what it is for where containers run without
    "mnt": (CloneFlag.NEWNS, ""),
    "pid": (CloneFlag.NEWPID, ""),
    "net": (CloneFlag.NEWNET, ""),
    "uts": (CloneFlag.NEWUTS, ""),
    "ipc": (CloneFlag.NEWIPC, ""),
    "cgroup": (CloneFlag.NEWCGROUP, ""),
    "user": (CloneFlag.NEWUSER, "`userns_mode: private` is refused"),
    "time": (CloneFlag.NEWTIME, "OCI documents with a time namespace are refused"),
}
_ENGINE_NEEDS: Final = frozenset({"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", *capabilities.DEFAULT})
_LACK: Final = {  # what does not work without it; of the others, that containers cannot be given it
    "CAP_SYS_RESOURCE": "`ulimits` above the engine's own, and an `oom_score_adj` below it, are refused",
    "CAP_IPC_LOCK": "what locks memory is bound by the engine's own limit",
    "CAP_SYS_NICE": "real-time processor shares cannot be given",
}


def kernel(_host: Host) -> Iterator[Finding]:
    system = os.uname()
    yield ok("kernel", f"{system.sysname} {system.release}, {system.machine}")
    for name, call in (("openat2", _open_beneath), ("clone3, pidfds", _clone)):
        try:
            attempt(call)
        except Orchestr8Error as error:
            yield missing(name, error.message, _NEEDED_CALLS)
        else:
            yield ok(name, "as it should be")


def _open_beneath() -> str:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    os.close(openat2.open_in_root(root, "/proc"))
    return ""


def _clone() -> str:
    pid, pidfd = clone()
    if pid == 0:
        signal.pause()
        os._exit(0)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    return ""


def rights(host: Host) -> Iterator[Finding]:
    held = set(capabilities.names_of(capabilities.read().effective))
    lacking = [name for name in capabilities.NAMES if name not in held]
    if not host.privileged and os.geteuid():
        yield missing("user", f"this is user {os.geteuid()}, who may not start an engine", "sudo orchestr8 doctor")
    elif needed := sorted(_ENGINE_NEEDS & set(lacking)):
        yield missing(
            "capabilities", f"without {', '.join(needed)}", "have what starts the engine give root all capabilities"
        )
    else:
        yield ok("capabilities", f"{len(held)} of {len(capabilities.NAMES)}")
        for name in lacking:
            yield warning(
                "capabilities", f"without {name}: {_LACK.get(name, 'containers cannot be given it')}",
                "have what starts the engine (service, container, sandbox) keep it",
            )  # fmt: skip


def namespaces(host: Host) -> Iterator[Finding]:
    there = []
    for name, (flag, lack) in _NAMESPACES.items():
        if not host.privileged and flag is not CloneFlag.NEWUSER:
            if os.path.exists(f"/proc/self/ns/{name}"):
                continue
            error: Exception = OSError(errno.EINVAL, "this kernel was built without it")
        else:
            try:
                attempt(lambda: "", flag)
            except Orchestr8Error as found:
                error = found
            else:
                there.append(name)
                continue
        words, remedy = why(error)
        tell = warning if lack else missing
        yield tell(f"{name} namespace", f"{words}{lack and f': {lack}'}", remedy)
    if there:
        yield ok("namespaces", ", ".join(there))
    if not host.privileged:
        yield untried("other namespaces")


def seccomp(_host: Host) -> Iterator[Finding]:
    try:
        attempt(_filter)
    except Orchestr8Error as error:
        yield missing("seccomp", error.message, "; ".join(error.helps) or "a kernel with CONFIG_SECCOMP_FILTER")
    else:
        yield ok("seccomp", "the default filter of containers can be compiled and put on")


def _filter() -> str:
    from orchestr8.kernel.seccomp import compile_default  # loads libseccomp, which may not be there
    from orchestr8.kernel.seccomp_install import install

    program = compile_default()
    set_no_new_privileges()
    install(program)
    with open("/proc/self/status", encoding="ascii") as file:
        if "Seccomp:\t2" not in file.read():
            raise OSError(errno.EINVAL, "the kernel took the filter, and does not use it")
    return ""


def security_modules(_host: Host) -> Iterator[Finding]:
    """What a host may be locked with beside this: containers get no profile or label of it."""
    modules = _text("/sys/kernel/security/lsm")
    if _text("/sys/fs/selinux/enforce") == "1":
        yield warning(
            "SELinux", "it is enforcing; containers run with the engine's own label",
            "if something is refused: ausearch -m avc -ts recent",
        )  # fmt: skip
    elif _text("/sys/module/apparmor/parameters/enabled") == "Y":
        profile = _text("/proc/self/attr/current") or "unconfined"
        yield ok("AppArmor", f"on; containers have the engine's own profile ({profile})")
    else:
        yield ok("security modules", modules or "none that would stand in the way")


def _text(path: str) -> str:
    """A file of the kernel's; "" where it is not there or not for everybody."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""
