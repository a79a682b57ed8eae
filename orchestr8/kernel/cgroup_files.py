"""Reading and writing the files of a cgroup filesystem: a write is a command, mkdir fills a group, rmdir empties it.

Others call these by this module's name, so that tests can put a fake kernel in their place.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import descriptors

_REMOVE_TRIES: Final = 13  # with doubled pauses, 4 s in all: a slow machine ends processes slowly

mkdir = os.mkdir
rmdir = os.rmdir


def ensure(directory: str) -> None:
    """Make a group, unless it is there already."""
    with contextlib.suppress(FileExistsError):
        mkdir(directory)


def remove(directory: str, sleep: Callable[[float], None]) -> None:
    """rmdir, children first; what is gone already is fine.

    The kernel says EBUSY until the last process that exited has left: that is waited for, by `sleep`, which takes seconds.
    Raises OperationFailed.
    """
    pause_s = 0.001
    for attempt in range(_REMOVE_TRIES):
        try:
            rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if attempt == _REMOVE_TRIES - 1:
                raise OperationFailed(f"cannot remove the cgroup {directory}: {error.strerror}") from error
        below = children(directory)
        for child in below:
            remove(child, sleep)
        if not below:
            sleep(pause_s)
            pause_s *= 2


def write(path: str, *texts: str) -> None:
    """Each text by a write of its own: a cgroup file takes one command at a time, and is never created."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for text in texts:
            os.write(fd, text.encode())
    finally:
        os.close(fd)


def read(path: str) -> str:
    """All of it. By bare descriptors, since whoever asks for figures reads hundreds of these."""
    return descriptors.read_whole(path).decode()


def read_if_there(path: str) -> str:
    """Also "" when the group is being removed while this looks."""
    try:
        return read(path)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return ""
        raise


def fields(text: str) -> dict[str, int]:
    """Lines of `name number`: cpu.stat, memory.events, memory.oom_control."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if value.isdecimal():
            found[name] = int(value)
    return found


def children(directory: str) -> list[str]:
    try:
        if os.stat(directory).st_nlink == 2:  # nothing but itself and its name: the common case, told without a listing
            return []
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def walk(directory: str) -> Iterator[str]:
    """The group and all below it, from the top."""
    yield directory
    for child in children(directory):
        yield from walk(child)


def pids_in(directory: str) -> list[int]:
    """The processes of this group alone, as this process's pid namespace numbers them; 0: one from outside of it."""
    try:
        return [int(line) for line in read_if_there(f"{directory}/cgroup.procs").split()]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # a threaded group, whose root lists them
            return []
        raise
