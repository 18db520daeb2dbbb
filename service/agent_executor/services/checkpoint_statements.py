"""The statements of `checkpoints.py`."""

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
