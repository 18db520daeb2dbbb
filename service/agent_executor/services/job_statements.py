"""The statements of `jobs.py`, each one round trip and one transaction by itself."""
# ruff: noqa: S608  # put together from the constants of this module; every value is a parameter

_COLUMNS = "job_id, trace_id, received, headers, subject, definition, definition_hash, input, traceparent, tracestate"
_VALUES = ", ".join(f"%({name})s" for name in _COLUMNS.split(", "))


def _seconds_spent(job: str = "") -> str:
    """At work: who has lost the lease does nothing any more, and while a job waits for its next try no clock runs."""
    worked = f"least(now(), {job}lease_expires) - {job}clock_started_at"
    return f"{job}seconds_before + coalesce(extract(epoch FROM {worked}), 0)::float8"


_SECONDS_SPENT = _seconds_spent()
_STOP_CLOCK = f"seconds_before = {_SECONDS_SPENT}, clock_started_at = NULL"
CLOSE = f"owner = NULL, lease_expires = NULL, {_STOP_CLOCK}, updated_at = now(), finished_at = now()"
_OURS = "job_id = %(job_id)s AND epoch = %(epoch)s AND state = 'running'"

ENQUEUE = f"""
INSERT INTO jobs ({_COLUMNS}, state) VALUES ({_VALUES}, 'queued')
ON CONFLICT DO NOTHING
RETURNING job_id
"""

_LEND = f"""
    state = 'running', owner = %(owner)s,
    epoch = job.epoch + (job.owner IS DISTINCT FROM %(owner)s)::int,  -- one claim, one epoch, however often it is made
    lease_expires = now() + make_interval(secs => %(lease)s),
    failures = job.failures + (job.state = 'running' AND job.owner IS DISTINCT FROM %(owner)s)::int,  -- its owner died
    -- A row that was being made when this began is younger than this.
    started_at = coalesce(job.started_at, greatest(now(), job.created_at)),
    seconds_before = {_seconds_spent("job.")}, clock_started_at = now()
"""
_TAKE = f"{_LEND}, updated_at = now()"
# A name is of one claim: the same again is its second try, or its first, which nobody waits for any more and the server
# has come to late. A job that was given back keeps the name, so that the latter takes it for nobody.
_FREE = """(
    job.state = 'queued' AND job.owner IS DISTINCT FROM %(owner)s
    OR job.state = 'running' AND (job.lease_expires < now() OR job.owner = %(owner)s)
)"""

# The newest event of a job is the one that said how it ended, or that it waits.
_LAST_EVENT = """
LEFT JOIN LATERAL (
    SELECT event_id, outbox.job_id AS event_job_id,
        subject AS event_subject, headers AS event_headers, payload AS event_payload
    FROM outbox WHERE outbox.job_id = other.job_id ORDER BY created_at DESC LIMIT 1
) AS event ON true
"""

_TAKEN = f"""
    SELECT {_COLUMNS}, epoch, failures, interrupts, interrupt, cancel_requested, resume_id,
        {_SECONDS_SPENT} AS seconds_spent,
        newest IS NOT NULL AS has_checkpoint,
        CASE WHEN newest = interrupted_at THEN resume END AS resume
    FROM claimed, LATERAL (
        SELECT max(checkpoint_id) AS newest FROM checkpoints
        WHERE thread_id = claimed.job_id AND checkpoint_ns = ''
    ) AS latest
"""
# Always one row: the job that was taken, or else the one that is in the way. Neither: it was inserted this very moment.
_ANSWER = f"""
SELECT taken.*, other.state AS found,
    greatest(extract(epoch FROM other.lease_expires - now()), 0)::float8 AS seconds_left,
    event.*
FROM (SELECT) AS one
LEFT JOIN ({_TAKEN}) AS taken ON true
LEFT JOIN jobs AS other ON taken.job_id IS NULL AND other.job_id = %(job_id)s
{_LAST_EVENT}
"""

CLAIM = f"""
WITH claimed AS (
    INSERT INTO jobs AS job ({_COLUMNS}, state, owner, epoch, lease_expires, started_at, clock_started_at)
    VALUES ({_VALUES}, 'running', %(owner)s, 1, now() + make_interval(secs => %(lease)s), now(), now())
    ON CONFLICT (job_id) DO UPDATE SET {_TAKE} WHERE {_FREE}
    RETURNING job.*
)
{_ANSWER}
"""

RECLAIM = f"""
WITH claimed AS (UPDATE jobs AS job SET {_TAKE} WHERE job_id = %(job_id)s AND {_FREE} RETURNING job.*)
{_ANSWER}
"""

