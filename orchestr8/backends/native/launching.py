"""Two steps of a start side by side, which fail as one."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

Step = Callable[[], Awaitable[Any]]


async def together(first: Step, second: Step) -> None:
    """Run both. When one fails the other is cancelled, and its failure is raised as it is, not in a group."""
    failures: list[BaseException] = []

    async def run(step: Step) -> None:
        try:
            await step()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001  raised below
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, first)
        tasks.start_soon(run, second)
    if failures:
        raise failures[0]
