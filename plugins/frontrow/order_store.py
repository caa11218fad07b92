"""Orders in the database: made once for each hold, moved on by conditional updates, many in one statement.

Rows are locked in ascending order of their ids, before the events of their payments are written. What a step owes to
the world (the outbox, the booking's state, the seats given back) is written in the same statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from psycopg import errors as sql_error

from host.api import HostError
from plugins.frontrow.core.checkout import STEPS
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.gather import Gatherer, records

if TYPE_CHECKING:
    from host.api import Postgres

_COLUMNS: Final = """
known.id::text, known.event_id, known.buyer, known.hold_nonce, known.seats, known.area_id, known.quantity,
known.currency, known.price, known.state, known.method, known.payment_id, known.authorised, known.captured,
known.refunded, known.reason, known.tries, extract(epoch FROM known.pay_by)::float8,
(extract(epoch FROM known.pay_by - clock_timestamp()) * 1000)::bigint, known.steps
"""
# Whether a report says of an order's money what the order does not know yet. Sums only ever grow, so what is no news
# now never will be: the order's row need not be locked for it, nor written.
_TELLS_MORE: Final = """(
    known.authorised < {0}.authorised OR known.captured < {0}.captured OR known.refunded < {0}.refunded
    OR known.payment_id IS NULL AND {0}.payment_id <> '')"""
_NEW_MANY: Final = f"""
INSERT INTO frontrow.orders AS known
       (id, event_id, buyer, hold_nonce, seats, area_id, quantity, currency, price, method, pay_by, try_at, steps)
SELECT id, event_id, buyer, hold_nonce, seats::bigint[], nullif(area_id, 0), quantity, currency, price, method,
       clock_timestamp() + make_interval(secs => pay_s), clock_timestamp() + make_interval(secs => pay_s),
       frontrow.step('held')
  FROM json_to_recordset(%s::json)
       AS given (id uuid, event_id bigint, buyer text, hold_nonce text, seats text, area_id bigint, quantity int,
                 currency text, price bigint, method text, pay_s float8)
 ORDER BY hold_nonce
