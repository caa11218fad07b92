"""Jobs and runs in Postgres, whose clock is the only one: hosts may disagree about the time.

A due time is claimed in one transaction: the job's row is locked with SKIP LOCKED, so that hosts do not wait for each
other; the run is inserted under the key (job, due), which holds even if a job is edited back in time; the job moves on.
Who committed it runs it, and no one else ever does. A host that dies in between leaves a run whose lease expires: it is
marked "unknown", for its action may have happened, and it is not repeated.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from host.api import HttpProblem, Postgres
from psycopg.types.json import Jsonb

from quartet_scheduler.jobs import Job, due_times

RUNS_LISTED_MAX = 100

_DUE = """
    SELECT name, job, next_due, now() FROM scheduler.jobs WHERE next_due <= now()
    ORDER BY next_due LIMIT 1 FOR UPDATE SKIP LOCKED"""
_CLAIM = """
    INSERT INTO scheduler.runs (job, due, host, state, ended, leased_until)
    VALUES (%(job)s, %(due)s, %(host)s, %(state)s, CASE WHEN %(state)s = 'missed' THEN now() END,
            now() + make_interval(secs => %(lease_s)s))
    ON CONFLICT (job, due) DO NOTHING RETURNING due"""
_FINISH = """
    UPDATE scheduler.runs SET state = %s, detail = %s, ended = now()
    WHERE job = %s AND due = %s AND state = 'running'"""
_NOTIFY = "SELECT pg_notify(%s, %s)"
_TRIM = """
    DELETE FROM scheduler.runs WHERE job = %(job)s AND state <> 'running' AND due <= (
        SELECT due FROM scheduler.runs WHERE job = %(job)s ORDER BY due DESC OFFSET %(max)s LIMIT 1)"""
_EXPIRE = """
    UPDATE scheduler.runs SET state = 'unknown', ended = now(), detail = 'its host did not say how it ended'
    WHERE state = 'running' AND leased_until < now()"""
_WAIT = "SELECT extract(epoch FROM min(next_due) - now())::float8 FROM scheduler.jobs WHERE next_due IS NOT NULL"
_PUT = """
    INSERT INTO scheduler.jobs (name, job, next_due) VALUES (%(name)s, %(job)s, %(due)s)
    ON CONFLICT (name) DO UPDATE SET job = EXCLUDED.job, next_due = EXCLUDED.next_due"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A due time that this host, and no other, is to act on."""

    name: str
    job: Job
    due: datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the store; the configuration's names."""

    jobs_max: int
    runs_kept_max: int
    catch_up_max: int
    grace_s: float
    lease_s: float


