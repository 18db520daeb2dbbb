"""The application: routes, guards and, in its lifespan, the service behind them.

`serve` runs it as one process: it listens before it is ready, stays there while it drains, and exits 0.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from agent_executor.api import description, events, guard, health, intake, jobs, problems
from agent_executor.api.listener import QUEUE, StartError, listen
from agent_executor.api.service import running
from agent_executor.core.builder import Builder
from agent_executor.settings import Settings, SettingsError
from agent_executor.telemetry import traces
from agent_executor.telemetry.metrics import Metrics

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 30
CLOSE_SECONDS = 3  # for connections that are still open once everything else has stopped


def create_app(settings: Settings, graphs: type[Builder] = Builder) -> FastAPI:
    """The API of a service that starts and stops with it.

    Raises:
        SettingsError: OTEL_* ask for what is not offered.
    """
    traced = traces.configure(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, Metrics(), traced, graphs) as service:
            app.state.service, app.state.parts = service, service.parts
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False, **description.ABOUT)
    problems.install(app)
    for routes in (intake.router, jobs.router, events.router, health.router, description.router):
        app.include_router(routes)
    description.complete(app, token=settings.agent_executor_api_token is not None)
    app.add_middleware(guard.Guard, token=settings.agent_executor_api_token)
    return app


async def serve(
    settings: Settings,
    *,
    listener: socket.socket | None = None,
    started: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
    graphs: type[Builder] = Builder,
) -> int:
    """Serve until SIGTERM or SIGINT, or until `stop` is set.

    `listener` is the port where it was taken before. `started` is told the port once requests are answered; whether
    jobs are taken is for `/ready` to say.

    Returns:
        The exit status: 0 after a stop that was asked for, 1 when a part of the service broke.

    Raises:
        StartError: nothing can listen at HTTP_HOST and HTTP_PORT, or OTEL_* ask for what is not offered.
    """
    try:
        app = create_app(settings, graphs)
    except SettingsError as error:
        raise StartError(str(error)) from None
    listener = listener or listen(settings)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=QUEUE,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    server = _Server(config, stop or asyncio.Event())
    port = listener.getsockname()[1]
    log.info("http: listening", host=settings.http_host, port=port)
    stopping = asyncio.create_task(_stop(server, app, lambda: started(port) if started else None))
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
    return 1 if server.failed or not server.started or server.lifespan.should_exit else 0


class _Server(uvicorn.Server):
    """Takes a signal as a request to drain; a second one as an order."""

    def __init__(self, config: uvicorn.Config, asked: asyncio.Event) -> None:
        super().__init__(config)
        self.up, self.asked = asyncio.Event(), asked
        self.failed = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when the application has started."""
        await super().startup(sockets)
        if self.started:
            self.up.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn for SIGINT and SIGTERM."""
        if self.asked.is_set() and sig == signal.SIGINT:
            super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self.asked.set)


async def _stop(server: _Server, app: FastAPI, started: Callable[[], None]) -> None:
    """Wait for a reason to stop, stop the service, and only then the server: probes are answered until the end."""
    await server.up.wait()
    started()
    service = app.state.service
    reasons = [asyncio.create_task(server.asked.wait()), asyncio.create_task(service.broken.wait())]
    try:
        await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        server.failed = service.broken.is_set()
        await service.stop()
    except Exception:
        log.exception("service: not stopped as it should")
        server.failed = True
    finally:
        for reason in reasons:
            reason.cancel()
        server.should_exit = True
