"""The processes that are measured: `floor`, `seed_loop`, and `service`, told by the first argument.

Each reads the service's environment, works on tables of its own, and says `ready` once it can work. What the service
runs is the product, but for its builder: a definition means the no-op graph.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import nats
import nats.errors
import uvloop
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agent_executor import settings
from agent_executor.api import main as api
from agent_executor.core.builder import Builder
from agent_executor.core.builds import Built
from agent_executor.services import database
from agent_executor.telemetry import logs
from benchmarks.service_graph import CONNECTIONS, MESSAGES, no_op

FETCH_SECONDS = 5


class LockFree(AsyncPostgresSaver):
    """The stock saver, statement for statement, without the lock that lets one job at a time use the pool."""

    @contextlib.asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        async with (
            self.conn.connection() as connection,
            connection.pipeline() if pipeline else contextlib.nullcontext(),
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
        ):
            yield cursor


class NoOps(Builder):
    """Whatever the definition, the no-op graph; with BENCH_HOLD its second node takes that many seconds."""

    async def _build(self, raw: Mapping[str, Any]) -> Built:  # noqa: ARG002  # that is the point
        return Built(no_op(self._saver(), hold=float(os.environ.get("BENCH_HOLD", "0"))), 0)


@contextlib.asynccontextmanager
async def pool() -> AsyncIterator[AsyncConnectionPool[Any]]:
    """Connections as the library opens them."""
    given = settings.load(os.environ)
    options = {
        "autocommit": True,
        "prepare_threshold": 0,
        "row_factory": dict_row,
        "options": f"-c search_path={given.postgres_schema}",
    }
    async with AsyncConnectionPool(database.dsn(given), min_size=1, max_size=CONNECTIONS, kwargs=options) as made:
        yield made


def config(job_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": job_id}, "metadata": {"run_id": job_id}}


async def floor() -> None:
    """Bare LangGraph. Each line of input is `NAME JOBS WIDTH`, each line of output its latencies and seconds."""
    async with pool() as connections:
        graph = no_op(LockFree(connections))

        async def run(prefix: str, jobs: int, width: int) -> dict[str, Any]:
            numbers, took = iter(range(jobs)), []

            async def work() -> None:
                for number in numbers:
                    began = time.perf_counter()
                    await graph.ainvoke({"messages": MESSAGES}, config(f"{prefix}-{number}"), durability="sync")
                    took.append(time.perf_counter() - began)

            began = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(width)))
            return {"took": took, "seconds": time.perf_counter() - began}

        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            prefix, jobs, width = line.split()
            print(json.dumps(await run(prefix, int(jobs), int(width))), flush=True)


async def seed_loop() -> None:
    """The loop of the seed's section 3.4.3 as it is written: fetch one, process, publish the result, ack."""
    given = settings.load(os.environ)
    async with pool() as connections:
        graph = no_op(AsyncPostgresSaver(connections))
        client = await nats.connect(given.nats_url)
        jetstream = client.jetstream()
        consumer = await jetstream.pull_subscribe(
            given.subject("execute", "*"), durable=given.nats_consumer, stream=given.nats_stream
        )
        print("ready", flush=True)
        while True:
            try:
                messages = await consumer.fetch(batch=1, timeout=FETCH_SECONDS)
            except nats.errors.TimeoutError:  # which the seed's loop would end with
                continue
            for message in messages:
                job = json.loads(message.data)
                values = await graph.ainvoke(job["input_payload"], config(job["job_id"]), durability="sync")
                told = {
                    "subject": job["job_id"],
                    "data": {"job_id": job["job_id"], "result": {"steps": values["steps"]}},
                }
                await client.publish(given.subject("status", "completed"), json.dumps(told).encode())
                await message.ack()


def service() -> int:
    """`agent-executor serve` with the other builder."""
    given = settings.load(os.environ)
    logs.configure(given.log_level, content=given.log_content)
    return uvloop.run(api.serve(given, graphs=NoOps))


if __name__ == "__main__":
    match sys.argv[1]:
        case "service":
            sys.exit(service())
        case "floor":
            asyncio.run(floor())
        case "seed_loop":
            asyncio.run(seed_loop())
