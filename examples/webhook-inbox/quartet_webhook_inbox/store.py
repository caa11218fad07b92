"""The calls in Postgres. Every limit on what is kept is enforced here, in the transaction that stores a call.

A call first updates the row of its inbox, which locks it until COMMIT: within one inbox, calls are numbered in the
order in which they become visible. So a reader that asks for "all after id N" never misses one, whichever host it
arrived at.
"""

from dataclasses import dataclass
from typing import Any

from host.api import HttpProblem, Postgres
from psycopg.types.json import Jsonb

LIST_MAX = 100

_COUNT = """
    UPDATE webhook_inbox.inboxes SET received = received + 1, received_at = now() WHERE name = %s RETURNING received"""
# Two first calls to new inboxes take turns, or both would find room for one.
_NEW_INBOX_LOCK = "LOCK TABLE webhook_inbox.inboxes IN SHARE ROW EXCLUSIVE MODE"
_NEW_INBOX = """
    INSERT INTO webhook_inbox.inboxes (name, received)
    SELECT %(name)s, 1 WHERE (SELECT count(*) FROM webhook_inbox.inboxes) < %(max)s
    RETURNING received"""
_INSERT = """
    INSERT INTO webhook_inbox.calls (inbox, method, path, query, headers, body, client)
    VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id"""
_TRIM = """
    DELETE FROM webhook_inbox.calls WHERE inbox = %(inbox)s AND id <= (
        SELECT id FROM webhook_inbox.calls WHERE inbox = %(inbox)s ORDER BY id DESC OFFSET %(max)s LIMIT 1)"""
_COLUMNS = "id, inbox, at, method, path, query, headers, body, client"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call as it is kept, redacted. Headers are pairs, for their names may repeat."""

    inbox: str
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    client: str


@dataclass(frozen=True, slots=True)
class Call(Arrival):
    """A call that was kept; `at` is ISO 8601."""

    id: int
    at: str

    def shown(self) -> dict[str, Any]:
        """The call as a JSON document. `body` is None when it is not UTF-8, and no text then."""
        try:
            text: str | None = self.body.decode()
        except UnicodeDecodeError:
            text = None
        return {
            "id": self.id,
            "at": self.at,
            "inbox": self.inbox,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": text,
            "body_bytes": len(self.body),
            "client": self.client,
        }


class Store:
    """Calls by inbox, no more than the limits say."""

    def __init__(self, postgres: Postgres, *, inboxes_max: int, calls_max: int) -> None:
        self._postgres = postgres
        self._inboxes_max = inboxes_max
        self._calls_max = calls_max

    async def add(self, call: Arrival) -> int:
        """Keep a call, drop the oldest of its inbox beyond the limit, and return its id.

        Raises:
            HttpProblem: 507, it would need a new inbox and there are as many as there may be. Nothing is kept.
            ServiceUnavailable, OutcomeUnknown: as with every statement. Cancelled before COMMIT, nothing is kept.
        """
        async with self._postgres.transaction() as connection:
            counted = await (await connection.execute(_COUNT, [call.inbox])).fetchone()
            if counted is None:
                await connection.execute(_NEW_INBOX_LOCK)
                # Another host may have made it while this one waited for the lock.
                counted = await (await connection.execute(_COUNT, [call.inbox])).fetchone()
            if counted is None:
                values = {"name": call.inbox, "max": self._inboxes_max}
                counted = await (await connection.execute(_NEW_INBOX, values)).fetchone()
            if counted is None:
                raise HttpProblem(507, f"there are {self._inboxes_max} inboxes; raise inboxes_max or delete one")
            row = [call.inbox, call.method, call.path, call.query, Jsonb(call.headers), call.body, call.client]
            stored = await (await connection.execute(_INSERT, row)).fetchone()
            assert stored is not None
            await connection.execute(_TRIM, {"inbox": call.inbox, "max": self._calls_max})
        return int(stored[0])

    async def inboxes(self) -> list[dict[str, Any]]:
        """The inboxes, the one with the latest call first."""
        rows = await self._postgres.fetch_all(
            "SELECT name, received, received_at FROM webhook_inbox.inboxes ORDER BY received_at DESC"
        )
        return [{"name": name, "received": received, "received_at": at.isoformat()} for name, received, at in rows]

    async def latest(self, inbox: str) -> list[Call]:
        """The latest calls of an inbox, at most `LIST_MAX`, the oldest of them first."""
        rows = await self._postgres.fetch_all(
            f"SELECT {_COLUMNS} FROM webhook_inbox.calls WHERE inbox = %s ORDER BY id DESC LIMIT %s", [inbox, LIST_MAX]
        )
        return [_call(row) for row in reversed(rows)]

    async def after(self, inbox: str, id: int) -> list[Call]:
        """The calls of an inbox after `id`, at most `LIST_MAX`, the oldest first."""
        rows = await self._postgres.fetch_all(
            f"SELECT {_COLUMNS} FROM webhook_inbox.calls WHERE inbox = %s AND id > %s ORDER BY id LIMIT %s",
            [inbox, id, LIST_MAX],
        )
        return [_call(row) for row in rows]

    async def get(self, id: int) -> Call:
        """One call. Raises `HttpProblem` 404 when there is none, or no longer."""
        row = await self._postgres.fetch_one(f"SELECT {_COLUMNS} FROM webhook_inbox.calls WHERE id = %s", [id])
        if row is None:
            raise HttpProblem(404, f"there is no call {id}, or no longer")
        return _call(row)

    async def delete(self, inbox: str) -> None:
        """Delete an inbox with all its calls. Raises `HttpProblem` 404 when there is none."""
        if not await self._postgres.execute("DELETE FROM webhook_inbox.inboxes WHERE name = %s", [inbox]):
            raise HttpProblem(404, f"there is no inbox {inbox}")


def _call(row: Any) -> Call:
    id, inbox, at, method, path, query, headers, body, client = row
    pairs = [(name, value) for name, value in headers]
    return Call(
        id=id, at=at.isoformat(), inbox=inbox, method=method, path=path, query=query,
        headers=pairs, body=bytes(body), client=client,
    )  # fmt: skip
