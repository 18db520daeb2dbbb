import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_executor.models.events import JobCancelEvent, JobExecutionEvent, JobResumeEvent
from agent_executor.services import cloudevents
from agent_executor.services.cloudevents import Malformed
from tests.service import malformed

DATA, ENVELOPE, BINARY, STRUCTURED = malformed.DATA, malformed.ENVELOPE, malformed.BINARY, malformed.STRUCTURED
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def body(value):
    return json.dumps(value).encode()


def test_the_table_of_malformed_events_is_long():
    assert len(malformed.CASES) >= 90


@pytest.mark.parametrize(("payload", "headers", "reason"), malformed.CASES.values(), ids=malformed.CASES)
def test_a_malformed_event_says_what_is_wrong_and_never_quotes_itself(payload, headers, reason):
    with pytest.raises(Malformed) as caught:
        cloudevents.parse(payload, headers)
    assert caught.value.message.startswith(reason)
    assert caught.value.type == "invalid_event"
    assert malformed.CANARY not in str(caught.value)
    assert len(caught.value.message) < 200
    assert 0 < len(caught.value.job_id) <= 512


GOOD = {
    "a bare event without headers": (body(DATA), {}),
    "a bare event as JSON": (body(DATA), {"Content-Type": "application/json; charset=utf-8"}),
    "a bare event with a trace": (body(DATA), {"traceparent": TRACE}),
    "a structured event": (body(ENVELOPE), STRUCTURED),
    "a structured event, header in capitals": (body(ENVELOPE), {"CONTENT-TYPE": "Application/CloudEvents+JSON"}),
    "a structured event with a charset": (
        body(ENVELOPE),
        {"content-type": 'application/cloudevents+json; charset="UTF-8"'},
    ),
    "a structured event without headers": (body(ENVELOPE), {}),
    "a structured event as plain JSON": (body(ENVELOPE), {"Content-Type": "application/json"}),
    "null attributes are unset": (body(ENVELOPE | {"subject": None, "time": None, "data_base64": None}), STRUCTURED),
    "extensions are text, numbers and flags": (body(ENVELOPE | {"tenant": "a", "n": 3, "hot": True}), STRUCTURED),
    "a time": (body(ENVELOPE | {"time": "2026-01-01T00:00:00.123Z"}), STRUCTURED),
    "data as base64": (
        body(
            {k: v for k, v in ENVELOPE.items() if k != "data"} | {"data_base64": base64.b64encode(body(DATA)).decode()}
        ),
        STRUCTURED,
    ),
    "a vendor's JSON": (body(ENVELOPE | {"datacontenttype": "application/vnd.acme.job+json"}), STRUCTURED),
    "a binary event": (body(DATA), BINARY),
    "a binary event in capitals": (body(DATA), {name.upper(): value for name, value in BINARY.items()}),
    "a binary event without a content type": (
        body(DATA),
        {name: value for name, value in BINARY.items() if name != "Content-Type"},
    ),
    "a structured content type beats ce- headers": (body(ENVELOPE), BINARY | STRUCTURED | {"ce-id": "%FF"}),
}


@pytest.mark.parametrize(("payload", "headers"), GOOD.values(), ids=GOOD)
def test_a_good_event_is_read_and_its_bytes_are_kept(payload, headers):
    incoming = cloudevents.parse(payload, headers, "agent.execute.x")
    assert incoming.event == JobExecutionEvent.model_validate(DATA)
    assert (incoming.kind, incoming.job_id, incoming.body) == ("execute", "job-1", payload)
    assert incoming.subject == "agent.execute.x"


KINDS = {
    "dev.my-platform.agent.execute": "execute",
    "com.acme.something-else": "execute",
    "dev.my-platform.agent.completed": "execute",
    "dev.my-platform.agent.resume": "resume",
    "dev.my-platform.agent.cancel": "cancel",
}


@pytest.mark.parametrize(("type_", "kind"), KINDS.items())
def test_every_type_but_two_means_execute(type_, kind):
    assert cloudevents.parse(body(ENVELOPE | {"type": type_}), STRUCTURED).kind == kind
    assert cloudevents.parse(body(DATA), BINARY | {"ce-type": type_}).kind == kind


