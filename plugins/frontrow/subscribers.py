"""Webhooks to subscribers: signed, in order for each booking, sent again with growing pauses until they are taken.

The relay writes what each subscriber is owed; here it is delivered. Of one booking a subscriber gets the next event
only when the one before was taken or given up. A subscriber that answers 410 is disabled, one that fails for a day
keeps its subscription and loses that event, which its count of deliveries says.
"""

import random
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import structlog
import trio
from pydantic_core import to_json

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.core.retries import pause_s, verdict
from plugins.frontrow.core.signature import HEADER, sign
from plugins.frontrow.relay import Told

if TYPE_CHECKING:
    from host.api import Postgres

AT_ONCE_MAX: Final = 8
TIMEOUT_S: Final = 10.0
INTERVAL_S: Final = 0.2
LEASE_S: Final = 30.0
"""How long a delivery under way is left alone by other hosts: longer than one can take."""

_NEW: Final = "INSERT INTO frontrow.subscriptions (url, secret, kinds) VALUES (%s, %s, %s) RETURNING id"
_ALL: Final = """
SELECT id, url, kinds, state, reason, created_at,
       (SELECT count(*) FROM frontrow.deliveries WHERE subscription_id = known.id AND state = 'due'),
       (SELECT count(*) FROM frontrow.deliveries WHERE subscription_id = known.id AND state = 'delivered'),
       (SELECT count(*) FROM frontrow.deliveries WHERE subscription_id = known.id AND state = 'given_up')
  FROM frontrow.subscriptions AS known ORDER BY id LIMIT 200
"""
_FIELDS: Final = ("id", "url", "kinds", "state", "reason", "created_at", "due", "delivered", "given_up")
_DROP: Final = "DELETE FROM frontrow.subscriptions WHERE id = %s"
_LEASE: Final = """
WITH next AS (
    SELECT due.subscription_id, due.position FROM frontrow.deliveries AS due
      JOIN frontrow.subscriptions AS subscription ON subscription.id = due.subscription_id
     WHERE due.state = 'due' AND due.try_at <= clock_timestamp() AND subscription.state = 'active'
       AND NOT EXISTS (SELECT FROM frontrow.deliveries AS earlier
                        WHERE earlier.subscription_id = due.subscription_id AND earlier.booking_id = due.booking_id
                          AND earlier.state = 'due' AND earlier.position < due.position)
     ORDER BY due.try_at LIMIT %s FOR UPDATE OF due SKIP LOCKED
), leased AS (
    UPDATE frontrow.deliveries AS due
       SET tries = tries + 1, try_at = clock_timestamp() + make_interval(secs => %s)
      FROM next WHERE (due.subscription_id, due.position) = (next.subscription_id, next.position)
    RETURNING due.subscription_id, due.position, due.tries
)
SELECT leased.subscription_id, leased.tries, subscription.url, subscription.secret,
       told.position, told.id::text, told.booking_id::text, told.event_id, told.kind, told.payload,
       extract(epoch FROM told.created_at)::float8
  FROM leased JOIN frontrow.subscriptions AS subscription ON subscription.id = leased.subscription_id
  JOIN frontrow.outbox AS told ON told.position = leased.position
"""
_DONE: Final = """
UPDATE frontrow.deliveries
   SET state = %(state)s, last_answer = %(answer)s,
       try_at = clock_timestamp() + make_interval(secs => %(pause_s)s),
       delivered_at = CASE WHEN %(state)s = 'delivered' THEN clock_timestamp() END
 WHERE subscription_id = %(subscription)s AND position = %(position)s AND state = 'due'
"""
_DISABLE: Final = "UPDATE frontrow.subscriptions SET state = 'disabled', reason = %s WHERE id = %s"


class Subscribers:
    """Keeps subscriptions and delivers what they are owed. Any number of hosts may."""

    def __init__(self, postgres: "Postgres", http: httpx.AsyncClient, log: "structlog.stdlib.BoundLogger") -> None:
        self._postgres = postgres
        self._http = http
        self._log = log
        self.delivered_total = 0
        self.failed_total = 0

    async def subscribe(self, url: str, kinds: list[str]) -> tuple[int, str]:
        """A new subscription: its id, and the secret that signs what it gets."""
        secret = secrets.token_urlsafe(24)
        row = await self._postgres.fetch_one(_NEW, [url, secret, kinds])
        assert row is not None
        return int(row[0]), secret

    async def unsubscribe(self, subscription_id: int) -> bool:
        """End a subscription, with what it is owed; whether there was one."""
        return await self._postgres.execute(_DROP, [subscription_id]) > 0

    async def all(self) -> list[dict[str, Any]]:
        """The subscriptions, with how much each was sent and is owed."""
        return [dict(zip(_FIELDS, row, strict=True)) for row in await self._postgres.fetch_all(_ALL)]

    async def run(self) -> None:
        """Deliver until cancelled. A delivery under way then is made again: at least once."""
        while True:
            try:
                while await self.deliver_some():
                    pass
            except (ServiceUnavailable, OutcomeUnknown) as error:
                self._log.warning("subscribers wait", error=str(error))
            await trio.sleep(INTERVAL_S)

    async def deliver_some(self) -> int:
        """Deliver what is due, some of it at once; how many were tried."""
        rows = await self._postgres.fetch_all(_LEASE, [AT_ONCE_MAX, LEASE_S])
        async with trio.open_nursery() as nursery:
            for subscription_id, tries, url, secret, *told in rows:
                nursery.start_soon(self._deliver, subscription_id, tries, url, secret, Told(*told))
        return len(rows)

    async def _deliver(self, subscription_id: int, tries: int, url: str, secret: str, told: Told) -> None:
        body = to_json(told.document())
        headers = {"content-type": "application/json", HEADER: sign(body, secret.encode(), round(time.time()))}
        status: int | None = None
        try:
            answer = await self._http.post(url, content=body, headers=headers, timeout=TIMEOUT_S)
            status, said = answer.status_code, str(answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = repr(error)[:200]
        decision = verdict(status, tries)
        state = {"delivered": "delivered", "again": "due"}.get(decision, "given_up")
        self.delivered_total += decision == "delivered"
        self.failed_total += decision != "delivered"
        try:
            await self._postgres.execute(
                _DONE,
                {
                    "state": state,
                    "answer": said,
                    "pause_s": pause_s(tries, random.random()) if decision == "again" else 0.0,
                    "subscription": subscription_id,
                    "position": told.position,
                },
            )
            if decision == "disable":
                await self._postgres.execute(_DISABLE, ["the subscriber answered 410", subscription_id])
        except (ServiceUnavailable, OutcomeUnknown) as error:
            # It is delivered again when its lease is over: at least once.
            self._log.warning("a delivery is not noted", subscription=subscription_id, error=str(error))
