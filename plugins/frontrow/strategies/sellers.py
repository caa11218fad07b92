"""The strategies. Each sells to one buyer, whose payment takes its time between the look and the write.

The first four work on scratch seats of the trial, in whose table nothing keeps a seat from being sold twice. The two
layers are the ones that customers go through, on seats of the real tables.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trio
from psycopg import errors as sql_error

from plugins.frontrow import box_office
from plugins.frontrow.box_office import BoxOffice, new_nonce
from plugins.frontrow.claims import in_lock_order
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.core.trace import Wish
from plugins.frontrow.holds import GRANTED, TAKEN, HoldDesk

if TYPE_CHECKING:
    from host.api import Postgres

BOOKED: Final = "booked"
REJECTED: Final = "rejected"
GAVE_UP: Final = "gave up"
"""Tried `ATTEMPTS_MAX` times and lost to a conflict each time."""
ATTEMPTS_MAX: Final = 3

_LOOK: Final = """
SELECT position, owner, version FROM frontrow.trial_seats
 WHERE trial_id = %(trial)s AND strategy = %(strategy)s AND position = ANY(%(seats)s)
"""
_LOCK: Final = """
SELECT owner FROM frontrow.trial_seats
 WHERE trial_id = %(trial)s AND strategy = %(strategy)s AND position = %(seat)s FOR UPDATE
"""
_TAKE: Final = """
WITH taken AS (
    UPDATE frontrow.trial_seats SET owner = %(buyer)s
     WHERE trial_id = %(trial)s AND strategy = %(strategy)s AND position = ANY(%(seats)s)
)
INSERT INTO frontrow.trial_sales (trial_id, strategy, position, buyer)
SELECT %(trial)s, %(strategy)s, unnest(%(seats)s::integer[]), %(buyer)s
"""
_TAKE_VERSION: Final = """
WITH taken AS (
    UPDATE frontrow.trial_seats SET owner = %(buyer)s, version = version + 1
     WHERE trial_id = %(trial)s AND strategy = %(strategy)s AND position = %(seat)s AND version = %(version)s
    RETURNING position
)
INSERT INTO frontrow.trial_sales (trial_id, strategy, position, buyer)
SELECT %(trial)s, %(strategy)s, position, %(buyer)s FROM taken
"""
_ADVISORY: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%(trial)s || %(strategy)s, 0))"


@dataclass(slots=True)
class Tally:
    """What a strategy cost."""

    statements: int = 0
    """Sent to Postgres, BEGIN and COMMIT counted too."""
    redis_commands: int = 0
    payments: int = 0
    payments_wasted: int = 0
    """Authorised, and then there was no seat for it."""
    deadlocks: int = 0
    retries: int = 0


@dataclass(slots=True, eq=False)
class Counter:
    """The sale of one trial by one strategy: where it sells, and what it has cost so far."""

    trial_id: str
    strategy: str
    postgres: "Postgres"
    payment_s: float
    turns: trio.Semaphore
    """Transactions at one time: one that is open across a payment keeps a connection that long."""
    tally: Tally = field(default_factory=Tally)

    async def pay(self) -> None:
        """The payment provider takes its time."""
        self.tally.payments += 1
        await trio.sleep(self.payment_s)

    async def fetch(self, sql: str, **values: Any) -> list[Any]:
        """The rows of one statement of its own."""
        self.tally.statements += 1
        return await self.postgres.fetch_all(sql, self.values(values))

    async def execute(self, sql: str, **values: Any) -> int:
        """One statement of its own."""
        self.tally.statements += 1
        return await self.postgres.execute(sql, self.values(values))

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A statement's values, with those that every statement has."""
        return {"trial": self.trial_id, "strategy": self.strategy, **values}


Seller = Callable[[Counter, Wish], Awaitable[str]]


async def naive(counter: Counter, wish: Wish) -> str:
    """Look whether the seats are free, take the money, write the owner."""
    rows = await counter.fetch(_LOOK, seats=list(wish.seats))
    if any(owner is not None for _, owner, _ in rows):
        return REJECTED
    await counter.pay()
    await counter.execute(_TAKE, seats=list(wish.seats), buyer=wish.buyer)
    return BOOKED


