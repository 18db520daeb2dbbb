"""A server that answers, and does not keep what it is given: a demoted master, or one whose memory is full."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from agent_executor import embedded, settings
from agent_executor.api import closing
from agent_executor.embedded import binaries
from agent_executor.services import redis as live
from agent_executor.services.event_log import replay
from agent_executor.services.redis import LiveEvents
from tests.service.test_redis import listened

WAYS = pytest.mark.parametrize(
    "script", [live._SCRIPT, "return redis.call('NO-SUCH-COMMAND')"], ids=["by script", "one by one"]
)


class Refusing:
    """A server of a test's own, a sender at work, and how many events were lost."""

    def __init__(self, client: redis.asyncio.Redis, given: settings.Settings) -> None:
        self.client, self.lost = client, 0
        self.sender = LiveEvents(client, given, self._lose)
        self.job_id = f"job {uuid.uuid4().hex}"

    def _lose(self, count: int) -> None:
        self.lost += count

    async def kept(self) -> list[str]:
        """The kinds of events in the log."""
        return [message["event_type"] for message in await replay(self.client, self.job_id)]


@pytest.fixture
async def own(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Refusing]:
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.05)
    port = embedded.free_port()
    server = await asyncio.create_subprocess_exec(
        binaries.valkey(), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    given = settings.load({**env, "DRAGONFLY_PORT": str(port)})
    client = live.connect(given)
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(*live.TROUBLE):
                    await client.ping()
                    break
                await asyncio.sleep(0.02)
        refusing = Refusing(client, given)
        task = asyncio.create_task(refusing.sender.run())
        yield refusing
        await closing.end([task])
        await client.aclose()
    finally:
        server.kill()
        await server.wait()


@WAYS
async def test_a_demoted_master_is_away_until_there_is_one(
    own: Refusing, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_SCRIPT", script)
    emit = own.sender.stream(own.job_id, "t", 1)
    emit("a", {})
    await own.sender.flush()
    await own.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    heard = await listened(own.client, own.job_id, 2)
    with capture_logs() as lines:
        emit("b", {})
        await own.sender.flush()
        assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["live events: Dragonfly is away"]
    assert await own.kept() == ["a"]
    await own.client.execute_command("REPLICAOF", "NO", "ONE")
    emit("end", {})
    assert [message["event_type"] for message in await heard] == ["b", "end"]
    assert await own.kept() == ["a", "b", "end"]
    assert own.lost == 0


async def test_after_a_failover_it_asks_anew_where_the_master_is(own: Refusing) -> None:
    await own.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    before = await own.client.client_id()
    own.sender.stream(own.job_id, "t", 1)("a", {})
    await own.sender.flush()
    assert await own.client.client_id() != before  # another connection


@WAYS
async def test_of_a_full_server_a_job_is_heard_and_what_is_lost_is_counted_and_said_once(
    own: Refusing, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_SCRIPT", script)
    await own.client.config_set("maxmemory", 1)
    heard = await listened(own.client, own.job_id, 3)
    emit = own.sender.stream(own.job_id, "t", 1)
    with capture_logs() as lines:
        for kind in ("a", "b"):
            emit(kind, {})
            await own.sender.flush()
        warned = [line for line in lines if line["log_level"] == "warning"]
        assert [line["event"] for line in warned] == ["live events: told, but not kept"]
        assert "maxmemory" in warned[0]["error"]
    assert own.lost == 2
    await own.client.config_set("maxmemory", 0)
    with capture_logs() as lines:
        emit("end", {})
        assert [message["event_type"] for message in await heard] == ["a", "b", "end"]
        await own.sender.flush()
        assert "live events: kept again" in [line["event"] for line in lines]
    assert await own.kept() == ["end"]
    assert own.lost == 2
