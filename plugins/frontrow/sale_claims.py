"""Layer 2 on public sale: the claim of `claims`, for many buyers in one statement.

While one statement is under way, the claims that arrive meanwhile gather for the next: a claim alone leaves at once, a
thousand share a handful of commits. Each still wins or loses by itself, all of its places or none:

- Rows are locked in the one order of this plugin: orders, seats, areas, each by ascending id, buyers last.
- The guards stand on the rows: `booking_id IS NULL AND NOT is_blocked`, `sold + quantity <= capacity`, the buyer's own
  count. Behind them stand the unique index on live sales and the checks of the tables.
- Two claims for the same seat, area or buyer never share a statement: the second waits for the next, so that it sees
  what became of the first.

A claim of an order takes it from "authorised" to "claimed" in the same statement, and notes the money that makes it
"authorised" when it brings that along; one without an order is confirmed at once and leaves its event in the outbox.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio
from psycopg import errors as sql_error

from plugins.frontrow.claims import Claim, ClaimDesk, Claimed, LastLineCrossed
from plugins.frontrow.gather import Gatherer, records
from plugins.frontrow.order_store import RETRY_S

if TYPE_CHECKING:
    from host.api import Postgres

BATCH_MAX: Final = 250
"""Claims in one statement: a few milliseconds of the database's time."""
STATEMENTS_MAX: Final = 2
"""Statements under way at once: while the database works on one, the next is being read."""

CLAIM_MANY: Final = """
WITH claim AS MATERIALIZED (
    SELECT given.*, event.places_per_buyer_max AS most
      FROM json_to_recordset(%(claims)s::json)
           AS given (booking uuid, event bigint, buyer text, is_order boolean, authorised bigint, captured bigint,
                     payment_id text, try_s float8)
      JOIN frontrow.events AS event ON event.id = given.event
), ordered AS MATERIALIZED (
    SELECT locked.id
      FROM (SELECT * FROM claim WHERE is_order ORDER BY booking) AS claim, LATERAL (
           SELECT known.id FROM frontrow.orders AS known
            WHERE known.id = claim.booking
              AND (known.state = 'authorised' OR known.state IN ('held', 'expired') AND claim.payment_id <> '')
              FOR NO KEY UPDATE) AS locked
), able AS MATERIALIZED (
    SELECT * FROM claim WHERE NOT is_order OR booking IN (SELECT id FROM ordered)
), asked AS MATERIALIZED (
    SELECT line.booking, line.seat, able.event
      FROM json_to_recordset(%(seats)s::json) AS line (booking uuid, seat bigint) JOIN able USING (booking)
), locked AS MATERIALIZED (
    SELECT seat.id FROM frontrow.seats AS seat JOIN asked ON asked.seat = seat.id AND asked.event = seat.event_id
     WHERE seat.booking_id IS NULL AND NOT seat.is_blocked
     ORDER BY seat.id
       FOR UPDATE OF seat
), area_asked AS MATERIALIZED (
    SELECT line.booking, line.area, line.quantity, able.event
      FROM json_to_recordset(%(areas)s::json) AS line (booking uuid, area bigint, quantity int)
      JOIN able USING (booking)
), area_locked AS MATERIALIZED (
    SELECT area.id, area.event_id, area.capacity - area.sold AS room
      FROM frontrow.areas AS area
     WHERE area.id IN (SELECT area FROM area_asked) AND EXISTS (SELECT FROM able)
     ORDER BY area.id
       FOR UPDATE
), seat_tally AS (
    SELECT asked.booking, count(*) AS wanted, count(locked.id) AS had
      FROM asked LEFT JOIN locked ON locked.id = asked.seat
     GROUP BY asked.booking
), area_tally AS (
    SELECT area_asked.booking, sum(quantity) AS wanted,
           bool_and(coalesce(area_locked.room >= quantity, false)) AS has_room
      FROM area_asked
      LEFT JOIN area_locked ON area_locked.id = area_asked.area AND area_locked.event_id = area_asked.event
     GROUP BY area_asked.booking
), complete AS MATERIALIZED (
    SELECT able.*, coalesce(seat_tally.wanted, 0) + coalesce(area_tally.wanted, 0) AS places
      FROM able LEFT JOIN seat_tally USING (booking) LEFT JOIN area_tally USING (booking)
     WHERE coalesce(seat_tally.wanted = seat_tally.had, true) AND coalesce(area_tally.has_room, true)
       AND (seat_tally.booking IS NOT NULL OR area_tally.booking IS NOT NULL)
), allowance AS (
    INSERT INTO frontrow.buyer_counts AS known (event_id, buyer, places)
    SELECT event, buyer, places FROM complete WHERE places <= most ORDER BY event, buyer
    ON CONFLICT (event_id, buyer) DO UPDATE SET places = known.places + excluded.places
     WHERE known.places + excluded.places
           <= (SELECT event.places_per_buyer_max FROM frontrow.events AS event WHERE event.id = known.event_id)
    RETURNING event_id, buyer
), winner AS MATERIALIZED (
    SELECT complete.* FROM complete
     WHERE most IS NULL OR EXISTS (SELECT FROM allowance WHERE (event_id, buyer) = (complete.event, complete.buyer))
), sold AS (
    UPDATE frontrow.seats AS seat SET booking_id = asked.booking
      FROM asked JOIN winner USING (booking)
     WHERE seat.id = asked.seat AND seat.booking_id IS NULL
    RETURNING seat.id, seat.booking_id
), area_sold AS (
    UPDATE frontrow.areas AS area SET sold = area.sold + area_asked.quantity
      FROM area_asked JOIN winner USING (booking)
     WHERE area.id = area_asked.area AND area.sold + area_asked.quantity <= area.capacity
    RETURNING area.id, winner.booking, area_asked.quantity
), booked AS (
    INSERT INTO frontrow.bookings (id, event_id, buyer, state)
    SELECT booking, event, buyer, CASE WHEN is_order THEN 'claimed' ELSE 'confirmed' END FROM winner
), sale AS (
    INSERT INTO frontrow.booking_seats (booking_id, seat_id) SELECT booking_id, id FROM sold
), area_sale AS (
    INSERT INTO frontrow.booking_areas (booking_id, area_id, quantity) SELECT booking, id, quantity FROM area_sold
), step AS (
    UPDATE frontrow.orders AS known
       SET state = 'claimed', changed_at = clock_timestamp(),
           authorised = greatest(known.authorised, winner.authorised),
           captured = greatest(known.captured, winner.captured),
           payment_id = coalesce(known.payment_id, nullif(winner.payment_id, '')),
           tries = CASE WHEN known.state = 'authorised' THEN known.tries ELSE 0 END,
           try_at = CASE WHEN known.state = 'authorised' THEN known.try_at
                         ELSE clock_timestamp() + make_interval(secs => winner.try_s) END,
           steps = known.steps || CASE WHEN known.state = 'authorised' THEN '' ELSE frontrow.step('authorised') END
                               || frontrow.step('claimed')
      FROM winner
     WHERE winner.is_order AND known.id = winner.booking
       AND known.state IN ('authorised', 'held', 'expired')
), announced AS (
    INSERT INTO frontrow.outbox (booking_id, event_id, kind, payload)
    SELECT booking, event, 'booking.confirmed', jsonb_build_object('buyer', buyer, 'price', 0)
      FROM winner WHERE NOT is_order
)
SELECT claim.booking::text,
       CASE WHEN winner.booking IS NOT NULL THEN 'won' WHEN complete.booking IS NOT NULL THEN 'limit' ELSE 'lost' END,
       (SELECT count(*) FROM sold), (SELECT count(*) FROM area_sold),
       (SELECT count(*) FROM asked JOIN winner USING (booking)),
       (SELECT count(*) FROM area_asked JOIN winner USING (booking))
  FROM claim LEFT JOIN complete USING (booking) LEFT JOIN winner USING (booking)
"""