async def row_lock(counter: Counter, wish: Wish) -> str:
    """SELECT … FOR UPDATE seat by seat, in the order in which the buyer chose them, and pay with the rows locked."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return await _in_transaction(counter, wish, _lock_rows)
        except sql_error.DeadlockDetected:
            counter.tally.deadlocks += 1
            counter.tally.retries += 1
    return GAVE_UP


async def advisory_lock(counter: Counter, wish: Wish) -> str:
    """One lock for the whole sale, held across the payment."""
    return await _in_transaction(counter, wish, _lock_sale)


async def _lock_rows(counter: Counter, wish: Wish, connection: Any) -> bool:
    for seat in wish.seats:
        counter.tally.statements += 1
        row = await (await connection.execute(_LOCK, counter.values({"seat": seat}))).fetchone()
        if row[0] is not None:
            return False
    return True


async def _lock_sale(counter: Counter, wish: Wish, connection: Any) -> bool:
    counter.tally.statements += 2
    await connection.execute(_ADVISORY, counter.values({}))
    rows = await (await connection.execute(_LOOK, counter.values({"seats": list(wish.seats)}))).fetchall()
    return all(owner is None for _, owner, _ in rows)


async def _in_transaction(counter: Counter, wish: Wish, lock: Callable[[Counter, Wish, Any], Awaitable[bool]]) -> str:
    async with counter.turns, counter.postgres.transaction() as connection:
        counter.tally.statements += 2
        if not await lock(counter, wish, connection):
            return REJECTED
        await counter.pay()
        counter.tally.statements += 1
        await connection.execute(_TAKE, counter.values({"seats": list(wish.seats), "buyer": wish.buyer}))
    return BOOKED


async def optimistic(counter: Counter, wish: Wish) -> str:
    """Remember the version that was looked at, take the money, and write only if the version is still the same."""
    for attempt in range(ATTEMPTS_MAX):
        counter.tally.retries += attempt > 0
        rows = await counter.fetch(_LOOK, seats=list(wish.seats))
        if any(owner is not None for _, owner, _ in rows):
            return REJECTED
        await counter.pay()
        if await _take_versions(counter, wish, {seat: version for seat, _, version in rows}):
            return BOOKED
        counter.tally.payments_wasted += 1
    return GAVE_UP


async def _take_versions(counter: Counter, wish: Wish, versions: Mapping[int, int]) -> bool:
    try:
        async with counter.turns, counter.postgres.transaction() as connection:
            counter.tally.statements += 2
            for seat in sorted(versions):
                counter.tally.statements += 1
                values = counter.values({"seat": seat, "version": versions[seat], "buyer": wish.buyer})
                if (await connection.execute(_TAKE_VERSION, values)).rowcount != 1:
                    raise _Conflict
    except _Conflict:
        return False
    return True


class _Conflict(Exception):
    """The seats have changed since they were looked at; the transaction is rolled back."""


def redis_only(holds: HoldDesk, event_id: int) -> Seller:
    """SET NX in Redis decides, and the sale is written down without looking."""

    async def sell(counter: Counter, wish: Wish) -> str:
        counter.tally.redis_commands += 1
        hold = Hold(event_id, in_lock_order(wish.seats), new_nonce())
        if await holds.hold(holds.request(hold)) != GRANTED:
            return REJECTED
        await counter.pay()
        await counter.execute(_TAKE, seats=list(wish.seats), buyer=wish.buyer)
        return BOOKED

    return sell


def two_layers(office: BoxOffice, event_id: int, seat_ids: tuple[int, ...]) -> Seller:
    """A hold in Redis, the payment, and the conditional UPDATE in Postgres as the truth.

    Statements are counted by the claim desk of `office`, which belongs to this trial.
    """

    async def sell(counter: Counter, wish: Wish) -> str:
        tally = counter.tally
        hold = Hold(event_id, in_lock_order([seat_ids[seat] for seat in wish.seats]), new_nonce())
        tally.redis_commands += 1
        held = await office.holds.hold(office.holds.request(hold))
        if held == TAKEN:
            return REJECTED
        await counter.pay()
        tally.redis_commands += held == GRANTED
        verdict = await office.book(hold, f"buyer-{wish.buyer}", str(uuid.uuid4()), had_hold=held == GRANTED)
        if verdict == box_office.BOOKED:
            return BOOKED
        tally.payments_wasted += 1
        # Of what was held one seat may be sold; the others are free again.
        tally.redis_commands += 1
        await office.holds.release(hold)
        return REJECTED

    return sell
