"""`POST /`: an event comes in over HTTP and is answered for only once JetStream has it.

Invariants: the bytes go on as they came; 202 means that the event is stored and will be worked on, whatever happens to
this process next; what can never run is refused, and told like any other malformed event.
"""

import asyncio
import contextlib
import re
import time
import uuid
from typing import Annotated, Any

import psycopg
import structlog
from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel

from agent_executor.api import problems
from agent_executor.api.jobs import Service
from agent_executor.api.links import job_path
from agent_executor.api.parts import Parts
from agent_executor.errors import TemporaryError
from agent_executor.models.events import JobExecutionEvent
from agent_executor.models.jobs import Event
from agent_executor.services import cloudevents, headers
from agent_executor.services.broker import TooLarge
from agent_executor.services.cloudevents import STRUCTURED, Incoming, Malformed, new_job
from agent_executor.services.dead_letters import Received

log = structlog.get_logger()

TOKEN = "http"  # noqa: S105  # the subject's last token, contract section 6
LONGEST_WAIT = 300  # seconds
BODY_SECONDS = 30.0  # to send a body in
LONGEST_LENGTH = 18  # digits of a Content-Length that is worth reading
NOTE_SECONDS = 2.0  # to note a job that is stored already
FIRST_LOOK, LONGEST_LOOK = 0.02, 0.5  # seconds between two looks at the job's row
router = APIRouter(tags=["jobs"])


class Accepted(BaseModel):
    """The event is stored."""

    job_id: str


_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/JobExecutionEvent"}},
        STRUCTURED: {"schema": {"$ref": "#/components/schemas/CloudEvent"}},
    },
}


@router.post(
    "/",
    status_code=202,
    openapi_extra={"requestBody": _BODY},
    responses={
        200: {
            "description": "With `Prefer: wait=N`: the result event",
            "content": {STRUCTURED: {"schema": {"type": "object"}}},
        },
        202: {"model": Accepted, "headers": {"Location": {"schema": {"type": "string"}}}},
        **problems.documented(400, 401, 408, 413, 415, 503),
    },
)
async def take_event(
    service: Service,
    request: Request,
    response: Response,
    prefer: Annotated[str | None, Header(description="`wait=N`: N seconds for the result event.")] = None,
) -> Any:
    """Take a job, an answer to an interrupt, or a cancellation: a CloudEvent, structured or binary, or a bare job."""
    _check_type(request)
    body = await _body(request, service.settings.http_max_body_bytes)
    raw = request.headers.raw
    try:
        incoming = cloudevents.parse(body, raw)
    except Malformed as malformed:
        await _refuse(service, body, raw, malformed)
        raise problems.Refused(400, malformed.message, more={"job_id": malformed.job_id}) from None
    await _store(service, incoming)
    response.headers["Location"] = job_path(incoming.job_id)
    if incoming.kind == "execute" and (seconds := _wait(prefer)):
        response.headers["Preference-Applied"] = f"wait={seconds}"
        if event := await _outcome(service, request, incoming.job_id, seconds):
            return Response(event.payload, 200, dict(response.headers), STRUCTURED)
    return Accepted(job_id=incoming.job_id)


def _check_type(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        detail = "Content-Encoding: nothing is unpacked here, send the body as it is"
        raise problems.Refused(415, detail, headers={"Accept-Encoding": "identity", **problems.unread(request.headers)})
    kind = headers.media_type(request.headers.get("content-type", ""))
    binary = any(name.startswith("ce-") for name in request.headers)
    if kind not in ("application/json", STRUCTURED) and not (
        binary and (not kind or kind.endswith("+json") or kind == "text/json")
    ):
        detail = f"Content-Type: would be right as {STRUCTURED} or application/json"
        raise problems.Refused(
            415, detail, headers={"Accept-Post": f"{STRUCTURED}, application/json", **problems.unread(request.headers)}
        )


async def _body(request: Request, most: int) -> bytes:
    """The body, read no further than it may be long."""
    body = bytearray()
    detail = f"the body is longer than {most} bytes, the most that HTTP_MAX_BODY_BYTES allows"
    too_large = problems.Refused(413, detail, headers=problems.unread(request.headers))
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and (len(said) > LONGEST_LENGTH or int(said) > most):
        raise too_large
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise problems.Refused(
            408, f"the body took longer than {BODY_SECONDS:g} s", headers=problems.unread(request.headers)
        ) from None
    return bytes(body)


async def _refuse(service: Parts, body: bytes, raw: list[tuple[bytes, bytes]], malformed: Malformed) -> None:
    """Tell it like any malformed event; each request is one of its own, however alike they are."""
    received = Received(body, _readable(raw), TOKEN, f"http/{uuid.uuid4()}")
    try:
        await service.dead_letters.refuse(received, malformed)
    except TemporaryError as error:
        raise problems.Refused(503, error.message, headers=problems.AGAIN) from None
    # Not before: who got a 503 tries again.
    service.metrics.dead_letters.inc()
    service.metrics.failed.inc()


def _readable(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers that belong to the event; what else a client sends (cookies, tokens) is nobody's business."""
    return headers.forwarded({name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in raw})


async def _store(service: Parts, incoming: Incoming) -> None:
    """Hand the event to JetStream, then note the job, so that it can be looked up before anybody takes it."""
    subject = service.settings.subject("execute", TOKEN)
    try:
        await service.broker.store(subject, incoming.body, headers.forwarded(incoming.headers))
    except TooLarge:
        raise problems.Refused(413, "the body, with its headers, is longer than NATS takes") from None
    except TemporaryError as error:
        raise problems.Refused(503, error.message, headers=problems.AGAIN) from None
    if isinstance(incoming.event, JobExecutionEvent):
        try:
            async with asyncio.timeout(NOTE_SECONDS):
                await service.jobs.enqueue(new_job(incoming, incoming.event))
        except (psycopg.Error, TimeoutError) as error:  # JetStream has the event: whoever takes the job will note it
            log.warning("http: a job is not in the table yet", job_id=incoming.job_id, error=type(error).__name__)


def _wait(prefer: str | None) -> int:
    """The seconds of RFC 7240's `wait`, bounded; 0 when it is not asked for."""
    found = re.search(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})", prefer or "", re.IGNORECASE)
    return min(int(found[1]), LONGEST_WAIT) if found else 0


async def _outcome(service: Parts, request: Request, job_id: str, seconds: int) -> Event | None:
    """The event that told the job's end, or its interrupt, once there is one; None if it takes longer.

    Who has hung up is not waited for: each look is one at the database.
    """
    deadline, pause = time.monotonic() + seconds, FIRST_LOOK
    while not (service.stopping.is_set() or await request.is_disconnected()):
        with contextlib.suppress(psycopg.OperationalError):  # the event is stored: there is nothing to take back
            if (found := await service.jobs.outcome(job_id)) and found.event:
                return found.event
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 2, LONGEST_LOOK)
    return None
