"""Every malformed event of the table through the running service, over NATS and over HTTP.

Each is exactly one valid failed event, one dead letter with the reason and the original bytes, one terminated message
and one counted failure, and nothing of it is quoted anywhere.
"""

import datetime
import json
import time

import httpx
import pytest

from tests.service.malformed import CANARY, CASES
from tests.support.observer import ECHO, TYPE, enveloped, http, job, metrics, unique, until

pytestmark = pytest.mark.xdist_group("integration-malformed")


def own(number, body, headers):
    """A case with ids of its own: two events with the same id would be one failed event."""

    def renamed(text):
        return text.replace("job-1", f"job-{number}-x").replace("event-1", f"event-{number}-x")

    body = body.replace(b'"job-1"', f'"job-{number}-x"'.encode()).replace(b'"event-1"', f'"event-{number}-x"'.encode())
    return body, {name: renamed(value) for name, value in headers.items()}


def check_failed(event, reason):
    """A valid CloudEvent that says what was wrong."""
    assert event["specversion"] == "1.0"
    assert event["type"] == TYPE + "failed"
    assert event["source"] == "agent-executor-service"
    assert isinstance(event["subject"], str)
    assert event["subject"].isprintable()
    assert 0 < len(event["subject"]) <= 512
    assert event["id"].startswith(f"{event['subject']}/refused/")
    assert datetime.datetime.fromisoformat(event["time"]).tzinfo
    assert event["data"]["job_id"] == event["subject"]
    error = event["data"]["error"]
    assert error["message"].startswith(reason)
    assert (error["type"], error["retryable"], error["attempts"]) == ("invalid_event", False, 1)
    assert CANARY not in json.dumps(event)


async def good_job_within_a_second(observer):
    began = time.monotonic()
    job_id = await observer.publish(job(ECHO))
    assert (await observer.result(job_id, seconds=10))["type"] == TYPE + "completed"
    return time.monotonic() - began


async def counters(service, observer):
    """What is counted, once everything is that was delivered: a message is counted after its acknowledgement."""
    await observer.settled()
    stream, consumer = observer.env["NATS_STREAM"], observer.env["NATS_CONSUMER"]
    delivered = (await observer.nats.jetstream().consumer_info(stream, consumer)).delivered.consumer_seq

    def found():
        told = metrics(service)
        return told["nats_messages_processed_total"] == delivered and told

    return await until(found, what="counted")


def test_there_are_ninety_of_them():
    assert len(CASES) >= 90


@pytest.mark.slow
async def test_each_over_nats_is_told_once_kept_once_and_terminated(service, observer):
    await good_job_within_a_second(observer)  # the first job imports what all others use
    terminated = []
    advisory = f"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{observer.env['NATS_STREAM']}.*"
    subscription = await observer.nats.subscribe(advisory)
    counted = ("nats_messages_failed_total", "nats_messages_processed_total", "dead_letters_total")
    before, slowest = await counters(service, observer), 0.0
    for number, (sentence, (given, named, reason)) in enumerate(CASES.items()):
        body, headers = own(number, given, named)
        results, letters = len(await observer.results()), len(await observer.letters())
        await observer.publish(body, token=f"case-{number}", **headers)

        async def both(results=results, letters=letters):
            return len(await observer.results()) > results and len(await observer.letters()) > letters

        await until(both, seconds=10, what=f"told: {sentence}")
        check_failed((await observer.results())[-1], reason)
        letter = (await observer.letters())[-1]
        assert letter.subject == f"{observer.prefix}.dead.case-{number}", sentence
        assert (letter.data or b"") == body, sentence
        assert letter.headers["Agent-Executor-Reason"].startswith(reason), sentence
        assert CANARY not in str(letter.headers)
        assert headers.items() <= letter.headers.items(), sentence
        terminated.append((await subscription.next_msg(timeout=10)).data)
        if number % 20 == 0:
            slowest = max(slowest, await good_job_within_a_second(observer))
    assert slowest < 1
    good = len(range(0, len(CASES), 20))
    assert len(await observer.letters()) == len(terminated) == len(CASES)
    assert len({event["id"] for event in await observer.results()}) == len(CASES) + good + 1
    after = await counters(service, observer)
    assert [after[name] - before[name] for name in counted] == [len(CASES), len(CASES) + good, len(CASES)]
    assert after["redeliveries_total"] == 0
    assert CANARY not in service.text()


@pytest.mark.slow
async def test_each_over_http_is_refused_with_the_same_reason(service, observer):
    await good_job_within_a_second(observer)
    letters, refused = len(await observer.letters()), 0
    async with http(service) as client:
        for number, (sentence, (given, named, reason)) in enumerate(CASES.items(), 1000):
            body, headers = own(number, given, named)
            if not any(name.lower() == "content-type" for name in headers):
                headers = {**headers, "Content-Type": "application/json"}
            answer = await client.post("/", content=body, headers=httpx.Headers(headers, encoding="utf-8"))
            assert answer.status_code in (400, 413, 415), sentence
            assert answer.headers["Content-Type"] == "application/problem+json", sentence
            problem = answer.json()
            assert problem["status"] == answer.status_code
            assert CANARY not in answer.text
            if answer.status_code != 400:
                continue
            refused += 1
            assert problem["detail"].startswith(reason), sentence
            check_failed(await observer.result(problem["job_id"], seconds=10), reason)
            letter = (await observer.letters())[-1]
            assert letter.subject == f"{observer.prefix}.dead.http"
            assert (letter.data or b"") == body, sentence
            assert letter.headers["Agent-Executor-Reason"] == problem["detail"] or "%" in str(letter.headers)
    assert refused >= 90
    assert len(await observer.letters()) - letters == refused
    assert len({event["id"] for event in await observer.results()}) == len(await observer.results())
    assert CANARY not in service.text()


async def test_the_same_malformed_event_twice_is_two_dead_letters_and_one_failed_event(observer):
    body = json.dumps(enveloped({"job_id": unique(), "trace_id": " "})).encode()
    before = len(await observer.letters())
    await observer.publish(body)
    await observer.publish(body)

    async def two():
        return len(await observer.letters()) == before + 2

    await until(two)
    await observer.settled()
    job_id = json.loads(body)["data"]["job_id"]
    assert len(await observer.results(job_id)) == 1


async def test_a_malformed_event_takes_no_outcome_from_the_job_that_it_names(observer):
    job_id = unique()
    await observer.publish(json.dumps(enveloped({"job_id": job_id, "trace_id": " "})).encode())
    await observer.result(job_id, seconds=10)
    await observer.publish(job({"name": "x", "nodes": []}, job_id=job_id))  # mended, and fails by itself

    async def both():
        return len(await observer.results(job_id)) == 2

    await until(both, seconds=10)
    assert [one["data"]["error"]["type"] for one in await observer.results(job_id)] == [
        "invalid_event",
        "invalid_definition",
    ]
