"""The one thread that does everything about networks which must happen in a certain network namespace.

setns(2) moves a single thread, so a thread of a pool could carry a container's namespace into somebody else's work;
this one is nobody else's. Jobs run one after the other: the kernel's own lock (rtnl) would serialise them anyway.
"""

import asyncio
import functools
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import anyio

from orchestr8.kernel import processors
from orchestr8.kernel.namespaces import CloneFlag, setns

T = TypeVar("T")
LOG: Final = logging.getLogger(__name__)


class NetworkThread:
    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._home = -1

    def start(self) -> None:
        """Start it in the caller's network namespace, which is the engine's."""
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """End it after the jobs that are waiting."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.join)
        os.close(self._home)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    async def run(self, job: Callable[[], T]) -> T:
        """The result of `job`, which ends even when its caller is cancelled: a result may hold open fds."""
        if self._thread is None:
            raise RuntimeError("the network thread does not run")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        processor = processors.here()

        def work() -> None:
            try:
                processors.join(processor)
                result = job()
            except BaseException as error:  # noqa: BLE001 -- it is the caller's to handle
                loop.call_soon_threadsafe(_settle, future, functools.partial(future.set_exception, error))
            else:
                loop.call_soon_threadsafe(_settle, future, functools.partial(future.set_result, result))

        self._jobs.put(work)
        with anyio.CancelScope(shield=True):
            await future
        return future.result()

    def post(self, job: Callable[[], None], about: str) -> None:
        """Have `job` done after those that wait, with nobody waiting for it; a failure is logged."""

        def work() -> None:
            try:
                job()
            except Exception:
                LOG.exception("%s failed", about)

        if self._thread is not None:
            self._jobs.put(work)

    def go_home(self) -> None:
        """Back to the engine's namespace; only from inside a job that left it.

        A thread that cannot come back must not do another job, and the engine no more work: it ends, and starts again.
        """
        try:
            setns(self._home, CloneFlag.NEWNET)
        except OSError:
            os.abort()


def _settle(future: "asyncio.Future[Any]", tell: Callable[[], None]) -> None:
    if not future.done():  # the loop is going down, and its tasks were cancelled by force
        tell()
