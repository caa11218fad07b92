"""The invariants of the house, counted on a timer and on request, and kept.

Hosts that share a database share the work: an audit is due when the newest one is old enough, whoever made it.
"""

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from psycopg.types.json import Jsonb

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.core.house_invariants import COUNT_ALL, HOUSE, judge_house
from plugins.frontrow.wall_clock import WallClock

if TYPE_CHECKING:
    from host.api import Postgres

AUDITS_KEPT: Final = 1000

_KEEP: Final = """
INSERT INTO frontrow.audits (cause, verdict, elapsed_ms, findings) VALUES (%s, %s, %s, %s)
RETURNING id, extract(epoch FROM checked_at)::float8
"""
_PRUNE: Final = "DELETE FROM frontrow.audits WHERE id <= (SELECT max(id) FROM frontrow.audits) - %s"
_AGE: Final = "SELECT extract(epoch FROM clock_timestamp() - max(checked_at))::float8 FROM frontrow.audits"
_LATEST: Final = """
SELECT id, extract(epoch FROM checked_at)::float8, cause, verdict, elapsed_ms, findings
  FROM frontrow.audits ORDER BY id DESC LIMIT %s
"""
_FIELDS: Final = ("id", "checked_at", "cause", "verdict", "elapsed_ms", "invariants")


class Auditor:
    """Counts, judges and keeps. Any number of tasks may ask at once."""

    def __init__(
        self, postgres: "Postgres", log: "structlog.stdlib.BoundLogger", interval_s: float, clock: WallClock
    ) -> None:
        self._postgres = postgres
        self._log = log
        self._interval_s = interval_s
        self._clock = clock
        self.broken_total = 0
        """Audits that found something broken. Anything but 0 is a broken promise."""
        self.audits_total = 0

    async def run(self) -> None:
        """Audit whenever the newest one is `interval_s` old, until cancelled."""
        while True:
            try:
                age_s = await self._postgres.fetch_value(_AGE)
                if age_s is None or age_s >= self._interval_s:
                    await self.check("timer")
                    age_s = 0.0
            except (ServiceUnavailable, OutcomeUnknown) as error:
                self._log.warning("the house is not audited now", error=str(error))
                age_s = 0.0
            await trio.sleep(max(self._interval_s - age_s, 0.05))

    async def check(self, cause: str) -> dict[str, Any]:
        """Count everything now, and keep what was found."""
        began = time.perf_counter()
        row = await self._postgres.fetch_one(COUNT_ALL)
        assert row is not None
        elapsed_ms = round((time.perf_counter() - began) * 1000)
        counts = {statement.name: int(found) for statement, found in zip(HOUSE, row, strict=True)}
        findings, verdict = judge_house(counts, self._clock.now())
        kept = await self._postgres.fetch_one(_KEEP, [cause, verdict, elapsed_ms, Jsonb(findings)])
        assert kept is not None
        await self._postgres.execute(_PRUNE, [AUDITS_KEPT])
        self.audits_total += 1
        if verdict != "holds":
            self.broken_total += 1
            broken = [finding["name"] for finding in findings if not finding["holds"]]
            self._log.error("a promise is broken", invariants=broken)
        return dict(zip(_FIELDS, (kept[0], kept[1], cause, verdict, elapsed_ms, findings), strict=True))

    async def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest audits first."""
        rows = await self._postgres.fetch_all(_LATEST, [limit])
        return [dict(zip(_FIELDS, row, strict=True)) for row in rows]
