"""A user namespace of a container's own: made by the shim, entered by PID 1 once everything that needs the host's rights
is made, and what is on disk shown with its ids.

Ids 0 to `count` - 1 of the container are `base` and so on outside, where nobody else has them. Files keep the ids that
they have on disk: every layer, volume and bind is mounted with its ids mapped (mount_setattr(2), MOUNT_ATTR_IDMAP), so
that images need no copy and a volume can be shared with a container without such a namespace.

What belongs to a namespace besides the mounts (network, host name, queues) stays owned by the host's user namespace:
the container's root has its capabilities over its own files, processes and mounts.
"""

import contextlib
import errno
import os
import re
import socket
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, NoReturn, Self

from orchestr8.errors import OperationFailed
from orchestr8.kernel import capabilities, prctl
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.clone import clone
from orchestr8.kernel.libc import SyscallError, set_file_ids
from orchestr8.kernel.mount import MountAttr
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare

_LEAVE_OUT: Final = "; leave that out (`bind: {recursive: disabled}`)"
_ELSEWHERE: Final = "; have it on ext4, xfs or btrfs, or leave out `userns_mode: private`"


class _Mounted(NamedTuple):
    device: str  # MAJOR:MINOR
    point: str
    kind: str


def _mounted() -> list[_Mounted]:
    """The mounts of this namespace, oldest first (proc_pid_mountinfo(5))."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            fields = before.split(" ")
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            found.append(_Mounted(fields[2], point, after.split(" ")[0]))
    return found


class IdRange(NamedTuple):
    """A line of uid_map (user_namespaces(7)): so many ids, from where on inside, and from where on outside."""

    inside: int
    outside: int
    size: int


class Ids(NamedTuple):
    """The container's ids, and the namespace that maps them; `fd` -1: no such namespace. Without ranges they are the host's."""

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()
    fd: int = -1

    @classmethod
    def from_base(cls, base: int, size: int, fd: int = -1) -> Self:
        """Users and groups from 0 on are those from `base` on outside."""
        ranges = (IdRange(0, base, size),)
        return cls(ranges, ranges, fd)

    def uid(self, number: int) -> int:
        """The host's number for a user of the container; one without a mapping is nobody's."""
        return _outside(self.uids, number)

    def gid(self, number: int) -> int:
        return _outside(self.gids, number)

    def options(self, kind: str, data: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        """Parameters of a fresh file system, with the container's users and groups in them as the host numbers them."""
        if self.fd < 0 or kind not in {"tmpfs", "devpts"}:
            return data
        number = {"uid": self.uid, "gid": self.gid}
        return [(key, str(number[key](int(value or 0))) if key in number else value) for key, value in data]

    def show(self, tree: int, source: str, *, recursive: bool, remedy: str = _ELSEWHERE) -> None:
        """Map the ids of a detached mount. Raises OperationFailed for a file system that cannot."""
        if self.fd < 0:
            return
        try:
            mounts.set_id_map(tree, self.fd, recursive=recursive)
        except SyscallError as error:
            why = self._why_not(tree, source, remedy)
            raise OperationFailed(
                f"{source} cannot be shown with a container's own ids: {why or error.strerror}",
                code="O8-603",
            ) from error

    def _why_not(self, tree: int, source: str, remedy: str) -> str:
        """What of a tree has no id-mapped mounts, and what helps; "" when that is not what is wrong.

        One line has it all: it is what a shim passes on of an error.
        """
        mounted = _mounted()
        if not self._can_show(tree):
            status = os.fstat(tree)
            device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
            kind = next((each.kind for each in mounted if each.device == device), "unknown")
            return f"its file system ({kind}) has no id-mapped mounts{remedy}"
        top = os.path.join(os.path.realpath(source), "")
        for each in {mount.point: mount for mount in mounted}.values():  # of those at one place, the one that is seen
            if each.point.startswith(top) and not self._can_show_path(each.point):
                return f"{each.point} below it ({each.kind}) has no id-mapped mounts{remedy and _LEAVE_OUT}{remedy}"
        return ""

    def _can_show(self, tree: int) -> bool:
        try:
            mounts.set_id_map(tree, self.fd)
        except SyscallError as error:
            return error.errno != errno.EINVAL  # EPERM: it is mapped already, or another user namespace's
        return True

    def _can_show_path(self, path: str) -> bool:
        try:
            tree = mounts.open_tree(path)
        except SyscallError:  # hidden by another mount: not what this looks for
            return True
        try:
            return self._can_show(tree)
        finally:
            os.close(tree)

    def make_files(self) -> None:
        """Have what this process makes belong to the container's root from now on, and keep the host's rights meanwhile.

        The file system user must be one that the id-mapped layers know: for the kernel the host's root is nobody there.
        """
        if self.fd < 0:
            return
        held = capabilities.read()
        set_file_ids(self.uid(0), self.gid(0))  # which takes the effective rights over files away (capabilities(7))
        capabilities.apply(held)

    @contextlib.contextmanager
    def acting_as_root(self) -> Iterator[None]:
        """Meanwhile this process is the container's root by its effective ids, and keeps the host's rights."""
        held = capabilities.read()
        os.setresgid(-1, self.gid(0), -1)
        os.setresuid(-1, self.uid(0), -1)
        try:
            capabilities.apply(held)  # the effective ones went with the user
            yield
        finally:
            os.setresuid(-1, 0, -1)
            os.setresgid(-1, 0, -1)
            self.make_files()

    def own(self, fd: int, uid: int, gid: int) -> None:
        """Give a descriptor's file to a user of the container, while that is the host's to do; -1: its group stays."""
        if self.fd >= 0:
            os.fchown(fd, self.uid(uid), gid if gid < 0 else self.gid(gid))

    def enter(self) -> None:
        """Become root of the namespace, with the mounts as its own: what was mounted until now can no more be unmounted."""
        if self.fd >= 0:
            self.join()
            unshare(CloneFlag.NEWNS)

    def join(self) -> None:
        """Become root of the namespace, whose mounts this process has joined. `fd` is closed; it may be a pidfd."""
        if self.fd < 0:
            return
        setns(self.fd, CloneFlag.NEWUSER)
        become_root()
        prctl.set_dumpable(False)  # again: where fs.suid_dumpable is 1 a change of ids sets it
        os.close(self.fd)


