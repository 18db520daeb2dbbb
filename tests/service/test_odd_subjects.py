"""A subject's last token is the publisher's, and a server takes any bytes but blanks in it: all are read."""

import asyncio
import json

import pytest

from tests.service.test_executor import query
from tests.support.graphs import ECHO, agent
from tests.support.runtime import caller, job, until, worker

TOKENS = {
    "not UTF-8": b"\xe9\xff",
    "a vertical tab": b"a\x0bb",
    "a form feed": b"a\x0cb",
    "a NUL": b"a\0b",
    "as long as it may be": b"x" * 4040,
    "not ASCII": "é\u00a0\u2028".encode(),
}


async def publish(env, token, body):
    """As a publisher whose client checks nothing."""
    host, port = env["NATS_URL"].removeprefix("nats://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b'CONNECT {"verbose":false}\r\n')
    writer.write(
        b"PUB %b.execute.%b %d\r\n%b\r\nPING\r\n" % (env["NATS_SUBJECT_PREFIX"].encode(), token, len(body), body)
    )
    while b"PONG" not in await reader.readline():
        pass
    writer.close()


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
async def test_a_job_on_any_subject_is_run(env, token):
    async with caller(env) as outside, worker(env) as made:
        await publish(env, token, json.dumps(job(agent(ECHO), job_id="odd")).encode())
        assert await outside.told("odd", "completed", seconds=10)
        assert await query(env, "SELECT subject FROM jobs WHERE state = 'completed'")
        assert made.client.stats["reconnects"] == 0


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
async def test_what_can_never_run_is_kept_under_a_subject_that_anybody_can_read(env, token):
    async with caller(env) as outside, worker(env) as made:
        await publish(env, token, b"{}")
        await until(outside.dead, 10)
        assert outside.dead()[0].subject.isprintable()
        assert outside.dead()[0].data == b"{}"
        assert made.client.stats["reconnects"] == 0
