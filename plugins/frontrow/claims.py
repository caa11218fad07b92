"""Layer 2: who owns a seat. One statement, one round trip, and its row count is the verdict.

The seats are locked in ascending order of their ids (the one lock order of this plugin), those already sold drop out,
and only if all that were asked for are left is anything written. Under READ COMMITTED, which the pool sets on every
connection, a claim that waits for another's lock looks at the committed row again before it goes on, so `booking_id IS
NULL` is true for one of them only (PostgreSQL documentation, 13.2.1). Under REPEATABLE READ the loser would get an
error instead of a verdict. The partial unique index `booking_seats_one_live_sale` stands behind it, never needed.

A claim is made under a booking id that the claimant chose, and may be repeated under it: when its answer got
lost, asking again either finds it or makes it, and the row lock makes a claim still under way decide first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import psycopg
import trio
from psycopg import errors as sql_error

from host.api import HostError, OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.payments import Payment

if TYPE_CHECKING:
    from host.api import Postgres

CLAIM: Final = """
WITH wanted AS MATERIALIZED (
    SELECT id FROM frontrow.seats
     WHERE id = ANY(%(seats)s::bigint[]) AND event_id = %(event)s AND booking_id IS NULL
     ORDER BY id
       FOR UPDATE
), won AS (
    UPDATE frontrow.seats AS seat
       SET booking_id = %(booking)s
      FROM wanted
     WHERE seat.id = wanted.id AND seat.booking_id IS NULL
       AND (SELECT count(*) FROM wanted) = cardinality(%(seats)s::bigint[])
    RETURNING seat.id
), booking AS (
    INSERT INTO frontrow.bookings (id, event_id, buyer)
    SELECT %(booking)s, %(event)s, %(buyer)s WHERE EXISTS (SELECT FROM won)
), sale AS (
    INSERT INTO frontrow.booking_seats (booking_id, seat_id) SELECT %(booking)s, id FROM won
)
SELECT id FROM won
"""

_ONE_LIVE_SALE: Final = "booking_seats_one_live_sale"
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_BOOKING_STATE: Final = "SELECT state FROM frontrow.bookings WHERE id = %s"
# The primary key makes this wait for a claim of the same id that is under way, and either finds what it committed or
# keeps it from ever committing.
_SETTLE: Final = """
INSERT INTO frontrow.bookings (id, event_id, buyer, state) VALUES (%s, %s, %s, 'void') ON CONFLICT (id) DO NOTHING
"""

RETRYABLE: Final = (sql_error.SerializationFailure, sql_error.DeadlockDetected, sql_error.LockNotAvailable)
"""Errors after which the database has certainly undone the statement, and the same claim may be made again."""

Claimed = Literal["won", "lost", "void", "limit"]


class LastLineCrossed(HostError):
    """The unique index stopped a second sale of a seat: the guard above it did not. Nothing was sold twice."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a buyer asks of layer 2. `seats` are ids in ascending order; `booking_id` a UUID chosen beforehand.

    On public sale a claim may be on `quantity` places of an `area` instead, and belong to an order that is to be paid:
    one that is authorised, or is by the `money` that the claim brings along.
    """

    booking_id: str
    event_id: int
    seats: tuple[int, ...]
    buyer: str
    area: int = 0
    quantity: int = 0
    is_order: bool = False
    money: Payment | None = None


class ClaimDesk:
    """Makes claims and asks what became of them. Any number of tasks may use it at once."""

    def __init__(self, postgres: "Postgres", *, sql: str = CLAIM) -> None:
        self._postgres = postgres
        self._sql = sql
        self.statements_total = 0

    async def claim(self, claim: Claim, *, is_repeated: bool = False) -> Claimed:
        """All seats of the claim, or none of them. Say `is_repeated` when an earlier attempt got no answer.

        Raises:
            ServiceUnavailable: nothing was done.
            OutcomeUnknown: it may have been done; claim again with `is_repeated`, or `settle`.
            LastLineCrossed: the guard failed, the index did not.
            psycopg.Error: one of `RETRYABLE`, or a fault of the program; nothing was done.
        """
        parameters = {
            "seats": list(claim.seats),
            "event": claim.event_id,
            "booking": claim.booking_id,
            "buyer": claim.buyer,
        }
        self.statements_total += 1
        try:
            won = await self._postgres.execute(self._sql, parameters)
        except sql_error.UniqueViolation as error:
            if error.diag.constraint_name == _ONE_LIVE_SALE:
                raise LastLineCrossed(f"seat of event {claim.event_id} was about to be sold twice") from error
            # This very booking is there already, from an attempt whose answer got lost.
            return await self.state_of(claim.booking_id)
        if won == len(claim.seats):
            return "won"
        assert won == 0, f"{won} of {len(claim.seats)} seats sold: a claim is all or nothing"
        return await self.state_of(claim.booking_id) if is_repeated else "lost"

    async def warm_up(self, claims: int) -> None:
        """Open as many connections as that many claims at once would, so that none of them has to wait for its own.

        Raises:
            ServiceUnavailable: the database is away.
        """
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(claims):
                    nursery.start_soon(self._postgres.fetch_value, _BOOKING_STATE, [_NOBODY])
        except* (ServiceUnavailable, OutcomeUnknown) as away:
            raise ServiceUnavailable(str(away.exceptions[0])) from away

    async def state_of(self, booking_id: str) -> Claimed:
        """What is committed under this id now. While a claim of it is under way this may still change: see `settle`."""
        self.statements_total += 1
        state = await self._postgres.fetch_value(_BOOKING_STATE, [booking_id])
        if state is None:
            return "lost"
        return "won" if state in ("confirmed", "claimed") else "void"

    async def settle(self, claim: Claim) -> Claimed:
        """Decide an unanswered claim for good without making it: "won" if it was committed, else "void" for ever.

        Raises:
            ServiceUnavailable, OutcomeUnknown: nothing is settled yet; try again.
        """
        await self._postgres.execute(_SETTLE, [claim.booking_id, claim.event_id, claim.buyer])
        return await self.state_of(claim.booking_id)


def is_retryable(error: psycopg.Error) -> bool:
    """Whether the same claim may simply be made again."""
    return isinstance(error, RETRYABLE)


def in_lock_order(seats: Sequence[int]) -> tuple[int, ...]:
    """Seat ids as everything here locks them: ascending, each once."""
    return tuple(sorted(set(seats)))
