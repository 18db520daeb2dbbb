"""The workers that wait and the workers that work: each forked for one request, watched to its end, never used again.

One is kept warm: forked, closed in and waiting, so that a call costs no fork. So many work at a time as the pool was
told, the rest of the calls wait in the order they came. All processes end with the pool.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agent_executor.errors import TemporaryError
from agent_executor.services.tools import control, directories
from agent_executor.services.tools.control import Template
from agent_executor.services.tools.specs import Limits

log = structlog.get_logger()

BEGIN_SECONDS = 10.0  # for a worker to close itself in
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Worker:
    """One process behind walls: its channel, its directory, and how it ends (`control.Forked`)."""

    template: Template
    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    directory: str
    ended: asyncio.Future[int | None]


class Pool:
    """Workers for one event loop, `most` of them at work at a time."""

    def __init__(self, limits: Limits, most: int, base: Path | None = None) -> None:
        self._limits = limits
        self._home = directories.Home(base)
        self._swept = False
        self._places = asyncio.Semaphore(most)
        self._template: Template | None = None
        self._starting = asyncio.Lock()
        self._spare: asyncio.Task[Worker] | None = None
        self._endings: set[asyncio.Task[Any]] = set()
        self._unremoved: set[str] = set()
        self._closed = False

    async def take(self) -> Worker:
        """A worker that waits for its request, when its turn has come; TemporaryError when none can be made.

        Its place is free again when its process has ended, whoever ended it: only then is its memory.
        """
        await self._places.acquire()
        try:
            worker = await self._waiting()
        except BaseException:
            self._places.release()
            raise
        worker.ended.add_done_callback(lambda _: self._places.release())
        return worker

    async def _waiting(self) -> Worker:
        if self._spare is not None:
            with contextlib.suppress(TemporaryError):  # the template has gone since; below starts another
                worker = await self._taken()
                if not worker.ended.done():
                    return worker
                await self.end(worker)
        self.warm()
        return await self._taken()

    def warm(self) -> None:
        """Have the next worker ready; returns at once."""
        if self._spare is None and not self._closed:
            self._spare = asyncio.create_task(self._fork(), name="tool worker")

    async def _taken(self) -> Worker:
        spare, self._spare = self._spare, None
        if spare is None:
            raise TemporaryError("tool_worker", "the service is stopping")
        try:
            return await asyncio.shield(spare)
        except asyncio.CancelledError:
            self._give_back(spare)
            raise

    def _give_back(self, spare: asyncio.Task[Worker]) -> None:
        if self._spare is None and not self._closed:
            self._spare = spare  # whoever comes next may have it
        else:
            spare.add_done_callback(self._discard)

    def _discard(self, spare: asyncio.Task[Worker]) -> None:
        if not spare.cancelled() and spare.exception() is None:
            ending = asyncio.create_task(self.end(spare.result()))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def end(self, worker: Worker) -> int | None:
        """Kill a worker if it still runs, remove its directory, and say how it ended."""
        if not worker.ended.done():
            worker.template.kill(worker.pid)
        try:
            return await asyncio.wait_for(asyncio.shield(worker.ended), STOP_SECONDS)
        except TimeoutError:
            raise TemporaryError("tool_worker", "a tool worker could not be stopped") from None
        finally:
            worker.writer.close()
            await self._remove(worker.directory)

    async def close(self) -> None:
        """End every process of the pool."""
        self._closed = True
        spare, self._spare = self._spare, None
        if spare is not None:
            with contextlib.suppress(TemporaryError):
                await self.end(await spare)
        await asyncio.gather(*self._endings, return_exceptions=True)
        async with self._starting:  # one that is just being started is ended too
            if self._template is not None:
                await self._template.stop()
        self._home.close()

    async def _fork(self) -> Worker:
        try:
            template = await self._running()
            directory = self._home.make()
            self._sweep()
        except (OSError, TimeoutError) as error:
            raise _no_worker(error) from error
        try:
            forked = await template.fork(self._limits.walls(directory))
            reader, writer = await asyncio.open_connection(sock=forked.channel)
        except (OSError, TimeoutError) as error:
            await self._remove(directory)
            raise _no_worker(error) from error
        worker = Worker(template, forked.pid, reader, writer, directory, forked.ended)
        try:
            await asyncio.wait_for(reader.readexactly(1), BEGIN_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            status = await self.end(worker)
            message = f"a tool worker could not close itself in (it ended with {status})"
            raise TemporaryError("tool_worker", message) from error
        return worker

    def _sweep(self) -> None:
        """At the first worker, remove what killed services have left behind; in a thread, it may be much."""
        if self._swept:
            return
        self._swept = True
        sweeping = asyncio.create_task(asyncio.to_thread(self._home.sweep), name="tool directories")
        self._endings.add(sweeping)
        sweeping.add_done_callback(self._told)

    def _told(self, sweeping: asyncio.Task[None]) -> None:
        self._endings.discard(sweeping)
        if not sweeping.cancelled() and isinstance(error := sweeping.exception(), OSError):
            log.warning("tools: what a killed service left could not be removed", error=error.strerror)

    async def _remove(self, directory: str) -> None:
        """Remove a worker's directory, and try one again that could not be: a call's outcome does not hang on it."""
        again = {self._unremoved.pop()} if self._unremoved else set()
        for each in {directory} | again:
            try:
                await asyncio.to_thread(directories.remove, each)
            except OSError as error:  # its text would quote the names that a script gave
                self._unremoved.add(each)
                log.warning("tools: a directory could not be removed", directory=each, error=error.strerror)
        if self._closed:
            self._home.close()

    async def _running(self) -> Template:
        async with self._starting:
            if self._closed:
                raise ConnectionError("the service is stopping")
            if self._template is None or self._template.gone:
                self._template = await control.start()
            return self._template


def _no_worker(error: Exception) -> TemporaryError:
    return TemporaryError("tool_worker", f"no tool worker could be started: {str(error) or type(error).__name__}")
