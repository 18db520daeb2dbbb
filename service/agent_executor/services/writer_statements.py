"""The statements of `writer.py`: rows of many jobs in one round trip and one transaction.

A statement has parts for what there is to write and for nothing else: of a lone job's three, two have no blobs, and a
part without rows costs a tenth of the statement. All return the jobs whose rows were left out because their lease is
somebody else's. A lone job's few rows stand in the statement one by one, which takes a fifth less time than arrays; of
several jobs each column is an array, or every number of rows would be a statement to plan. A job is looked up by its
key in a subquery, never joined: a generic plan expects ten of them, and for so many it would read all of a table that
was small when the plan was made.
"""
# ruff: noqa: S608  # put together from the constants of this module; every value is a parameter

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from agent_executor.services.arrays import Blobs, Integers, Texts
from agent_executor.services.job_statements import CLOSE

FEW = 4  # rows of a part that stand one by one; of more, each number of rows would be one more plan on each connection
MANY = -1  # rows in arrays, one per column
ARRAYS = {"text": Texts, "bigint": Integers, "bytea": Blobs}

Tuples = Collection[Sequence[Any]]


class Rows(NamedTuple):
    """The rows of each part, in the order of its columns."""

    fences: Tuples
    ends: Tuples
    checkpoints: Tuples
    blobs: Tuples
    writes: Tuples


class Part(NamedTuple):
    """What is written of one kind: `{rows}` in its text stands for the rows, under its name, `{close}` for CLOSE."""

    name: str
    columns: Mapping[str, str]
    text: str

    def sql(self, count: int) -> str:
        """The part for so many rows."""
        if count == MANY:
            rows = f"unnest({', '.join(f'%s::{kind}[]' for kind in self.columns.values())})"
        else:
            row = f"({', '.join(f'%s::{kind}' for kind in self.columns.values())})"
            rows = f"(VALUES {', '.join([row] * count)})"
        return self.text.format(rows=f"{rows} AS {self.name} ({', '.join(self.columns)})", close=CLOSE)

    def parameters(self, count: int, rows: Tuples) -> list[Any]:
        """The rows as `sql` takes them."""
        if count != MANY:
            return [value for row in rows for value in row]
        columns = zip(*rows, strict=True) if rows else [()] * len(self.columns)
        return [ARRAYS[kind](column) for kind, column in zip(self.columns.values(), columns, strict=True)]


def store(rows: Rows) -> tuple[str, list[Any]]:
    """The statement that writes these rows, and its parameters."""
    lone = len(rows.fences) + len(rows.ends) == 1 and max(map(len, rows)) <= FEW
    counts = [len(each) if lone or not each else MANY for each in rows]
    if not rows.fences and not rows.ends:
        counts[0] = MANY  # of no job
    parameters: list[Any] = []
    for part, count, given in zip(_PARTS, counts, rows, strict=True):
        if count:
            parameters += part.parameters(count, given)
    return _statement(*counts), parameters


@functools.cache
def _statement(fences: int, ends: int, checkpoints: int, blobs: int, writes: int) -> str:
    judged = (("fence", "held", fences), ("ending", "ended", ends))
    asked, ours = zip(*((one, other) for one, other, there in judged if there), strict=True)
    lost = f"lost AS MATERIALIZED (({_jobs(asked)}) EXCEPT ({_jobs(ours)}))"
    judging = [part.sql(count) for part, count in zip(_PARTS, (fences, ends), strict=False) if count]
    written = [part.sql(count) for part, count in zip(_PARTS[2:], (checkpoints, blobs, writes), strict=True) if count]
    events = [_EVENTS] if ends else []
    return f"WITH {', '.join([*judging, lost, *events, *written])} SELECT job_id FROM lost"


def _jobs(tables: Sequence[str]) -> str:
    return " UNION ALL ".join(f"SELECT job_id FROM {table}" for table in tables)


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), "text")


# The lock keeps a claim out between look and commit.
_FENCES = Part(
    "fence",
    {"job_id": "text", "epoch": "bigint"},
    """
fence AS (
    SELECT * FROM {rows}
), held AS MATERIALIZED (
    SELECT locked.job_id FROM fence, LATERAL (
        SELECT jobs.job_id FROM jobs
        WHERE jobs.job_id = fence.job_id AND jobs.epoch = fence.epoch AND state = 'running'
        FOR SHARE
    ) AS locked
)
""",
)

# A job that ends has no fence beside: its update is its lock.
_ENDS = Part(
    "ending",
    {
        "job_id": "text",
        "epoch": "bigint",
        **_texts("outcome result error event_id event_subject event_headers"),
        "event_payload": "bytea",
    },
    """
ending AS MATERIALIZED (
    SELECT * FROM {rows}
), ended AS (
    UPDATE jobs SET {close},
        (state, result, error) = (
            SELECT outcome, ending.result::jsonb, ending.error::jsonb FROM ending WHERE ending.job_id = jobs.job_id
        )
    WHERE job_id = ANY(ARRAY(SELECT ending.job_id FROM ending)) AND state = 'running'
        AND epoch = (SELECT ending.epoch FROM ending WHERE ending.job_id = jobs.job_id)
    RETURNING job_id
)
""",
)

_EVENTS = """
new_events AS (
    INSERT INTO outbox (event_id, job_id, subject, headers, payload)
    SELECT event_id, job_id, event_subject, event_headers::jsonb, event_payload FROM ending
    WHERE job_id NOT IN (SELECT job_id FROM lost)
)
"""

_CHECKPOINTS = Part(
    "new",
    _texts("thread_id checkpoint_ns checkpoint_id parent_checkpoint_id checkpoint metadata"),
    """
new_checkpoints AS (
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint::jsonb, metadata::jsonb FROM {rows}
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
    DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata
)
""",
)

_BLOBS = Part(
    "new",
    {**_texts("thread_id checkpoint_ns channel version type"), "blob": "bytea"},
    """
new_blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT * FROM {rows}
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT DO NOTHING
)
""",
)

_WRITES = Part(
    "new",
    {
        **_texts("thread_id checkpoint_ns checkpoint_id task_id task_path"),
        "idx": "bigint",
        **_texts("channel type"),
        "blob": "bytea",
    },
    """
new_writes AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx::int, channel, type, blob FROM {rows}
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob
    WHERE EXCLUDED.idx < 0  -- errors, interrupts and answers are replaced, a task's own writes never
)
""",
)

_PARTS = (_FENCES, _ENDS, _CHECKPOINTS, _BLOBS, _WRITES)
