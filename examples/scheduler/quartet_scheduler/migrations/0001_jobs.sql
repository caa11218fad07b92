CREATE TABLE scheduler.jobs (
    name text PRIMARY KEY,
    -- The request that made it, as JSON.
    job jsonb NOT NULL,
    -- NULL: paused.
    next_due timestamptz,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX jobs_due ON scheduler.jobs (next_due) WHERE next_due IS NOT NULL;

-- A due time is claimed by its row here: the key is what makes it run once, whatever hosts do.
CREATE TABLE scheduler.runs (
    job text NOT NULL REFERENCES scheduler.jobs ON DELETE CASCADE,
    due timestamptz NOT NULL,
    host text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'unknown', 'missed')),
    detail text NOT NULL DEFAULT '',
    began timestamptz NOT NULL DEFAULT now(),
    ended timestamptz,
    leased_until timestamptz NOT NULL,
    PRIMARY KEY (job, due)
);
CREATE INDEX runs_running ON scheduler.runs (leased_until) WHERE state = 'running';
