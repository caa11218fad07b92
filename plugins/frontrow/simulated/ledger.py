"""The simulated provider's books: a payment for each order, kept in a table, or in memory where nothing has to last."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from host.api import Postgres

_FIELDS: Final = "id, order_id::text, amount, currency, method, card, state, authorised, captured, refunded"
_LOAD: Final = f"SELECT {_FIELDS} FROM frontrow.simulated_payments WHERE id = %s"
_OF_ORDER: Final = f"SELECT {_FIELDS} FROM frontrow.simulated_payments WHERE order_id::text = %s"
_ALL: Final = f"SELECT {_FIELDS} FROM frontrow.simulated_payments WHERE order_id::text = ANY(%s)"
_SAVE: Final = """
INSERT INTO frontrow.simulated_payments AS known
       (id, order_id, amount, currency, method, card, state, authorised, captured, refunded)
VALUES (%(id)s, %(order_id)s, %(amount)s, %(currency)s, %(method)s, %(card)s, %(state)s, %(authorised)s,
        %(captured)s, %(refunded)s)
ON CONFLICT (order_id) DO UPDATE
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
        return {name: value for name, value in asdict(self).items() if name != "card"} | {"simulated": True}


class Ledger(Protocol):
    """Where payments are kept."""

    async def load(self, payment_id: str) -> Entry | None: ...

    async def of_order(self, order_id: str) -> Entry | None: ...

    async def of_orders(self, order_ids: list[str]) -> list[Entry]: ...

    async def save(self, entry: Entry) -> None: ...


class PostgresLedger:
    """Books that outlast the process and are shared by all hosts of a database."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres

    async def load(self, payment_id: str) -> Entry | None:
        row = await self._postgres.fetch_one(_LOAD, [payment_id])
        return None if row is None else Entry(*row)

    async def of_order(self, order_id: str) -> Entry | None:
        row = await self._postgres.fetch_one(_OF_ORDER, [order_id])
        return None if row is None else Entry(*row)

    async def of_orders(self, order_ids: list[str]) -> list[Entry]:
        return [Entry(*row) for row in await self._postgres.fetch_all(_ALL, [order_ids])]

    async def save(self, entry: Entry) -> None:
        await self._postgres.execute(_SAVE, asdict(entry))


class MemoryLedger:
    """Books that end with the process: for a benchmark, which measures the sale and not the provider."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._of_order: dict[str, Entry] = {}

    async def load(self, payment_id: str) -> Entry | None:
        return self._entries.get(payment_id)

    async def of_order(self, order_id: str) -> Entry | None:
        return self._of_order.get(order_id)

    async def of_orders(self, order_ids: list[str]) -> list[Entry]:
        return [self._of_order[order_id] for order_id in order_ids if order_id in self._of_order]

    async def save(self, entry: Entry) -> None:
        self._entries[entry.id] = self._of_order[entry.order_id] = entry
