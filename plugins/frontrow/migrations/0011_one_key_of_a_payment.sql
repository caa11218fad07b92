-- A payment's id is made of its order's, so one unique index says it. With two, of two hosts that write the same new row
-- at the same moment one gets an error out of the index that ON CONFLICT does not name.

ALTER TABLE frontrow.simulated_payments DROP CONSTRAINT simulated_payments_order_id_key;
CREATE INDEX simulated_payments_of_order ON frontrow.simulated_payments (order_id);
