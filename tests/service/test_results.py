import dataclasses
import json

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat

from agent_executor.errors import PermanentError, TemporaryError
from agent_executor.models.events import MAX_JOB_ID
from agent_executor.services import dead_letters, results
from agent_executor.services.dead_letters import Received
from agent_executor.services.results import Origin, Results
from tests.support.graphs import configured

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ORIGIN = Origin("job-1", TRACE, "vendor=1")


def told(max_payload=1_048_576, **env):
    return Results(configured(**env), lambda: max_payload)


def body(event):
    return json.loads(event.payload)


def test_a_completed_event_is_as_the_contract_has_it():
    event = told().completed(ORIGIN, {"output": "x"})
    envelope = body(event)
    assert envelope.pop("time").endswith("+00:00")
    assert envelope == {
        "specversion": "1.0",
        "id": "job-1/completed",
        "source": "agent-executor-service",
        "type": "dev.my-platform.agent.completed",
        "subject": "job-1",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "tracestate": "vendor=1",
        "data": {"job_id": "job-1", "result": {"output": "x"}},
    }
    assert (event.id, event.job_id, event.subject) == ("job-1/completed", "job-1", "agent.status.completed")
    assert event.headers == {
        "Nats-Msg-Id": "job-1/completed",
        "Content-Type": "application/cloudevents+json",
        "traceparent": TRACE,
    }


def test_a_failed_event_carries_the_error_and_no_more():
    error = results.describe(TemporaryError("rate_limited", "openai: HTTP 429"), 5)
    event = told().failed(Origin("j"), error)
    assert body(event)["data"] == {
        "job_id": "j",
        "error": {"type": "rate_limited", "message": "openai: HTTP 429", "retryable": True, "attempts": 5},
    }
    assert "traceparent" not in body(event)
    assert event.subject == "agent.status.failed"


def test_cancelled_and_interrupted_events():
    assert body(told().cancelled(ORIGIN))["data"] == {"job_id": "job-1"}
    event = told().interrupted(ORIGIN, [{"id": "i", "value": 1}], ordinal=2)
    assert event.id == "job-1/interrupted/2"
    assert body(event)["data"] == {"job_id": "job-1", "interrupts": [{"id": "i", "value": 1}]}


def test_a_tenant_has_subjects_of_its_own():
    assert told(NATS_SUBJECT_PREFIX="acme.agents").cancelled(ORIGIN).subject == "acme.agents.status.cancelled"


def test_every_sdk_reads_a_result():
    event = told().completed(Origin("Jürgen/🚀", TRACE), {"output": "ü"})
    read = from_http_event(HTTPMessage({"content-type": event.headers["Content-Type"]}, event.payload), JSONFormat())
    assert read.get_id() == "Jürgen/🚀/completed"
    assert read.get_subject() == "Jürgen/🚀"
    assert read.get_data() == {"job_id": "Jürgen/🚀", "result": {"output": "ü"}}
    assert read.get_extension("traceparent") == TRACE


IDS = {
    "plain": ("job-1", "job-1"),
    "blanks at the ends": (" a ", "%20a%20"),
    "a percent sign, which means itself": ("%20a", "%2520a"),
    "any script": ("ü🚀", "%C3%BC%F0%9F%9A%80"),
    "slashes, colons and stars": ("a/b:c*.>", "a/b:c*.>"),
    "a line separator": ("a\u2028b", "a%E2%80%A8b"),
}


@pytest.mark.parametrize(("job_id", "header"), IDS.values(), ids=IDS)
def test_a_message_id_is_a_header_whatever_the_job_id(job_id, header):
    assert told().cancelled(Origin(job_id)).headers["Nats-Msg-Id"] == f"{header}/cancelled"


def test_different_job_ids_never_share_a_message_id():
    headers = [results.header_value(text) for text in ("a b", "a%20b", "a%2520b", "a+b", "A b")]
    assert len(set(headers)) == len(headers)


def test_the_largest_job_id_fits_the_smallest_server():
    assert len(told(65_536).cancelled(Origin("🚀" * MAX_JOB_ID)).payload) < 65_536


SIZES = {"just fits": (600, True), "one byte too many": (601, False)}


