"""Any exception as one of our two words, with its type on the wire.

Model clients are told apart by class name and attributes, never by import: openai and anthropic cost seconds to import,
and raise raw transport errors of httpx besides their own. What nobody here knows is temporary: it is retried, counted,
and buried in the end, because losing a job to an unknown hiccup is worse than trying a hopeless one a few times.
"""

import asyncio
import email.utils
import json
import time
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import structlog

from agent_executor.errors import JobError, LeaseLost, PermanentError, TemporaryError

log = structlog.get_logger()
T = TypeVar("T")

MAX_RETRY_AFTER = 3600.0  # seconds; a server that asks for more is asked again after this
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_MODEL_CLIENTS = ("openai", "anthropic", "ollama")
_FINAL = {
    400: "model_rejected",
    401: "model_unauthorized",
    403: "model_unauthorized",
    404: "model_not_found",
    405: "model_rejected",
    410: "model_not_found",
    413: "model_rejected",
    415: "model_rejected",
    422: "model_rejected",
}


async def attempted(work: Awaitable[T]) -> T:
    """The one place where anything that a job raises becomes one of our two words."""
    try:
        return await work
    except (JobError, LeaseLost):
        raise
    except Exception as error:  # a job must not stop the consumer: whatever it raises is an outcome of that job alone
        found = classify(error)
        if found.type == "internal_error":
            log.exception("job: unexpected")
        raise found from error


def classify(error: BaseException) -> JobError:
    """What an exception of a run means for its job; never raises."""
    for one in _chain(error):
        if isinstance(one, JobError):
            return one
        if found := _known(one):
            return found
    return TemporaryError("internal_error", f"an unexpected {type(error).__name__}")


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from, outermost first; a group's first member stands for it."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.exceptions[0] if isinstance(one, BaseExceptionGroup) else one.__cause__ or one.__context__
    return found


def _known(error: BaseException) -> JobError | None:
    library = type(error).__module__.partition(".")[0]
    names = {base.__name__ for base in type(error).__mro__}
    status = _status(error)
    if library in _MODEL_CLIENTS or (library.startswith("httpx") and status):
        return _model(error, names, status)
    if library.startswith(("httpx", "httpcore")) or library in ("h11", "h2", "anyio"):
        return _transport(names)
    if library.startswith("psycopg"):
        return _database(error, names)
    if library == "nats":
        return TemporaryError("nats_unavailable", f"NATS: {type(error).__name__}")
    if library == "redis":
        return TemporaryError("dragonfly_unavailable", f"Dragonfly: {type(error).__name__}")
    return _standard(error, names)


def _model(error: BaseException, names: set[str], status: int | None) -> JobError:
    who = type(error).__module__.partition(".")[0]
    if names & {"APITimeoutError", "TimeoutException"}:
        return TemporaryError("model_timeout", f"{who}: no answer in time")
    if names & {"ContentFilterFinishReasonError", "LengthFinishReasonError"}:
        return PermanentError("model_rejected", f"{who}: {type(error).__name__}")
    if status is None:
        # Connection errors, and error events in the middle of a stream, which carry a type but no status.
        return _mid_stream(error, who)
    said = f"{who}: HTTP {status}"
    if status == 429 and not _QUOTA & {getattr(error, "code", None), _body_type(error)}:
        return TemporaryError("rate_limited", said, retry_after=_retry_after(error))
    if status == 429:
        return PermanentError("model_quota_exhausted", f"{said}, the account's quota is used up")
    if status in _FINAL:
        return PermanentError(_FINAL[status], f"{said} ({_reason(error)})")
    if status in (408, 409, 425) or status >= 500:
        return TemporaryError("model_unavailable", said, retry_after=_retry_after(error))
    return PermanentError("model_rejected", f"{said}, an answer that is no model's")


def _mid_stream(error: BaseException, who: str) -> JobError:
    kind = _body_type(error)
    if kind in ("rate_limit_error", "rate_limit_exceeded"):
        return TemporaryError("rate_limited", f"{who}: {kind}", retry_after=_retry_after(error))
    if kind in ("invalid_request_error", "request_too_large"):
        return PermanentError("model_rejected", f"{who}: {kind}")
    if kind in ("authentication_error", "permission_error"):
        return PermanentError("model_unauthorized", f"{who}: {kind}")
    if type(error).__name__ == "ResponseError":  # ollama's, without a status
        return TemporaryError("model_unavailable", f"{who}: broke off")
    return TemporaryError("model_unavailable", f"{who}: {type(error).__name__}")


def _transport(names: set[str]) -> JobError:
    if names & {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError", "TooManyRedirects"}:
        return PermanentError(
            "model_rejected", "the model's address: cannot be asked, and would be right as an http URL"
        )
    if names & {"TimeoutException", "ReadTimeout", "ConnectTimeout", "WriteTimeout", "PoolTimeout"}:
        return TemporaryError("model_timeout", "the model: no answer in time")
    return TemporaryError("model_unavailable", "the model: the connection broke")


def _database(error: BaseException, names: set[str]) -> JobError:
    state = str(getattr(error, "sqlstate", None) or "")
    # https://www.postgresql.org/docs/current/errcodes-appendix.html: 22 data, 23 integrity, 42 syntax and rights.
    if state[:2] in ("22", "54"):
        return PermanentError("state_not_storable", f"PostgreSQL cannot hold the job's state (SQLSTATE {state})")
    word = "PoolTimeout" if "PoolTimeout" in names else f"SQLSTATE {state}" if state else type(error).__name__
    return TemporaryError("postgres_unavailable", f"PostgreSQL: {word}")


def _standard(error: BaseException, names: set[str]) -> JobError | None:
    if isinstance(error, json.JSONDecodeError):
        return TemporaryError("model_unavailable", "the model: an answer that is not JSON")
    if "GraphRecursionError" in names:
        return PermanentError("limit_exceeded", "recursion: the job needs more supersteps than it may use")
    if names & {"InvalidUpdateError", "EmptyInputError"}:
        return PermanentError("invalid_state", f"the graph: {type(error).__name__}")
    if "ContextOverflowError" in names:
        return PermanentError("model_rejected", "the conversation is longer than the model takes")
    if isinstance(error, MemoryError):
        return TemporaryError("out_of_memory", "the service: no memory left for the job")
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return TemporaryError("timeout", "no answer in time")
    if isinstance(error, ConnectionError | OSError):
        return TemporaryError("connection_failed", f"a connection: {type(error).__name__}")
    return None


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for value in (getattr(error, "status_code", None), getattr(response, "status_code", None)):
        if isinstance(value, int) and value > 0:
            return value
    return None


def _body_type(error: BaseException) -> str | None:
    """The machine-readable type in a model API's error body, either dialect."""
    body: Any = getattr(error, "body", None)
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    value = (body.get("code") or body.get("type")) if isinstance(body, Mapping) else getattr(error, "type", None)
    return value if isinstance(value, str) else None


def _reason(error: BaseException) -> str:
    """Why a request was refused, in the API's own short word; its prose may quote keys and prompts."""
    word = _body_type(error)
    return word if word and word.replace("_", "").isalnum() and len(word) <= 60 else type(error).__name__


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the server asked for: RFC 9110's Retry-After in either form, or retry-after-ms."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        return None
    try:
        if given := headers.get("retry-after-ms"):
            return _bounded(float(given) / 1000)
        given = headers.get("retry-after")
        if given is None:
            return None
        try:
            return _bounded(float(given))
        except ValueError:
            return _bounded(email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if seconds == seconds else None  # NaN
