"""Two steps of a start side by side, which fail as one."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")
U = TypeVar("U")


async def together(first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[U]]) -> tuple[T, U]:
    """Run both: what they return. When one fails the other is cancelled, and its failure is raised as it is, not in a group."""
    failures: list[BaseException] = []
    results: dict[int, Any] = {}

    async def run(number: int, step: Callable[[], Awaitable[Any]]) -> None:
        try:
            results[number] = await step()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001  raised below
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, 1, first)
        tasks.start_soon(run, 2, second)
    if failures:
        raise failures[0]
    return results[1], results[2]
