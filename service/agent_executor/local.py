"""The embedded default: the whole service on one machine, with real servers from Python packages.

Everything is kept in one data directory, so that a second start finds its jobs again. Ports are free ones, unless asked
for; the addresses are printed, and written to `ready.json` in the directory once jobs are taken.
"""

import asyncio
import contextlib
import importlib
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from agent_executor import embedded, settings
from agent_executor.api.listener import StartError
from agent_executor.services import migrations

HOST = "127.0.0.1"
READY_FILE = "ready.json"
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
# What of the caller's environment goes on to the service: its own variables, but for those that say where servers are.
PLACES = ("POSTGRES_", "NATS_URL", "DRAGONFLY_", "HTTP_HOST", "HTTP_PORT")
# Any addresses, to look at the other settings before there are some.
ANYWHERE = {
    "NATS_URL": "nats://127.0.0.1",
    "DRAGONFLY_HOST": HOST,
    **{f"POSTGRES_{name}": HOST for name in ("HOST", "DB", "USER", "PASSWORD")},
}


class LocalError(Exception):
    """The service cannot start here: one line that says why."""


@dataclass(frozen=True)
class Addresses:
    """Where everything listens; `postgres` holds the password of this directory's cluster."""

    http: str
    nats: str
    postgres: str
    redis: str


@contextlib.asynccontextmanager
async def running(
    data_dir: Path, *, env: Mapping[str, str], http_port: int = 0, stop: asyncio.Event, ready_file: Path | None = None
) -> AsyncIterator[tuple[Addresses, "asyncio.Task[int]"]]:
    """A service that takes jobs, and the task that serves it; both end with the block, or when `stop` is set.

    Args:
        data_dir: made if missing; one process at a time owns it.
        env: the caller's environment: keys, limits and OTEL_* count, addresses of servers do not.
        http_port: 0 for a free one.
        stop: ends the service.
        ready_file: gets the addresses as JSON, in one piece, beside the one in the directory.

    Raises:
        LocalError: a server does not start, or another process owns the directory.
        SettingsError: a setting is wrong.
    """
    given = {name: value for name, value in env.items() if not name.startswith(PLACES)}
    given = {"ALLOW_SCRIPTED_MODEL": "true", **given, "HTTP_HOST": HOST, "HTTP_PORT": str(http_port)}
    settings.load(given | ANYWHERE)  # a wrong one is told before anything starts
    # A second of imports, while the servers start. They are spawned by the main thread, with which they end.
    imports = threading.Thread(target=importlib.import_module, args=("agent_executor.api.main",))
    imports.start()
    try:
        with embedded.start(data_dir) as servers:
            from agent_executor.api import main  # noqa: PLC0415

            read = settings.load(given | servers.environment())
            migrations.apply(servers.postgres_dsn, schema=read.postgres_schema)
            port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            serving = asyncio.create_task(main.serve(read, started=port.set_result, stop=stop))
            try:
                await asyncio.wait({port, serving}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    await serving  # raises what kept it from starting
                    raise LocalError("the service ended before it was ready; its log says why")
                url = f"http://{HOST}:{port.result()}"
                await _until_ready(url)
                addresses = Addresses(url, servers.nats_url, servers.postgres_dsn, servers.redis_url)
                with _written(addresses, data_dir / READY_FILE), _written(addresses, ready_file):
                    yield addresses, serving
            except StartError as error:
                raise LocalError(str(error)) from None
            finally:
                stop.set()
                await asyncio.gather(serving, return_exceptions=True)
    except (embedded.EmbeddedError, migrations.MigrationError) as error:
        raise LocalError(str(error)) from None
    finally:
        imports.join()  # an interpreter that ends in the middle of one complains


async def _until_ready(url: str) -> None:
    answer: httpx.Response | None = None
    with contextlib.suppress(TimeoutError):
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(READY_SECONDS):
            while True:
                answer = await client.get(f"{url}/ready")
                if answer.is_success:
                    return
                await asyncio.sleep(POLL_SECONDS)
    detail = answer.json()["detail"] if answer else "no answer"
    raise LocalError(f"not ready within {READY_SECONDS:g} s: {detail}")


@contextlib.contextmanager
def _written(addresses: Addresses, file: Path | None) -> Iterator[None]:
    """The addresses in a file that only its owner can read, whole from its first moment on, until the block ends."""
    if file is None:
        yield
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(asdict(addresses), out, indent=2)
        draft.replace(file)
    except OSError as error:
        raise LocalError(f"{file}: {error.strerror}") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
