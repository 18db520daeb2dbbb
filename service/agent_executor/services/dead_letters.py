"""What can never run: kept as it came, with the reason beside it, on `<prefix>.dead.<token>`.

Body and headers are the received ones. The message id is the publisher's own, or follows from where the message lay in
its stream, so a delivery that is buried twice is one dead letter.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nats.aio.msg import Msg

from agent_executor.errors import PermanentError
from agent_executor.models.jobs import Event
from agent_executor.services.broker import Broker
from agent_executor.services.cloudevents import Malformed
from agent_executor.services.headers import length
from agent_executor.services.json import REPLACEMENT
from agent_executor.services.redis import LiveEvents
from agent_executor.services.results import MESSAGE_LIMIT, Origin, Results, describe, header_value
from agent_executor.settings import Settings

REASON = "Agent-Executor-Reason"
CUT = "Agent-Executor-Original-Length"  # bytes of a body that had to be cut
MARGIN = 160  # bytes for the header above and a message id of our own
MOST_HEADERS = 65_535  # bytes of headers that JetStream stores with a message
LONGEST_TOKEN = 200  # characters
MESSAGE_ID = "nats-msg-id"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110's token: what NATS clients can write


@dataclass(frozen=True)
class Received:
    """A message or request as it came.

    `token` is the last one of its subject, `http` for HTTP; `place` says which message it is, the same at every
    delivery: its stream and sequence, say.
    """

    body: bytes
    headers: Mapping[str, str]
    token: str
    place: str


def of_message(message: Msg) -> Received:
    """A JetStream message as it came."""
    meta = message.metadata
    place = f"{meta.stream}/{meta.sequence.stream}/{meta.timestamp.timestamp()}"
    # A subject may hold what its next reader's client stumbles over, and be as long as a publisher's line to the server
    # may be: ours has more in it, and the server's answer to one that is too long is the end of the connection.
    token = message.subject.rpartition(".")[2][:LONGEST_TOKEN]
    token = "".join(one if one.isprintable() else REPLACEMENT for one in token)
    return Received(message.data, message.headers or {}, token, place)


class DeadLetters:
    """Keeps what is refused, and tells its failure once; raises `TemporaryError` while JetStream is away."""

    def __init__(self, settings: Settings, broker: Broker, results: Results, events: LiveEvents) -> None:
        self._settings = settings
        self._broker = broker
        self._results = results
        self._events = events

    async def keep(self, received: Received, error: PermanentError, job_id: str) -> None:
        """Store one dead letter."""
        letter = fitted(build(self._settings, received, error.message, job_id), self._broker.max_payload())
        await self._broker.store(letter.subject, letter.payload, letter.headers)

    async def refuse(self, received: Received, fault: Malformed) -> None:
        """Store the dead letter of a malformed event, and say everywhere that it failed, once for each content."""
        await self.keep(received, fault, fault.job_id)
        origin = Origin(fault.job_id, fault.traceparent)
        await self._broker.publish(self._results.refused(origin, describe(fault, 1), received.body))
        await self._events.end(fault.job_id, "", "failed", unless_begun=True)


def build(settings: Settings, received: Received, reason: str, job_id: str) -> Event:
    """The dead letter of one message; `reason` is a line for people."""
    own = hashlib.sha256(f"{received.place}\0".encode() + received.body).hexdigest()
    kept = {
        name: value
        for name, value in received.headers.items()
        # The other Nats- headers are orders to the server (Nats-Expected-Stream, Nats-TTL), not facts about the event.
        if _NAME.fullmatch(name) and (not name.lower().startswith("nats-") or name.lower() == MESSAGE_ID)
    }
    if not any(name.lower() == MESSAGE_ID for name in kept):
        kept["Nats-Msg-Id"] = f"dead/{own}"
    kept[REASON] = header_value(reason[:MESSAGE_LIMIT]).replace("%20", " ")
    return Event(f"dead/{own}", job_id, settings.subject("dead", received.token or "unknown"), received.body, kept)


def fitted(letter: Event, most: int) -> Event:
    """What NATS takes of a letter that arrived just below its limits, for which our headers are too much.

    The longest of the received headers are left out, if there are too many bytes of them, and the body's end.
    """
    kept = dict(letter.headers)
    excess = length(kept) + MARGIN - min(MOST_HEADERS, most)
    for name in sorted(kept, key=lambda name: len(kept[name]), reverse=True):
        if excess > 0 and name != REASON:
            excess -= len(name) + len(kept.pop(name).encode()) + 4
    if not any(name.lower() == MESSAGE_ID for name in kept):
        kept["Nats-Msg-Id"] = letter.id
    room = most - length(kept)
    if len(letter.payload) <= room:
        return dataclasses.replace(letter, headers=kept)
    kept[CUT] = str(len(letter.payload))
    return dataclasses.replace(letter, headers=kept, payload=letter.payload[: max(most - length(kept), 0)])
