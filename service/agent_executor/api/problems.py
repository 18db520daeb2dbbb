"""Errors over HTTP: `application/problem+json`, RFC 9457, for whatever goes wrong, in whichever layer.

Invariant: a problem says what is wrong and what would be right; it never holds a payload, a secret or a stack trace.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from agent_executor.errors import TemporaryError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
AGAIN = {"Retry-After": "1"}  # seconds, with a 503


class Problem(BaseModel):
    """RFC 9457's members; `type` is always `about:blank`, so `title` is the status's own phrase."""

    type: str = Field("about:blank", description="A URI of the kind of problem.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What is wrong here, and what would be right.")


class Refused(Exception):  # noqa: N818  # what the request is
    """A request that gets a problem for an answer; `more` are further members of it."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.more = more or {}


def answer(
    status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
) -> JSONResponse:
    """The response that tells a problem."""
    problem = Problem(type="about:blank", title=phrase(status), status=status, detail=detail)
    return JSONResponse({**problem.model_dump(), **(more or {})}, status, headers, media_type=MEDIA_TYPE)


def unread(request: Headers) -> dict[str, str]:
    """What an answer says that is given before the body was read.

    Who asked whether to send one, and was told no, would have the next request taken for it (RFC 9110, 10.1.1). Who
    sends it all the same gets the answer only from a connection that stays.
    """
    return {"Connection": "close"} if "expect" in request else {}


def phrase(status: int) -> str:
    """A status in words, RFC 9110's; Python has an older one until 3.13."""
    return "Content Too Large" if status == 413 else HTTPStatus(status).phrase


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may answer with these problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": phrase(status), "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Tell every error of `app` as a problem."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return answer(error.status, error.detail, error.headers, error.more)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := _allowed(app, request.scope["path"])):
            headers = {"Allow": allowed}
        return answer(error.status_code, _DETAILS.get(error.status_code, error.detail), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        return answer(400, "; ".join(faults))

    @app.exception_handler(psycopg.OperationalError)  # the pool's own errors are of this kind
    @app.exception_handler(psycopg.errors.UndefinedTable)
    @app.exception_handler(TemporaryError)
    async def away(_: Request, error: psycopg.Error | TemporaryError) -> JSONResponse:
        log.warning("http: a dependency is away", error=type(error).__name__)
        return answer(503, "PostgreSQL or NATS is away, as /ready says; try again later", AGAIN)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> JSONResponse:
        return answer(400, "the body ended too early")  # for nobody: who would read it has hung up

    # Starlette hands over what nothing above knows, after the response is sent it raises it again for the server's log.
    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("http: unforeseen", method=request.method, exc_info=error)
        return answer(500, "something here went wrong; the log says what")


def _allowed(app: FastAPI, path: str) -> str:
    """Every method of a path; Starlette names those of the first route that fits."""
    for template, operations in app.openapi()["paths"].items():
        if compile_path(template)[0].match(path):
            return ", ".join(sorted(method.upper() for method in operations))
    return ""


_DETAILS = {404: "there is nothing at this path", 405: "this path does not take this method"}
