import asyncio
import dataclasses

import nats
import pytest
from nats.js.api import ConsumerConfig, StorageType, StreamConfig

from agent_executor import settings
from agent_executor.errors import TemporaryError
from agent_executor.services import streams


@pytest.fixture
def given(env):
    return settings.load(env)


@pytest.fixture
def jetstream(nats_client):
    return nats_client.jetstream(timeout=5)


async def test_what_is_missing_is_made_as_the_contract_has_it(given, jetstream):
    assert await streams.ensure(jetstream, given) == streams.Ready(9.0, ())
    jobs = (await jetstream.stream_info(given.nats_stream)).config
    assert (jobs.subjects, jobs.max_age) == ([f"{given.nats_subject_prefix}.execute.*"], 86_400)
    assert (jobs.retention, jobs.storage, jobs.discard) == ("limits", "file", "old")
    consumer = (await jetstream.consumer_info(given.nats_stream, given.nats_consumer)).config
    assert (consumer.ack_policy, consumer.ack_wait, consumer.max_deliver) == ("explicit", 9.0, -1)
    assert consumer.max_ack_pending >= 10 * given.max_concurrent_jobs


async def test_ten_pods_may_make_them_at_once(given, servers):
    clients = [await nats.connect(servers.nats_url) for _ in range(10)]
    ready = await asyncio.gather(*(streams.ensure(client.jetstream(timeout=10), given) for client in clients))
    assert ready == [streams.Ready(9.0, ())] * 10
    for client in clients:
        await client.close()


async def test_what_is_there_is_left_alone_and_every_difference_is_said(given, jetstream, nats_names):
    prefix = nats_names.subject_prefix
    jobs, status, _ = streams.wanted(given)
    await jetstream.add_stream(dataclasses.replace(jobs, max_age=3600, storage=StorageType.MEMORY))
    subjects = [f"{prefix}.status.completed"]
    await jetstream.add_stream(dataclasses.replace(status, subjects=subjects, duplicate_window=120))
    await jetstream.add_consumer(given.nats_stream, dataclasses.replace(streams.consumer(given), ack_wait=30))
    ready = await streams.ensure(jetstream, given)
    assert ready.ack_wait == 30.0
    assert ready.drift == (
        f"stream {jobs.name}: storage is memory, and would be right as file",
        f"stream {jobs.name}: max_age is 3600 s, and would be right as 86400 s",
        f"stream {status.name}: duplicate_window is 120 s, and would be right as 3600 s",
        f"stream {status.name}: does not take {prefix}.status.*, and would be right with it",
        f"consumer {given.nats_consumer}: ack_wait is 30 s, and would be right as 9 s",
    )


@pytest.mark.parametrize(("most", "differs"), [(49, True), (50, False), (2000, False), (-1, False)])
async def test_a_consumer_may_hold_more_than_is_needed_and_not_less(given, jetstream, most, differs):
    await streams.ensure(jetstream, given)
    held = dataclasses.replace(streams.consumer(given), max_ack_pending=most)
    await jetstream.add_consumer(given.nats_stream, held)
    place = f"consumer {given.nats_consumer}: max_ack_pending"
    assert await streams.drift(jetstream, given) == [f"{place} is 49, and would be right as 50, or more"] * differs


async def test_nothing_there_is_a_difference_too(given, jetstream):
    found = await streams.drift(jetstream, given)
    assert len(found) == 4
    assert all("is missing" in line for line in found)


async def test_a_stream_that_cannot_be_made_is_named(given, jetstream):
    other = StreamConfig(name=f"OTHER_{given.nats_stream}", subjects=[f"{given.nats_subject_prefix}.status.>"])
    await jetstream.add_stream(other)
    try:
        with pytest.raises(TemporaryError, match=f"stream {given.nats_status_stream}: subjects overlap"):
            await streams.ensure(jetstream, given)
    finally:
        await jetstream.delete_stream(other.name)


async def test_a_push_consumer_in_the_way_is_a_difference(given, jetstream):
    jobs, *_ = streams.wanted(given)
    await jetstream.add_stream(jobs)
    in_the_way = ConsumerConfig(durable_name=given.nats_consumer, deliver_subject="x", ack_policy="none")
    await jetstream.add_consumer(given.nats_stream, in_the_way)
    found = await streams.drift(jetstream, given)
    assert f"consumer {given.nats_consumer}: ack_policy is none, and would be right as explicit" in found
