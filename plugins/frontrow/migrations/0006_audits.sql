-- What the invariants of the whole house were found to be, each time they were counted.
CREATE TABLE frontrow.audits (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What it was counted for: 'timer', 'request', or the fault that was made.
    cause text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('holds', 'broke', 'unknown')),
    elapsed_ms real NOT NULL,
    findings jsonb NOT NULL
);
