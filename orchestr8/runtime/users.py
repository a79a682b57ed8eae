"""Who a container's program runs as: `user:` texts against the container's own passwd and group files.

Files are read by hand: the C library's `getpwnam` would load NSS modules from the image. Numbers are checked strictly,
since a text that overflows or half parses must never end up as root (CVE-2024-40635, CVE-2026-30892).
"""

import os
import stat
from collections.abc import Sequence
from typing import Final, NamedTuple

from orchestr8.errors import InvalidInput

_MAX_ID: Final = 2**32 - 2  # (uid_t) -1 means "leave unchanged" to the kernel
_MAX_FILE: Final = 1 << 20


class User(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]  # supplementary; the primary one is among them, or giving it up would gain rights that it
    # is denied (CVE-2022-36109)
    home: str

    def in_groups(self, names: Sequence[str], group: bytes) -> "User":
        """The same user in further groups: names that stand in the file's text, or numbers. Raises InvalidInput."""
        rows = _rows(group, 4) if names else []
        found = set(self.groups)
        for name in names:
            entry = _find(rows, name)
            if entry is None and not _is_number(name):
                raise InvalidInput(
                    f"group_add: the image's /etc/group has no group `{name}`",
                    code="O8-610",
                    helps=["take one of the container's /etc/group, or a number, which needs no entry there"],
                )
            found.add(_number(name, entry[2] if entry else name))
        return self._replace(groups=tuple(sorted(found)))


def resolve_user(text: str, passwd: bytes, group: bytes) -> User:
    """`text` is "", "user", "uid", or either followed by ":group" or ":gid"; "" is root.

    A number is always an id, whatever names there are, and need not stand in passwd; a name must. Raises InvalidInput.
    """
    name, colon, group_name = text.partition(":")
    if text and (not name or (colon and not group_name) or ":" in group_name):
        raise _bad(text, "it must be `user`, `uid`, `user:group` or `uid:gid`")
    rows = _rows(passwd, 7)
    entry = _find(rows, name or "0")
    if entry is None and not _is_number(name or "0"):
        raise _bad(text, f"the image's /etc/passwd has no user `{name}`")
    uid = _number(text, entry[2] if entry else name or "0")
    user_name = entry[0] if entry else ""
    group_rows = _rows(group, 4)
    if group_name:
        group_entry = _find(group_rows, group_name)
        if group_entry is None and not _is_number(group_name):
            raise _bad(text, f"the image's /etc/group has no group `{group_name}`")
        gid = _number(text, group_entry[2] if group_entry else group_name)
        groups = {gid}
    else:
        gid = _number(text, entry[3]) if entry else 0
        groups = {gid, *(_number(text, row[2]) for row in group_rows if user_name and user_name in row[3].split(","))}
    return User(uid, gid, tuple(sorted(groups)), (entry[5] if entry else "") or "/")


def read_file(path: str, dir_fd: int | None = None) -> bytes:
    """The start of a regular file, b"" when there is none; never blocks on a fifo that an image planted, nor opens a device,
    which may begin something by that (a watchdog, a tape).
    """
    try:
        if not stat.S_ISREG(os.stat(path, dir_fd=dir_fd).st_mode):
            return b""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        content = os.read(fd, _MAX_FILE)
        return content if len(content) < _MAX_FILE else content[: content.rfind(b"\n") + 1]  # no half lines
    finally:
        os.close(fd)


def _rows(content: bytes, columns: int) -> list[list[str]]:
    # Not splitlines: it knows line ends, such as U+2028, that a user may have put into a name field.
    rows = [line.split(":") for line in content.decode(errors="replace").split("\n")]
    return [row for row in rows if len(row) >= columns]


def _find(rows: list[list[str]], wanted: str) -> list[str] | None:
    if _is_number(wanted):
        return next((row for row in rows if _is_number(row[2]) and int(row[2]) == int(wanted)), None)
    return next((row for row in rows if row[0] == wanted), None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str, digits: str) -> int:
    if not _is_number(digits) or int(digits) > _MAX_ID:
        raise _bad(text, f"`{digits}` is no id between 0 and {_MAX_ID}")
    return int(digits)


def _bad(text: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"user `{text}` cannot be used: {why}",
        code="O8-610",
        helps=["take one of the container's /etc/passwd, or a number, which needs no entry there"],
    )
