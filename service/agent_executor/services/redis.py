"""Live events to Dragonfly, contract section 5: best effort, in order, bounded, and never in a job's way.

`emit` only puts a message into a buffer; one task sends what is there, at once when it was idle and then every 20 ms or
20 messages. While the server is away the buffer keeps what fits and drops the rest (`end` is never dropped). A message
is kept in the Redis Stream `…:log` of its job under the id `{seq}-0`, so a reader of the log misses nothing, and then
published on `langgraph:stream:{job_id}`. What the log has passed already is neither kept nor published: a message that
is sent twice, or one of a worker that has not noticed yet that it lost the job.
"""

import asyncio
import contextlib
import datetime
import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import redis.exceptions
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agent_executor.services.event_budget import Kept
from agent_executor.services.json import dump
from agent_executor.settings import Settings

log = structlog.get_logger()

BATCH_SECONDS = 0.02
BATCH_MESSAGES = 20
BUFFER_BYTES = 32 * 1024 * 1024
RETRY_SECONDS = 0.5
CALL_SECONDS = 2.0
EPOCH_BITS = 32  # a worker of a later epoch counts above all its predecessors, whatever they sent
REFUSED, REFUSED_ID = 0, "0-1"  # the `seq` of the end that an event without a job has, and its id in the log
PASSED = "equal or smaller"
"""What a server says of an id that is not above the last one. Whatever else keeps a log from growing, such as a full
memory, keeps nobody from hearing of the job."""
TROUBLE = (redis.exceptions.RedisError, OSError, TimeoutError)


def channel(job_id: str) -> str:
    """The pub/sub channel of a job; its log has the suffix `:log`."""
    return f"langgraph:stream:{job_id}"


