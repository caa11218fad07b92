-- Who wants to be told by webhook, and what each is still owed.
CREATE TABLE frontrow.subscriptions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    -- Signs what is sent; shown once, when it is made.
    secret text NOT NULL,
    -- Empty: every kind of event.
    kinds text[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE frontrow.deliveries (
    subscription_id bigint NOT NULL REFERENCES frontrow.subscriptions ON DELETE CASCADE,
    position bigint NOT NULL REFERENCES frontrow.outbox ON DELETE CASCADE,
    booking_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'given_up')),
    tries integer NOT NULL DEFAULT 0,
    try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_answer text NOT NULL DEFAULT '',
    delivered_at timestamptz,
    PRIMARY KEY (subscription_id, position)
);
CREATE INDEX deliveries_due ON frontrow.deliveries (try_at) WHERE state = 'due';
CREATE INDEX deliveries_in_order ON frontrow.deliveries (subscription_id, booking_id, position) WHERE state = 'due';
