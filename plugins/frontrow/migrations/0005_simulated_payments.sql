-- The books of the simulated payment provider: its own, which the sale never reads but over HTTP.
CREATE TABLE frontrow.simulated_payments (
    id text PRIMARY KEY,
    -- One payment for each order: whoever asks again gets the same one.
    order_id uuid NOT NULL UNIQUE,
    amount bigint NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    method text NOT NULL,
    card text NOT NULL,
    state text NOT NULL,
    authorised bigint NOT NULL DEFAULT 0,
    captured bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (0 <= refunded AND refunded <= captured AND captured <= amount)
);
