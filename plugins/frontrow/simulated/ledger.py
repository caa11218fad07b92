"""The simulated provider's books: a payment for each order, in a table that all hosts of a database share."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from plugins.frontrow.gather import Gatherer, records

if TYPE_CHECKING:
    from host.api import Postgres

_COLUMNS: Final = """
known.id, known.order_id::text, known.amount, known.currency, known.method, known.card, known.state, known.authorised,
known.captured, known.refunded
"""
_GIVEN: Final = """
json_to_recordset(%s::json) AS given (id text, order_id uuid, amount bigint, currency text, method text, card text,
                                      state text, authorised bigint, captured bigint, refunded bigint)
"""
# The id is made of the order's, and the only unique column.
_SAVE: Final = f"""
INSERT INTO frontrow.simulated_payments AS known
       (id, order_id, amount, currency, method, card, state, authorised, captured, refunded)
SELECT * FROM {_GIVEN} ORDER BY id
ON CONFLICT (id) DO UPDATE
   SET card = excluded.card, state = excluded.state, authorised = greatest(known.authorised, excluded.authorised),
       captured = greatest(known.captured, excluded.captured), refunded = greatest(known.refunded, excluded.refunded)
"""
_OPEN: Final = f"{_SAVE} WHERE known.state = 'declined' RETURNING known.id"
_OF_ORDERS: Final = (
    f"SELECT {_COLUMNS} FROM frontrow.simulated_payments AS known WHERE known.order_id = ANY(%s::uuid[])"
)
# LATERAL: looked up one at a time, whatever the planner thinks of a young table.
_LOAD: Final = f"""
SELECT {_COLUMNS} FROM unnest(%s::text[]) AS given (id), LATERAL (
       SELECT * FROM frontrow.simulated_payments WHERE id = given.id OFFSET 0) AS known
"""
_CAPTURE: Final = f"""
UPDATE frontrow.simulated_payments AS known
   SET captured = least(given.amount, known.authorised), state = 'captured'
  FROM (SELECT * FROM json_to_recordset(%s::json) AS given (id text, amount bigint) ORDER BY id) AS given
 WHERE known.id BETWEEN given.id AND given.id AND known.state = 'authorised' AND known.card <> 'capture-refused'
RETURNING {_COLUMNS}
"""


@dataclass(slots=True)
class Entry:
    """A payment in the books."""

    id: str
    order_id: str
    amount: int
    currency: str
    method: str
    card: str
    state: str = "declined"
    authorised: int = 0
    captured: int = 0
    refunded: int = 0

    def document(self) -> dict[str, Any]:
        """What the provider says of it."""
        return {name: getattr(self, name) for name in _TOLD} | {"simulated": True}


_TOLD: Final = tuple(name for name in Entry.__slots__ if name != "card")


class Ledger:
    """Opens, finds and changes payments. `run` must be running."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres
        self._loads = Gatherer(self._load, lambda payment_id: ())
        self._finds = Gatherer(self._find, lambda order_id: ())
        self._saves = Gatherer(self._save, lambda entry: [entry.id])
        self._opens = Gatherer(self._open, lambda entry: [entry.id])
        self._captures = Gatherer(self._capture, lambda asked: [asked[0]])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out what is asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            for gatherer in (self._loads, self._finds, self._saves, self._opens, self._captures):
                await nursery.start(gatherer.run)
            task_status.started()

    async def open(self, entry: Entry) -> Entry | None:
        """Write a new payment, or one that was declined before; None then, else the payment that there is already."""
        return await self._opens.ask(entry)

    async def capture(self, payment_id: str, amount: int) -> Entry | None:
        """Take the money of a payment that is authorised, unless its card refuses; None when it is no such payment."""
        return await self._captures.ask((payment_id, amount))

    async def load(self, payment_id: str) -> Entry | None:
        """A payment by its id."""
        return await self._loads.ask(payment_id)

    async def of_order(self, order_id: str) -> Entry | None:
        """The payment of an order."""
        return await self._finds.ask(order_id) if _is_uuid(order_id) else None

    async def save(self, entry: Entry) -> None:
        """Write a payment as it stands. Sums only ever grow."""
        await self._saves.ask(entry)

    async def _open(self, entries: Sequence[Entry]) -> list[Entry | None]:
        written = {row[0] for row in await self._postgres.fetch_all(_OPEN, [records(map(_row, entries))])}
        others = [entry.id for entry in entries if entry.id not in written]
        known = dict(zip(others, await self._load(others), strict=True)) if others else {}
        return [known.get(entry.id) for entry in entries]

    async def _capture(self, asked: Sequence[tuple[str, int]]) -> list[Entry | None]:
        wanted = records({"id": payment_id, "amount": amount} for payment_id, amount in asked)
        taken = {row[0]: Entry(*row) for row in await self._postgres.fetch_all(_CAPTURE, [wanted])}
        return [taken.get(payment_id) for payment_id, _ in asked]

    async def _load(self, payment_ids: Sequence[str]) -> list[Entry | None]:
        found = {row[0]: row for row in await self._postgres.fetch_all(_LOAD, [list(payment_ids)])}
        return [Entry(*found[each]) if each in found else None for each in payment_ids]

    async def _find(self, order_ids: Sequence[str]) -> list[Entry | None]:
        found = {row[1]: row for row in await self._postgres.fetch_all(_OF_ORDERS, [list(order_ids)])}
        return [Entry(*found[each]) if each in found else None for each in order_ids]

    async def _save(self, entries: Sequence[Entry]) -> list[None]:
        await self._postgres.execute(_SAVE, [records(map(_row, entries))])
        return [None] * len(entries)


def _row(entry: Entry) -> dict[str, Any]:
    # Not `asdict`, which copies each value deeply, at three times the cost of the statement.
    return {name: getattr(entry, name) for name in Entry.__slots__}


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
