"""The simulated provider's books: a payment for each order, kept in a table, or in memory where nothing has to last."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from plugins.frontrow.gather import Gatherer, records

if TYPE_CHECKING:
    from host.api import Postgres

_FIELDS: Final = "id, order_id::text, amount, currency, method, card, state, authorised, captured, refunded"
_LOAD: Final = f"SELECT {_FIELDS} FROM frontrow.simulated_payments WHERE id = ANY(%s)"
_OF_ORDERS: Final = f"SELECT {_FIELDS} FROM frontrow.simulated_payments WHERE order_id = ANY(%s::uuid[])"
# The id is made of the order's, and the only unique column.
_SAVE: Final = """
INSERT INTO frontrow.simulated_payments AS known
       (id, order_id, amount, currency, method, card, state, authorised, captured, refunded)
SELECT * FROM json_to_recordset(%s::json)
           AS given (id text, order_id uuid, amount bigint, currency text, method text, card text, state text,
                     authorised bigint, captured bigint, refunded bigint)
 ORDER BY order_id
ON CONFLICT (id) DO UPDATE
   SET card = excluded.card, state = excluded.state, authorised = greatest(known.authorised, excluded.authorised),
       captured = greatest(known.captured, excluded.captured), refunded = greatest(known.refunded, excluded.refunded)
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


class Ledger(Protocol):
    """Where payments are kept. `run` must be running."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None: ...

    async def load(self, payment_id: str) -> Entry | None: ...

    async def of_order(self, order_id: str) -> Entry | None: ...

    async def save(self, entry: Entry) -> None: ...


class PostgresLedger:
    """Books that outlast the process and are shared by all hosts of a database. `run` must be running."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres
        self._loads = Gatherer(self._load, lambda payment_id: ())
        self._finds = Gatherer(self._find, lambda order_id: ())
        self._saves = Gatherer(self._save, lambda entry: [entry.order_id])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out what is asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            for gatherer in (self._loads, self._finds, self._saves):
                await nursery.start(gatherer.run)
            task_status.started()

    async def load(self, payment_id: str) -> Entry | None:
        return await self._loads.ask(payment_id)

    async def of_order(self, order_id: str) -> Entry | None:
        return await self._finds.ask(order_id) if _is_uuid(order_id) else None

    async def save(self, entry: Entry) -> None:
        await self._saves.ask(entry)

    async def _load(self, payment_ids: Sequence[str]) -> list[Entry | None]:
        rows = await self._postgres.fetch_all(_LOAD, [list(payment_ids)])
        found = {row[0]: row for row in rows}
        return [Entry(*found[each]) if each in found else None for each in payment_ids]

    async def _find(self, order_ids: Sequence[str]) -> list[Entry | None]:
        rows = await self._postgres.fetch_all(_OF_ORDERS, [list(order_ids)])
        found = {row[1]: row for row in rows}
        return [Entry(*found[each]) if each in found else None for each in order_ids]

    async def _save(self, entries: Sequence[Entry]) -> list[None]:
        await self._postgres.execute(_SAVE, [records(_row(entry) for entry in entries)])
        return [None] * len(entries)


def _row(entry: Entry) -> dict[str, Any]:
    # Not `asdict`, which copies each value deeply, at three times the cost of the statement.
    return {name: getattr(entry, name) for name in Entry.__slots__}


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


class MemoryLedger:
    """Books that end with the process: for a benchmark, which measures the sale and not the provider."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._of_order: dict[str, Entry] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def load(self, payment_id: str) -> Entry | None:
        return self._entries.get(payment_id)

    async def of_order(self, order_id: str) -> Entry | None:
        return self._of_order.get(order_id)

    async def save(self, entry: Entry) -> None:
        self._entries[entry.id] = self._of_order[entry.order_id] = entry
