"""Runs in the database: each with its own event and seats, its configuration, its result and its raw history."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from host.api import Postgres

_NEW_RUN: Final = """
INSERT INTO frontrow.runs (id, host, seed, buyers, seats, deadline_at)
VALUES (%s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
RETURNING extract(epoch FROM started_at)::float8
"""
_NEW_EVENT: Final = "INSERT INTO frontrow.events (name, run_id) VALUES (%s, %s) RETURNING id"
_NEW_SEATS: Final = """
INSERT INTO frontrow.seats (event_id, position, label)
SELECT %s, place, 'S' || (place + 1) FROM generate_series(0, %s - 1) AS place
RETURNING id, position
"""
_SAVE: Final = "UPDATE frontrow.runs SET state = %s, result = %s, history = coalesce(%s, history) WHERE id = %s"
_SUMMARY_COLUMNS: Final = """
id, state, seed, buyers, seats, extract(epoch FROM started_at)::float8, result, history IS NOT NULL
"""
_FIND: Final = f"SELECT {_SUMMARY_COLUMNS} FROM frontrow.runs WHERE id = %s"
_LATEST: Final = f"""
SELECT {_SUMMARY_COLUMNS} FROM frontrow.runs
 WHERE %(before)s::text IS NULL
    OR (started_at, id) < (SELECT started_at, id FROM frontrow.runs WHERE id = %(before)s)
 ORDER BY started_at DESC, id DESC
 LIMIT %(limit)s
"""
_HISTORY: Final = "SELECT history FROM frontrow.runs WHERE id = %s"
_ABANDON: Final = """
UPDATE frontrow.runs SET state = 'unknown'
 WHERE state = 'running' AND (host = %s AND id <> ALL(%s) OR deadline_at < clock_timestamp())
RETURNING id
"""
_LEAVE: Final = "UPDATE frontrow.runs SET state = 'unknown' WHERE id = %s AND state = 'running'"
_UNDECIDED: Final = (
    "SELECT id FROM frontrow.runs WHERE state = 'unknown' AND result IS NULL ORDER BY started_at LIMIT 20"
)
_EVENT_OF: Final = "SELECT id FROM frontrow.events WHERE run_id = %s"
_PRUNE: Final = """
DELETE FROM frontrow.runs
 WHERE state <> 'running' AND id IN (SELECT id FROM frontrow.runs ORDER BY started_at DESC, id DESC OFFSET %s LIMIT 50)
"""
_FORGET_KEYS: Final = (
    "DELETE FROM frontrow.idempotency_keys WHERE attempt_at < clock_timestamp() - make_interval(secs => %s)"
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as it begins: its event, and the id of each seat by position. `started_at` is Unix seconds."""

    run_id: str
    seed: int
    buyers: int
    event_id: int
    seat_ids: tuple[int, ...]
    started_at: float


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the database has it. `result` is None until it has been decided."""

    run_id: str
    state: str
    seed: int
    buyers: int
    seats: int
    started_at: float
    result: dict[str, Any] | None
    has_history: bool


class RunStore:
    """Keeps runs. `host` names this host's data folder, by which it knows its own runs again after a restart."""

    def __init__(self, postgres: "Postgres", host: str) -> None:
        self._postgres = postgres
        self._host = host

    async def begin(self, run_id: str, *, seed: int, buyers: int, seats: int, timeout_s: float) -> NewRun:
        """Make a run with an event and seats of its own, all free. Cancelled or failed, nothing of it is left."""
        async with self._postgres.transaction() as connection:
            row = await (
                await connection.execute(_NEW_RUN, [run_id, self._host, seed, buyers, seats, timeout_s])
            ).fetchone()
            assert row is not None
            started_at = row[0]
            row = await (await connection.execute(_NEW_EVENT, [f"Stampede {run_id}", run_id])).fetchone()
            assert row is not None
            event_id = row[0]
            rows = await (await connection.execute(_NEW_SEATS, [event_id, seats])).fetchall()
        ids = dict.fromkeys(range(seats), 0)
        for seat_id, position in rows:
            ids[position] = seat_id
        return NewRun(run_id, seed, buyers, event_id, tuple(ids.values()), started_at)

    async def save(self, run_id: str, state: str, result: dict[str, Any], history: bytes | None) -> None:
        """Keep the result. `history` None leaves what is there."""
        await self._postgres.execute(_SAVE, [state, Jsonb(result), history, run_id])

    async def find(self, run_id: str) -> StoredRun | None:
        """One run, or None."""
        row = await self._postgres.fetch_one(_FIND, [_known(run_id)])
        return StoredRun(*row) if row is not None else None

    async def latest(self, limit: int, before: str | None = None) -> list[StoredRun]:
        """The newest runs first; with `before`, those older than that run."""
        rows = await self._postgres.fetch_all(_LATEST, {"limit": limit, "before": before and _known(before)})
        return [StoredRun(*row) for row in rows]

    async def history(self, run_id: str) -> bytes | None:
        """The raw history as gzipped JSON lines, or None when there is none (yet)."""
        data = await self._postgres.fetch_value(_HISTORY, [_known(run_id)])
        return bytes(data) if data is not None else None

    async def event_of(self, run_id: str) -> int | None:
        """The event that a run made for itself."""
        event_id = await self._postgres.fetch_value(_EVENT_OF, [run_id])
        return int(event_id) if event_id is not None else None

    async def abandon(self, running_here: list[str]) -> list[str]:
        """Turn runs that nobody runs to "unknown": this host's own but those named, and any past its deadline."""
        return [row[0] for row in await self._postgres.fetch_all(_ABANDON, [self._host, running_here])]

    async def leave(self, run_id: str) -> None:
        """Say that nobody runs this run any more, whose host is known to be dead."""
        await self._postgres.execute(_LEAVE, [run_id])

    async def undecided(self) -> list[str]:
        """Runs left behind that nobody has verified yet."""
        return [row[0] for row in await self._postgres.fetch_all(_UNDECIDED)]

    async def prune(self, runs_kept: int, keys_kept_s: float) -> int:
        """Delete runs beyond the newest `runs_kept`, at most 50 at a time, and outlived idempotency keys."""
        await self._postgres.execute(_FORGET_KEYS, [keys_kept_s])
        pruned: int = await self._postgres.execute(_PRUNE, [runs_kept])
        return pruned


def _known(run_id: str) -> str:
    """The id, or one that no run has for what Postgres does not take for text."""
    return run_id.replace("\x00", "\ufffd")
