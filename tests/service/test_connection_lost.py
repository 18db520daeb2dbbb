"""A client that the server has closed for good ends the process, which then starts anew; its jobs go on elsewhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.support.api import ECHO, plan, serving
from tests.support.runtime import caller

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
        assert "job: handed over" in capsys.readouterr().out
        async with serving(env) as other:
            assert await other.ended(job_id) == "completed"
            assert await other.metric("resumes_total") == 1
        assert [event["id"] for event in outside.all(job_id)] == [f"{job_id}/completed"]


async def test_a_stale_connection_is_made_again_by_the_client(env: dict[str, str]) -> None:
    async with between(env["NATS_URL"]) as (nats, url), serving(env, NATS_URL=url) as api:
        nats.refuse("Stale Connection")
        while nats.connections < 2:
            await asyncio.sleep(0.02)
        assert await api.ended(await api.submit(ECHO)) == "completed"
        assert not api.serving.done()