def test_resume_and_cancel_carry_their_own_data():
    resume = ENVELOPE | malformed.RESUME | {"data": {"job_id": "j", "resume": {"ok": True}}}
    cancel = ENVELOPE | malformed.CANCEL | {"data": {"job_id": "j", "reason": "not needed"}}
    assert cloudevents.parse(body(resume), {}).event == JobResumeEvent(job_id="j", resume={"ok": True})
    assert cloudevents.parse(body(cancel), {}).event == JobCancelEvent(job_id="j", reason="not needed")


HEADER_VALUES = {
    "plain": ("e-1", "e-1"),
    "percent-encoded": ("J%C3%BCrgen%20%F0%9F%9A%80", "Jürgen 🚀"),
    "raw UTF-8": ("Jürgen 🚀", "Jürgen 🚀"),
    "lower-case hex": ("%c3%bc", "ü"),
    "not a percent encoding": ("100%zz", "100%zz"),
    "a percent sign at the end": ("100%", "100%"),
    "decoded once only": ("%2541", "%41"),
    "quoted, as older versions wrote it": (r'"a \"b\" c"', 'a "b" c'),
}


@pytest.mark.parametrize(("written", "meant"), HEADER_VALUES.values(), ids=HEADER_VALUES)
def test_a_header_value_is_read_as_publishers_write_it(written, meant):
    assert cloudevents.parse(body(DATA), BINARY | {"ce-id": written}).id == meant
    raw = [(name.encode(), value.encode()) for name, value in (BINARY | {"ce-id": written}).items()]
    assert cloudevents.parse(body(DATA), raw).id == meant


def test_raw_http_headers_may_be_broken_too():
    raw = [(name.encode(), value.encode()) for name, value in BINARY.items()]
    with pytest.raises(Malformed, match="ce-id: is given twice"):
        cloudevents.parse(body(DATA), [*raw, (b"CE-ID", b"2")])
    with pytest.raises(Malformed, match="ce-tenant: is not UTF-8"):
        cloudevents.parse(body(DATA), [*raw, (b"ce-tenant", b"\xff")])


def digest(payload):
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


UNNAMED = body({"nodes": 1})
JOB_IDS = {
    "the job's own id": (body({"job_id": "job-9"}), {}, "job-9"),
    "the job's own id inside an envelope": (body(ENVELOPE | {"specversion": "9"}), STRUCTURED, "job-1"),
    "the job's own id, though JSON of some other kind": (b'{"job_id": "job-9", "x": NaN}', {}, "job-9"),
    "the event's id": (body(ENVELOPE | {"data": {}}), STRUCTURED, "event-1"),
    "the event's id, from a header": (b"{", BINARY, "event-1"),
    "the event's id, as the job's is unusable": (
        body(ENVELOPE | {"data": DATA | {"job_id": "\n"}}),
        STRUCTURED,
        "event-1",
    ),
    "the payload's digest": (UNNAMED, {}, digest(UNNAMED)),
    "the digest, as both ids are unusable": (
        body(ENVELOPE | {"id": 7, "data": {"job_id": []}}),
        STRUCTURED,
        digest(body(ENVELOPE | {"id": 7, "data": {"job_id": []}})),
    ),
    "the digest of nothing": (b"", {}, digest(b"")),
}


@pytest.mark.parametrize(("payload", "headers", "job_id"), JOB_IDS.values(), ids=JOB_IDS)
def test_a_malformed_event_is_named_by(payload, headers, job_id):
    with pytest.raises(Malformed) as caught:
        cloudevents.parse(payload, headers)
    assert caught.value.job_id == job_id


