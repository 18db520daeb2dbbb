"""Logs: one JSON object a line, with the trace and the job that it is about.

Invariants: everything is logged through here, the libraries' own loggers and Python's warnings too; a line never holds
a prompt, a model's answer, a tool's arguments or a secret, unless LOG_CONTENT asks for content. That is why an
exception is logged as its types and its frames: what a library puts into its text (the request it could not send, the
row it could not write) is the job's. Of a line of a library that has what is the job's in its hands, and of a warning
(pydantic's quote what a model said), it is the place in the library's code.

`trace_id` is what the job's publisher calls it. The span that a line was written in has other names, `otel_trace_id`
and `otel_span_id`, in the spelling of a `traceparent`: by them logs and traces join.
"""

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType
from typing import Any

import structlog

CHATTY = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "anthropic",
    "nats",
    "langsmith",
    "mcp",
    "urllib3",
    "asyncio",
)
"""Libraries that log requests (headers and bodies at debug) or every reconnect: only their warnings are of use."""

QUOTING = (
    "anthropic",
    "asyncio",
    "deepagents",
    "httpcore",
    "httpx",
    "langchain",
    "langgraph",
    "langsmith",
    "mcp",
    "ollama",
    "openai",
)
"""How the names of loggers begin that quote arguments, messages, answers or what a task ended with."""

FRAMES = 20  # the innermost ones of each exception


def configure(level: str, *, content: bool = False, stream: Any = None) -> None:
    """Log at `level` (debug, info, warning, error) to `stream`, standard output when none is given.

    With `content`, exceptions and warnings are logged with their text, and so is what the libraries of `QUOTING` say.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _spanned,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.ExceptionRenderer(lambda exc: _told(exc[1], content=content)),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared if content else [*shared, _placed],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they bring handlers of their own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    warnings.showwarning = _warner(content=content)


def _warner(*, content: bool) -> Callable[..., None]:
    """What Python calls with a warning, in place of writing it to the standard error."""

    def warn(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        told = {"category": category.__name__, "place": _place(filename, lineno)}
        if content:
            told["text"] = str(message)
        structlog.get_logger("py.warnings").warning("python: warning", **told)

    return warn


def _spanned(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put the current span on a line. Without OpenTelemetry there is none, so nobody pays for its import here."""
    current = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    span = current().get_span_context() if current else None
    if span and span.is_valid:
        line["otel_trace_id"], line["otel_span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return line


def _placed(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say where a library wrote a line instead of what: the place tells the message, and nothing of its arguments."""
    record: logging.LogRecord = line["_record"]
    if record.name.startswith(QUOTING):
        line["event"] = _place(record.pathname, record.lineno, record.funcName)
    return line


def _told(error: BaseException, *, content: bool) -> list[dict[str, Any]]:
    """An exception and what it came from, the outermost first, as JSON."""
    told, seen = [], set[int]()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        one: dict[str, Any] = {
            "type": f"{type(here).__module__}.{type(here).__qualname__}",
            "frames": _frames(here.__traceback__),
        }
        told.append(one | {"text": str(here)} if content else one)
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
    return told


def _frames(trace: TracebackType | None) -> list[str]:
    return [_place(one.filename, one.lineno, one.name) for one in traceback.extract_tb(trace)[-FRAMES:]]


def _place(file: str, line: int | None, function: str | None = None) -> str:
    """`package/module.py:12 function`, so that no path of a machine is in it."""
    return f"{'/'.join(PurePath(file).parts[-2:])}:{line} {function or ''}".rstrip()
