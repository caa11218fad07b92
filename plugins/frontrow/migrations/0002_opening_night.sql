-- A small house on public sale, so that a first visitor has a seat to hold: eight rows of twelve.
WITH house AS (
    INSERT INTO frontrow.events (name) VALUES ('Opening night') RETURNING id
)
INSERT INTO frontrow.seats (event_id, position, label)
SELECT house.id, place, chr(65 + place / 12) || (place % 12 + 1)
  FROM house, generate_series(0, 95) AS place;
