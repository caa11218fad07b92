-- A board is its operations in the order they were saved: revisions 1, 2, 3, … without a hole, because each commit takes
-- them from the room's row, which it locks by updating it.
CREATE TABLE liveboard.rooms (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
    title text NOT NULL,
    -- 'open': whoever has the address may draw; 'link': only who has a key.
    access text NOT NULL CHECK (access IN ('open', 'link')),
    -- Whether a client may change the marks of others.
    others boolean NOT NULL DEFAULT true,
    -- Keys of links and receipts are derived from it.
    secret bytea NOT NULL,
    password bytea,
    rev bigint NOT NULL DEFAULT 0 CHECK (rev >= 0),
    bytes bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rooms_by_use ON liveboard.rooms (used_at);

CREATE TABLE liveboard.operations (
    room text NOT NULL REFERENCES liveboard.rooms ON DELETE CASCADE,
    rev bigint NOT NULL CHECK (rev > 0),
    site bytea NOT NULL CHECK (octet_length(site) = 8),
    seq bigint NOT NULL CHECK (seq > 0),
    data bytea NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, rev),
    -- Nothing ever gets here a second time; if it did, the board would be split, and this stops it.
    UNIQUE (room, site, seq)
);
-- Bodies are small and random to a compressor.
ALTER TABLE liveboard.operations ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE liveboard.sites (
    room text NOT NULL REFERENCES liveboard.rooms ON DELETE CASCADE,
    site bytea NOT NULL CHECK (octet_length(site) = 8),
    -- SHA-256 of the secret by which the site's owner is known.
    token bytea NOT NULL,
    retired boolean NOT NULL DEFAULT false,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, site)
);

CREATE TABLE liveboard.images (
    room text NOT NULL REFERENCES liveboard.rooms ON DELETE CASCADE,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    type text NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (room, sha256)
);

-- Counts that outlive the hosts.
CREATE TABLE liveboard.totals (
    name text PRIMARY KEY,
    value bigint NOT NULL
);
