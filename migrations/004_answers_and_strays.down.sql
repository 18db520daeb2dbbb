DROP INDEX IF EXISTS jobs_open_idx;
ALTER TABLE jobs DROP COLUMN IF EXISTS earlier_resume_ids;