_OVERFLOW: Final = 65534  # /proc/sys/kernel/overflowuid
HOST: Final = Ids()


def _outside(ranges: tuple[IdRange, ...], number: int) -> int:
    if not ranges:
        return number
    found = (each.outside + number - each.inside for each in ranges if 0 <= number - each.inside < each.size)
    return next(found, _OVERFLOW)


def become_root() -> None:
    """The user and group 0 of the user namespace that was just joined."""
    os.setgroups(())
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def make_namespace(base: int, count: int) -> int:
    """A user namespace in which ids from 0 on are those from `base` on outside. Close-on-exec."""
    with holder(Ids.from_base(base, count)) as pid:
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def holder(ids: Ids, kinds: CloneFlag = CloneFlag(0)) -> Iterator[int]:
    """Meanwhile there is a process in a user namespace with these ids, a new one unless `ids.fd` is one, and in fresh
    namespaces of these kinds that belong to it: its number. A user namespace cannot be made without (user_namespaces(7)).
    """
    ours, theirs = socket.socketpair()
    pid, pidfd = clone(CloneFlag(0) if ids.fd >= 0 else CloneFlag.NEWUSER)
    if pid == 0:
        ours.close()
        _hold(ids.fd, kinds, theirs)
    try:
        theirs.close()
        if ids.fd < 0:
            for name, ranges in (("uid_map", ids.uids), ("gid_map", ids.gids)):
                with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
                    file.write(b"".join(b"%d %d %d\n" % each for each in ranges))
        ours.send(b"mapped")
        if said := ours.recv(_ERROR_BYTES).decode().removeprefix(_HELD):
            raise OperationFailed(f"cannot make namespaces in a user namespace: {said}")
        yield pid
    finally:
        ours.close()
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)


