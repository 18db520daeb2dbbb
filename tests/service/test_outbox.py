import asyncio
import tracemalloc

import psycopg
import pytest

from agent_executor.errors import TemporaryError
from agent_executor.services import database, outbox
from agent_executor.services.broker import TooLarge
from agent_executor.services.jobs import Jobs
from agent_executor.services.outbox import Outbox
from tests.service.test_jobs import LEASE, event, new_job


class Broker:
    """JetStream as the outbox sees it: stores by id, and can be away."""

    def __init__(self):
        self.stored = {}
        self.deliveries = []
        self.away = False
        self.refused = []

    async def publish(self, sent):
        if len(sent.payload) > 1000:
            self.refused.append(sent.id)
            raise TooLarge(sent.subject)
        if self.away:
            raise TemporaryError("nats_unavailable", "no answer")
        self.deliveries.append(sent.id)
        self.stored[sent.id] = sent


@pytest.fixture
async def pool(migrated):
    async with database.pool(migrated.dsn, schema="agent_executor", size=6) as opened:
        yield opened


@pytest.fixture
def broker():
    return Broker()


async def finished(pool, payload=b"{}"):
    jobs, job = Jobs(pool), new_job()
    await jobs.claim(job, **LEASE)
    done = event(job.job_id, payload=payload)
    assert await jobs.finish(job.job_id, 1, "completed", done)
    return done


async def until(condition):
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_what_a_worker_publishes_is_marked_and_not_published_again(pool, broker):
    box, done = Outbox(pool, broker.publish), await finished(pool)
    assert await box.send(done)
    assert await box.flush() == 0
    assert broker.deliveries == [done.id]


async def test_what_a_crashed_worker_left_is_relayed_as_it_was(pool, broker):
    done = [await finished(pool, payload=bytes([n, 0xFF, 0])) for n in range(3)]
    box = Outbox(pool, broker.publish)
    assert await box.depth() == 3
    assert await box.relay() == 3
    assert broker.deliveries == [one.id for one in done], "oldest first"
    assert list(broker.stored.values()) == done
    assert await box.depth() == 0


async def test_a_fresh_event_is_left_to_its_own_worker(pool, broker):
    await finished(pool)
    assert await Outbox(pool, broker.publish).relay(older_than=60) == 0
    assert broker.deliveries == []


async def test_events_wait_for_a_broker_that_is_away(pool, broker):
    box, done = Outbox(pool, broker.publish), await finished(pool)
    broker.away = True
    assert await box.send(done) is False
    assert await box.flush() == 1
    broker.away = False
    assert await box.flush() == 0
    assert broker.deliveries == [done.id]


async def test_an_event_that_can_never_go_out_is_tried_once_and_in_nobodys_way(pool, broker, monkeypatch, capsys):
    monkeypatch.setattr(outbox, "BATCH", 3)
    hopeless = [await finished(pool, payload=b"x" * 1001) for _ in range(4)]
    done = [await finished(pool) for _ in range(4)]
    box = Outbox(pool, broker.publish)
    assert await box.send(hopeless[0]) is False
    for _ in range(3):
        await box.relay()
    assert broker.deliveries == [one.id for one in done]
    assert broker.refused == [one.id for one in hopeless]
    assert await box.depth() == 4, "the metric goes on telling of them"
    assert capsys.readouterr().out.count("can not be published") == 4
    assert await Outbox(pool, broker.publish).flush() == 4
    assert len(broker.refused) == 8, "another process, which may have another server, tries too"


async def test_relays_side_by_side_publish_each_event_once(pool, broker, monkeypatch):
    monkeypatch.setattr(outbox, "BATCH", 5)
    done = [await finished(pool) for _ in range(40)]
    boxes = [Outbox(pool, broker.publish) for _ in range(4)]
    assert sum(await asyncio.gather(*(box.relay() for box in boxes))) == 40
    assert sorted(broker.deliveries) == sorted(one.id for one in done)


async def test_the_task_marks_relays_and_survives_a_database_that_is_away(pool, broker, monkeypatch):
    monkeypatch.setattr(outbox, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(outbox, "RELAY_SECONDS", 0.05)
    box, done = Outbox(pool, broker.publish), await finished(pool)
    mark, failures = box._mark, 2

    async def fails_at_first():
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise psycopg.OperationalError("the server is starting up")
        await mark()

    monkeypatch.setattr(box, "_mark", fails_at_first)
    task = asyncio.create_task(box.run())

    async def empty():
        return await box.depth() == 0

    await until(empty)
    task.cancel()
    assert broker.deliveries == [done.id]


async def test_a_mark_that_fails_is_made_up_for(pool, broker, monkeypatch):
    box, done = Outbox(pool, broker.publish), await finished(pool)
    await box.send(done)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_MARK", "SELECT no_such_function(%(sent)s)")
        with pytest.raises(psycopg.Error):
            await box._mark()
    assert await box.flush() == 0
    assert broker.deliveries == [done.id]


async def test_large_events_that_were_left_are_not_held_together(pool):
    for _ in range(20):
        await finished(pool, b"x" * 1_000_000)
    published = []

    async def publish(sent):
        published.append(len(sent.payload))

    tracemalloc.start()
    try:
        assert await Outbox(pool, publish).relay() == 20
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert published == [1_000_000] * 20
