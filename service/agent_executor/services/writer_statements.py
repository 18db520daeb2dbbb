"""The statements of `writer.py`: rows of many jobs, as arrays, in one round trip and one transaction.

A statement has parts for what there is to write and for nothing else: of a lone job's three, two have no blobs, and a
part without rows costs a tenth of the statement. All return the jobs whose rows were left out because their lease is
somebody else's. A job is looked up by its key in a subquery, never joined: a generic plan expects ten of them, and for
so many it would read all of a table that was small when the plan was made.
"""
# ruff: noqa: S608  # put together from the constants of this module; every value is a parameter

import functools
from typing import NamedTuple

from agent_executor.services.job_statements import CLOSE


class Shape(NamedTuple):
    """What there is to write, in the order of the parameters; without ends there are fences, if only of no job."""

    fences: bool
    ends: bool
    checkpoints: bool
    blobs: bool
    writes: bool


@functools.cache
def store(shape: Shape) -> str:
    """The statement that writes this."""
    judged = (("fence", "held", shape.fences), ("ending", "ended", shape.ends))
    asked, ours = zip(*((one, other) for one, other, there in judged if there), strict=True)
    parts = (
        (_FENCES, shape.fences),
        (_ENDS, shape.ends),
        (f"lost AS MATERIALIZED (({_jobs(asked)}) EXCEPT ({_jobs(ours)}))", True),
        (_EVENTS, shape.ends),
        (_CHECKPOINTS, shape.checkpoints),
        (_BLOBS, shape.blobs),
        (_WRITES, shape.writes),
    )
    return f"WITH {', '.join(part for part, there in parts if there)} SELECT job_id FROM lost"


def _jobs(tables: tuple[str, ...]) -> str:
    return " UNION ALL ".join(f"SELECT job_id FROM {table}" for table in tables)


# The lock keeps a claim out between look and commit.
_FENCES = """
fence AS (
    SELECT * FROM unnest(%s::text[], %s::bigint[]) AS fence (job_id, epoch)
), held AS MATERIALIZED (
    SELECT locked.job_id FROM fence, LATERAL (
        SELECT jobs.job_id FROM jobs
        WHERE jobs.job_id = fence.job_id AND jobs.epoch = fence.epoch AND state = 'running'
        FOR SHARE
    ) AS locked
)
"""

# A job that ends has no fence beside: its update is its lock.
_ENDS = f"""
ending AS MATERIALIZED (
    SELECT * FROM unnest(
        %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[]
    ) AS ending (job_id, epoch, outcome, result, error, event_id, event_subject, event_headers, event_payload)
), ended AS (
    UPDATE jobs SET {CLOSE},
        (state, result, error) = (
            SELECT outcome, ending.result::jsonb, ending.error::jsonb FROM ending WHERE ending.job_id = jobs.job_id
        )
    WHERE job_id = ANY(%s::text[]) AND state = 'running'
        AND epoch = (SELECT ending.epoch FROM ending WHERE ending.job_id = jobs.job_id)
    RETURNING job_id
)
"""

_EVENTS = """
new_events AS (
    INSERT INTO outbox (event_id, job_id, subject, headers, payload)
    SELECT event_id, job_id, event_subject, event_headers::jsonb, event_payload FROM ending
    WHERE job_id NOT IN (SELECT job_id FROM lost)
)
"""

_CHECKPOINTS = """
new_checkpoints AS (
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint::jsonb, metadata::jsonb
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS new (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
    DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata
)
"""

_BLOBS = """
new_blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])
        AS new (thread_id, checkpoint_ns, channel, version, type, blob)
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT DO NOTHING
)
"""

_WRITES = """
new_writes AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx::int, channel, type, blob FROM unnest(
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::bytea[]
    ) AS new (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    DO UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob
    WHERE EXCLUDED.idx < 0  -- errors, interrupts and answers are replaced, a task's own writes never
)
"""