ON CONFLICT DO NOTHING
RETURNING {_COLUMNS}
"""
_OF_HOLDS: Final = f"SELECT {_COLUMNS} FROM frontrow.orders AS known WHERE known.hold_nonce = ANY(%s)"
_FIND_MANY: Final = f"SELECT {_COLUMNS} FROM frontrow.orders AS known WHERE known.id = ANY(%s::uuid[])"

# LATERAL, and BETWEEN for =: by these an order can only be looked up by its id. The planner takes any JSON for a
# hundred rows and a young table for a small one: left to itself it reads all orders at each step, and goes on to when
# they are many.
STEP_MANY: Final = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json)
           AS given (id uuid, of text, to_state text, via text, authorised bigint, captured bigint, refunded bigint,
                     payment_id text, reason text, try_s float8, event text, kind text, amount bigint)
), locked AS MATERIALIZED (
    SELECT locked.*
      FROM (SELECT * FROM given ORDER BY id) AS given, LATERAL (
           SELECT known.id, known.state FROM frontrow.orders AS known
            WHERE known.id = given.id AND (given.event = '' OR known.state = ANY(string_to_array(given.of, ','))
                                           OR {_TELLS_MORE.format("given")})
              FOR NO KEY UPDATE) AS locked
), news AS (
    INSERT INTO frontrow.payment_events (id, order_id, kind, amount)
    SELECT given.event, known.id, given.kind, given.amount
      FROM given, LATERAL (SELECT id FROM frontrow.orders WHERE id = given.id OFFSET 0) AS known
     WHERE given.event <> '' AND (SELECT count(*) FROM locked) >= 0
     ORDER BY given.event
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), able AS MATERIALIZED (
    SELECT given.*, known.state = ANY(string_to_array(given.of, ',')) AS moves
      FROM given JOIN locked AS known USING (id)
     WHERE event = '' OR event IN (SELECT id FROM news)
), stepped AS (
    UPDATE frontrow.orders AS known
       SET state = CASE WHEN moves THEN to_state ELSE known.state END,
           authorised = greatest(known.authorised, able.authorised),
           captured = greatest(known.captured, able.captured),
           refunded = greatest(known.refunded, able.refunded),
           payment_id = coalesce(known.payment_id, nullif(able.payment_id, '')),
           reason = CASE WHEN able.reason <> '' THEN able.reason ELSE known.reason END,
           tries = CASE WHEN moves THEN 0 ELSE known.tries END,
           try_at = CASE WHEN NOT moves THEN known.try_at
                         WHEN try_s < 0 THEN NULL ELSE clock_timestamp() + make_interval(secs => try_s) END,
           steps = known.steps || CASE WHEN moves AND via <> '' THEN frontrow.step(via) ELSE '' END
                               || CASE WHEN moves THEN frontrow.step(to_state) ELSE '' END,
           changed_at = clock_timestamp()
      FROM able
     WHERE known.id BETWEEN able.id AND able.id
       AND (moves OR (able.kind <> '' OR able.payment_id <> '') AND {_TELLS_MORE.format("able")})
    RETURNING known.*, moves
), booked AS (
    UPDATE frontrow.bookings AS booking SET state = 'confirmed'
      FROM stepped WHERE moves AND stepped.state = 'confirmed' AND booking.id = stepped.id
), announced AS (
    INSERT INTO frontrow.outbox (booking_id, event_id, kind, payload)
    SELECT id, event_id, CASE WHEN state = 'confirmed' THEN 'booking.confirmed' ELSE 'order.' || state END,
           jsonb_build_object('buyer', buyer, 'price', price, 'currency', currency, 'seats', seats, 'area', area_id,
                              'quantity', quantity, 'reason', reason)
      FROM stepped
     WHERE moves AND state IN ('confirmed', 'expired', 'cancelled', 'declined', 'voided', 'refunding', 'refunded')
     ORDER BY id
)
SELECT {_COLUMNS}, known.moves FROM stepped AS known
UNION ALL
SELECT {_COLUMNS}, false
  FROM given, LATERAL (SELECT * FROM frontrow.orders WHERE id = given.id OFFSET 0) AS known
 WHERE given.id NOT IN (SELECT id FROM stepped)
"""
# The seats of an order that had them, back on sale: behind the step, in the same transaction.
FREE: Final = """
WITH freed AS (
    UPDATE frontrow.booking_seats SET released_at = clock_timestamp()
     WHERE booking_id = %(id)s AND released_at IS NULL
    RETURNING seat_id
), locked AS MATERIALIZED (
    SELECT id FROM frontrow.seats WHERE id IN (SELECT seat_id FROM freed) ORDER BY id FOR UPDATE
), seat AS (
    UPDATE frontrow.seats SET booking_id = NULL
     WHERE id IN (SELECT id FROM locked) AND booking_id = %(id)s
    RETURNING id
), places AS (
    UPDATE frontrow.booking_areas SET released_at = clock_timestamp()
     WHERE booking_id = %(id)s AND released_at IS NULL
    RETURNING area_id, quantity
), area AS (
    UPDATE frontrow.areas SET sold = sold - places.quantity FROM places WHERE areas.id = places.area_id
), counted AS (
    UPDATE frontrow.buyer_counts AS known
       SET places = known.places - (SELECT count(*) FROM freed) - coalesce((SELECT sum(quantity) FROM places), 0)
      FROM frontrow.bookings AS booking
     WHERE booking.id = %(id)s AND (known.event_id, known.buyer) = (booking.event_id, booking.buyer)
)
UPDATE frontrow.bookings SET state = 'cancelled' WHERE id = %(id)s AND state IN ('claimed', 'confirmed')
"""
_LEASE: Final = """
UPDATE frontrow.orders SET try_at = clock_timestamp() + make_interval(secs => least(2 ^ tries, 60)), tries = tries + 1
 WHERE id IN (SELECT id FROM frontrow.orders WHERE try_at <= clock_timestamp()
               ORDER BY try_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id::text
"""
_OF_EVENT: Final = f"""
SELECT {_COLUMNS} FROM frontrow.orders AS known
 WHERE (%(event)s::bigint IS NULL OR known.event_id = %(event)s) AND known.id > %(after)s::uuid
 ORDER BY known.id LIMIT %(limit)s
"""
NEVER_S: Final = -1.0
Known = TypeVar("Known")
RETRY_S: Final = 5.0
"""How long an order with something left to do may stand still before somebody else looks at it."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands. Sums in the currency's smallest unit; `left_ms` until it must be paid, by the database."""

    id: str
    event_id: int
    buyer: str
    hold_nonce: str
    seats: tuple[int, ...]
    area: int
    quantity: int
    currency: str
    price: int
    state: str
    method: str
    payment_id: str | None
    authorised: int
    captured: int
    refunded: int
    reason: str
    tries: int
    pay_by: float
    left_ms: int
    steps: str

    @property
    def hold(self) -> Hold:
        return Hold(self.event_id, self.seats, self.hold_nonce, self.area, self.quantity)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to be made. `pay_s`: how long the buyer has to pay."""

    id: str
    hold: Hold
    buyer: str
    currency: str
    price: int
    method: str
    pay_s: float


@dataclass(frozen=True, slots=True)
class Move:
    """A step of an order. Sums are totals, and only ever grow. `try_s`: when to look at it next, `NEVER_S` not at all.

    With an `event` (the provider's id of it) it is made once, whoever reports it how often.
    """

    id: str
    name: str
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    payment_id: str = ""
    reason: str = ""
    try_s: float = NEVER_S
    event: str = ""
    kind: str = ""
    amount: int = 0


class NoOrder(HostError):
    """There is no order of that id."""


class OrderStore:
    """Makes, finds and moves orders. `run` must be running."""

    def __init__(self, postgres: "Postgres", *, step_sql: str = STEP_MANY) -> None:
        self._postgres = postgres
        self._step_sql = step_sql
        alone = (sql_error.UniqueViolation, sql_error.IntegrityError)
        self._makes = Gatherer(self._make, lambda new: [new.id, new.hold.nonce], alone_after=alone)
        self._finds = Gatherer(self._find, lambda order_id: [order_id])
        self._moves = Gatherer(self._move, lambda move: [move.id], alone_after=alone)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out what is asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            for gatherer in (self._makes, self._finds, self._moves):
                await nursery.start(gatherer.run)
            task_status.started()

    async def make(self, new: NewOrder) -> Order:
        """Make an order, or find the one that this hold has already."""
        return await self._makes.ask(new)

    async def find(self, order_id: str) -> Order:
        """An order. Raises `NoOrder`."""
        return _known(await self._finds.ask(order_id))

    async def move(self, move: Move) -> tuple[Order, bool]:
        """Take a step if the order is where the step begins; the order then, and whether it moved.

        Raises:
            NoOrder: there is none.
            ServiceUnavailable, OutcomeUnknown: as of any statement; asking again finds out.
        """
        if STEPS[move.name].frees:
            return _known(await self._move_and_free(move))
        return _known(await self._moves.ask(move))

    async def move_all(self, moves: Sequence[Move]) -> list[tuple[Order, bool] | Exception]:
        """Steps of several orders, none of which frees seats: as `move`, with the error of each for its answer."""
        answers = await self._moves.ask_all(moves)
        return [answer if isinstance(answer, Exception) else answer or _no_order() for answer in answers]

    async def lease(self, limit: int) -> list[str]:
        """Orders that somebody has to look at now. Nobody else gets them for a while, which doubles with each time."""
        return [row[0] for row in await self._postgres.fetch_all(_LEASE, [limit])]

    async def page(self, event_id: int | None, after: str, limit: int) -> list[Order]:
        """Orders by id, for an export; `after` is the last id of the page before."""
        rows = await self._postgres.fetch_all(_OF_EVENT, {"event": event_id, "after": after, "limit": limit})
        return [_order(row) for row in rows]

    async def _make(self, news: Sequence[NewOrder]) -> list[Order]:
        orders = list(map(_order, await self._postgres.fetch_all(_NEW_MANY, [records(map(_columns_of_new, news))])))
        if len(orders) < len(news):
            # Theirs are there already; whoever made them has committed, or this statement would have waited.
            made = {order.hold_nonce for order in orders}
            others = [new.hold.nonce for new in news if new.hold.nonce not in made]
            orders += map(_order, await self._postgres.fetch_all(_OF_HOLDS, [others]))
        by_nonce = {order.hold_nonce: order for order in orders}
        return [by_nonce[new.hold.nonce] for new in news]

    async def _find(self, ids: Sequence[str]) -> list[Order | None]:
        rows = await self._postgres.fetch_all(_FIND_MANY, [list(ids)])
        found = {order.id: order for order in map(_order, rows)}
        return [found.get(order_id) for order_id in ids]

    async def _move(self, moves: Sequence[Move]) -> list[tuple[Order, bool] | None]:
        rows = await self._postgres.fetch_all(self._step_sql, [records(map(_columns_of, moves))])
        found = {row[0]: (_order(row[:-1]), bool(row[-1])) for row in rows}
        return [found.get(move.id) for move in moves]

    async def _move_and_free(self, move: Move) -> tuple[Order, bool] | None:
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute(self._step_sql, [records([_columns_of(move)])])).fetchone()
            if row is None:
                return None
            has_moved = bool(row[-1])
            if has_moved:
                await connection.execute(FREE, {"id": move.id})
        return _order(row[:-1]), has_moved


def _no_order() -> NoOrder:
    return NoOrder("there is no such order")


def _known(found: Known | None) -> Known:
    if found is None:
        raise _no_order()
    return found


def _order(row: Sequence[Any]) -> Order:
    values = list(row)
    values[4] = tuple(values[4])
    values[5] = values[5] or 0
    return Order(*values)


def _columns_of_new(new: NewOrder) -> dict[str, Any]:
    hold = new.hold
    return {
        "id": new.id,
        "event_id": hold.event_id,
        "buyer": new.buyer,
        "hold_nonce": hold.nonce,
        "seats": "{" + ",".join(map(str, hold.seats)) + "}",
        "area_id": hold.area,
        "quantity": hold.quantity,
        "currency": new.currency,
        "price": new.price,
        "method": new.method,
        "pay_s": new.pay_s,
    }


def _columns_of(move: Move) -> dict[str, Any]:
    step = STEPS[move.name]
    return {
        "id": move.id,
        "of": ",".join(step.of),
        "to_state": step.to,
        "via": step.via,
        "authorised": move.authorised,
        "captured": move.captured,
        "refunded": move.refunded,
        "payment_id": move.payment_id,
        "reason": move.reason,
        "try_s": move.try_s,
        "event": move.event,
        "kind": move.kind,
        "amount": move.amount,
    }
