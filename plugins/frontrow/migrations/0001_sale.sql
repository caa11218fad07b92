-- The sale: events, their seats, and who bought them. `seats.booking_id` is what a claim changes, conditionally;
-- `booking_seats` is the record of each sale, whose partial unique index is the last line against a double one.

CREATE TABLE frontrow.installation (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- Names this database in Redis keys: holds of another database with the same seat ids are never mistaken for ours.
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- Signs hold tokens. gen_random_uuid() draws from the strong random source.
    secret bytea NOT NULL DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);
INSERT INTO frontrow.installation DEFAULT VALUES;

CREATE TABLE frontrow.runs (
    id text PRIMARY KEY,
    -- Which host runs it: a host that starts finds the runs that it left behind.
    host text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'unknown', 'failed')),
    seed bigint NOT NULL,
    buyers integer NOT NULL CHECK (buyers > 0),
    seats integer NOT NULL CHECK (seats > 0),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A run still "running" after this was left behind, whoever ran it.
    deadline_at timestamptz NOT NULL,
    result jsonb,
    -- What each buyer asked and heard: JSON lines, gzip.
    history bytea
);
CREATE INDEX runs_newest_first ON frontrow.runs (started_at DESC, id DESC);

CREATE TABLE frontrow.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    -- The run that made this event for itself; NULL for an event on public sale.
    run_id text UNIQUE REFERENCES frontrow.runs ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE frontrow.bookings (
    -- Chosen by the claimant before it asks, so that an answer that got lost can be asked for again.
    id uuid PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    buyer text NOT NULL,
    -- 'void': settled as never made. It keeps a claim that is still under way from being committed later.
    state text NOT NULL DEFAULT 'confirmed' CHECK (state IN ('confirmed', 'void')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX bookings_of_event ON frontrow.bookings (event_id);

CREATE TABLE frontrow.seats (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    position integer NOT NULL CHECK (position >= 0),
    label text NOT NULL,
    -- NULL is free. Not a foreign key and in no index: each claim stays a heap-only update. The invariants watch it.
    booking_id uuid,
    UNIQUE (event_id, position)
) WITH (fillfactor = 50);

CREATE TABLE frontrow.booking_seats (
    seat_id bigint NOT NULL REFERENCES frontrow.seats ON DELETE CASCADE,
    booking_id uuid NOT NULL REFERENCES frontrow.bookings ON DELETE CASCADE,
    sold_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    PRIMARY KEY (booking_id, seat_id)
);
CREATE UNIQUE INDEX booking_seats_one_live_sale ON frontrow.booking_seats (seat_id) WHERE released_at IS NULL;

CREATE TABLE frontrow.idempotency_keys (
    buyer text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    request_sha256 bytea NOT NULL,
    -- The booking that this request is about to make: a retry asks for the same one.
    booking_id uuid NOT NULL,
    attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The final answer; NULL while there is none.
    status smallint,
    answer jsonb,
    PRIMARY KEY (buyer, route, key)
);
CREATE INDEX idempotency_keys_by_age ON frontrow.idempotency_keys (attempt_at);
CREATE INDEX idempotency_keys_of_booking ON frontrow.idempotency_keys (booking_id);
