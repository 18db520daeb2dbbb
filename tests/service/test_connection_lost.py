"""A client that the server has closed, or refuses, for good ends the process, which then starts anew; its jobs go on
elsewhere."""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import pytest
from nats.errors import Error

from agent_executor.services import broker
from agent_executor.services.broker import Closed
from agent_executor.telemetry import logs
from tests.support.api import ECHO, plan, serving
from tests.support.logged import lines
from tests.support.runtime import caller, until
from tests.support.servers import own_servers

SLOW = plan(
    {"text": "one", "tool_calls": [{"name": "write_todos", "args": {"todos": []}}]}, {"text": "two", "delay_ms": 3000}
)


class Between:
    """Between the service and NATS, able to say something in the server's name."""

    def __init__(self, nats_url: str) -> None:
        self._to = urlsplit(nats_url)
        self._clients: list[asyncio.StreamWriter] = []
        self.connections = 0

    def refuse(self, reason: str) -> None:
        """What the server does with what it cannot take."""
        for writer in self._clients:
            writer.write(f"-ERR '{reason}'\r\n".encode())
            writer.close()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._clients.append(writer)
        far_reader, far_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        with contextlib.suppress(OSError):
            await asyncio.gather(copied(reader, far_writer), copied(far_reader, writer))


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
    writer.close()


@contextlib.asynccontextmanager
async def between(nats_url: str) -> AsyncIterator[tuple[Between, str]]:
    made = Between(nats_url)
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    yield made, f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_an_error_of_the_server_ends_the_process_and_hands_its_job_over(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with caller(env) as outside, between(env["NATS_URL"]) as (nats, url):
        async with serving(env, NATS_URL=url) as api:
            job_id = await api.submit(SLOW)
            async for event in api.follow(job_id):
                if event["event_type"] == "on_tool_end":
                    break
            nats.refuse("Unknown Protocol Operation")
            assert await asyncio.wait_for(api.serving, 20) == 1
        said = capsys.readouterr().out
        assert "job: handed over" in said
        assert re.search("nats: closed .*unknown protocol operation", said)
        async with serving(env) as other:
            assert await other.ended(job_id) == "completed"
            assert await other.metric("resumes_total") == 1
        assert [event["id"] for event in outside.all(job_id)] == [f"{job_id}/completed"]


async def test_a_stale_connection_is_made_again_by_the_client(env: dict[str, str]) -> None:
    async with between(env["NATS_URL"]) as (nats, url), serving(env, NATS_URL=url) as api:
        nats.refuse("Stale Connection")
        while nats.connections < 2:
            await asyncio.sleep(0.02)
        await until(api.ready)
        assert await api.ended(await api.submit(ECHO)) == "completed"
        assert not api.serving.done()


@pytest.fixture
def guarded(env: dict[str, str]) -> Iterator[Callable[[str], dict[str, str]]]:
    """NATS that asks for a password: call it with a new one."""
    with own_servers() as servers:
        command = servers.nats.command

        def take(password: str) -> dict[str, str]:
            servers.nats.stop()
            servers.nats.command = lambda port: [*command(port), "--user", "u", "--pass", password]
            servers.nats.start()
            return {**env, "NATS_URL": f"nats://u:former@127.0.0.1:{servers.nats.port}"}

        yield take


async def refused(written: io.StringIO) -> bool:
    return "Authorization Violation" in written.getvalue()


async def test_a_login_that_is_refused_for_good_ends_the_process_and_is_said_once(
    guarded: Callable[[str], dict[str, str]], written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "REFUSED_SECONDS", 3.0)
    logs.configure("info", stream=written)
    async with serving(guarded("former")) as api:
        guarded("new")
        await until(lambda: refused(written))
        assert "nats" in (await api.http.get("/ready")).json()["detail"].lower()
        assert await asyncio.wait_for(api.serving, 20) == 1
    said = [line for line in lines(written) if line["event"].startswith("nats: ")]
    assert [line["event"] for line in said if "Authorization Violation" in str(line)] == ["nats: trouble"]
    assert said[-1]["event"] == "nats: login refused"
    assert "former" not in written.getvalue()


async def test_so_does_one_that_is_refused_from_the_start_on(
    guarded: Callable[[str], dict[str, str]], written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "REFUSED_SECONDS", 1.0)
    logs.configure("info", stream=written)
    async with serving(guarded("new"), wait=False) as api:
        assert await asyncio.wait_for(api.serving, 20) == 1
    assert written.getvalue().count("Authorization Violation") == 1


async def test_a_login_that_is_taken_again_in_time_is_no_reason_to_end(
    guarded: Callable[[str], dict[str, str]], written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "REFUSED_SECONDS", 8.0)
    logs.configure("info", stream=written)
    async with serving(guarded("former")) as api:
        guarded("new")
        await until(lambda: refused(written))
        guarded("former")
        await until(api.ready)
        assert await api.ended(await api.submit(ECHO)) == "completed"
        assert not api.serving.done()


class Played:
    """A client that is seen in these states, one after the other, and then raises `EOFError`."""

    def __init__(self, *seen: tuple[bool, Exception | None]) -> None:
        self._seen = iter(seen)
        self.last_error: Exception | None = None

    @property
    def is_connected(self) -> bool:
        connected, self.last_error = next(self._seen, (None, None))
        if connected is None:
            raise EOFError
        return connected


OLD, NEW = Error("nats: 'Authorization Violation'"), Error("nats: 'Authorization Violation'")
AWAY, LOST = (False, ConnectionRefusedError()), (False, None)
SEEN: dict[str, tuple[list[tuple[bool, Exception | None]], type[Exception]]] = {
    "refused for long enough": ([LOST, (False, NEW), (False, NEW), (False, NEW)], Closed),
    "refused by one server while others are away": ([(False, NEW), AWAY, AWAY], Closed),
    "away": ([AWAY] * 9, EOFError),
    "connected": ([(True, None)] * 9, EOFError),
    "taken again in time": ([(False, OLD), (False, OLD), (True, OLD)] * 3, EOFError),
    "away after it was refused once": ([(False, OLD), (True, OLD), (False, OLD), *[AWAY] * 9], EOFError),
    "refused again": ([(False, OLD), (True, OLD), LOST, *[(False, NEW)] * 3], Closed),
}


@pytest.mark.parametrize(("seen", "end"), SEEN.values(), ids=SEEN)
async def test_what_counts_as_refused_for_good(
    seen: list[tuple[bool, Exception | None]], end: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(broker, "REFUSED_SECONDS", 0.025)
    with pytest.raises(end):
        await broker.until_refused(Played(*seen))  # type: ignore[arg-type]  # all that it looks at
