-- One row per job. `epoch` grows with every claim, and every write of a worker carries the epoch it claimed with: a worker
-- whose lease went to another changes nothing any more.

CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    trace_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'interrupted', 'completed', 'failed', 'cancelled')),

    -- What was asked: as received, and as understood on the first delivery; a resume uses these, not a later event's.
    received BYTEA NOT NULL,
    headers JSONB NOT NULL,
    subject TEXT NOT NULL,
    definition JSONB NOT NULL,
    definition_hash TEXT NOT NULL,
    input JSONB NOT NULL,
    traceparent TEXT,
    tracestate TEXT,

    -- Who works on it. `released` tells a lease that was given back from one whose owner died: only the latter is a failure.
    owner TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,
    lease_expires TIMESTAMPTZ,
    released BOOLEAN NOT NULL DEFAULT false,
    failures INTEGER NOT NULL DEFAULT 0,
    cancel_requested BOOLEAN NOT NULL DEFAULT false,
    interrupts INTEGER NOT NULL DEFAULT 0,
    interrupt JSONB,
    resume JSONB,

    -- How it ended.
    result JSONB,
    error JSONB,

    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    started_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at TIMESTAMPTZ
);

-- Pages of GET /jobs, newest first.
CREATE INDEX jobs_created_at_idx ON jobs (created_at DESC, job_id DESC);
-- Retention looks at finished jobs only.
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
