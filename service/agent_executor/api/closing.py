"""How a stop comes to its end: every step has its time, and one that fails or hangs is not in the way of the next."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import structlog

log = structlog.get_logger()

LEAST_SECONDS = 0.5  # that each step has, whatever those before it took
ENDING_SECONDS = 1.0  # of a task that was cancelled
AGAIN = 2  # times that one is cancelled: libraries may lose a cancellation, and psycopg answers one with a question


async def ends(task: "asyncio.Task[Any]", seconds: float) -> bool:
    """Whether a task ends in this time; it is left as it is."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    return bool(done)


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait for them, but not for ever."""
    left = {task for task in tasks if not task.done()}
    for _ in range(AGAIN):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=ENDING_SECONDS)
    if left:
        log.warning("service: tasks that do not end", tasks=sorted(task.get_name() for task in left))


async def each(steps: Mapping[str, Callable[[], Awaitable[None]]], seconds: float) -> None:
    """Take every step, all of them in so many seconds, or little more."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + seconds
    for name, step in steps.items():
        work = asyncio.ensure_future(_told(name, step))
        if not await ends(work, max(deadline - clock.time(), LEAST_SECONDS)):
            log.warning("service: not closed in time", part=name)
            work.cancel()


async def _told(name: str, step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except Exception as error:  # noqa: BLE001  # whatever a library makes of it, the others are to be closed
        log.warning("service: not closed", part=name, error=type(error).__name__)
