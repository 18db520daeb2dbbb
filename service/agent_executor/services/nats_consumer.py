"""The JetStream consumer: a slot is a task, and only a free slot asks for a message.

Every message is settled once, as its verdict says, and from its delivery until then JetStream is told that it is worked
on. A deleted stream or consumer is made again, with patience; idle requests end in a timeout, which is normal. When the
service stops, no request is left behind that could take a message to nobody.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.models.observer import Observer
from agent_executor.models.verdict import BURIED, Bury, Verdict
from agent_executor.services import cloudevents, streams
from agent_executor.services.cloudevents import Incoming, Malformed
from agent_executor.services.dead_letters import DeadLetters, of_message
from agent_executor.services.settlement import Settlement
from agent_executor.settings import Settings

log = structlog.get_logger()

REQUEST_SECONDS = 5.0  # how long one request waits at the server
LOOK_SECONDS = 0.5  # how often a reconnect is looked for
STOP_SECONDS = 1.0
PATIENCE = (0.5, 10.0)  # seconds between attempts to make streams again: first, longest
AWAY_SECONDS = 2.0
IDLE = ("404", "408")  # answers to a request that found nothing


class Handler(Protocol):
    """Whoever sees an event to its end (`core.executor`)."""

    async def handle(self, incoming: Incoming, bury: Bury, *, delivery: int) -> Verdict:
        """What to do with the message. `delivery` counts from 1. Raises nothing but cancellation."""
        ...

    def keeps(self, job_id: str, begun: float) -> bool:
        """Whether the message of a job, in hand since `begun` (monotonic), is still ours to keep from others."""
        ...


class Consumer:
    """Takes jobs for one process; `run` ends once `stop` was called and every slot is free."""

    def __init__(
        self, client: Client, settings: Settings, handler: Handler, dead_letters: DeadLetters, observer: Observer
    ) -> None:
        self._client = client
        self._settings = settings
        self._handler = handler
        self._dead_letters = dead_letters
        self._observer = observer
        self._jetstream = client.jetstream()
        self._settlement = Settlement(client, settings.nats_stream)
        self._ack_wait = settings.nats_ack_wait_seconds
        self._stopping = asyncio.Event()
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._waiting: deque[asyncio.Future[Msg | None]] = deque()
        self._repairing = asyncio.Lock()
        self._repairs = 0
        self._ready = False
        self.looked = asyncio.Event()
        """Set once stream and consumer were looked for, found or not."""

    @property
    def ready(self) -> bool:
        """Whether stream and consumer are there, as far as is known, and jobs are taken."""
        return self._ready and self._client.is_connected and not self._stopping.is_set()

    async def stop(self) -> None:
        """Take no more jobs; returns when the server knows, so that a job given back goes to somebody else."""
        self._stopping.set()
        self._wake()
        if self._subscription:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py's

    async def run(self, prepare: Callable[[], Awaitable[None]] | None = None) -> None:
        """Work until told to stop, then until the jobs in hand are settled.

        `prepare` is what takes long before the first job and not before readiness.
        """
        self._subscription = await self._client.subscribe(self._inbox, cb=self._deliver)
        await self._repair(self._repairs)
        if prepare:
            await prepare()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            for _ in range(self._settings.max_concurrent_jobs):
                tasks.create_task(self._slot())

    async def _slot(self) -> None:
        while not self._stopping.is_set():
            message = await self._take()
            if message:
                await self.settle(message)

    async def settle(self, message: Msg) -> None:
        """See one message to its end."""
        if message.metadata.num_delivered > 1:
            self._observer.count("redeliveries")
        else:
            self._observer.measure("queue_wait", max(time.time() - message.metadata.timestamp.timestamp(), 0.0))
        origin = await self._settlement.origin()
        read, begun = _read(message), time.monotonic()

        def lives() -> bool:
            return isinstance(read, Malformed) or self._handler.keeps(read.job_id, begun)

        async with self._settlement.kept_alive(message, origin, self._ack_wait / 3, lives):
            verdict = await self._judge(message, read)
        # A verdict that was reached is carried out, whoever goes away meanwhile.
        await asyncio.shield(self._settlement.settle(message, origin, verdict))
        if verdict.settle in ("ack", "term"):
            self._observer.count("processed")
        if verdict.failed:
            self._observer.count("failed")

    async def _judge(self, message: Msg, read: Incoming | Malformed) -> Verdict:
        received = of_message(message)
        if isinstance(read, Malformed):
            log.warning("event: malformed", job_id=read.job_id, reason=read.message)
            try:
                await self._dead_letters.refuse(received, read)
            except TemporaryError as error:
                log.warning("event: put back", error=error.type, message=error.message)
                return Verdict("again", AWAY_SECONDS)
            self._observer.count("dead_letters")
            return BURIED

        async def bury(error: PermanentError) -> None:
            await self._dead_letters.keep(received, error, read.job_id)
            self._observer.count("dead_letters")

        return await self._handler.handle(read, bury, delivery=message.metadata.num_delivered)

    async def _take(self) -> Msg | None:
        """One message, or None after an idle request."""
        repairs = self._repairs
        if not self._client.is_connected:
            await self._pause(LOOK_SECONDS)
            return None
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await self._client.publish(self._next, _REQUEST, reply=self._inbox)
            async with asyncio.timeout(REQUEST_SECONDS + LOOK_SECONDS):
                await waiter
        except TimeoutError:
            pass  # the request is lost, or its answer comes this very moment
        except nats.errors.Error:
            await self._pause(PATIENCE[0])
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)
        # A wait that timed out has cancelled its future, and asking a cancelled one would end the slot.
        message: Msg | None = waiter.result() if waiter.done() and not waiter.cancelled() else None
        if message is None or message.reply:
            return message
        if (message.headers or {}).get("Status") not in IDLE:
            await self._repair(repairs)
            await self._pause(PATIENCE[0])  # what cannot be repaired is not asked for in a circle
        return None

    async def _deliver(self, message: Msg) -> None:
        """Give a message, or a request's answer, to a waiting slot: requests and slots are as many, and all alike."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(message)
                return
        if message.reply:
            with contextlib.suppress(nats.errors.Error):
                await message.nak()

    async def _watch(self) -> None:
        """Ask anew after a reconnect, which loses what was asked before."""
        reconnects = self._client.stats["reconnects"]
        while not self._stopping.is_set():
            await self._pause(LOOK_SECONDS)
            if self._client.stats["reconnects"] != reconnects:
                reconnects = self._client.stats["reconnects"]
                self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def _repair(self, seen: int) -> None:
        """Make stream and consumer again, once for all slots, and report what is not as wanted."""
        async with self._repairing:
            delay = PATIENCE[0]
            while self._repairs == seen and not self._stopping.is_set():
                try:
                    found = await streams.ensure(self._jetstream, self._settings)
                except TemporaryError as error:
                    self._ready = False
                    self.looked.set()
                    log.warning("consumer: not ready", reason=error.message)
                    await self._pause(delay * random.uniform(0.75, 1.25))  # noqa: S311  # spreads the load
                    delay = min(delay * 2, PATIENCE[1])
                    continue
                for difference in found.drift:
                    log.warning("consumer: not as wanted", difference=difference)
                self._ack_wait = found.ack_wait
                self._settlement.forget()
                self._ready = True
                self.looked.set()
                self._repairs += 1

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    @property
    def _next(self) -> str:
        return f"$JS.API.CONSUMER.MSG.NEXT.{self._settings.nats_stream}.{self._settings.nats_consumer}"


def _read(message: Msg) -> Incoming | Malformed:
    try:
        return cloudevents.parse(message.data, message.headers or {}, message.subject)
    except Malformed as fault:
        return fault


_REQUEST = json.dumps({"batch": 1, "expires": int(REQUEST_SECONDS * 1e9)}).encode()
