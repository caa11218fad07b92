"""What operators do: open, pause and close a sale, keep seats back, give money back, and take the orders with them.

Each leaves a line in the audit trail, in the transaction that did it; a refund's line is written before the money
moves, so that no refund is without one.
"""

import csv
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

from plugins.frontrow.checkout import Checkout
from plugins.frontrow.core.house import BLOCKED, FREE
from plugins.frontrow.live_house import LiveHouses
from plugins.frontrow.order_store import Order

if TYPE_CHECKING:
    from host.api import Postgres

SALE_STATES: Final = ("draft", "open", "paused", "closed")
SEATS_MAX: Final = 1000
EXPORT_PAGE: Final = 500
FIRST: Final = "00000000-0000-0000-0000-000000000000"

_LOG: Final = "INSERT INTO frontrow.operations (actor, action, event_id, detail) VALUES (%s, %s, %s, %s)"
_SET_STATE: Final = """
UPDATE frontrow.events SET state = %(state)s
  FROM (SELECT id, state FROM frontrow.events WHERE id = %(event)s FOR UPDATE) AS known
 WHERE events.id = known.id AND is_public RETURNING known.state
"""
_BLOCK: Final = """
WITH locked AS MATERIALIZED (
    SELECT id FROM frontrow.seats WHERE id = ANY(%(seats)s::bigint[]) AND event_id = %(event)s
       AND booking_id IS NULL AND is_blocked <> %(block)s
     ORDER BY id FOR UPDATE
)
UPDATE frontrow.seats AS seat SET is_blocked = %(block)s FROM locked
 WHERE seat.id = locked.id AND seat.booking_id IS NULL RETURNING seat.id
"""
_TRAIL: Final = """
SELECT id, extract(epoch FROM at)::float8, actor, action, event_id, detail FROM frontrow.operations
 WHERE (%(event)s::bigint IS NULL OR event_id = %(event)s) AND (%(before)s::bigint IS NULL OR id < %(before)s)
 ORDER BY id DESC LIMIT %(limit)s
"""
_TRAIL_FIELDS: Final = ("id", "at", "actor", "action", "event_id", "detail")
EXPORT_FIELDS: Final = (
    "id",
    "event_id",
    "buyer",
    "state",
    "currency",
    "price",
    "captured",
    "refunded",
    "seats",
    "area",
    "quantity",
    "method",
    "payment_id",
    "reason",
    "steps",
)


class Operators:
    """Any number of operators may work at once."""

    def __init__(self, postgres: "Postgres", checkout: Checkout, live: LiveHouses) -> None:
        self._postgres = postgres
        self._checkout = checkout
        self._live = live

    async def set_sale(self, event_id: int, state: str, actor: str) -> str | None:
        """Open, pause or close a sale; the state before, None when there is no such event.

        What is held is not taken away: holds and orders from before may still be paid.
        """
        assert state in SALE_STATES, state
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute(_SET_STATE, {"event": event_id, "state": state})).fetchone()
            if row is None:
                return None
            detail = Jsonb({"from": row[0], "to": state})
            await connection.execute(_LOG, [actor, "sale", event_id, detail])
        return str(row[0])

    async def set_blocked(self, event_id: int, seats: list[int], is_blocked: bool, actor: str) -> list[int]:
        """Keep seats back, or give them free; those that changed. A sold seat does not change.

        A seat that somebody holds is kept back all the same: its holder hears so when paying.
        """
        async with self._postgres.transaction() as connection:
            values = {"event": event_id, "seats": seats, "block": is_blocked}
            rows = await (await connection.execute(_BLOCK, values)).fetchall()
            changed = sorted(row[0] for row in rows)
            action = "block" if is_blocked else "release"
            await connection.execute(_LOG, [actor, action, event_id, Jsonb({"seats": changed})])
        self._live.note(event_id, changed, BLOCKED if is_blocked else FREE)
        return changed

    async def refund(self, order_id: str, reason: str, actor: str) -> tuple[Order, bool]:
        """Give an order's money back and its seats on sale; the order, and whether this call did it.

        Raises:
            NoOrder: there is none.
        """
        order = await self._checkout.store.find(order_id)
        detail = Jsonb({"order": order_id, "reason": reason, "state": order.state})
        await self._postgres.execute(_LOG, [actor, "refund", order.event_id, detail])
        return await self._checkout.refund(order_id, reason)

    async def trail(self, event_id: int | None, before: int | None, limit: int) -> list[dict[str, Any]]:
        """The audit trail, the newest first."""
        rows = await self._postgres.fetch_all(_TRAIL, {"event": event_id, "before": before, "limit": limit})
        return [dict(zip(_TRAIL_FIELDS, row, strict=True)) for row in rows]

    async def export(self, event_id: int | None) -> AsyncIterator[str]:
        """All orders as CSV, page by page, so that any number of them takes little memory."""
        yield _line(EXPORT_FIELDS)
        after = FIRST
        while page := await self._checkout.store.page(event_id, after, EXPORT_PAGE):
            yield "".join(_line(_cells(order)) for order in page)
            after = page[-1].id


def _cells(order: Order) -> tuple[Any, ...]:
    values = {name: getattr(order, name) for name in EXPORT_FIELDS}
    values["seats"] = " ".join(map(str, order.seats))
    values["steps"] = order.steps.strip()
    return tuple(_safe(value) for value in values.values())


def _safe(value: Any) -> Any:
    """A cell that a spreadsheet does not take for a formula: a buyer chooses the name that stands in it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _line(cells: tuple[Any, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
