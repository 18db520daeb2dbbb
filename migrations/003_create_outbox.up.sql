-- Events that a job's transaction decided on. They stay after publishing, so that a redelivered finished job can answer
-- with the very same event; retention removes them with their job.

CREATE TABLE outbox (
    event_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    headers JSONB NOT NULL,
    payload BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    published_at TIMESTAMPTZ
);

CREATE INDEX outbox_unpublished_idx ON outbox (created_at) WHERE published_at IS NULL;
CREATE INDEX outbox_job_id_idx ON outbox (job_id, created_at DESC);
