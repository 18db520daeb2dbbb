"""Watching a worker from outside for what the kernel has no limit for: its threads, the space of its directory."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from agent_executor.services.tools import directories, unnamed
from agent_executor.services.tools.pool import Worker
from agent_executor.services.tools.specs import Limits

LOOK_SECONDS = 0.02  # a thread takes some 30 us to start: a few hundred at most slip through
GRACE_SECONDS = 0.5
DIRECTORY_EVERY = 10  # looks


class Exceeded(Exception):  # noqa: N818  # what happened
    """The worker used more than its limit; the message names it."""


async def guard(worker: Worker, limits: Limits, exchange: Coroutine[Any, Any, Any]) -> Any:
    """The result of `exchange`, unless the worker oversteps first: `Exceeded`."""
    talk = asyncio.create_task(exchange, name="tool call")
    looks = 0
    try:
        while not (await asyncio.wait({talk}, timeout=LOOK_SECONDS))[0]:
            looks += 1
            if (threads := _threads(worker.pid)) > limits.threads:
                raise Exceeded(f"it ran {threads} threads, and {limits.threads} are allowed")
            if looks % DIRECTORY_EVERY == 0:
                await asyncio.to_thread(_measure, worker, limits)
        return talk.result()
    finally:
        talk.cancel()
        await asyncio.wait({talk})


async def ends(worker: Worker) -> bool:
    """Whether a worker that has hung up is on its way out by itself; then its exit status says why."""
    return bool((await asyncio.wait({worker.ended}, timeout=GRACE_SECONDS))[0])


def epitaph(status: int, limits: Limits) -> str:
    """Why a worker ended without an answer, from its exit code or (negative) signal."""
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        return f"it was stopped by the kernel: more than {limits.cpu_seconds} s of CPU, or out of memory"
    if status < 0:
        return f"its process ended without an answer, by {signal.Signals(-status).name}"
    return f"its process ended without an answer, with exit status {status}"


def _threads(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended, or this /proc hides it; the limits on memory and time still hold
        return 0
    return int(status.partition("\nThreads:")[2].split(None, 1)[0])


def _measure(worker: Worker, limits: Limits) -> None:
    size, entries = directories.usage(worker.directory, limits.directory_entries)
    size += unnamed.size(worker.pid, worker.directory, limits.file_bytes)
    if size > limits.directory_bytes:
        raise Exceeded(f"its files took {size >> 20} MB, and {limits.directory_bytes >> 20} MB are allowed")
    if entries > limits.directory_entries:
        raise Exceeded(f"it made more than the {limits.directory_entries} files that are allowed")