OTHER = TRACE.replace("0af", "1af")
LATER = f"cc{TRACE[2:]}-what-comes.then"
TRACES = {
    "an extension of a structured event": (body(ENVELOPE | {"traceparent": TRACE}), STRUCTURED, TRACE),
    "an extension of a binary event": (body(DATA), BINARY | {"ce-traceparent": TRACE}, TRACE),
    "the message's header": (body(DATA), {"Traceparent": TRACE}, TRACE),
    "the extension before the header": (
        body(ENVELOPE | {"traceparent": TRACE}),
        STRUCTURED | {"traceparent": OTHER},
        TRACE,
    ),
    "the header, as the extension is broken": (
        body(ENVELOPE | {"traceparent": "00-zz"}),
        STRUCTURED | {"traceparent": OTHER},
        OTHER,
    ),
    "none, as all zeros mean none": (body(DATA), {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, None),
    "none": (body(DATA), {}, None),
    "none, as version 00 has nothing more": (body(DATA), {"traceparent": f"{TRACE}-more"}, None),
    "a later version": (body(DATA), {"traceparent": f"cc{TRACE[2:]}"}, f"cc{TRACE[2:]}"),
    "a later version, which may have more": (body(DATA), {"traceparent": LATER}, LATER),
    "none, as nobody has so much more": (body(DATA), {"traceparent": f"{LATER}{'x' * 300}"}, None),
    "none, as a later version has a dash first": (body(DATA), {"traceparent": f"cc{TRACE[2:]}more"}, None),
    "an extension of a version 00 with more is none": (
        body(ENVELOPE | {"traceparent": f"{TRACE}-{'x' * 530_000}"}),
        STRUCTURED | {"traceparent": OTHER},
        OTHER,
    ),
    "a header of HTTP": (body(DATA), [(b"traceparent", TRACE.encode())], TRACE),
    "no header of HTTP that is too long": (body(DATA), [(b"traceparent", f"{TRACE}-x".encode())], None),
}


@pytest.mark.parametrize(("payload", "headers", "traceparent"), TRACES.values(), ids=TRACES)
def test_the_trace_comes_from(payload, headers, traceparent):
    assert cloudevents.parse(payload, headers).traceparent == traceparent


def test_a_tracestate_comes_with_its_traceparent():
    incoming = cloudevents.parse(body(DATA), {"traceparent": TRACE, "tracestate": "a=1"})
    assert incoming.tracestate == "a=1"
    assert cloudevents.parse(body(DATA), {"tracestate": "a=1"}).tracestate is None


@pytest.mark.parametrize(("length", "kept"), [(512, True), (513, False)])
def test_a_tracestate_is_kept_up_to_the_length_that_everybody_has_to_pass_on(length, kept):
    state = "a=" + "x" * (length - 2)
    for payload, headers in (
        (body(DATA), {"traceparent": TRACE, "tracestate": state}),
        (body(DATA), [(b"traceparent", TRACE.encode()), (b"tracestate", state.encode())]),
        (body(DATA), BINARY | {"ce-traceparent": TRACE, "ce-tracestate": state}),
        (body(ENVELOPE | {"traceparent": TRACE, "tracestate": state}), STRUCTURED),
    ):
        incoming = cloudevents.parse(payload, headers)
        assert (incoming.traceparent, incoming.tracestate) == (TRACE, state if kept else None)


ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from([*ENVELOPE, *DATA, "time", "subject", "data_base64", "datacontenttype", "traceparent", "x"])
HEADERS = st.dictionaries(
    st.sampled_from([*BINARY, "ce-time", "ce-subject", "ce-x", "ce-", "traceparent", "Ce-ID"]), ANY_TEXT, max_size=6
)


@given(
    st.binary(max_size=50)
    | st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(lambda change: body(ENVELOPE | change))
    | st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(lambda change: body(DATA | change)),
    st.sampled_from([{}, BINARY, STRUCTURED]),
    HEADERS,
)
def test_whatever_comes_is_an_event_or_malformed_under_a_usable_job_id(payload, headers, change):
    try:
        job_id, reason = cloudevents.parse(payload, headers | change).job_id, ""
    except Malformed as fault:
        job_id, reason = fault.job_id, fault.message
    assert JobCancelEvent(job_id=job_id).job_id == job_id
    assert "\n" not in reason
    assert len(reason) < 200