class Store:
    """Jobs, and the runs of their due times."""

    def __init__(self, postgres: Postgres, limits: Limits) -> None:
        self._postgres = postgres
        self._limits = limits

    async def claim(self, host: str) -> tuple[Claim | None, bool]:
        """Take the most overdue time that no other host is taking.

        Returns:
            The claim, None when there is nothing to run; and whether a due time was taken, so that more may be due.
        """
        async with self._postgres.transaction() as connection:
            row = await (await connection.execute(_DUE)).fetchone()
            if row is None:
                return None, False
            name, job, first_due, now = row[0], Job.model_validate(row[1]), row[2], row[3]
            due, is_run = due_times(job, first_due, now, self._limits.grace_s, self._limits.catch_up_max)
            state = "running" if is_run else "missed"
            values = {"job": name, "due": due, "host": host, "state": state, "lease_s": self._limits.lease_s}
            claimed = await (await connection.execute(_CLAIM, values)).fetchone()
            await connection.execute(
                "UPDATE scheduler.jobs SET next_due = %s WHERE name = %s", [job.next_after(due), name]
            )
            await connection.execute(_TRIM, {"job": name, "max": self._limits.runs_kept_max})
        return (Claim(name, job, due) if claimed is not None and is_run else None), True

    async def finish(self, claim: Claim, state: str, detail: str, notify: str | None = None) -> bool:
        """Note how a run ended, with a NOTIFY on the channel `notify` in the same transaction.

        Returns:
            False when the run's lease expired before: it stands as "unknown", and nothing was notified.
        """
        async with self._postgres.transaction() as connection:
            cursor = await connection.execute(_FINISH, [state, detail[:1000], claim.name, claim.due])
            if cursor.rowcount != 1:
                return False
            if notify is not None:
                await connection.execute(_NOTIFY, [notify, f"{claim.name} {claim.due.isoformat()}"])
        return True

    async def expire(self) -> int:
        """Mark the runs whose hosts have died as "unknown", and return how many there were."""
        return await self._postgres.execute(_EXPIRE)

    async def wait_s(self) -> float | None:
        """How long it is until the next due time by the database's clock, in seconds; None when there is none."""
        seconds: float | None = await self._postgres.fetch_value(_WAIT)
        return seconds

    async def put(self, name: str, job: Job) -> None:
        """Make or change a job; its next due time is counted from now.

        Raises:
            HttpProblem: 507, there are as many jobs as there may be; 422, its time never comes.
        """
        async with self._postgres.transaction() as connection:
            # Two that make the last job there may be take turns.
            await connection.execute("LOCK TABLE scheduler.jobs IN SHARE ROW EXCLUSIVE MODE")
            row = await (
                await connection.execute("SELECT count(*), now() FROM scheduler.jobs WHERE name <> %s", [name])
            ).fetchone()
            assert row is not None
            if row[0] >= self._limits.jobs_max:
                raise HttpProblem(507, f"there are {self._limits.jobs_max} jobs; raise jobs_max or delete one")
            due = job.next_after(row[1])
            if due is None:
                raise HttpProblem(422, f"the time {job.cron!r} never comes")
            values = {"name": name, "job": Jsonb(job.model_dump()), "due": None if job.paused else due}
            await connection.execute(_PUT, values)

    async def run_now(self, name: str, host: str) -> Claim:
        """Claim this very moment as a due time of the job. Raises `HttpProblem` 404 when there is no such job."""
        async with self._postgres.transaction() as connection:
            row = await (
                await connection.execute("SELECT job, now() FROM scheduler.jobs WHERE name = %s", [name])
            ).fetchone()
            if row is None:
                raise HttpProblem(404, f"there is no job {name}")
            values = {"job": name, "due": row[1], "host": host, "state": "running", "lease_s": self._limits.lease_s}
            if await (await connection.execute(_CLAIM, values)).fetchone() is None:
                raise HttpProblem(409, f"{name} is being run at this moment")
        return Claim(name, Job.model_validate(row[0]), row[1])

    async def delete(self, name: str) -> None:
        """Delete a job with its runs. Raises `HttpProblem` 404 when there is no such job."""
        if not await self._postgres.execute("DELETE FROM scheduler.jobs WHERE name = %s", [name]):
            raise HttpProblem(404, f"there is no job {name}")

    async def jobs(self) -> list[dict[str, Any]]:
        """All jobs by name, each with its latest run's state."""
        rows = await self._postgres.fetch_all(
            """SELECT name, job, next_due,
                   (SELECT state FROM scheduler.runs WHERE job = name ORDER BY due DESC LIMIT 1)
               FROM scheduler.jobs ORDER BY name"""
        )
        return [
            {"name": name, **job, "next_due": due and due.isoformat(), "latest": state}
            for name, job, due, state in rows
        ]

    async def runs(self, name: str) -> list[dict[str, Any]]:
        """The latest runs of a job, at most `RUNS_LISTED_MAX`, the latest first."""
        rows = await self._postgres.fetch_all(
            """SELECT due, host, state, detail, began, ended FROM scheduler.runs
               WHERE job = %s ORDER BY due DESC LIMIT %s""",
            [name, RUNS_LISTED_MAX],
        )
        names = ("due", "host", "state", "detail", "began", "ended")
        return [dict(zip(names, row, strict=True)) for row in rows]
