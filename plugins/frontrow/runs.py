"""Stampedes from request to verdict: who may start one, what becomes of its result, and the runs left behind.

A run belongs to the plugin, not to the request that started it: a visitor who leaves changes nothing. Its slot is
bounded (`runs_at_once_max`, and `buyers_max` over all of them); beyond that the answer is 429. When the last verdict
is in, unknown claims are settled, the invariants are counted, and all of it is kept; if the database is away then, the
run is published as "unknown" and looked at again until it is there. A run whose host died is found by the next start.
"""

import gzip
import hashlib
import platform
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from os import cpu_count
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio

from host.api import HttpProblem, OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.box_office import BoxOffice
from plugins.frontrow.check_run import verdict_hash
from plugins.frontrow.claims import Claim
from plugins.frontrow.core import documents, outcome
from plugins.frontrow.core.arrivals import SEED_MAX
from plugins.frontrow.core.history import History, to_lines
from plugins.frontrow.core.invariants import Expectation, judge, verdict
from plugins.frontrow.run_store import RunStore, StoredRun
from plugins.frontrow.settings import Settings
from plugins.frontrow.stampede import Stampede
from plugins.frontrow.verification import count
from plugins.frontrow.wall_clock import WallClock

if TYPE_CHECKING:
    from host.api import Postgres