# The time of the last change stays: should this worker die too, the job is as old as it was.
TAKE_STRAYS = f"""
WITH stray AS (
    SELECT job_id FROM jobs AS job
    WHERE state IN ('queued', 'running') AND {_FREE}
        AND (
            cancel_requested AND updated_at < now() - make_interval(secs => %(grace)s)
            OR NOT cancel_requested AND updated_at < now() - make_interval(secs => %(age)s)
        )
    ORDER BY updated_at LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE jobs AS job SET {_LEND} FROM stray WHERE job.job_id = stray.job_id RETURNING job.*
)
{_TAKEN}
"""

RENEW = f"""
UPDATE jobs SET lease_expires = now() + make_interval(secs => %(lease)s) WHERE {_OURS} RETURNING cancel_requested
"""

# Only an epoch's own worker gives its job back: one that waits was given back by the first try, and counts once.
RELEASE = f"""
UPDATE jobs SET state = 'queued', lease_expires = NULL, {_STOP_CLOCK},
    failures = failures + %(failed)s * (state = 'running')::int,
    error = coalesce(%(error)s, error), updated_at = now()
WHERE job_id = %(job_id)s AND epoch = %(epoch)s AND state IN ('running', 'queued')
RETURNING failures
"""

INTERRUPT = f"""
WITH ended AS (
    UPDATE jobs SET state = 'interrupted', lease_expires = NULL, {_STOP_CLOCK},
        interrupts = interrupts + 1, interrupt = %(payload)s, resume = NULL, updated_at = now(),
        interrupted_at = (
            SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = %(job_id)s AND checkpoint_ns = ''
        )
    WHERE {_OURS} AND NOT cancel_requested  -- nobody looks at a job that waits, so it would never hear of it
    RETURNING job_id
)
INSERT INTO outbox (event_id, job_id, subject, headers, payload)
SELECT %(event_id)s, job_id, %(event_subject)s, %(event_headers)s, %(event_payload)s FROM ended
RETURNING event_id
"""

# An answer is for one question: the event of an earlier one, delivered again, answers no later one.
RESUME = """
UPDATE jobs SET state = 'queued', resume = %(answer)s, resume_id = %(resume_id)s, updated_at = now(),
    earlier_resume_ids = earlier_resume_ids || array_remove(ARRAY[resume_id], NULL)
WHERE job_id = %(job_id)s AND state = 'interrupted'
    AND resume_id IS DISTINCT FROM %(resume_id)s AND %(resume_id)s <> ALL (earlier_resume_ids)
    AND interrupts = coalesce(%(ordinal)s::bigint, interrupts)
RETURNING state
"""

QUESTION = """
SELECT state, interrupts, interrupt, resume_id, definition,
    coalesce(resume_id = %(resume_id)s, false) OR %(resume_id)s = ANY (earlier_resume_ids) AS known
FROM jobs WHERE job_id = %(job_id)s
"""

CANCEL = """
UPDATE jobs SET cancel_requested = true, updated_at = now(),
    state = CASE state WHEN 'interrupted' THEN 'queued' ELSE state END
WHERE job_id = %(job_id)s AND finished_at IS NULL
RETURNING state
"""

# After an end that found its job no longer running: the very same event tells that it was this end, whose answer was
# lost. A statement of its own, as it has to see what was committed while the other waited for the row.
TOLD = """
SELECT FROM outbox
WHERE event_id = %(event_id)s AND payload = %(event_payload)s AND headers = %(event_headers)s
"""

OUTCOME = f"""
SELECT other.state AS found, event.* FROM jobs AS other {_LAST_EVENT} WHERE other.job_id = %(job_id)s
"""

_JOB = f"""
SELECT job_id, trace_id, state, failures, cancel_requested, interrupts, interrupt, error,
    created_at, started_at, updated_at, finished_at, {_SECONDS_SPENT} AS seconds_spent
FROM jobs
"""

GET = f"{_JOB} WHERE job_id = %(job_id)s"

LIST = f"""
{_JOB}
WHERE (created_at, job_id) < (coalesce(%(at)s::timestamptz, 'infinity'), coalesce(%(job_id)s::text, ''))
    AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY created_at DESC, job_id DESC
LIMIT %(limit)s
"""

PURGE = """
WITH old AS (
    SELECT job_id FROM jobs
    WHERE finished_at < now() - make_interval(secs => %(days)s * 86400)
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.job_id = jobs.job_id AND published_at IS NULL)
    ORDER BY finished_at LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), no_writes AS (
    DELETE FROM checkpoint_writes WHERE thread_id IN (SELECT job_id FROM old)
), no_blobs AS (
    DELETE FROM checkpoint_blobs WHERE thread_id IN (SELECT job_id FROM old)
), no_checkpoints AS (
    DELETE FROM checkpoints WHERE thread_id IN (SELECT job_id FROM old)
), no_events AS (
    DELETE FROM outbox WHERE job_id IN (SELECT job_id FROM old)
)
DELETE FROM jobs WHERE job_id IN (SELECT job_id FROM old) RETURNING job_id
"""
