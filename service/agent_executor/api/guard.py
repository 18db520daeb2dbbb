"""What every request passes before a route sees it: the bearer token, and the path as it was sent.

Invariant: without the token nothing but health, readiness and metrics is answered, not even whether a path exists.
"""

import hmac
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_executor.api import problems

OPEN = frozenset({"/health", "/ready", "/metrics"})
SCHEME = "bearer "


class Guard:
    """Asks for the token, when there is one, and routes by the encoded path.

    A job id may hold anything, slashes too: `/jobs/a%2Fevents` is the job `a/events`, and `/jobs/a/events` the events
    of the job `a`. Decoding before routing would make them one; so routes see the path as it was sent, and
    `identifiers` decodes.
    """

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self._app = app
        self._token = token.get_secret_value().encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = scope.get("raw_path")
        path = sent.decode("latin-1") if sent else scope["path"]
        if (
            self._token is not None
            and path not in OPEN
            and not self._knows(Headers(scope=scope).get("authorization", ""))
        ):
            headers = {"WWW-Authenticate": 'Bearer realm="agent-executor"', **problems.unread(Headers(scope=scope))}
            detail = "this needs the header `Authorization: Bearer <token>`, with the token of AGENT_EXECUTOR_API_TOKEN"
            await problems.answer(HTTPStatus.UNAUTHORIZED, detail, headers)(scope, receive, send)
            return
        await self._app({**scope, "path": path}, receive, send)

    def _knows(self, header: str) -> bool:
        """Whether it holds the token, byte for byte; Starlette reads headers as Latin-1."""
        given = header[len(SCHEME) :].strip() if header.lower().startswith(SCHEME) else ""
        return self._token is not None and hmac.compare_digest(given.encode("latin-1"), self._token)
