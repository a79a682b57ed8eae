"""The shim's event loop: epoll(7), one callback a descriptor. No timers, so an idle shim sleeps in one system call."""

import select
from collections.abc import Callable
from typing import Final

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
URGENT: Final = select.EPOLLPRI  # a file of the kernel has changed
# Of a pidfd: told once for each change. It stays readable while somebody else traces what has ended, which cannot be waited
# for until the tracer lets go; that is told again.
ENDED: Final = select.EPOLLIN | select.EPOLLET
HANGUP: Final = select.EPOLLHUP  # told with any mask; as a mask of its own: that and nothing else
_ALWAYS: Final = select.EPOLLHUP | select.EPOLLERR


class Poller:
    """Level-triggered, unless the mask says otherwise. A callback gets the event mask; hang-up and error come as READ and WRITE together."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._masks: dict[int, int] = {}
        self._fresh: set[int] = set()  # registered since the last wait

    def watch(self, fd: int, mask: int, callback: Callable[[int], None]) -> None:
        """Begin to watch `fd`, or change what is watched for. A mask of 0 rests: not even a hang-up is told."""
        registered = self._masks.get(fd, 0)
        if mask and not registered:
            self._epoll.register(fd, mask)
            self._fresh.add(fd)
        elif mask and mask != registered:
            self._epoll.modify(fd, mask)
        elif registered and not mask:
            self._epoll.unregister(fd)
        self._masks[fd] = mask
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; call it before closing."""
        self._callbacks.pop(fd, None)
        if self._masks.pop(fd, 0):
            self._epoll.unregister(fd)

    def wait(self, quiet_s: float = -1) -> bool:
        """Sleep until something happens, then call what it concerns. False: nothing did for `quiet_s` seconds."""
        self._fresh.clear()
        happened = self._epoll.poll(quiet_s)
        for fd, events in happened:
            callback = self._callbacks.get(fd)
            # An earlier callback of this round forgot it, and perhaps another file has its number by now.
            if callback is None or not self._masks.get(fd) or fd in self._fresh:
                continue
            callback((READ | WRITE) if events & _ALWAYS else events)
        return bool(happened)

    def close(self) -> None:
        self._epoll.close()
