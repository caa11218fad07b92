-- Comparing strategies: scratch seats on which those without a guard may sell a seat twice. Nothing here is on sale.

CREATE TABLE frontrow.trials (
    id text PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- NULL until every strategy has been tried.
    result jsonb
);
CREATE INDEX trials_newest_first ON frontrow.trials (started_at DESC, id DESC);

CREATE TABLE frontrow.trial_seats (
    trial_id text NOT NULL REFERENCES frontrow.trials ON DELETE CASCADE,
    strategy text NOT NULL,
    position integer NOT NULL,
    owner integer,
    version integer NOT NULL DEFAULT 0,
    PRIMARY KEY (trial_id, strategy, position)
) WITH (fillfactor = 50);

-- No unique index, on purpose: what a strategy sells twice is to be seen.
CREATE TABLE frontrow.trial_sales (
    trial_id text NOT NULL REFERENCES frontrow.trials ON DELETE CASCADE,
    strategy text NOT NULL,
    position integer NOT NULL,
    buyer integer NOT NULL
);
CREATE INDEX trial_sales_of_trial ON frontrow.trial_sales (trial_id, strategy);

-- The two layers are tried on seats of the real tables; such an event is on sale for its trial alone.
ALTER TABLE frontrow.events
    ADD COLUMN trial_id text REFERENCES frontrow.trials ON DELETE CASCADE,
    ADD COLUMN is_public boolean GENERATED ALWAYS AS (run_id IS NULL AND trial_id IS NULL) STORED;
CREATE INDEX events_of_trial ON frontrow.events (trial_id) WHERE trial_id IS NOT NULL;
