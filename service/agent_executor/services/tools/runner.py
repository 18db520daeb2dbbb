"""What the rest of the service calls: describe a tool script, call it, and be told in words what became of it.

Whatever a script does is an outcome of its own call: a result, or an error text for the model. A job sees a
PermanentError only for a script that cannot be described, and a TemporaryError only when this machine gives no worker.
"""

import asyncio
import re
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import structlog

from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.services import sandbox, schemas
from agent_executor.services.tools import memory, watch, wire
from agent_executor.services.tools.pool import Pool, Worker
from agent_executor.services.tools.specs import MEGABYTE, Content, Limits, Outcome, ToolSpec, Update, Waiting

log = structlog.get_logger()

INVALID = "invalid_definition"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
TEXT_CHARACTERS = 20_000
DESCRIBE_SECONDS = 15.0
OBJECTS = 8  # times the bytes of an answer for what Python makes of it: by default what a job's state may take


class ToolRunner:
    """Runs scripts for one event loop; `close` when the service stops."""

    def __init__(self, limits: Limits, directory: Path | None = None, *, most: int | None = None) -> None:
        """`most` scripts run at a time; None: as many as there is memory for."""
        self._limits = limits
        self._pool = Pool(limits, most or _room(limits), directory)
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def describe(self, script: str, *, where: str, waiting: Waiting = nullcontext) -> ToolSpec:
        """What a script defines; `where` is its path in the definition. PermanentError when that is nothing usable."""
        gaps = sandbox.report()
        if gaps and gaps[0].startswith("seccomp"):
            raise PermanentError(INVALID, f"{where}: {gaps[0]}")
        answer = await self._ask({"op": "describe", "script": script}, DESCRIBE_SECONDS, waiting)
        try:
            return _spec(answer)
        except wire.Garbage as error:
            raise PermanentError(INVALID, f"{where}: {error}") from None

    async def call(
        self,
        script: str,
        args: Mapping[str, Any],
        *,
        job_id: str,
        tool_call_id: str,
        state: Mapping[str, Any],
    ) -> Outcome:
        """Call a script's tool.

        Args:
            script: The source, as it was described.
            args: What the model filled in; the script's own schema checks it.
            job_id: Becomes the `thread_id` of the config that the script sees; a job has at most four calls at a time.
            tool_call_id: The id that the model gave the call.
            state: The fields that `ToolSpec.state_fields` asks for, files as the script knows them (lists of lines).
        """
        turn = self._turns.setdefault(job_id, asyncio.Semaphore(self._limits.calls_per_job))
        request = {
            "op": "call",
            "script": script,
            "args": args,
            "job_id": job_id,
            "tool_call_id": tool_call_id,
            "state": state,
        }
        async with turn:
            answer = await self._ask(request, self._limits.wall_seconds)
        try:
            return _outcome(answer)
        except wire.Garbage as error:
            return Content(f"The tool failed: {error}", "error")

    async def close(self) -> None:
        """End every worker."""
        await self._pool.close()

    async def _ask(self, request: Mapping[str, Any], seconds: float, waiting: Waiting = nullcontext) -> Any:
        """A worker's answer, whatever it is; what went wrong around it as `{"error": text}`."""
        frame = await asyncio.to_thread(wire.pack, request)  # a long conversation takes a while
        if len(frame) > self._limits.input_bytes:
            return {"error": f"the state is larger than the {self._limits.input_bytes >> 20} MB a tool can be given"}
        with waiting():
            worker = await self._pool.take()
        self._pool.warm()
        why: str | None = None
        answer: Any = None
        try:
            async with asyncio.timeout(seconds):
                answer = await watch.guard(worker, self._limits, self._exchange(worker, frame))
        except TimeoutError:
            why = f"it was stopped: no answer after {seconds:g} s"
        except watch.Exceeded as error:
            why = f"it was stopped: {error}"
        except wire.Garbage as error:
            why = str(error)
        except (asyncio.IncompleteReadError, OSError):
            why = "" if await watch.ends(worker) else "it closed the connection without an answer"
        finally:
            status = await asyncio.shield(self._pool.end(worker))
        if why is None:
            return _scrub(answer, worker.directory)
        if status is None:
            raise TemporaryError("tool_worker", "the template of the tool workers ended, and this call with it")
        return {"error": why or watch.epitaph(status, self._limits)}

    async def _exchange(self, worker: Worker, frame: bytes) -> Any:
        worker.writer.write(frame)
        await worker.writer.drain()
        size = wire.length(await worker.reader.readexactly(wire.HEAD.size))
        if size > self._limits.output_bytes:
            raise wire.Garbage(
                f"its answer is larger than the {self._limits.output_bytes} bytes that a tool may return"
            )
        body = await worker.reader.readexactly(size)
        return await asyncio.to_thread(wire.unpack, body, OBJECTS * self._limits.output_bytes)


def _room(limits: Limits) -> int:
    available = memory.available()
    most = memory.workers(available, limits.memory_bytes)
    log.info("tools: scripts at a time", most=most, megabytes=available // MEGABYTE)
    if memory.RESERVE + limits.memory_bytes > available:
        log.warning("tools: one script may use up the memory", fix="a smaller TOOL_MEMORY_BYTES, or more memory")
    return most


def _spec(answer: Any) -> ToolSpec:
    match answer:
        case {"error": str() as text}:
            raise wire.Garbage(text[:TEXT_CHARACTERS])
        case {
            "name": str() as name,
            "description": str() as description,
            "args_schema": dict() as schema,
            "state_fields": None | list() as fields,
            "return_direct": bool() as direct,
        } if all(isinstance(each, str) for each in fields or ()):
            if not NAME.fullmatch(name):
                raise wire.Garbage("the tool's name is not 1 to 64 letters, digits, _ and -")
            names = None if fields is None else frozenset(fields)
            try:
                return ToolSpec(name, description[:TEXT_CHARACTERS], schemas.plain(schema), names, direct)
            except schemas.Unusable as error:
                raise wire.Garbage(f"the JSON schema of the tool {name!r} cannot be used: {error}") from None
    raise wire.Garbage("the script sent no valid description of its tool")


def _outcome(answer: Any) -> Outcome:
    match answer:
        case {"error": str() as text}:
            return Content(f"The tool failed: {text[:TEXT_CHARACTERS]}", "error")
        case {"update": dict() as update}:
            return Update(update)
        case {"content": str() as content, "status": "success" | "error" as status}:
            return Content(content, status)
        case {"content": list() as blocks, "status": "success" | "error" as status} if all(
            isinstance(block, str) or (isinstance(block, dict) and isinstance(block.get("type"), str))
            for block in blocks
        ):
            return Content(blocks, status)
    raise wire.Garbage("it sent no valid answer")


def _scrub(answer: Any, directory: str) -> Any:
    """Take this machine's paths out of an error: they mean nothing to a model and are nobody's business."""
    match answer:
        case {"error": str() as text}:
            for path, name in ((directory, "."), (sys.prefix, "<python>"), (sys.base_prefix, "<python>")):
                text = text.replace(path, name)
            return {"error": text}
    return answer
