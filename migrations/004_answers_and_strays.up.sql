-- The events that answered earlier questions of a job; `resume_id` is the last one's. A stream may deliver any of them again,
-- and none of them is an answer to another question.
ALTER TABLE jobs ADD COLUMN earlier_resume_ids TEXT[] NOT NULL DEFAULT '{}';

-- Jobs that nobody finished, for whoever looks for those that nobody will: a handful beside all that ended.
CREATE INDEX jobs_open_idx ON jobs (cancel_requested, updated_at) WHERE state IN ('queued', 'running');
