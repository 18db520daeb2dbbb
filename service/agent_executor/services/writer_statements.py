"""The statements of `writer.py`: rows of many jobs, as arrays, in one round trip and one transaction.

Both return the jobs whose rows were left out because their lease is somebody else's. A job is looked up by its key in a
subquery, never joined: a generic plan expects ten of them, and for so many it would read all of a table that was small
when the plan was made.
"""
# ruff: noqa: S608  # put together from the constants of this module; every value is a parameter

from agent_executor.services.job_statements import CLOSE

# The lock keeps a claim out between look and commit.
_HELD = """
WITH fence AS (
    SELECT * FROM unnest(%s::text[], %s::bigint[]) AS fence (job_id, epoch)
), held AS MATERIALIZED (
    SELECT locked.job_id FROM fence, LATERAL (
        SELECT jobs.job_id FROM jobs
        WHERE jobs.job_id = fence.job_id AND jobs.epoch = fence.epoch AND state = 'running'
        FOR SHARE
    ) AS locked
)
"""

_LOST = """
, lost AS MATERIALIZED (
    SELECT job_id FROM fence EXCEPT SELECT job_id FROM held
)
"""

# A job that ends has no fence beside: its update is its lock.
_LOST_OR_ENDED = f"""
, ending AS MATERIALIZED (
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
), lost AS MATERIALIZED (
    (SELECT job_id FROM fence UNION ALL SELECT job_id FROM ending)
    EXCEPT (SELECT job_id FROM held UNION ALL SELECT job_id FROM ended)
), new_events AS (
    INSERT INTO outbox (event_id, job_id, subject, headers, payload)
    SELECT event_id, job_id, event_subject, event_headers::jsonb, event_payload FROM ending
    WHERE job_id NOT IN (SELECT job_id FROM lost)
)
"""

_STORED = """
, new_checkpoints AS (
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint::jsonb, metadata::jsonb
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
        AS new (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
    DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata
), new_blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])
        AS new (thread_id, checkpoint_ns, channel, version, type, blob)
    WHERE thread_id NOT IN (SELECT job_id FROM lost)
    ON CONFLICT DO NOTHING
), new_writes AS (
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
SELECT job_id FROM lost
"""

STORE = _HELD + _LOST + _STORED
STORE_AND_END = _HELD + _LOST_OR_ENDED + _STORED
