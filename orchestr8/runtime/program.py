"""The last steps before a container's program: identity, walls, environment, look-up, execve.

Shared by PID 1's program and by `exec`. Order and reasons: runc's standard_init_linux.go and crun's container.c do
the same, since the kernel forces it: seccomp while CAP_SYS_ADMIN is left, groups before ids, ids before capabilities.
"""

import errno
import fcntl
import os
import signal
import stat
import struct
from typing import Any, Final, NoReturn

from orchestr8.errors import OperationFailed
from orchestr8.kernel import capabilities, prctl, rlimit, seccomp_install, signals
from orchestr8.kernel.capabilities import CapabilitySets
from orchestr8.kernel.descriptors import read_whole
from orchestr8.kernel.libc import libc
from orchestr8.runtime.userns import Ids

_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIOCSCTTY: Final = 0x540E
_NOT_THERE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_KEYCTL: Final = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
_NULL_DEVICE: Final = os.makedev(1, 3)
_KEYCTL_JOIN_SESSION_KEYRING: Final = 1
_FD_MAX: Final = os.sysconf("SC_OPEN_MAX")
_RESETTABLE: Final = tuple(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


class ProgramError(OperationFailed):
    """The program could not be run; `exit_code` is a shell's word for it: 126 not executable, 127 not found."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message, code=f"O8-{500 + exit_code}")
        self.exit_code = exit_code


def new_session_keyring() -> None:
    """Leave the host user's keyring (keyctl(2)); a kernel without keyrings has none to leave."""
    libc.syscall(_KEYCTL, _KEYCTL_JOIN_SESSION_KEYRING, None)


# uid, gid, umask, no_new_privileges, five capability sets, number of supplementary groups; then those, then the filter
_WALLS: Final = struct.Struct("=IIII5QI")


def pack_walls(process: dict[str, Any], seccomp_program: bytes) -> bytes:
    """What a program may do: OCI's `process.user`, `capabilities`, `noNewPrivileges`, and the compiled filter.

    Packed, so that PID 1 takes it as it is from the process that read the document.
    """
    user = process["user"]
    groups = user.get("additionalGids") or ()
    sets = CapabilitySets.from_oci(process.get("capabilities", {}))
    flags = (user.get("umask", 0o022), bool(process.get("noNewPrivileges", False)))
    fixed = _WALLS.pack(user["uid"], user["gid"], *flags, *sets, len(groups))
    return fixed + struct.pack(f"={len(groups)}I", *groups) + seccomp_program


def raise_walls(packed: bytes) -> None:
    """Confine the calling process: the filter while CAP_SYS_ADMIN is left, groups before ids, ids before sets."""
    uid, gid, umask, no_new_privileges, *bits, group_count = _WALLS.unpack_from(packed)
    filter_start = _WALLS.size + 4 * group_count
    groups = struct.unpack_from(f"={group_count}I", packed, _WALLS.size)
    sets = CapabilitySets._make(bits)
    seccomp_program = packed[filter_start:]
    capabilities.limit(sets)
    if no_new_privileges:
        prctl.set_no_new_privileges()
    if seccomp_program:
        seccomp_install.install(seccomp_program)
    _own_stdio(uid)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    capabilities.apply(sets)
    os.umask(umask)


def limits_of(process: dict[str, Any]) -> dict[str, rlimit.Limit]:
    """OCI's `process.rlimits` by name, for `rlimit.make_room` before the walls and `rlimit.settle` behind them."""
    return {each["type"]: (each["soft"], each["hard"]) for each in process.get("rlimits") or ()}


def read_filter(path: str) -> bytes:
    """The compiled seccomp filter at `path`; b"", no filter, for no path."""
    return read_whole(path) if path else b""


def keep_only(*kept: int) -> None:
    """Close every descriptor but stdio and `kept`; -1 stands for one that is not there."""
    low = 3
    for fd in sorted(fd for fd in kept if fd >= 0):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _FD_MAX)


def give_stdio(ids: Ids, user: dict[str, Any]) -> None:
    """Give what `_own_stdio` would to a user of another user namespace, which is the host's to do.

    Pipes need a group, too, that this namespace knows.
    """
    for fd in (0, 1, 2):
        status = os.fstat(fd)
        if ids.fd >= 0 and status.st_rdev != _NULL_DEVICE:
            ids.own(fd, user["uid"], -1 if stat.S_ISCHR(status.st_mode) else user["gid"])


