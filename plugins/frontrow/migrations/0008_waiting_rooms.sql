-- Waiting rooms: an event that has one gives holds only to those whose turn it is.
CREATE TABLE frontrow.rooms (
    event_id bigint PRIMARY KEY REFERENCES frontrow.events ON DELETE CASCADE,
    -- Its hash is published from the start, itself only from the opening on.
    seed bytea NOT NULL,
    opens_at timestamptz NOT NULL,
    opened_at timestamptz,
    entrants_sha256 text,
    -- Who entered after the opening stands behind the last of the lottery.
    last_place bigint NOT NULL DEFAULT 0,
    base bigint NOT NULL CHECK (base >= 0),
    since timestamptz NOT NULL,
    per_s double precision NOT NULL CHECK (per_s >= 0)
);
CREATE TABLE frontrow.room_tickets (
    ticket uuid PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES frontrow.rooms ON DELETE CASCADE,
    buyer text NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- NULL until the lottery is drawn.
    place bigint,
    UNIQUE (event_id, buyer),
    UNIQUE (event_id, place)
);
