"""What is too large for the server with all that belongs to it: refused or cut, and the connection goes on."""

import json

import httpx
import pytest

from tests.service import malformed
from tests.support.api import ECHO, Api, serving
from tests.support.runtime import caller, job, until, worker

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LARGE = "x" * 530_000  # twice in a message it is more than NATS takes
FILLING = "a=1,"  # and as much more as the message may have
TRACES = {
    "a traceparent": {"traceparent": f"{TRACE}-{LARGE}"},
    "a traceparent of a later version": {"traceparent": f"cc{TRACE[2:]}-{LARGE}"},
    "a tracestate": {"traceparent": TRACE, "tracestate": FILLING},
}
SHORTEST = {"trace_id": "t", "job_id": "j", "agent_definition": {}, "input_payload": {}}


@pytest.mark.parametrize("attributes", TRACES.values(), ids=TRACES)
@pytest.mark.parametrize("data", [SHORTEST, {"job_id": "j"}], ids=["a job that fails", "a malformed event"])
async def test_an_end_is_told_whatever_trace_its_event_came_with(env, data, attributes):
    async with caller(env) as outside, worker(env) as inside:
        await outside.send(filled({**malformed.ENVELOPE, "data": data, **attributes}), malformed.STRUCTURED)
        await outside.told("j", "failed")
        await until(outside.dead)
        await until(lambda: depth_is(inside, 0))
        assert inside.client.is_connected


async def test_a_malformed_event_with_all_the_headers_that_jetstream_takes_is_kept(env):
    headers = {"X-Own": "1", "X-Long": "y" * 65_400}
    async with caller(env) as outside, worker(env):
        await outside.send({"job_id": "bad-1"}, headers)
        await outside.told("bad-1", "failed")
        (letter,) = outside.dead()
        assert letter.data == b'{"job_id": "bad-1"}'
        assert letter.headers.keys() == {"X-Own", "Nats-Msg-Id", "Agent-Executor-Reason"}


async def test_a_request_just_below_the_limit_is_refused_with_its_headers(env):
    async with serving(env) as api:
        answer = await sent(api, job(ECHO))
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert "with its headers" in answer.json()["detail"]
        await goes_on(api)


async def test_a_malformed_request_just_below_the_limit_is_kept_as_far_as_it_fits(env):
    async with caller(env) as outside, serving(env) as api:
        answer = await sent(api, {"job_id": "bad-1"})
        assert answer.status_code == 400
        await outside.told("bad-1", "failed")
        await goes_on(api)


async def sent(api: Api, event: dict[str, object]) -> httpx.Response:
    """The answer to a body that may be as long as it is, and whose headers are too much beside it."""
    body = json.dumps({**event, "pad": ""}).encode()
    body = body[:-2] + b"p" * (999_000 - len(body)) + body[-2:]
    headers = {**malformed.BINARY, "ce-ext": "y" * 60_000}
    return await api.http.post("/", content=body, headers=headers)


async def goes_on(api: Api) -> None:
    assert await api.ready()
    assert await api.ended(await api.submit(ECHO)) == "completed"


def filled(event):
    """The event, almost as long as the server takes if its tracestate is to fill that."""
    if event.get("tracestate") == FILLING:
        event["tracestate"] += "x" * (1_048_576 - len(json.dumps(event)) - 100)
    return event


async def depth_is(inside, wanted):
    return await inside.outbox.depth() == wanted
