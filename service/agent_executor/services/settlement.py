"""How a message is kept, and settled: as long as its stream is the one that it came from.

A message is answered for by its number. A stream that was deleted and made again counts from 1 anew, and there the
number is another message's: whose job would be nobody's any more as soon as its worker gives it back, or dies.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from agent_executor.models.verdict import Verdict

log = structlog.get_logger()

ACK_SECONDS = 2.0
LOOK_SECONDS = 1.0  # for so long a look at the stream is good: it costs a message a millisecond
TROUBLE = (nats.errors.Error, OSError, TimeoutError)


class Settlement:
    """Of the messages of one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=ACK_SECONDS)
        self._stream = stream
        self._made: datetime | None = None
        self._looked = 0.0
        self._looking = asyncio.Lock()

    def forget(self) -> None:
        """The stream may be another one now."""
        self._made = None

    async def origin(self) -> datetime | None:
        """Which stream a message is from that comes now: when it was made, None if that cannot be told."""
        return self._made or await self._look()

    @contextlib.asynccontextmanager
    async def kept_alive(
        self, message: Msg, origin: datetime | None, seconds: float, lives: Callable[[], bool]
    ) -> AsyncIterator[None]:
        """Tell JetStream every so many seconds that the message is worked on, as long as it `lives`."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(seconds)
                if not lives():
                    log.warning("message: left to others, as the lease of its job cannot be renewed")
                    return
                # A missed beat costs a redelivery at most, which finds the job busy.
                with contextlib.suppress(*TROUBLE):
                    if await self._is_there(origin):
                        await message.in_progress()

        heart = asyncio.create_task(beat())
        try:
            yield
        finally:
            heart.cancel()

    async def settle(self, message: Msg, origin: datetime | None, verdict: Verdict) -> None:
        """Do as the verdict says. A lost answer is a redelivery, which finds the job finished, or free."""
        if verdict.settle == "leave":
            return
        if not await self._is_there(origin):
            log.warning("message: left alone, as its stream is gone or away", stream=self._stream)
            return
        with contextlib.suppress(*TROUBLE):
            match verdict.settle:
                case "ack":
                    await message.ack_sync(timeout=ACK_SECONDS)
                case "again":
                    await message.nak(delay=verdict.seconds or None)
                case "term":
                    await message.term()

    async def _is_there(self, origin: datetime | None) -> bool:
        fresh = self._made and time.monotonic() - self._looked < LOOK_SECONDS
        return origin is not None and origin == (self._made if fresh else await self._look())

    async def _look(self) -> datetime | None:
        asked = time.monotonic()
        async with self._looking:
            if self._looked < asked:  # else somebody else's look will do
                self._made = None
                with contextlib.suppress(*TROUBLE):
                    if self._client.is_connected:
                        self._made = (await self._jetstream.stream_info(self._stream)).created
                self._looked = time.monotonic()
            return self._made
