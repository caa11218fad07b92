"""Idempotency keys of bookings: the table behind `core.idempotency`.

A key is taken before anything is done, together with the id of the booking to be made; the final answer is kept after
it. Between the two lies the claim, which is idempotent by that id: an attempt that died there is taken over
by the next request with the key, finds the booking or makes it, and gives the answer that the first would have given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from plugins.frontrow.core.idempotency import Decision, Remembered, decide
from plugins.frontrow.gather import Gatherer, records

if TYPE_CHECKING:
    from host.api import Postgres

_TAKE: Final = """
INSERT INTO frontrow.idempotency_keys (buyer, route, key, request_sha256, booking_id)
SELECT buyer, route, key, decode(sha256, 'hex'), booking_id
  FROM json_to_recordset(%s::json) AS given (buyer text, route text, key text, sha256 text, booking_id uuid)
 ORDER BY buyer, route, key
ON CONFLICT (buyer, route, key) DO NOTHING
RETURNING buyer, route, key
"""
_RECALL: Final = """
SELECT request_sha256, status, answer, booking_id::text, attempt_at,
       (extract(epoch FROM clock_timestamp() - attempt_at) * 1000)::bigint
  FROM frontrow.idempotency_keys WHERE buyer = %s AND route = %s AND key = %s
"""
_TAKE_OVER: Final = """
UPDATE frontrow.idempotency_keys SET attempt_at = clock_timestamp()
 WHERE buyer = %s AND route = %s AND key = %s AND attempt_at = %s AND status IS NULL
"""
_FINISH: Final = """
WITH given AS (
    SELECT * FROM json_to_recordset(%s::json) AS given (buyer text, route text, key text, status smallint, answer jsonb)
), locked AS MATERIALIZED (
    SELECT known.buyer, known.route, known.key FROM frontrow.idempotency_keys AS known
     WHERE (known.buyer, known.route, known.key) IN (SELECT buyer, route, key FROM given)
     ORDER BY known.buyer, known.route, known.key FOR UPDATE
)
UPDATE frontrow.idempotency_keys AS known SET status = given.status, answer = given.answer
  FROM given JOIN locked USING (buyer, route, key)
 WHERE (known.buyer, known.route, known.key) = (given.buyer, given.route, given.key)
"""
_FORGET: Final = """
DELETE FROM frontrow.idempotency_keys WHERE buyer = %s AND route = %s AND key = %s AND status IS NULL
"""
# As if the attempt had been left behind: the next request takes it over at once.
_LEAVE: Final = """
UPDATE frontrow.idempotency_keys SET attempt_at = 'epoch'
 WHERE buyer = %s AND route = %s AND key = %s AND status IS NULL
"""
_IS_OPEN: Final = "SELECT 1 FROM frontrow.idempotency_keys WHERE booking_id = %s AND status IS NULL"


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key in its scope."""

    buyer: str
    route: str
    key: str

    @property
    def columns(self) -> tuple[str, str, str]:
        return self.buyer, self.route, self.key


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking a key: "new" or "take_over" carry on with `booking_id`, "answer" has the answer to repeat."""

    decision: Decision | str
    booking_id: str
    status: int = 0
    answer: dict[str, Any] | None = None


class IdempotencyKeys:
    """Takes, finishes and forgets keys. An attempt older than `attempt_ms_max` counts as left behind.

    `run` must be running. Cancelled while it takes or finishes, a key may be taken or finished all the same.
    """

    def __init__(self, postgres: "Postgres", attempt_ms_max: int) -> None:
        self._postgres = postgres
        self._attempt_ms_max = attempt_ms_max
        self._takes = Gatherer(self._take, lambda new: [new[0]])
        self._finishes = Gatherer(self._finish, lambda final: [final[0]])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out what is asked for, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._takes.run)
            await nursery.start(self._finishes.run)
            task_status.started()

    async def take(self, key: Key, request_sha256: bytes, booking_id: str) -> Taken:
        """Take the key for a new request, or say what is to be done with a repeated one."""
        if await self._takes.ask((key, request_sha256, booking_id)):
            return Taken("new", booking_id)
        row = await self._postgres.fetch_one(_RECALL, key.columns)
        if row is None:
            # Forgotten between the two statements: the first attempt came to nothing just now.
            return Taken("in_flight", booking_id)
        sha256, status, answer, first_booking_id, attempt_at, age_ms = row
        remembered = Remembered(bytes(sha256), status is not None, age_ms)
        decision = decide(remembered, request_sha256, attempt_ms_max=self._attempt_ms_max)
        if decision == "take_over" and not await self._postgres.execute(_TAKE_OVER, [*key.columns, attempt_at]):
            decision = "in_flight"
        return Taken(decision, first_booking_id, status or 0, answer)

    async def finish(self, key: Key, status: int, answer: dict[str, Any]) -> None:
        """Keep the final answer, to be repeated from now on."""
        await self._finishes.ask((key, status, answer))

    async def forget(self, key: Key) -> None:
        """Free the key: nothing was done, and the same request may come anew."""
        await self._postgres.execute(_FORGET, key.columns)

    async def leave(self, key: Key) -> None:
        """Leave the attempt undecided: the next request with this key takes it over."""
        await self._postgres.execute(_LEAVE, key.columns)

    async def is_open(self, booking_id: str) -> bool:
        """Whether a request for this booking has no final answer yet."""
        return await self._postgres.fetch_value(_IS_OPEN, [booking_id]) is not None

    async def _take(self, news: Sequence[tuple[Key, bytes, str]]) -> list[bool]:
        rows = await self._postgres.fetch_all(
            _TAKE,
            [
                records(
                    {
                        "buyer": key.buyer,
                        "route": key.route,
                        "key": key.key,
                        "sha256": sha256.hex(),
                        "booking_id": booking_id,
                    }
                    for key, sha256, booking_id in news
                )
            ],
        )
        taken = set(rows)
        return [key.columns in taken for key, _, _ in news]

    async def _finish(self, finals: Sequence[tuple[Key, int, dict[str, Any]]]) -> list[None]:
        given = (
            {"buyer": key.buyer, "route": key.route, "key": key.key, "status": status, "answer": answer}
            for key, status, answer in finals
        )
        await self._postgres.execute(_FINISH, [records(given)])
        return [None] * len(finals)
