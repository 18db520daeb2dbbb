-- One row per job. `epoch` grows with every claim, and every write of a worker carries the epoch it claimed with: a worker
-- whose lease went to another changes nothing any more.

CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    trace_id TEXT NOT NULL,

    -- queued: nobody works on it, a delivery may claim it. running: somebody does until `lease_expires`; a lease that ran
    -- out means that its owner died, which is a counted failure. interrupted: waits for a resume event, without a worker.
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'interrupted', 'completed', 'failed', 'cancelled')),
    owner TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,
    lease_expires TIMESTAMPTZ,
    failures INTEGER NOT NULL DEFAULT 0,
    cancel_requested BOOLEAN NOT NULL DEFAULT false,

    -- What was asked: as received, and as understood on the first delivery. Later attempts use these, not a later event's.
    received BYTEA NOT NULL,
    headers JSONB NOT NULL,
    subject TEXT NOT NULL,
    definition JSONB NOT NULL,
    definition_hash TEXT NOT NULL,
    input JSONB NOT NULL,
    traceparent TEXT,
    tracestate TEXT,

    -- The question that an interrupted job waits with, the checkpoint it waits at, and the answer that arrived.
    interrupts INTEGER NOT NULL DEFAULT 0,
    interrupt JSONB,
    interrupted_at TEXT,
    resume JSONB,
    resume_id TEXT,

    -- How it ended; for a job that will be tried again, `error` is the last attempt's.
    result JSONB,
    error JSONB,

    -- Time spent is seconds_before plus the time since its clock was started: waiting for a person is not in it.
    seconds_before DOUBLE PRECISION NOT NULL DEFAULT 0,
    clock_started_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at TIMESTAMPTZ
);

-- Pages of GET /jobs, newest first.
CREATE INDEX jobs_created_at_idx ON jobs (created_at DESC, job_id DESC);
-- Retention looks at finished jobs only.
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
