"""A fault in the middle of a stampede, and what it came to: the run's verdict, and the whole house counted after it.

One at a time on a host. The fault strikes once a fifth of the seats are sold; then the run is seen to its verdict, both
servers are waited for, and the invariants are counted.
"""

import secrets
from typing import Any, Final

import trio

from host.api import HttpProblem, OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.audit import Auditor
from plugins.frontrow.chaos.faults import FAULTS, HOST_KILL, Fault, Ground
from plugins.frontrow.chaos.second_host import sell_and_be_killed
from plugins.frontrow.core import outcome
from plugins.frontrow.core.arrivals import SEED_MAX
from plugins.frontrow.run_store import RunStore
from plugins.frontrow.runs import LiveRun, RunService

STRIKE_AT: Final = 5
"""The fault strikes once one in so many seats is sold."""
RECOVERY_TIMEOUT_S: Final = 60.0
_ASK_S: Final = 0.02
_AWAY: Final = (ServiceUnavailable, OutcomeUnknown)


class Chaos:
    """Strikes, and judges what became of it."""

    def __init__(self, ground: Ground, runs: RunService, store: RunStore, auditor: Auditor) -> None:
        self._ground = ground
        self._runs = runs
        self._store = store
        self._auditor = auditor
        self._is_busy = False

    async def strike(self, name: str, buyers: int, seats: int, seed: int | None) -> dict[str, Any]:
        """Run a stampede with this fault in it, to its verdict.

        A caller that is cancelled leaves the run to go on; what was stopped is let go on, what was killed comes back.

        Raises:
            HttpProblem: 404 no such fault, 409 the servers are not this host's own, 422 or 429 as for a stampede.
            ServiceUnavailable: the database is away; nothing was broken.
        """
        if name not in (*FAULTS, HOST_KILL):
            raise HttpProblem(404, f"there is no fault {name!r}; there are {', '.join((*FAULTS, HOST_KILL))}")
        if self._is_busy:
            raise HttpProblem(429, "another fault is under way", headers={"Retry-After": "5"})
        self._is_busy = True
        try:
            if name == HOST_KILL:
                return await self._kill_host(buyers, seats, seed)
            return await self._strike(FAULTS[name], buyers, seats, seed)
        finally:
            self._is_busy = False

    async def _strike(self, fault: Fault, buyers: int, seats: int, seed: int | None) -> dict[str, Any]:
        pid = await fault.aim(self._ground) if fault.aim else 0
        live = await self._runs.start(buyers, seats, seed, leaving=fault.leaving)
        history = live.stampede.history
        while not live.finished.is_set() and history.count(outcome.BOOKED, outcome.UNKNOWN) * STRIKE_AT < seats:
            await trio.lowlevel.checkpoint()
        began_s = trio.current_time()
        record: dict[str, Any] = {"name": fault.name, "at_ms": live.progress()["t_ms"], "in_time": not _is_over(live)}
        live.faults.append(record)
        await fault.strike(self._ground, live, pid, record)
        await live.finished.wait()
        recovered_ms = await self._recover(began_s)
        run = await self._decided(live)
        return await self._answer(fault.name, fault.title, fault.sentence, record, recovered_ms, run)

    async def _kill_host(self, buyers: int, seats: int, seed: int | None) -> dict[str, Any]:
        seed = secrets.randbelow(SEED_MAX + 1) if seed is None else seed
        struck = await sell_and_be_killed(self._ground, self._store, buyers, seats, seed)
        run = await self._runs.verify_left(struck["run_id"])
        sentence = "A second host sells on the same servers, and is killed half-way."
        return await self._answer(HOST_KILL, "Kill a host", sentence, struck, None, run)

    async def _recover(self, began_s: float) -> float | None:
        """Milliseconds since the strike until both servers answer; None when they do not in time."""
        with trio.move_on_after(RECOVERY_TIMEOUT_S):
            while True:
                try:
                    await self._ground.postgres.fetch_value("SELECT 1")
                    await self._ground.redis.ping()
                    return round((trio.current_time() - began_s) * 1e3, 1)
                except _AWAY:
                    await trio.sleep(_ASK_S)
        return None

    async def _decided(self, live: LiveRun) -> dict[str, Any] | None:
        """The run's document once its claims are settled, or as far as it is when that takes too long."""
        with trio.move_on_after(RECOVERY_TIMEOUT_S):
            await live.decided.wait()
        return live.document

    async def _answer(
        self,
        name: str,
        title: str,
        sentence: str,
        struck: dict[str, Any],
        recovered_ms: float | None,
        run: dict[str, Any] | None,
    ) -> dict[str, Any]:
        try:
            audit: dict[str, Any] | None = await self._auditor.check(f"fault {name}")
        except _AWAY:
            audit = None
        return {
            "fault": name,
            "title": title,
            "sentence": sentence,
            "struck": struck,
            "recovered_ms": recovered_ms,
            "run": run,
            "audit": audit,
            "verdict": _verdict(run, audit),
        }


def _is_over(live: LiveRun) -> bool:
    return live.finished.is_set()


def _verdict(run: dict[str, Any] | None, audit: dict[str, Any] | None) -> str:
    """Of the run and of the house: "broke" if either did, "holds" only if both are known to.

    Of a run whose host died nobody knows what its buyers heard: then what the tables say must hold.
    """
    findings = [*(run["invariants"] if run else ()), *(audit["invariants"] if audit else ())]
    held = [finding["holds"] for finding in findings]
    if False in held:
        return "broke"
    if run is None or audit is None or (None in held and run["state"] != "unknown"):
        return "unknown"
    return "holds"
