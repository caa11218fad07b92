CREATE TABLE webhook_inbox.inboxes (
    name text PRIMARY KEY,
    received bigint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT now()
);

-- What was redacted is not here: it was replaced before it was stored.
CREATE TABLE webhook_inbox.calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbox text NOT NULL REFERENCES webhook_inbox.inboxes ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    method text NOT NULL,
    path text NOT NULL,
    query text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    client text NOT NULL
);
CREATE INDEX calls_by_inbox ON webhook_inbox.calls (inbox, id);