_HELD: Final = "held"
_ERROR_BYTES: Final = 200


def _hold(user: int, kinds: CloneFlag, maker: socket.socket) -> NoReturn:
    try:
        prctl.set_dumpable(False)  # it has the host's memory and files, and whoever is in there may see it
        if user >= 0:
            setns(user, CloneFlag.NEWUSER)
        if maker.recv(_ERROR_BYTES):  # b"": the maker is gone, or could not map
            if kinds:
                unshare(kinds)
            maker.send(_HELD.encode())
            maker.recv(1)  # until the maker has what it wants, or is gone
    except OSError as error:
        maker.send(str(error).encode()[:_ERROR_BYTES])
    finally:
        os._exit(0)


def mapped_overlay(data: str, place: str, ids: Ids) -> str:
    """Attach each layer of an overlay's options with mapped ids below `place`, an empty directory; the options for those.

    The overlay that is mounted with them keeps the layers; a mount over `place` may hide them.
    """
    base = mounts.new_filesystem("tmpfs", [("mode", "700")], MountAttr(0), source="layers")
    try:
        target = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts.move_mount(base, target)
        os.close(target)
        options = split_overlay(data)
        lower = [_attach(base, f"l{number}", path, ids) for number, path in enumerate(options.lowerdirs)]
        shown = [f"lowerdir={':'.join(f'{place}/{name}' for name in lower)}"]
        if options.upperdir:
            folder, upper = os.path.split(options.upperdir)
            same, work = os.path.split(options.workdir)
            if same != folder:
                raise OperationFailed(
                    f"{options.upperdir} and {options.workdir} do not lie side by side", code="O8-603"
                )
            name = _attach(base, "own", folder, ids)
            shown += [f"upperdir={place}/{name}/{upper}", f"workdir={place}/{name}/{work}"]
        return ",".join(shown)
    finally:
        os.close(base)


def _attach(base: int, name: str, path: str, ids: Ids) -> str:
    os.mkdir(name, 0o700, dir_fd=base)
    tree = mounts.open_tree(path)
    try:
        ids.show(tree, path, recursive=False)
        target = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=base)
        try:
            mounts.move_mount(tree, target)
        finally:
            os.close(target)
    finally:
        os.close(tree)
    return name


class _Overlay(NamedTuple):
    lowerdirs: list[str]
    upperdir: str
    workdir: str


def split_overlay(data: str) -> _Overlay:
    r"""The paths in the options of an overlay mount, in which a backslash stands before `\`, `,` and `:` of a path."""
    parts: dict[str, list[str]] = {}
    for option in _split(data, ","):
        key, _, value = option.partition("=")
        parts[key] = [_plain(each) for each in (_split(value, ":") if key == "lowerdir" else [value])]
    return _Overlay(parts["lowerdir"], *(parts.get(key, [""])[0] for key in ("upperdir", "workdir")))


def _split(text: str, mark: str) -> list[str]:
    parts = [""]
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            parts[-1] += letter + next(letters, "")
        elif letter == mark:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _plain(text: str) -> str:
    letters = iter(text)
    return "".join(next(letters, "") if letter == "\\" else letter for letter in letters)


def ids_of(config: dict[str, Any], fd: int) -> Ids:
    """What the document's `linux.uidMappings` and `gidMappings` say, with the namespace that was made after them."""
    linux = config.get("linux", {})
    uids, gids = (ranges_of(linux.get(f"{kind}Mappings") or ()) for kind in ("uid", "gid"))
    return Ids(uids, gids, fd) if uids and fd >= 0 else HOST


def ranges_of(mappings: Iterable[dict[str, int]]) -> tuple[IdRange, ...]:
    """OCI's words for them (config-linux.md, "User namespace mappings")."""
    return tuple(IdRange(each["containerID"], each["hostID"], each["size"]) for each in mappings)
