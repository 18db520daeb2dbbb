"""The statements of `checkpoints.py`."""

# Rows of all three tables at once, as arrays, in one round trip and one transaction; returns the jobs whose rows were
# left out because their lease is somebody else's. The lock keeps a claim out between look and commit.
# A job is looked up by its key in a subquery, never joined: a generic plan expects ten fences, and for so many it would
# read all of a table that was small when the plan was made.
STORE = """
WITH fence AS (
    SELECT * FROM unnest(%s::text[], %s::bigint[]) AS fence (job_id, epoch)
), held AS MATERIALIZED (
    SELECT locked.job_id FROM fence, LATERAL (
        SELECT jobs.job_id FROM jobs
        WHERE jobs.job_id = fence.job_id AND jobs.epoch = fence.epoch AND state = 'running'
        FOR SHARE
    ) AS locked
), lost AS MATERIALIZED (
    SELECT job_id FROM fence EXCEPT SELECT job_id FROM held
), new_checkpoints AS (
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

DELETE_RUNS = (
    """
    WITH gone AS (
        DELETE FROM checkpoints WHERE metadata ->> 'run_id' = ANY(%(runs)s)
        RETURNING thread_id, checkpoint_ns, checkpoint_id
    ), no_writes AS (
        DELETE FROM checkpoint_writes USING gone
        WHERE (checkpoint_writes.thread_id, checkpoint_writes.checkpoint_ns, checkpoint_writes.checkpoint_id)
            = (gone.thread_id, gone.checkpoint_ns, gone.checkpoint_id)
    )
    DELETE FROM checkpoint_blobs AS blob
    WHERE (thread_id, checkpoint_ns) IN (SELECT thread_id, checkpoint_ns FROM gone)
        AND NOT EXISTS (
            SELECT FROM checkpoints AS kept
            WHERE kept.thread_id = blob.thread_id AND kept.checkpoint_ns = blob.checkpoint_ns
                AND kept.checkpoint -> 'channel_versions' ->> blob.channel = blob.version
                AND NOT kept.metadata ->> 'run_id' = ANY(%(runs)s)
        )
    """,
)

COPY_THREAD = (
    """
    INSERT INTO checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    SELECT %(target)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    FROM checkpoints WHERE thread_id = %(source)s
    """,
    """
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT %(target)s, checkpoint_ns, channel, version, type, blob
    FROM checkpoint_blobs WHERE thread_id = %(source)s
    """,
    """
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT %(target)s, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
    FROM checkpoint_writes WHERE thread_id = %(source)s
    """,
)
