"""The template process and the workers that it forks, as the service sees them: started, watched, ended.

One worker is kept warm: forked, closed in and waiting, so that a call costs no fork. A worker answers one request and
is never used again. All processes end with the pool.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_executor.errors import TemporaryError
from agent_executor.services import sandbox
from agent_executor.services.tools import directories
from agent_executor.services.tools.specs import Limits

START_SECONDS = 30.0  # the template imports LangChain, on a busy machine
FORK_SECONDS = 10.0
STOP_SECONDS = 5.0


@dataclass
class Worker:
    """One process behind walls: its channel, its directory, and how it ended.

    That is its exit code, minus the signal that ended it, or None when the template went and took it along.
    """

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    directory: str
    ended: asyncio.Future[int | None]


_Forked = tuple[int, asyncio.Future[int | None]]  # pid, and how it ended once it has


@dataclass
class _Template:
    process: asyncio.subprocess.Process
    control: socket.socket
    forked: dict[int, asyncio.Future[_Forked]] = field(default_factory=dict)  # by the number of the request
    ended: dict[int, asyncio.Future[int | None]] = field(default_factory=dict)  # by pid
    number: int = 0
    gone: bool = False


class Pool:
    """Workers for one event loop."""

    def __init__(self, limits: Limits, base: Path | None = None) -> None:
        self._limits = limits
        self._base = base
        self._template: _Template | None = None
        self._starting = asyncio.Lock()
        self._spare: asyncio.Task[Worker] | None = None
        self._endings: set[asyncio.Task[int | None]] = set()
        self._closed = False

    async def take(self) -> Worker:
        """A worker that waits for its request; TemporaryError when none can be made here and now."""
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
        template = self._template
        if not worker.ended.done() and template is not None:
            with contextlib.suppress(OSError):  # the template has gone, and its workers with it
                template.control.send(json.dumps({"kill": worker.pid}).encode())
        try:
            return await asyncio.wait_for(asyncio.shield(worker.ended), STOP_SECONDS)
        except TimeoutError:
            raise TemporaryError("tool_worker", "a tool worker could not be stopped") from None
        finally:
            worker.writer.close()
            await asyncio.to_thread(directories.remove, worker.directory)

    async def close(self) -> None:
        """End every process of the pool."""
        self._closed = True
        spare, self._spare = self._spare, None
        if spare is not None:
            with contextlib.suppress(TemporaryError):
                await self.end(await spare)
        await asyncio.gather(*self._endings)
        if self._template is not None:
            await self._stop(self._template)

    async def _fork(self) -> Worker:
        try:
            template = await self._running()
            directory = directories.make(self._base)
        except (OSError, TimeoutError) as error:
            raise _no_worker(error) from error
        try:
            worker = await self._forked(template, directory)
        except (OSError, TimeoutError) as error:
            directories.remove(directory)
            raise _no_worker(error) from error
        try:
            await asyncio.wait_for(worker.reader.readexactly(1), FORK_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            status = await self.end(worker)
            raise TemporaryError(
                "tool_worker", f"a tool worker could not close itself in (it ended with {status})"
            ) from error
        return worker

    async def _forked(self, template: _Template, directory: str) -> Worker:
        ours, theirs = socket.socketpair()
        template.number += 1
        number = template.number
        forked = template.forked[number] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                request = json.dumps({"fork": number, "walls": self._walls(directory)}).encode()
                socket.send_fds(template.control, [request], [theirs.fileno()])
            pid, ended = await asyncio.wait_for(forked, FORK_SECONDS)
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()  # which ends the worker, should there be one
            raise
        finally:
            template.forked.pop(number, None)
        return Worker(pid, reader, writer, directory, ended)

    def _walls(self, directory: str) -> dict[str, Any]:
        limits = self._limits
        return {
            "directory": directory,
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
            "file_bytes": limits.file_bytes,
            "open_files": limits.open_files,
            "network": limits.network,
        }

    async def _running(self) -> _Template:
        async with self._starting:
            if self._template is not None and not self._template.gone:
                return self._template
            if self._closed:
                raise TemporaryError("tool_worker", "the service is stopping")
            sandbox.shield()  # from here on this process has children that are not its friends
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)  # noqa: FBT003  # the socket module's own signature
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-m", "agent_executor.services.tools.template", str(theirs.fileno()),
                    pass_fds=[theirs.fileno()], env=_clean(), cwd="/", start_new_session=True,
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            template = self._template = _Template(process, ours)
            loop = asyncio.get_running_loop()
            ready = template.forked[-1] = loop.create_future()
            loop.add_reader(ours, self._heard, template)
            try:
                await asyncio.wait_for(ready, START_SECONDS)
            except (OSError, TimeoutError):
                await self._stop(template)
                raise
            template.forked.clear()
            return template

    def _heard(self, template: _Template) -> None:
        """Read what the template says: a worker was forked, a worker ended, or, without words, it has itself."""
        try:
            data = template.control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        match json.loads(data or b"null"):
            case {"forked": number, "pid": pid}:
                ended = template.ended[pid] = asyncio.get_running_loop().create_future()
                if (waiting := template.forked.get(number)) is not None and not waiting.done():
                    waiting.set_result((pid, ended))
            case {"ended": pid, "status": status}:
                template.ended.pop(pid).set_result(status)
            case _:
                self._lose(template)

    def _lose(self, template: _Template) -> None:
        template.gone = True
        asyncio.get_running_loop().remove_reader(template.control)
        template.control.close()
        for future in template.forked.values():
            if not future.done():
                future.set_exception(ConnectionError("the template of the tool workers has ended"))
        for ended in template.ended.values():
            ended.set_result(None)
        template.ended.clear()

    async def _stop(self, template: _Template) -> None:
        if not template.gone:
            self._lose(template)
        try:
            await asyncio.wait_for(template.process.wait(), STOP_SECONDS)
        except TimeoutError:
            template.process.kill()
            await template.process.wait()


def _no_worker(error: Exception) -> TemporaryError:
    return TemporaryError("tool_worker", f"no tool worker could be started: {str(error) or type(error).__name__}")


def _clean() -> dict[str, str]:
    # Nothing of the service's own environment, where its secrets are. Two arenas: each takes 64 MB of address space.
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "LANGSMITH_TRACING": "false"}
