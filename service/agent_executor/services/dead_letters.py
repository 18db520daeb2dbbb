"""What can never run: kept as it came, with the reason beside it, on `<prefix>.dead.<token>`.

Body and headers are the received ones. The message id follows from where the message lay in its stream, so a delivery
that is buried twice is one dead letter.
"""

import hashlib
import re
from collections.abc import Mapping

from agent_executor.models.jobs import Event
from agent_executor.services.results import header_value
from agent_executor.settings import Settings

REASON = "Agent-Executor-Reason"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110's token: what NATS clients can write


def build(
    settings: Settings, *, body: bytes, headers: Mapping[str, str], token: str, place: str, job_id: str, reason: str
) -> Event:
    """The dead letter of one message.

    `token` is the last one of the subject it came on (`http` for HTTP); `place` says which message it is, the same at
    every delivery (its stream and sequence, say); `reason` is a line for people, the header `Agent-Executor-Reason`.
    """
    own = hashlib.sha256(f"{place}\0".encode() + body).hexdigest()
    kept = {
        name: value
        for name, value in headers.items()
        # The other Nats- headers are orders to the server (Nats-Expected-Stream, Nats-TTL), not facts about the event.
        if _NAME.fullmatch(name) and (not name.lower().startswith("nats-") or name.lower() == "nats-msg-id")
    }
    if not any(name.lower() == "nats-msg-id" for name in kept):
        kept["Nats-Msg-Id"] = f"dead/{own}"
    kept[REASON] = header_value(reason).replace("%20", " ")
    return Event(f"dead/{own}", job_id, settings.subject("dead", token or "unknown"), body, kept)
