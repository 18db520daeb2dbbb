"""Subscribers hear what the log took, once and in its order, whoever else still speaks of the job."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Self

import pytest
import redis.asyncio

from agent_executor import settings
from agent_executor.services import redis as live
from agent_executor.services.event_log import replay
from agent_executor.services.redis import LiveEvents, channel

REFUSING = "return redis.call('NO-SUCH-COMMAND')"
WAYS = pytest.mark.parametrize("script", [live._SCRIPT, REFUSING], ids=["by script", "one by one"])


class Lossy(redis.asyncio.Redis):
    """A client that can lose one answer to a command that the server has carried out."""

    lose = False

    async def eval(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        answer = await super().eval(*args, **kwargs)  # type: ignore[arg-type,misc]
        if self.lose:
            self.lose = False
            raise TimeoutError
        return answer


class Heard:
    """What a subscriber of a job has heard."""

    def __init__(self, client: redis.asyncio.Redis, job_id: str) -> None:
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._name = channel(job_id)

    async def __aenter__(self) -> Self:
        await self._pubsub.subscribe(self._name)
        await self._pubsub.get_message(timeout=1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def kinds(self) -> list[str]:
        """Everything until the last event of a test, `last`."""
        found: list[str] = []
        async with asyncio.timeout(5):
            while found[-1:] != ["last"]:
                if message := await self._pubsub.get_message(timeout=1):
                    found.append(json.loads(message["data"])["event_type"])
        return found


@pytest.fixture
async def events(env: dict[str, str]) -> AsyncIterator[tuple[Lossy, LiveEvents]]:
    given = settings.load(env)
    client = Lossy(host=given.dragonfly_host, port=given.dragonfly_port, protocol=2)
    async with contextlib.aclosing(client):
        yield client, LiveEvents(client, given)


@pytest.fixture
def job_id() -> str:
    return f"job {uuid.uuid4().hex}"


@WAYS
async def test_a_worker_that_lost_its_job_is_not_heard_any_more(
    events: tuple[Lossy, LiveEvents], job_id: str, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_SCRIPT", script)
    client, sender = events
    async with Heard(client, job_id) as heard:
        first, second = sender.stream(job_id, "t", 1), sender.stream(job_id, "t", 2)
        first("a", {})
        second("b", {})
        await sender.flush()
        first("stale", {})
        first("end", {"status": "failed"})
        second("last", {})
        await sender.flush()
        assert await heard.kinds() == ["a", "b", "last"]
    assert [message["event_type"] for message in await replay(client, job_id)] == ["a", "b", "last"]


async def test_a_batch_whose_answer_was_lost_is_heard_once(events: tuple[Lossy, LiveEvents], job_id: str) -> None:
    client, sender = events
    async with Heard(client, job_id) as heard:
        emit = sender.stream(job_id, "t", 1)
        emit("a", {})
        emit("b", {})
        client.lose = True
        await sender.flush()  # gives up at the trouble
        assert not client.lose
        emit("last", {})
        await sender.flush()
        assert await heard.kinds() == ["a", "b", "last"]
    assert [message["event_type"] for message in await replay(client, job_id)] == ["a", "b", "last"]


@WAYS
async def test_a_log_that_cannot_be_written_keeps_nobody_from_hearing(
    events: tuple[Lossy, LiveEvents], job_id: str, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_SCRIPT", script)
    client, sender = events
    await client.set(f"{channel(job_id)}:log", "no stream")
    async with Heard(client, job_id) as heard:
        emit = sender.stream(job_id, "t", 1)
        emit("a", {})
        emit("last", {})
        await sender.flush()
        assert await heard.kinds() == ["a", "last"]
