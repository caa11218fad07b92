-- Orders: a booking that is to be paid, from the hold to the receipt; and the outbox, which tells the world.

-- 'claimed': the seats are the buyer's and the money is on its way. 'cancelled': given back, the seats are free again.
ALTER TABLE frontrow.bookings DROP CONSTRAINT bookings_state_check;
ALTER TABLE frontrow.bookings ADD CONSTRAINT bookings_state_check
    CHECK (state IN ('confirmed', 'void', 'claimed', 'cancelled'));

CREATE TABLE frontrow.orders (
    -- The id of the booking that it becomes.
    id uuid PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    buyer text NOT NULL,
    -- One checkout for each hold, and so one extension.
    hold_nonce text NOT NULL UNIQUE,
    seats bigint[] NOT NULL DEFAULT '{}',
    area_id bigint REFERENCES frontrow.areas,
    quantity integer NOT NULL DEFAULT 0 CHECK (quantity >= 0),
    currency text NOT NULL,
    -- In the currency's smallest unit, as are the three sums below.
    price bigint NOT NULL CHECK (price >= 0),
    state text NOT NULL DEFAULT 'held' CHECK (state IN (
        'held', 'authorised', 'claimed', 'captured', 'confirmed',
        'voiding', 'voided', 'refunding', 'refunded', 'expired', 'declined', 'cancelled')),
    method text NOT NULL CHECK (method IN ('card', 'instant')),
    payment_id text UNIQUE,
    authorised bigint NOT NULL DEFAULT 0 CHECK (authorised >= 0),
    captured bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    pay_by timestamptz NOT NULL,
    -- When somebody has to look at it next; NULL when nothing is left to do.
    try_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    -- Every state it was in: "held@1764000000000 authorised@…", milliseconds since 1970.
    steps text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT orders_money CHECK (0 <= refunded AND refunded <= captured)
) WITH (fillfactor = 60);
CREATE INDEX orders_of_event ON frontrow.orders (event_id, created_at);
CREATE INDEX orders_to_try ON frontrow.orders (try_at) WHERE try_at IS NOT NULL;

CREATE FUNCTION frontrow.step(state text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT state || '@' || (extract(epoch FROM clock_timestamp()) * 1000)::bigint || ' '
$$;

-- What the payment provider reported: each event once, in the transaction of the step that it caused.
CREATE TABLE frontrow.payment_events (
    id text PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES frontrow.orders ON DELETE CASCADE,
    kind text NOT NULL,
    amount bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX payment_events_of_order ON frontrow.payment_events (order_id);

-- The outbox: written in the transaction of what it tells of, sent on by the relay, at least once.
CREATE TABLE frontrow.outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    booking_id uuid NOT NULL,
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
);
CREATE INDEX outbox_unsent ON frontrow.outbox (position) WHERE sent_at IS NULL;
CREATE INDEX outbox_of_booking ON frontrow.outbox (booking_id);
-- A booking is confirmed once.
CREATE UNIQUE INDEX outbox_one_confirmation ON frontrow.outbox (booking_id) WHERE kind = 'booking.confirmed';