LEFT_BEHIND_INTERVAL_S: Final = 5.0
"""How often runs that nobody runs any more are looked for."""
_RETRY_AFTER: Final = {"Retry-After": "1"}
_AWAY: Final = (ServiceUnavailable, OutcomeUnknown)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The raw history of a run: gzipped, and the SHA-256 of what was packed."""

    packed: bytes
    sha256: str


@dataclass(slots=True, eq=False)
class LiveRun:
    """A run in this process, until its result is kept.

    `finished` is set once there is a `document` to show, `decided` once nothing of it will change any more.
    """

    head: dict[str, Any]
    stampede: Stampede
    office: BoxOffice
    faults: list[dict[str, Any]] = field(default_factory=list)
    """What was broken meanwhile, each with its time after the gun."""
    document: dict[str, Any] | None = None
    evidence: "Evidence | None" = None
    finished: trio.Event = field(default_factory=trio.Event)
    decided: trio.Event = field(default_factory=trio.Event)

    @property
    def run_id(self) -> str:
        return str(self.head["run_id"])

    def progress(self) -> dict[str, Any]:
        """How it stands now."""
        return {**documents.progress(self.stampede.history, time.perf_counter_ns()), "faults": self.faults}


class RunService:
    """Starts stampedes and answers for them. `run` must be running."""

    def __init__(
        self,
        postgres: "Postgres",
        store: RunStore,
        settings: Settings,
        threads: trio.CapacityLimiter,
        log: "structlog.stdlib.BoundLogger",
        clock: WallClock,
        on_result: Callable[[dict[str, Any]], None] = lambda document: None,
    ) -> None:
        self._postgres = postgres
        self._store = store
        self._settings = settings
        self._threads = threads
        self._log = log
        self._clock = clock
        self._on_result = on_result
        self._live: dict[str, LiveRun] = {}
        self._beginning: set[str] = set()
        self._slots_taken = 0
        self._buyers_inside = 0
        self._nursery: trio.Nursery | None = None
        self._office: BoxOffice | None = None

    async def run(self, office: BoxOffice, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out runs until cancelled. Cancelled, runs stop where they are; the next start finds them."""
        self._office = office
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                while True:
                    await self._look_after_those_left_behind()
                    await trio.sleep(LEFT_BEHIND_INTERVAL_S)
        finally:
            self._nursery = None

    async def start(self, buyers: int, seats: int, seed: int | None, *, leaving: int = 0) -> LiveRun:
        """Begin a run and return at once. `leaving` winners never hear of it, see `Stampede`.

        Raises:
            HttpProblem: 422 beyond the configured sizes, 429 when there is no room for it now.
            ServiceUnavailable: the database is away, or the plugin is stopping; nothing was begun.
        """
        settings = self._settings
        if buyers > settings.buyers_max or seats > settings.seats_max:
            limits = f"at most {settings.buyers_max} buyers and {settings.seats_max} seats"
            raise HttpProblem(422, f"this host runs stampedes of {limits}")
        if self._nursery is None or self._office is None:
            raise ServiceUnavailable("the plugin is not ready for runs")
        if self._slots_taken >= settings.runs_at_once_max or self._buyers_inside + buyers > settings.buyers_max:
            raise HttpProblem(429, "other stampedes are under way; try again when they are over", headers=_RETRY_AFTER)
        self._slots_taken += 1
        self._buyers_inside += buyers
        run_id = secrets.token_hex(6)
        # From the moment it is in the database until it is live, it must not look left behind.
        self._beginning.add(run_id)
        try:
            new_run = await self._store.begin(
                run_id,
                seed=secrets.randbelow(SEED_MAX + 1) if seed is None else seed,
                buyers=buyers,
                seats=seats,
                timeout_s=settings.run_timeout + settings.claim_patience,
            )
            head = documents.head(new_run.run_id, new_run.seed, buyers, seats, new_run.started_at)
            office = self._office.counted_apart()
            live = LiveRun(head, Stampede(office, new_run, settings.wave_size, leaving), office)
            if self._nursery is None:
                raise ServiceUnavailable("the plugin is stopping")
        except BaseException:
            self._give_up_slot(buyers)
            raise
        finally:
            self._beginning.discard(run_id)
        self._live[run_id] = live
        self._nursery.start_soon(self._carry_out, live)
        return live

    def live(self, run_id: str) -> LiveRun | None:
        """A run that this process carries out, or whose result it could not keep yet."""
        return self._live.get(run_id)

    def latest_live(self) -> list[LiveRun]:
        """All of those, the newest first."""
        return list(reversed(self._live.values()))

    async def find(self, run_id: str) -> dict[str, Any] | None:
        """The document of a run, running or not; None when there is no such run."""
        if (live := self._live.get(run_id)) is not None:
            return live.document or {**live.head, "state": "running", "verdict": "unknown", **live.progress()}
        stored = await self._store.find(run_id)
        return document_of(stored) if stored is not None else None

    async def history(self, run_id: str) -> bytes | None:
        """The raw history of a run, gzipped; None when there is none."""
        if (live := self._live.get(run_id)) is not None:
            return live.evidence.packed if live.evidence is not None else None
        return await self._store.history(run_id)

    def _give_up_slot(self, buyers: int) -> None:
        self._slots_taken -= 1
        self._buyers_inside -= buyers

    async def _carry_out(self, live: LiveRun) -> None:
        log = self._log.bind(run=live.run_id)
        try:
            try:
                with trio.move_on_after(self._settings.run_timeout):
                    await live.stampede.run()
                live.stampede.give_up()
                if self._office is not None:
                    self._office.tally.add(live.office.tally)
                await self._decide(live)
            finally:
                self._give_up_slot(live.stampede.history.buyers)
            while live.document is not None and live.document["state"] == "unknown":
                await trio.sleep(self._settings.verify_interval)
                await self._decide(live)
            await self._store.prune(self._settings.runs_kept, self._settings.idempotency_ttl)
        except _AWAY as error:
            log.warning("old runs are not pruned now", error=str(error))
        except Exception:
            # One run's fault must not end the others, nor the plugin.
            log.exception("run failed")
            live.document = self._document(live, "failed", {}, None, None)
        finally:
            live.finished.set()
            live.decided.set()
            del self._live[live.run_id]

    async def _decide(self, live: LiveRun) -> None:
        """Settle, count and keep; publishes the run as "unknown" when the database is away."""
        stampede = live.stampede
        try:
            with trio.fail_after(self._settings.claim_patience):
                await self._settle(live)
                if live.evidence is None:
                    await self._gather_evidence(live)
                counts = await count(
                    self._postgres, stampede.new_run.event_id, stampede.history, live.office.tally.last_line_crossed
                )
                document = self._document(live, "done", counts.by_name, counts.seats_sold, counts.oversold)
                assert live.evidence is not None
                await self._store.save(live.run_id, "done", document, live.evidence.packed)
        except (*_AWAY, trio.TooSlowError) as error:
            if live.document is None:
                self._log.warning("run is undecided", run=live.run_id, error=str(error))
                live.document = self._document(live, "unknown", {}, None, None)
                live.finished.set()
        else:
            live.document = document
            live.finished.set()
            self._on_result(document)

    async def _settle(self, live: LiveRun) -> None:
        """Decide every claim that got no answer, so that none of them can still be committed later."""
        history, new_run = live.stampede.history, live.stampede.new_run
        for buyer in history.buyers_at(outcome.UNKNOWN):
            seat_id = new_run.seat_ids[history.seat[buyer]]
            claim = Claim(history.bookings[buyer], new_run.event_id, (seat_id,), f"buyer-{buyer}")
            is_booked = await live.office.claims.settle(claim) == "won"
            history.outcomes[buyer] = outcome.BOOKED if is_booked else outcome.UNAVAILABLE
            history.settled.add(buyer)
            live.office.tally.unknowns_resolved += 1

    async def _gather_evidence(self, live: LiveRun) -> None:
        history, order = live.stampede.history, live.stampede.order
        live.evidence = await trio.to_thread.run_sync(gather, history, live.head, order, limiter=self._threads)

    def _document(
        self,
        live: LiveRun,
        state: str,
        counts: dict[str, int | None],
        seats_sold: int | None,
        oversold: int | None,
    ) -> dict[str, Any]:
        history, tally = live.stampede.history, live.office.tally
        expected = documents.expectation(history, live.head["seats"])
        findings = judge(counts, expected, self._clock.now())
        document = {
            **live.head,
            **documents.figures(history),
            "oversold": oversold,
            "undersold": None if seats_sold is None else documents.shortfall(expected, seats_sold),
            "holds_lost": tally.holds_lost,
            "holds_missing": live.stampede.holds_missing,
            "unknowns": tally.unknowns,
            "unknowns_resolved": tally.unknowns_resolved,
            "faults": live.faults,
            "redis": documents.layer_one(live.stampede.holds_missing, tally.holds_lost, history.attempts_sum()),
            "host": this_host(),
        }
        document = documents.with_invariants(document, state, verdict(findings), findings)
        return {**document, "evidence_sha256": live.evidence and verdict_hash(live.evidence.sha256, document)}

    async def verify_left(self, run_id: str) -> dict[str, Any] | None:
        """Judge a run whose host is dead by what the tables say, and keep that; None when there is no such run."""
        await self._store.leave(run_id)
        await self._verify_without_history(run_id)
        return await self.find(run_id)

    async def _look_after_those_left_behind(self) -> None:
        try:
            for run_id in await self._store.abandon([*self._live, *self._beginning]):
                self._log.warning("run was left behind", run=run_id)
            for run_id in await self._store.undecided():
                if run_id not in self._live:
                    await self._verify_without_history(run_id)
        except _AWAY as error:
            self._log.warning("runs left behind are not looked at now", error=str(error))

    async def _verify_without_history(self, run_id: str) -> None:
        stored, event_id = await self._store.find(run_id), await self._store.event_of(run_id)
        if stored is None or event_id is None:
            return
        counts = await count(self._postgres, event_id, None, None)
        findings = judge(counts.by_name, Expectation(stored.buyers, stored.seats, stored.buyers), self._clock.now())
        document = {
            **documents.head(run_id, stored.seed, stored.buyers, stored.seats, stored.started_at),
            **documents.without_history(stored.buyers),
            "seats_sold": counts.seats_sold,
            "oversold": counts.oversold,
            "undersold": None,
            "host": this_host(),
        }
        document = documents.with_invariants(document, "unknown", verdict(findings), findings)
        await self._store.save(run_id, "unknown", document, None)


def document_of(stored: StoredRun) -> dict[str, Any]:
    """The document of a run from the database; one without a result yet says so."""
    if stored.result is not None:
        return stored.result
    head = documents.head(stored.run_id, stored.seed, stored.buyers, stored.seats, stored.started_at)
    return {**head, "state": stored.state, "verdict": "unknown"}


def gather(history: History, head: dict[str, Any], order: list[int]) -> Evidence:
    """The history as JSON lines, packed. Takes about 3 µs a buyer; large ones belong into a thread."""
    lines = "".join(to_lines(history, head, order)).encode()
    return Evidence(gzip.compress(lines, compresslevel=6, mtime=0), hashlib.sha256(lines).hexdigest())


def this_host() -> dict[str, Any]:
    """What the figures were measured on. The buyers are tasks inside this process: no HTTP in between."""
    return {
        "version": version("quartet-host"),
        "engine": f"in-process, trio {trio.__version__}",
        "python": platform.python_version(),
        "cores": cpu_count(),
    }
