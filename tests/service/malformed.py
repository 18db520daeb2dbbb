"""Events that can never run, as a table: sentence -> (body, headers, start of the reason).

Every body holds CANARY where it can, so that any test may check that no reason, log or event quotes it.
"""

import base64
import json
from typing import Any

CANARY = "canary-payload-7c1d"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "event-1",
    "ce-source": "/tests",
    "ce-type": "dev.my-platform.agent.execute",
    "Content-Type": "application/json",
}
DATA: dict[str, Any] = {
    "trace_id": "trace-1",
    "job_id": "job-1",
    "agent_definition": {"name": CANARY, "nodes": []},
    "input_payload": {"messages": [{"role": "user", "content": CANARY}]},
}
ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "/tests",
    "type": "dev.my-platform.agent.execute",
    "data": DATA,
}
GONE = object()
Case = tuple[bytes, dict[str, str], str]


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def _changed(value: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {name: item for name, item in (value | fields).items() if item is not GONE}


def bare(reason: str, **fields: Any) -> Case:
    return _bytes(_changed(DATA, **fields)), {}, reason


def structured(reason: str, **fields: Any) -> Case:
    return _bytes(_changed(ENVELOPE, **fields)), STRUCTURED, reason


def binary(reason: str, body: bytes | None = None, **fields: Any) -> Case:
    headers = _changed(BINARY, **{name.replace("_", "-"): value for name, value in fields.items()})
    return _bytes(DATA) if body is None else body, headers, reason


def raw(body: bytes, reason: str, headers: dict[str, str] | None = None) -> Case:
    return body, headers or {}, reason


def _edited(old: str, new: str) -> bytes:
    """The bare event with one piece of its text replaced by something `json.dumps` would not write."""
    text = json.dumps(DATA)
    assert old in text
    return text.replace(old, new).encode()


def _deep(levels: int) -> bytes:
    return _edited('"nodes": []', '"nodes": ' + "[" * levels + "]" * levels)


RESUME = {"type": "dev.my-platform.agent.resume"}
CANCEL = {"type": "dev.my-platform.agent.cancel"}

CASES: dict[str, Case] = {
    # not JSON at all
    "nothing": raw(b"", "body: is not JSON"),
    "only blanks": raw(b" \n\t ", "body: is not JSON"),
    "plain text": raw(CANARY.encode(), "body: is not JSON"),
    "half of an object": raw(_bytes(DATA)[:40], "body: is not JSON"),
    "an object and something after it": raw(_bytes(DATA) + b"x", "body: is not JSON"),
    "two objects": raw(_bytes(DATA) * 2, "body: is not JSON"),
    "single quotes": raw(str(DATA).encode(), "body: is not JSON"),
    "a trailing comma": raw(_edited('"job-1",', '"job-1",,'), "body: is not JSON"),
    "a comment": raw(b"/* x */" + _bytes(DATA), "body: is not JSON"),
    "YAML": raw(b"job_id: job-1\ntrace_id: t\n", "body: is not JSON"),
    "XML": raw(b"<event><job_id>job-1</job_id></event>", "body: is not JSON"),
    "HTML": raw(b"<!doctype html><title>502</title>", "body: is not JSON"),
    "UTF-16": raw(json.dumps(DATA).encode("utf-16"), "body: is not UTF-8"),
    "Latin-1": raw(json.dumps(DATA | {"x": "\u00fc"}, ensure_ascii=False).encode("latin-1"), "body: is not UTF-8"),
    "an overlong encoding": raw(_bytes(DATA)[:-1] + b', "x": "\xc0\xaf"}', "body: is not UTF-8"),
    "a surrogate in UTF-8 bytes": raw(_bytes(DATA)[:-1] + b', "x": "\xed\xa0\x80"}', "body: is not UTF-8"),
    "a byte order mark": raw(b"\xef\xbb\xbf" + _bytes(DATA), "body: is not JSON"),
    "random bytes": raw(bytes(range(256)), "body: is not UTF-8"),
    "only NULs": raw(b"\0" * 64, "body: is not JSON"),
    "gzip": raw(b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "body: is not UTF-8"),
    "a pickle": raw(b"\x80\x04\x95\x0b\0\0\0", "body: is not UTF-8"),
    # JSON, but not as we take it
    "NaN": raw(_edited('"nodes": []', '"x": NaN'), "body: has NaN"),
    "Infinity": raw(_edited('"nodes": []', '"x": Infinity'), "body: has NaN"),
    "minus Infinity": raw(_edited('"nodes": []', '"x": -Infinity'), "body: has NaN"),
    "a float that overflows": raw(_edited('"nodes": []', '"x": 1e999'), "body: has a number that is too large"),
    "an integer of 10,000 digits": raw(_edited('"nodes": []', '"x": ' + "9" * 10_000), "body: has a number with too"),
    "a key given twice": raw(_edited('"job_id"', '"job_id": "job-0", "job_id"'), "body: has the same key twice"),
    "a nested key given twice": raw(_edited('"nodes": []', '"x": {"a": 1, "a": 2}'), "body: has the same key twice"),
    "NUL as an escape": raw(_edited(CANARY, "a\\u0000b"), "body: has a NUL"),
    "NUL as an escape in a key": raw(_edited('"nodes"', '"no\\u0000des"'), "body: has a NUL"),
    "NUL as a byte": raw(_edited(CANARY, "a\0b"), "body: is not JSON"),
    "a lone high surrogate": raw(_edited(CANARY, "a\\ud83db"), "body: has a NUL or a lone surrogate"),
    "a lone low surrogate": raw(_edited(CANARY, "a\\uDE80b"), "body: has a NUL or a lone surrogate"),
    "a line break inside a string": raw(_edited(CANARY, "a\nb"), "body: is not JSON"),
    "101 arrays inside one another": raw(_deep(101), "body: is nested deeper than 100 levels"),
    "100,000 arrays inside one another": raw(_deep(100_000), "body: is nested deeper than 100 levels"),
    "100,000 opened arrays": raw(b"[" * 100_000, "body: is n"),
    "100,000 opened objects": raw(b'{"a":' * 100_000, "body: is n"),
    # JSON, but not an object
    "null": raw(b"null", "body: is not an object"),
    "true": raw(b"true", "body: is not an object"),
    "a number": raw(b"42", "body: is not an object"),
    "a string": raw(json.dumps(CANARY).encode(), "body: is not an object"),
    "an array of events": raw(_bytes([DATA]), "body: is not an object"),
    "a JSON text inside a JSON string": raw(_bytes(json.dumps(DATA)), "body: is not an object"),
    # a bare event that lacks something
    "an empty object": raw(b"{}", "data.trace_id: is missing"),
    "no job id": bare("data.job_id: is missing", job_id=GONE),
    "no trace id": bare("data.trace_id: is missing", trace_id=GONE),
    "no definition": bare("data.agent_definition: is missing", agent_definition=GONE),
    "no input": bare("data.input_payload: is missing", input_payload=GONE),
    "a null job id": bare("data.job_id: is of the wrong kind", job_id=None),
    "an empty job id": bare("data.job_id: is blank", job_id=""),
    "a blank job id": bare("data.job_id: is blank", job_id=" \t\u2003"),
    "a job id of no-break spaces": bare("data.job_id: is blank", job_id="\u00a0\u00a0"),
    "a numeric job id": bare("data.job_id: is of the wrong kind", job_id=17),
    "a true job id": bare("data.job_id: is of the wrong kind", job_id=True),
    "a list for a job id": bare("data.job_id: is of the wrong kind", job_id=["job-1"]),
    "an object for a job id": bare("data.job_id: is of the wrong kind", job_id={"id": "job-1"}),
    "a job id of 513 characters": bare("data.job_id: has 513 characters", job_id="j" * 513),
    "a job id of a million characters": bare("data.job_id: has 1000000 characters", job_id="j" * 1_000_000),
    "a line break in a job id": bare("data.job_id: has a control character", job_id="job\n1"),
    "a tab in a job id": bare("data.job_id: has a control character", job_id="job\t1"),
    "an escape in a job id": bare("data.job_id: has a control character", job_id="job\x1b[31m"),
    "DEL in a job id": bare("data.job_id: has a control character", job_id="job\x7f"),
    "a C1 control character in a job id": bare("data.job_id: has a control character", job_id="job\x9b"),
    "a noncharacter in a job id": bare("data.job_id: has a control character", job_id="job\ufffe"),
    "a noncharacter of a high plane": bare("data.job_id: has a control character", job_id="job\U0002ffff"),
    "a surrogate in a job id": raw(_edited("job-1", "job\\ud800"), "body: has a NUL or a lone surrogate"),
    "an empty trace id": bare("data.trace_id: is blank", trace_id=""),
    "a blank trace id": bare("data.trace_id: is blank", trace_id="  "),
    "a numeric trace id": bare("data.trace_id: is of the wrong kind", trace_id=1.5),
    "a null definition": bare("data.agent_definition: is of the wrong kind", agent_definition=None),
    "a definition that is text": bare("data.agent_definition: is of the wrong kind", agent_definition=CANARY),
    "a definition that is a list": bare("data.agent_definition: is of the wrong kind", agent_definition=[]),
    "a null input": bare("data.input_payload: is of the wrong kind", input_payload=None),
    "an input that is text": bare("data.input_payload: is of the wrong kind", input_payload=CANARY),
    "an input that is a list": bare("data.input_payload: is of the wrong kind", input_payload=[CANARY]),
    # structured mode
    "no specversion": structured("specversion: is missing", specversion=GONE),
    "a null specversion": structured("specversion: is missing", specversion=None),
    "specversion 0.3": structured("specversion: is not right", specversion="0.3"),
    "specversion as a number": structured("specversion: is not right", specversion=1.0),
    "no id": structured("id: is missing", id=GONE),
    "a null id": structured("id: is missing", id=None),
    "an empty id": structured("id: is missing", id=""),
    "a numeric id": structured("id: is not right", id=7),
    "no source": structured("source: is missing", source=GONE),
    "an empty source": structured("source: is missing", source=""),
    "a source that is an object": structured("source: is not right", source={"uri": CANARY}),
    "no type": structured("type: is missing", type=GONE),
    "a type that is a list": structured("type: is not right", type=[CANARY]),
    "a subject that is a number": structured("subject: is not an attribute's value", subject=4),
    "an empty subject": structured("subject: is not an attribute's value", subject=""),
    "a time that is not one": structured("time: is not a timestamp", time="yesterday"),
    "a time without a zone": structured("time: is not a timestamp", time="2026-01-01T00:00:00"),
    "a time that is a number": structured("time: is not an attribute's value", time=1_700_000_000),
    "an extension that is an object": structured("tenant: is not an attribute's value", tenant={"a": CANARY}),
    "an extension that is a list": structured("tenant: is not an attribute's value", tenant=[CANARY]),
    "a control character in an attribute": structured("source: has a character", source="/tests\n"),
    "no data": structured("data: is missing", data=GONE),
    "null data": structured("data: is missing", data=None),
    "data that is a list": structured("data: is not an object", data=[DATA]),
    "data that is JSON inside a string": structured("data: is not an object", data=json.dumps(DATA)),
    "data that is empty": structured("data.trace_id: is missing", data={}),
    "data twice": structured("data: is given twice", data_base64=base64.b64encode(_bytes(DATA)).decode()),
    "data_base64 that is not base64": structured("data_base64: is not base64", data=GONE, data_base64="%%%"),
    "data_base64 that is a number": structured("data_base64: is not base64", data=GONE, data_base64=5),
    "data_base64 without padding": structured("data_base64: is not base64", data=GONE, data_base64="e30"),
    "data_base64 of something else": structured(
        "data_base64: is not JSON", data=GONE, data_base64=base64.b64encode(CANARY.encode()).decode()
    ),
    "data that says it is XML": structured("datacontenttype: is not a JSON type", datacontenttype="application/xml"),
    "data that says it is text": structured(
        "datacontenttype: is not a JSON type", datacontenttype="text/plain", data=CANARY
    ),
    "data that says it is Latin-1": structured(
        "datacontenttype: names a charset", datacontenttype="application/json; charset=iso-8859-1"
    ),
    "a datacontenttype that is a number": structured("datacontenttype: is not an attribute's value", datacontenttype=1),
    "a structured event that is a list": raw(_bytes([ENVELOPE]), "body: is not an object", STRUCTURED),
    "a structured event that is not JSON": raw(b"{", "body: is not JSON", STRUCTURED),
    "a structured event in UTF-16": raw(
        json.dumps(ENVELOPE).encode("utf-16-le"),
        "content-type: names a charset",
        {"content-type": "application/cloudevents+json; charset=utf-16"},
    ),
    "a batch": raw(
        _bytes([ENVELOPE]),
        "content-type: is not an event format",
        {"Content-Type": "application/cloudevents-batch+json"},
    ),
    "an Avro event": raw(
        b"\0\1", "content-type: is not an event format", {"Content-Type": "application/cloudevents+avro"}
    ),
    "an envelope without any header and without specversion": raw(
        _bytes(_changed(ENVELOPE, specversion=GONE)), "specversion: is missing"
    ),
    # resume and cancel
    "a resume without a job id": structured("data.job_id: is missing", **RESUME, data={"resume": CANARY}),
    "a resume of a blank job": structured("data.job_id: is blank", **RESUME, data={"job_id": " "}),
    "a cancel without data": structured("data: is missing", **CANCEL, data=GONE),
    "a cancel with a reason that is a list": structured(
        "data.reason: is of the wrong kind", **CANCEL, data={"job_id": "job-1", "reason": [CANARY]}
    ),
    # binary mode
    "binary without specversion": binary("ce-specversion: is missing", ce_specversion=GONE),
    "binary with specversion 2.0": binary("ce-specversion: is not right", ce_specversion="2.0"),
    "binary without id": binary("ce-id: is missing", ce_id=GONE),
    "binary with an empty id": binary("ce-id: is missing", ce_id=""),
    "binary without source": binary("ce-source: is missing", ce_source=GONE),
    "binary without type": binary("ce-type: is missing", ce_type=GONE),
    "binary with an id that is not UTF-8": binary("ce-id: is not UTF-8", ce_id="%FF"),
    "binary with half a character": binary("ce-source: is not UTF-8", ce_source="%C3"),
    "binary with an encoded surrogate": binary("ce-source: is not UTF-8", ce_source="%ED%A0%80"),
    "binary with an encoded line break": binary("ce-id: has a character", ce_id="a%0Ab"),
    "binary with an encoded NUL": binary("ce-id: has a character", ce_id="a%00b"),
    "binary with a bad time": binary("ce-time: is not a timestamp", ce_time="12:00"),
    "binary with text": binary("content-type: is not a JSON type", Content_Type="text/plain"),
    "binary with a form": binary("content-type: is not a JSON type", Content_Type="application/x-www-form-urlencoded"),
    "binary with nothing": binary("body: is not JSON", b""),
    "binary with half an object": binary("body: is not JSON", b'{"job_id": "job-1"'),
    "binary with a list": binary("data: is not an object", b"[]"),
    "binary with an envelope inside": binary("data.trace_id: is missing", _bytes(ENVELOPE)),
    "binary with a blank job id": binary("data.job_id: is blank", _bytes(DATA | {"job_id": ""})),
    "binary with bytes that are not UTF-8": binary("body: is not UTF-8", b"\xff\xfe{}"),
}
