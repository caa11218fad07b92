-- The audit trail: what operators did, in the transaction that did it. Nothing here is ever changed or deleted.
CREATE TABLE frontrow.operations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    -- Not a foreign key: the trail outlives what it is about.
    event_id bigint,
    detail jsonb NOT NULL
);
CREATE INDEX operations_of_event ON frontrow.operations (event_id, id);
CREATE FUNCTION frontrow.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is not changed';
END
$$;
CREATE TRIGGER operations_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON frontrow.operations
    FOR EACH STATEMENT EXECUTE FUNCTION frontrow.refuse_change();
