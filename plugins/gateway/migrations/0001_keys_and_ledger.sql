-- A key is kept as the SHA-256 digest of its text; limits are the request that made it, as JSON.
CREATE TABLE gateway.keys (
    name text PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    limits jsonb NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- What was used, in lines of a few seconds each.
CREATE TABLE gateway.ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant text NOT NULL,
    model text NOT NULL,
    requests bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    nano_usd bigint NOT NULL
);
CREATE INDEX ledger_by_tenant ON gateway.ledger (tenant, at);

-- What a key has spent in a period, so that a budget is looked up without summing the ledger.
CREATE TABLE gateway.spent (
    tenant text NOT NULL,
    kind text NOT NULL,
    period integer NOT NULL,
    nano_usd bigint NOT NULL,
    PRIMARY KEY (tenant, kind, period)
);