_SOLD_AMONG: Final = "SELECT id FROM frontrow.seats WHERE id = ANY(%s) AND booking_id IS NOT NULL"


class SaleClaimDesk(ClaimDesk):
    """Claims on public sale, gathered. `run` must be running. Any number of tasks may use it at once.

    A claimant that is cancelled before its statement was sent is left out; later, its claim is carried out.
    """

    def __init__(self, postgres: "Postgres", *, sql: str = CLAIM_MANY) -> None:
        super().__init__(postgres, sql=sql)
        self.gatherer = Gatherer(
            self._carry_out,
            _keys,
            look=self._look,
            alone_after=(sql_error.UniqueViolation,),
            batch_max=BATCH_MAX,
            statements_max=STATEMENTS_MAX,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out claims until cancelled."""
        await self.gatherer.run(task_status=task_status)

    async def claim(self, claim: Claim, *, is_repeated: bool = False) -> Claimed:
        """As `ClaimDesk.claim`, with "limit" when the buyer would own too much of the event."""
        if is_repeated:
            found = await self.state_of(claim.booking_id)
            if found != "lost":
                return found
        try:
            verdict = await self.gatherer.ask(claim)
        except sql_error.UniqueViolation as error:
            if error.diag.constraint_name == "booking_seats_one_live_sale":
                raise LastLineCrossed(f"seat of event {claim.event_id} was about to be sold twice") from error
            # This very booking is there already, from an attempt whose answer got lost.
            return await self.state_of(claim.booking_id)
        if verdict == "lost" and (is_repeated or claim.is_order):
            return await self.state_of(claim.booking_id)
        return verdict

    async def _carry_out(self, claims: Sequence[Claim]) -> list[Claimed]:
        rows = await self._postgres.fetch_all(self._sql, _parameters(claims))
        assert not rows or (rows[0][2], rows[0][3]) == (rows[0][4], rows[0][5]), "a claim is all or nothing"
        verdicts = {row[0]: row[1] for row in rows}
        return [verdicts.get(claim.booking_id, "lost") for claim in claims]

    async def _look(self, claims: Sequence[Claim]) -> list[Claimed | None]:
        """Those of the claims that are lost already: a seat of theirs is somebody else's."""
        wanted = list({seat for claim in claims for seat in claim.seats})
        sold = {row[0] for row in await self._postgres.fetch_all(_SOLD_AMONG, [wanted])}
        return ["lost" if not sold.isdisjoint(claim.seats) else None for claim in claims]


def _keys(claim: Claim) -> list[Hashable]:
    """What no two claims of one statement may both want."""
    keys: list[Hashable] = [claim.booking_id, (claim.event_id, claim.buyer), *claim.seats]
    if claim.area:
        keys.append(("area", claim.area))
    return keys


def _columns_of(claim: Claim) -> dict[str, Any]:
    columns = {
        "booking": claim.booking_id,
        "event": claim.event_id,
        "buyer": claim.buyer,
        "is_order": claim.is_order,
    }
    if (money := claim.money) is None:
        return columns
    sums = {"authorised": money.authorised, "captured": money.captured}
    return columns | sums | {"payment_id": money.id, "try_s": RETRY_S}


def _parameters(claims: Sequence[Claim]) -> dict[str, str]:
    given = [_columns_of(each) for each in claims]
    seats = [{"booking": each.booking_id, "seat": seat} for each in claims for seat in each.seats]
    areas = [{"booking": each.booking_id, "area": each.area, "quantity": each.quantity} for each in claims if each.area]
    return {"claims": records(given), "seats": records(seats), "areas": records(areas)}