def connect(settings: Settings, *, connections: int = 100) -> redis.asyncio.Redis:
    """A client that fails fast; nothing is connected yet."""
    secret = settings.dragonfly_password
    return redis.asyncio.Redis(
        host=settings.dragonfly_host,
        port=settings.dragonfly_port,
        password=secret.get_secret_value() if secret else None,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CALL_SECONDS,
        max_connections=connections,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


@dataclass(slots=True)
class _Message:
    job_id: str
    seq: int
    body: bytes
    most: int  # messages in the log with this one
    kept: bool = False

    @property
    def id(self) -> str:
        """In the log, where 0-0 is none."""
        return f"{self.seq}-0" if self.seq != REFUSED else REFUSED_ID


class LiveEvents:
    """The one sender of a process; `run` belongs to a task of its own."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: Settings, lost: Callable[[int], object] = lambda _: None
    ) -> None:
        """`lost` hears of how many events no log has: they did not fit into the buffer, or the server refused them."""
        self._client, self._lost = client, lost
        self._length, self._log_bytes = settings.event_log_length, settings.event_log_bytes
        self._expiry = math.ceil(settings.event_log_seconds)
        self._buffer: deque[_Message] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._sending: asyncio.Lock = asyncio.Lock()
        self._away = False
        self._scripts, self._keeps = True, True
        self.dropped = 0

    def stream(self, job_id: str, trace_id: str, epoch: int) -> Callable[[str, dict[str, Any]], None]:
        """The `emit` of one attempt at a job; its `seq` starts above those of every earlier epoch."""
        seq = (epoch - 1) << EPOCH_BITS
        kept = Kept(self._length, self._log_bytes)

        def emit(event_type: str, data: dict[str, Any]) -> None:
            nonlocal seq
            seq += 1
            self._put(job_id, trace_id, seq, event_type, data, kept)

        return emit

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._filled.wait()
            if not await self._send():
                await asyncio.sleep(RETRY_SECONDS)
            elif len(self._buffer) < BATCH_MESSAGES:
                await asyncio.sleep(BATCH_SECONDS)

    async def flush(self, seconds: float = CALL_SECONDS) -> None:
        """Send what is left, for a stopping pod; gives up after `seconds`, or at the first trouble."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._buffer and await self._send():
                    pass

    async def end(self, job_id: str, trace_id: str, status: str, *, unless_begun: bool = False) -> None:
        """Make sure that a finished job's log ends with `end`: its worker may have died before it said so.

        With `unless_begun` it is that of an event which was refused, and said only if nothing was said at all: the job
        whose id it bears may run, or come later. So it counts as nothing, and leaves the log with the job's first word.
        """
        try:
            entries: Any = await self._client.xrevrange(f"{channel(job_id)}:log", count=1)
        except TROUBLE:
            return
        last: dict[str, Any] = json.loads(entries[0][1][b"event"]) if entries else {}
        seq = REFUSED if unless_begun else last.get("seq", 0) + 1
        said = last.get("event_type") == "end" and last["data"] == {"status": status} and last["seq"] != REFUSED
        if not (said or (last and unless_begun)):
            self._put(job_id, trace_id, seq, "end", {"status": status})

    def _put(self, job_id: str, trace_id: str, seq: int, event_type: str, data: Any, kept: Kept | None = None) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat()
        message = {
            "event_type": event_type,
            "data": data,
            "seq": seq,
            "job_id": job_id,
            "trace_id": trace_id,
            "ts": now,
        }
        body = dump(message)
        if self._bytes + len(body) > BUFFER_BYTES and event_type != "end":
            self.dropped += 1
            self._lost(1)
            return
        self._bytes += len(body)
        self._buffer.append(_Message(job_id, seq, body, kept.add(len(body)) if kept else self._length))
        self._filled.set()

    async def _send(self) -> bool:
        async with self._sending:
            batch = [self._buffer[i] for i in range(min(len(self._buffer), BATCH_MESSAGES))]
            if not batch:
                return True
            try:
                await (self._send_by_script(batch) if self._scripts else self._send_one_by_one(batch))
            except TROUBLE as error:
                if isinstance(error, redis.exceptions.ReadOnlyError):
                    # It was a master until now. Where it was found, there is another one, or will be.
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                elif self._scripts and isinstance(error, redis.exceptions.ResponseError):
                    self._scripts = False
                    log.info("live events: sent one by one, as scripts are refused", error=str(error)[:80])
                    return True
                if not self._away:  # once, not twice a second
                    log.warning("live events: Dragonfly is away", error=type(error).__name__)
                self._away = True
                return False
            if self._away:
                log.info("live events: Dragonfly is back", dropped=self.dropped)
            self._away = False
            for message in batch:
                self._buffer.popleft()
                self._bytes -= len(message.body)
            if not self._buffer:
                self._filled.clear()
            return True

    async def _send_by_script(self, batch: list[_Message]) -> None:
        """A batch as one command, which costs this process a fifth of what its parts do."""
        logs = [f"{channel(message.job_id)}:log" for message in batch]
        parts = [part for message in batch for part in (message.id, message.body, message.most)]
        asked: Any = self._client.eval(_SCRIPT, len(logs), *logs, self._expiry, *parts)
        self._kept(*(await asked or ()))

    async def _send_one_by_one(self, batch: list[_Message]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for message in batch:
            log, fields = f"{channel(message.job_id)}:log", {"event": message.body}
            pipeline.xadd(log, fields, id=message.id, maxlen=message.most, approximate=True)  # type: ignore[arg-type]
            pipeline.expire(log, self._expiry)
            pipeline.xdel(log, REFUSED_ID if message.seq == 1 else "0-0")
        answers = (await pipeline.execute(raise_on_error=False))[::3]
        refused = [one for one in answers if isinstance(one, Exception) and PASSED not in str(one)]
        if away := next((one for one in refused if isinstance(one, redis.exceptions.ReadOnlyError)), None):
            raise away
        for message, answer in zip(batch, answers, strict=True):
            message.kept = message.kept or PASSED not in str(answer)
            if message.kept:
                pipeline.publish(channel(message.job_id), message.body)
        await pipeline.execute(raise_on_error=False)
        self._kept(len(refused), *map(str, refused[:1]))

    def _kept(self, refused: int = 0, why: str | bytes = "") -> None:
        """Say, once, that the log does not grow: whoever listens hears the job, who comes later does not."""
        if refused:
            self._lost(refused)
        if self._keeps and refused:
            said = why.decode(errors="replace") if isinstance(why, bytes) else why
            log.warning("live events: told, but not kept", error=said[:80])
        elif not (self._keeps or refused):
            log.info("live events: kept again")
        self._keeps = not refused


_SCRIPT = f"""
local refused, why = 0, ''
for i, log in ipairs(KEYS) do
    local id, body, most = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
    local kept = redis.pcall('XADD', log, 'MAXLEN', '~', most, id, 'event', body)
    if id == '1-0' then redis.pcall('XDEL', log, '{REFUSED_ID}') end
    local err = type(kept) == 'table' and kept.err or ''
    if string.sub(err, 1, 9) == 'READONLY ' then return redis.error_reply(err) end
    if not string.find(err, '{PASSED}', 1, true) then
        if err ~= '' then refused, why = refused + 1, err end
        redis.call('PUBLISH', string.sub(log, 1, -5), body)
        redis.call('EXPIRE', log, ARGV[1])
    end
end
return {{refused, why}}
"""