@pytest.mark.parametrize(("size", "fits"), SIZES.values(), ids=SIZES)
def test_a_result_above_the_servers_limit_is_a_reference(size, fits):
    event = told(2000).completed(Origin("a/b"), "")
    room = 2000 - 64 - sum(len(name) + len(value) + 4 for name, value in event.headers.items()) - len(event.payload)
    event = told(2000).completed(Origin("a/b"), "x" * (room - 600 + size))
    assert ("data" in body(event), body(event).get("dataref")) == (
        (True, None) if fits else (False, "/jobs/a%2Fb/result")
    )


def test_a_reference_is_a_whole_url_where_the_platform_said_which():
    event = told(500, PUBLIC_URL="https://agents.example.com/x/").completed(Origin("j"), "x" * 1000)
    assert body(event)["dataref"] == "https://agents.example.com/x/jobs/j/result"


def test_a_trace_that_is_none_goes_no_further():
    event = told().cancelled(Origin("j", f"{TRACE}-{'x' * 530_000}", "a=1"))
    assert "traceparent" not in body(event) | event.headers
    assert "tracestate" not in body(event)
    event = told().cancelled(Origin("j", TRACE, "a=" + "x" * 600_000))
    assert (body(event)["traceparent"], "tracestate" in body(event)) == (TRACE, False)


REFERRED = {
    "a result": (told().completed(ORIGIN, "x"), "/jobs/job-1/result"),
    "an interrupt": (told().interrupted(ORIGIN, [], ordinal=1), "/jobs/job-1"),
    "a reference": (told(0, PUBLIC_URL="https://a.example").completed(ORIGIN, "x"), "/jobs/job-1/result"),
}


@pytest.mark.parametrize(("event", "dataref"), REFERRED.values(), ids=REFERRED)
def test_an_event_that_was_made_before_is_referred_to_without_its_data(event, dataref):
    old = {**body(event), "traceparent": f"{TRACE}-{'x' * 530_000}"}
    old = dataclasses.replace(
        event, payload=json.dumps(old).encode(), headers={**event.headers, "traceparent": old["traceparent"]}
    )
    short = results.referred(old, None)
    assert body(short) == {
        **{name: value for name, value in body(event).items() if name not in ("data", "traceparent", "tracestate")},
        "dataref": dataref,
    }
    assert (short.id, short.subject, "traceparent" in short.headers) == (event.id, event.subject, False)
    assert body(results.referred(event, None))["traceparent"] == TRACE


def test_values_that_json_cannot_hold_are_cleaned():
    event = told().completed(Origin("j"), {"a": "\0\ud800", "b": float("nan"), "c": 2**64})
    assert body(event)["data"]["result"] == {"a": "\ufffd\ufffd", "b": None, "c": "18446744073709551616"}


def test_a_message_for_people_is_short():
    assert len(results.describe(PermanentError("x", "y" * 10_000), 1)["message"]) == 2000


HEADERS = {
    "the publisher's own": ({"X-Tenant": "a", "ce-id": "%FF"}, {"X-Tenant": "a", "ce-id": "%FF"}),
    "its message id": ({"Nats-Msg-Id": "m"}, {"Nats-Msg-Id": "m"}),
    "no orders to the server": ({"Nats-Expected-Stream": "X", "nats-ttl": "1s", "Nats-Rollup": "all"}, {}),
    "no names that cannot be written": ({"a b": "1", "ü": "2", "": "3"}, {}),
}


@pytest.mark.parametrize(("given", "kept"), HEADERS.values(), ids=HEADERS)
def test_a_dead_letter_keeps_the_message_as_it_came(given, kept):
    received = Received(b"\xff\0", given, "demo", "S/1")
    letter = dead_letters.build(configured(), received, "body: is not UTF-8, größer\nx", "j")
    assert (letter.payload, letter.subject) == (b"\xff\0", "agent.dead.demo")
    assert letter.headers == {
        "Nats-Msg-Id": letter.id,
        **kept,
        "Agent-Executor-Reason": "body: is not UTF-8, gr%C3%B6%C3%9Fer%0Ax",
    }


def test_a_message_buried_twice_is_one_dead_letter():
    def id_of(body, place):
        return dead_letters.build(configured(), Received(body, {}, "t", place), "why", "j").id

    assert id_of(b"x", "S/1") == id_of(b"x", "S/1")
    assert len({id_of(b"x", "S/1"), id_of(b"x", "S/2"), id_of(b"y", "S/1")}) == 3