def _own_stdio(uid: int) -> None:
    """Give pipes and terminals to the user, so that it can open /dev/stdout again. A terminal's group stays `tty`: it is
    what may write to it, as wall(1) does (runc and crun leave it, too).
    """
    for fd in (0, 1, 2):
        try:
            status = os.fstat(fd)
            if status.st_uid != uid and status.st_rdev != _NULL_DEVICE:
                os.fchown(fd, uid, -1)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EROFS, errno.EINVAL}:
                raise


def make_working_directory(path: str) -> None:
    """Make a missing working directory, as root and inside the jail, as Docker does."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except FileExistsError as error:
        raise ProgramError(f"working directory {path}: {os.strerror(errno.ENOTDIR)}", 127) from error
    except OSError as error:
        raise ProgramError(f"working directory {path}: {error.strerror}", 127) from error


def try_working_directory(path: str) -> bool:
    """Go there while still root, since the user may start in a directory that is not open to it, as with runc. False: not
    even root may (a network file system); try again as the user.
    """
    try:
        os.chdir(path)
    except PermissionError:
        return False
    except OSError as error:
        raise ProgramError(f"working directory {path}: {error.strerror}", 126) from error
    return True


def enter_working_directory(path: str, *, entered: bool) -> None:
    """Go there unless that is done, and make sure that it is a place in this container: not one that a leaked descriptor
    opened (CVE-2024-21626).
    """
    try:
        if not entered:
            os.chdir(path)
    except OSError as error:
        raise ProgramError(f"working directory {path}: {error.strerror}", 126) from error
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = ""
    if not here.startswith("/"):
        raise ProgramError(f"working directory {path} lies outside of the container", 126)


def take_terminal(fd: int) -> None:
    """Make `fd` the controlling terminal of this session's leader."""
    fcntl.ioctl(fd, _TIOCSCTTY, 0)


def reset_dispositions() -> None:
    """Nothing is ignored: Python ignores SIGPIPE and SIGXFSZ, the forkserver some more, whoever started the engine perhaps
    others (nohup).
    """
    for number in _RESETTABLE:
        if signal.getsignal(number) is not signal.SIG_DFL:  # the interpreter's knowledge, which costs no system call
            signal.signal(number, signal.SIG_DFL)
    signals.reset_reserved()


def reset_signals() -> None:
    """What a program may expect: nothing ignored, nothing blocked."""
    reset_dispositions()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def find(argv: list[str], environment: list[str]) -> str:
    """The path of the program, after a look-up in the environment's PATH. Raises ProgramError."""
    name = argv[0]
    if not name:
        raise ProgramError("the command is empty", 127)
    search = next((text[5:] for text in reversed(environment) if text.startswith("PATH=")), _DEFAULT_PATH)
    refused = 0
    for path in [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in search.split(":")]:
        try:
            if stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK):
                return path
            refused = refused or errno.EACCES
        except OSError as error:
            if error.errno not in _NOT_THERE:
                refused = refused or error.errno or 0
    if refused:
        raise ProgramError(f"cannot execute {name}: {os.strerror(refused)}", 126)
    raise ProgramError(f"{name}: executable not found{'' if '/' in name else f' in PATH ({search})'}", 127)


def variables_of(environment: list[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in environment)}


def failure(name: str, number: int) -> ProgramError:
    """What it means that execve(2) of a program that was found, or the fork before it, gave this error."""
    if number == errno.ENOENT:
        return ProgramError(f"cannot execute {name}: its interpreter (the `#!` line or the loader) was not found", 127)
    if number == errno.EAGAIN:
        return no_room()
    return ProgramError(f"cannot execute {name}: {os.strerror(number)}", 126)


def no_room() -> ProgramError:
    return ProgramError("the container has no room for another process: its limit of processes is reached", 126)


def execute(argv: list[str], environment: list[str]) -> NoReturn:
    """execve(2) of what `find` finds. Returns only by raising ProgramError.

    Not os.execvpe: that imports `warnings` on a miss, from a file system that is the image's by now.
    """
    path = find(argv, environment)
    try:
        os.execve(path, argv, variables_of(environment))
    except OSError as error:
        raise failure(argv[0], error.errno or 0) from error
