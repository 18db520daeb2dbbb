"""The connection to NATS: one per process, never given up unless it is refused, its failures in our two words.

A publish returns once JetStream has stored the message, or dropped it as a duplicate: a core publish is not durable.
"""

import asyncio
from collections.abc import Mapping

import nats.errors
import nats.js.errors
import structlog

from agent_executor.errors import TemporaryError
from agent_executor.models.jobs import Event
from agent_executor.services import streams
from agent_executor.services.headers import length
from agent_executor.services.nats_client import Client
from agent_executor.services.results import referred
from agent_executor.settings import Settings

log = structlog.get_logger()

CONNECT_SECONDS = 5
RECONNECT_SECONDS = 0.5
REFUSED = "Authorization Violation"  # the server's words
REFUSED_SECONDS = 60.0  # after which this process's credentials are given up
PUBLISH_SECONDS = 5.0
MAX_PAYLOAD = 1024 * 1024  # NATS's default, until a server has said its own
TOO_LARGE = (10054, 10097)  # JetStream's codes: above the stream's max_msg_size; more headers than it stores


async def connect(settings: Settings) -> Client:
    """A connected client; waits for NATS as long as it takes."""
    client = Client()
    await open_(client, settings)
    return client


async def open_(client: Client, settings: Settings) -> None:
    """Connect a client, and keep trying from the start on: the service is up, and not ready, while NATS is away."""
    told = set[str]()

    async def on_error(error: Exception) -> None:
        reason = _words(error)
        if not client.is_connected:  # then it is tried again twice a second, and said once
            if reason in told:
                return
            told.add(reason)
        log.warning("nats: trouble", error=reason)

    async def on_disconnect() -> None:
        told.clear()
        if not client.is_closed:  # by ourselves
            log.warning("nats: disconnected")

    async def on_reconnect() -> None:
        log.info("nats: connected again")

    servers = [url.strip() for url in settings.nats_url.split(",")]
    while True:
        try:
            return await client.connect(
                servers,
                name="agent-executor",
                error_cb=on_error,
                disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]  # any seconds do, it only sleeps
                connect_timeout=CONNECT_SECONDS,
                ping_interval=2,  # a silent broker is noticed within readiness's 5 s
                max_outstanding_pings=1,
                pending_size=64 * 1024 * 1024,
            )
        except (OSError, nats.errors.Error, TimeoutError) as error:
            await on_error(error)
            await asyncio.sleep(RECONNECT_SECONDS)


class Closed(Exception):  # noqa: N818  # what the connection is
    """The client has given up its connection for good."""


async def until_closed(client: Client) -> None:
    """Raise `Closed` once a client that was connected is closed, by others than ourselves.

    nats-py answers most errors of the server (`-ERR`) with that, and a closed client never connects again.
    """
    while not client.is_closed:  # noqa: ASYNC110  # its callback comes after a last flush, which may hang
        await asyncio.sleep(RECONNECT_SECONDS)
    reason = _words(client.last_error)
    log.error("nats: closed", reason=reason)
    raise Closed(reason)


async def until_refused(client: Client) -> None:
    """Raise `Closed` once the login of a client, connected or not yet, has been refused for a while.

    nats-py tries again for ever with what it was given once; another process may be given what is right by then.
    """
    refused, before = 0.0, client.last_error
    while refused < REFUSED_SECONDS:
        await asyncio.sleep(RECONNECT_SECONDS)
        if client.is_connected:
            refused, before = 0.0, client.last_error  # which stays, and says nothing of the next time
        elif refused or (client.last_error is not before and REFUSED in str(client.last_error)):
            refused += RECONNECT_SECONDS
    log.error("nats: login refused", seconds=REFUSED_SECONDS)
    raise Closed(REFUSED)


def _words(error: BaseException | None) -> str:
    """The server's own words, or else the kind of an error: other texts may hold an address, and that credentials."""
    return str(error) if type(error) is nats.errors.Error else type(error).__name__


class TooLarge(TemporaryError):  # noqa: N818  # what the message is
    """The server does not take this message, and will not while its limits stay what they are."""

    def __init__(self, subject: str) -> None:
        super().__init__("nats_unavailable", f"{subject}: is longer, with its headers, than NATS takes")


class Broker:
    """Publishes to JetStream over one client."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._jetstream = client.jetstream(timeout=PUBLISH_SECONDS)

    def max_payload(self) -> int:
        """Bytes that the server takes in one message, headers included."""
        return self._client.max_payload or MAX_PAYLOAD

    async def publish(self, event: Event) -> None:
        """Store an event of a job; the outbox's `Publish`."""
        try:
            await self.store(event.subject, event.payload, event.headers)
        except TooLarge:  # now: when it was made, the server took more, or we did
            event = referred(event, self._settings.public_url)
            await self.store(event.subject, event.payload, event.headers)

    async def store(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """Return once JetStream has the message; `TooLarge`, or `TemporaryError("nats_unavailable")`, otherwise."""
        if not self._client.is_connected:
            # nats-py would keep the message and send it after the caller has given up on it.
            raise TemporaryError("nats_unavailable", f"{subject}: not connected to NATS")
        if len(payload) + length(headers) > self.max_payload():
            # nats-py counts no headers, and the server's answer is the end of the connection.
            raise TooLarge(subject)
        try:
            try:
                await self._jetstream.publish(subject, payload, headers=dict(headers))
            except nats.js.errors.NoStreamResponseError:
                # Somebody deleted the stream: made again here, or the event would wait for the next start.
                await streams.ensure(self._jetstream, self._settings)
                await self._jetstream.publish(subject, payload, headers=dict(headers))
        except nats.js.errors.NoStreamResponseError:
            raise TemporaryError("nats_unavailable", f"{subject}: no stream takes this subject") from None
        except (nats.errors.Error, OSError, TimeoutError) as error:
            if isinstance(error, nats.js.errors.APIError) and error.err_code in TOO_LARGE:
                raise TooLarge(subject) from error
            raise TemporaryError("nats_unavailable", f"{subject}: not stored ({type(error).__name__})") from error
