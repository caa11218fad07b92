-- Houses: where each seat is, what it costs, and areas without seats.

CREATE TABLE frontrow.venues (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    -- As it was imported: events are made from it.
    plan jsonb NOT NULL,
    seats integer NOT NULL CHECK (seats >= 0),
    places integer NOT NULL CHECK (places > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE frontrow.events
    ADD COLUMN venue_id bigint REFERENCES frontrow.venues,
    -- Only an open sale gives new holds; what was held before a pause or the close may still be paid.
    ADD COLUMN state text NOT NULL DEFAULT 'open' CHECK (state IN ('draft', 'open', 'paused', 'closed')),
    -- NULL: nothing is to be paid, and a hold is booked at once.
    ADD COLUMN currency text CHECK (currency ~ '^[A-Z]{3}$'),
    ADD COLUMN stage_x real NOT NULL DEFAULT 0,
    ADD COLUMN stage_y real NOT NULL DEFAULT 0,
    -- Places that one buyer may own; NULL is any number.
    ADD COLUMN places_per_buyer_max integer CHECK (places_per_buyer_max > 0);

CREATE TABLE frontrow.tiers (
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    code text NOT NULL,
    name text NOT NULL,
    -- In the currency's smallest unit.
    price bigint NOT NULL CHECK (price >= 0),
    PRIMARY KEY (event_id, code)
);

-- A blocked seat cannot be sold, whatever the statement above it says.
ALTER TABLE frontrow.seats
    ADD COLUMN is_blocked boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT seats_blocked_is_unsold CHECK (NOT is_blocked OR booking_id IS NULL);

-- What never changes of a seat stands apart from what a claim rewrites.
CREATE TABLE frontrow.places (
    seat_id bigint PRIMARY KEY REFERENCES frontrow.seats ON DELETE CASCADE,
    section text NOT NULL,
    row_label text NOT NULL,
    number text NOT NULL,
    x real NOT NULL,
    y real NOT NULL,
    tier text NOT NULL,
    kind text NOT NULL DEFAULT 'standard' CHECK (kind IN ('standard', 'accessible', 'companion')),
    aisle_after boolean NOT NULL DEFAULT false
);

-- Places without seats: one row counts them, and the check is its last line.
CREATE TABLE frontrow.areas (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    name text NOT NULL,
    tier text NOT NULL,
    x real NOT NULL DEFAULT 0,
    y real NOT NULL DEFAULT 0,
    capacity integer NOT NULL CHECK (capacity > 0),
    sold integer NOT NULL DEFAULT 0,
    UNIQUE (event_id, name),
    CONSTRAINT areas_within_capacity CHECK (0 <= sold AND sold <= capacity)
) WITH (fillfactor = 50);

CREATE TABLE frontrow.booking_areas (
    booking_id uuid NOT NULL REFERENCES frontrow.bookings ON DELETE CASCADE,
    area_id bigint NOT NULL REFERENCES frontrow.areas ON DELETE CASCADE,
    quantity integer NOT NULL CHECK (quantity > 0),
    sold_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    PRIMARY KEY (booking_id, area_id)
);
CREATE INDEX booking_areas_of_area ON frontrow.booking_areas (area_id);

-- How much each buyer owns of an event that limits it.
CREATE TABLE frontrow.buyer_counts (
    event_id bigint NOT NULL REFERENCES frontrow.events ON DELETE CASCADE,
    buyer text NOT NULL,
    places integer NOT NULL CHECK (places >= 0),
    PRIMARY KEY (event_id, buyer)
) WITH (fillfactor = 70);
