import logging
import threading

import anyio
import pytest

from orchestr8.network.thread import NetworkThread


def in_thread(work: object) -> None:
    async def main() -> None:
        thread = NetworkThread()
        thread.start()
        try:
            await work(thread)  # type: ignore[operator]
        finally:
            await thread.close()

    anyio.run(main)


def test_every_job_is_done_by_the_same_thread_and_not_by_the_loops() -> None:
    async def work(thread: NetworkThread) -> None:
        threads = {await thread.run(threading.get_ident) for _ in range(3)}
        assert len(threads) == 1
        assert threading.get_ident() not in threads

    in_thread(work)


def test_jobs_are_done_in_the_order_in_which_they_were_given() -> None:
    async def work(thread: NetworkThread) -> None:
        order: list[int] = []
        thread.post(lambda: order.append(1), "the first")
        await thread.run(lambda: order.append(2))
        assert order == [1, 2]

    in_thread(work)


def test_an_error_is_the_callers_and_the_thread_goes_on() -> None:
    async def work(thread: NetworkThread) -> None:
        with pytest.raises(ZeroDivisionError):
            await thread.run(lambda: 1 // 0)
        assert await thread.run(lambda: 1) == 1

    in_thread(work)


def test_an_error_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work(thread: NetworkThread) -> None:
        thread.post(lambda: 1 // 0, "dividing")  # type: ignore[arg-type, return-value]
        await thread.run(lambda: None)

    with caplog.at_level(logging.ERROR):
        in_thread(work)
    assert [record.getMessage() for record in caplog.records] == ["dividing failed"]


def test_a_job_whose_caller_is_cancelled_ends_first() -> None:
    async def work(thread: NetworkThread) -> None:
        release = threading.Event()
        ended: list[bool] = []

        def job() -> None:
            release.wait(10)
            ended.append(True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(thread.run, job)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            release.set()
        assert ended == [True]

    in_thread(work)


def test_closing_waits_for_the_jobs_that_were_given() -> None:
    done: list[bool] = []

    async def work(thread: NetworkThread) -> None:
        thread.post(lambda: done.append(True), "the last")

    in_thread(work)
    assert done == [True]


def test_a_closed_thread_takes_no_jobs() -> None:
    async def main() -> None:
        thread = NetworkThread()
        thread.start()
        await thread.close()
        with pytest.raises(RuntimeError, match="the network thread does not run"):
            await thread.run(lambda: None)

    anyio.run(main)
