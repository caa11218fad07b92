"""The relay: carries the outbox to a Redis stream (to Kafka, when it is configured), at least once and in order.

An event is written in the transaction of what it tells of. One relay at a time, whichever host has the advisory lock,
reads what is unsent by position, appends it to the stream, and marks it sent. Killed in between, it sends some of it
again under the same event id; nothing is lost, and nothing that was rolled back is ever told. Events of one booking
have rising positions, for its row was locked whenever one was written, and so they arrive in order.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
import trio
from pydantic_core import to_json

from host.api import OutcomeUnknown, ServiceUnavailable

if TYPE_CHECKING:
    from host.api import Postgres, Redis

BATCH_MAX: Final = 500
STREAM_EVENTS_MAX: Final = 100_000
"""About how many events the stream keeps; the outbox keeps them all."""
INTERVAL_S: Final = 0.2
LOCK: Final = 0x46524F57
"""The relay's advisory lock ("FROW")."""

_UNSENT: Final = """
SELECT position, id::text, booking_id::text, event_id, kind, payload, extract(epoch FROM created_at)::float8
  FROM frontrow.outbox WHERE sent_at IS NULL ORDER BY position LIMIT %s
"""
_SENT: Final = "UPDATE frontrow.outbox SET sent_at = clock_timestamp() WHERE position = ANY(%s)"
_OWED: Final = """
INSERT INTO frontrow.deliveries (subscription_id, position, booking_id)
SELECT subscription.id, told.position, told.booking_id
  FROM frontrow.outbox AS told, frontrow.subscriptions AS subscription
 WHERE told.position = ANY(%s) AND subscription.state = 'active'
   AND (subscription.kinds = '{}' OR told.kind = ANY(subscription.kinds))
    ON CONFLICT DO NOTHING
"""
_BACKLOG: Final = "SELECT count(*) FROM frontrow.outbox WHERE sent_at IS NULL"


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the outbox. Consumers that must not count twice remember `id`."""

    position: int
    id: str
    booking_id: str
    event_id: int
    kind: str
    payload: dict[str, Any]
    at: float

    def document(self) -> dict[str, Any]:
        """What subscribers read."""
        return {
            "id": self.id,
            "kind": self.kind,
            "booking_id": self.booking_id,
            "event_id": self.event_id,
            "at": self.at,
            "data": self.payload,
        }


class Sink(Protocol):
    """Where events go. Returns only when they are there; raises `ServiceUnavailable` or `OutcomeUnknown` otherwise."""

    async def append(self, events: Sequence[Told]) -> None:
        """Append them, in order."""
        ...


class RedisStream:
    """A stream of Redis."""

    def __init__(self, redis: "Redis", key: str) -> None:
        self._redis = redis
        self.key = key

    async def append(self, events: Sequence[Told]) -> None:
        unit = self._redis.pipeline(transaction=False)
        for told in events:
            fields = {"id": told.id, "kind": told.kind, "booking": told.booking_id, "body": to_json(told.document())}
            flat = [part for pair in fields.items() for part in pair]
            unit.execute_command("XADD", self.key, "MAXLEN", "~", STREAM_EVENTS_MAX, "*", *flat)
        await unit.execute()


class Relay:
    """Carries the outbox to its sinks. Any number of hosts may run one: they take turns."""

    def __init__(
        self,
        postgres: "Postgres",
        sinks: Sequence[Sink],
        log: "structlog.stdlib.BoundLogger",
        *,
        before_marking: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        """`before_marking` runs between sending and marking, where a relay can be killed: for tests."""
        self._postgres = postgres
        self._sinks = sinks
        self._log = log
        self._before_marking = before_marking
        self.sent_total = 0
        self.failures_total = 0
        self.backlog = 0

    async def run(self) -> None:
        """Relay until cancelled. What is under way then is sent again by whoever comes next."""
        while True:
            try:
                while await self.relay_some() == BATCH_MAX:
                    pass
                self.backlog = await self._postgres.fetch_value(_BACKLOG)
            except (ServiceUnavailable, OutcomeUnknown) as error:
                self.failures_total += 1
                self._log.warning("events wait in the outbox", error=str(error))
            await trio.sleep(INTERVAL_S)

    async def relay_some(self) -> int:
        """Send the next of what is unsent; how many. 0 also when another relay is at work.

        Raises:
            ServiceUnavailable, OutcomeUnknown: a service is away; some may have been sent, and will be again.
        """
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])).fetchone()
            if row is None or not row[0]:
                return 0
            rows = await (await connection.execute(_UNSENT, [BATCH_MAX])).fetchall()
            if not rows:
                return 0
            events = [Told(*row) for row in rows]
            for sink in self._sinks:
                await sink.append(events)
            await self._before_marking()
            positions = [told.position for told in events]
            await connection.execute(_OWED, [positions])
            await connection.execute(_SENT, [positions])
        self.sent_total += len(events)
        return len(events)
