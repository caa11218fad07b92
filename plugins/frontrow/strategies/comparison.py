"""Tries every strategy on the same trace, one after the other, and keeps what became of each.

A trial has seats of its own and touches nobody else's. One comparison runs at a time on a host. It belongs to the
plugin, not to the request that started it; cancelled, its scratch seats stay behind with a trial without a result,
which the next comparison deletes.
"""

import secrets
import time
from collections import Counter as Count
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from psycopg import errors as sql_error
from psycopg.types.json import Jsonb

from host.api import HttpProblem, OutcomeUnknown, ServiceUnavailable
from plugins.frontrow.box_office import BoxOffice
from plugins.frontrow.claims import ClaimDesk
from plugins.frontrow.core.history import spread_of
from plugins.frontrow.core.trace import Wish, still_possible, trace_of, trace_sha256
from plugins.frontrow.holds import HoldDesk
from plugins.frontrow.settings import Settings
from plugins.frontrow.strategies import sellers
from plugins.frontrow.strategies.sellers import BOOKED, GAVE_UP, REJECTED, Counter, Seller

if TYPE_CHECKING:
    from host.api import Postgres, Redis

ROUNDS_MAX: Final = 3
"""Who was turned away comes back when the seats turn out to be free after all, so often in all."""
TRIALS_KEPT: Final = 50
TRANSACTIONS_MAX: Final = 6
"""Of a trial at one time: the plugin's other connections stay free for customers."""
UNSERVED: Final = "unserved"
"""Still waiting when the time was up, or the database went away."""
_AWAY: Final = (ServiceUnavailable, OutcomeUnknown)

_BEGIN: Final = "INSERT INTO frontrow.trials (id) VALUES (%s)"
_SEATS: Final = """
INSERT INTO frontrow.trial_seats (trial_id, strategy, position) SELECT %s, %s, generate_series(0, %s - 1)
"""
_EVENT: Final = "INSERT INTO frontrow.events (name, trial_id) VALUES (%s, %s) RETURNING id"
_EVENT_SEATS: Final = """
INSERT INTO frontrow.seats (event_id, position, label)
SELECT %s, place, 'S' || (place + 1) FROM generate_series(0, %s - 1) AS place RETURNING id, position
"""
_SOLD_SCRATCH: Final = "SELECT position FROM frontrow.trial_sales WHERE trial_id = %s AND strategy = %s"
_SOLD_EVENT: Final = """
SELECT seat.position FROM frontrow.booking_seats AS sale JOIN frontrow.seats AS seat ON seat.id = sale.seat_id
 WHERE seat.event_id = %s AND sale.released_at IS NULL
"""
_SAVE: Final = "UPDATE frontrow.trials SET result = %s WHERE id = %s"
_FORGET_SCRATCH: Final = "DELETE FROM frontrow.trial_seats WHERE trial_id = %s"
_PRUNE: Final = """
DELETE FROM frontrow.trials
 WHERE result IS NULL AND id <> %(newest)s
    OR id IN (SELECT id FROM frontrow.trials ORDER BY started_at DESC, id DESC OFFSET %(kept)s)
"""
_LATEST: Final = (
    "SELECT result FROM frontrow.trials WHERE result IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT %s"
)
_FIND: Final = "SELECT result FROM frontrow.trials WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Strategy:
    """A row of the comparison. `is_flushed`: layer 1 forgets everything once half of the seats are sold."""

    name: str
    title: str
    idea: str
    is_flushed: bool = False


STRATEGIES: Final = (
    Strategy("naive", "Read, then write", "Look whether it is free, take the money, write the owner."),
    Strategy("row_lock", "Row lock", "SELECT … FOR UPDATE, held across the payment."),
    Strategy("optimistic", "Optimistic version", "Pay first, write only if nothing has changed since the look."),
    Strategy("advisory_lock", "Advisory lock", "One lock for the whole sale, held across the payment."),
    Strategy("redis_only", "Redis only", "SET NX decides, the database writes it down."),
    Strategy("redis_only_flushed", "Redis only, flushed", "The same, and Redis loses its memory half-way.", True),
    Strategy("two_layers", "Two layers", "SET NX decides who waits, a conditional UPDATE decides who owns."),
    Strategy("two_layers_flushed", "Two layers, flushed", "The same, and Redis loses its memory half-way.", True),
)
_ON_SCRATCH: Final[dict[str, Seller]] = {
    "naive": sellers.naive,
    "row_lock": sellers.row_lock,
    "optimistic": sellers.optimistic,
    "advisory_lock": sellers.advisory_lock,
}


@dataclass(slots=True, eq=False)
class LiveComparison:
    """A comparison under way. `document` grows by a strategy at a time; `changed` is set at each, and replaced."""

    document: dict[str, Any]
    is_over: bool = False
    error: str = ""
    changed: trio.Event = field(default_factory=trio.Event)

    def tell(self) -> None:
        """Wake whoever follows."""
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    async def finished(self) -> None:
        """Return when it is over."""
        while not self.is_over:
            await self.changed.wait()


@dataclass(frozen=True, slots=True)
class Terms:
    """What is compared: the trace, and how long a payment takes."""

    seed: int
    buyers: int
    seats: int
    party: int
    payment_ms: float
    spread_ms: float


class Comparisons:
    """Runs comparisons and keeps their results. `run` must be running."""

    def __init__(
        self, postgres: "Postgres", redis: "Redis", settings: Settings, log: "structlog.stdlib.BoundLogger"
    ) -> None:
        self._postgres = postgres
        self._redis = redis
        self._settings = settings
        self._log = log
        self._nursery: trio.Nursery | None = None
        self._namespace = ""
        self.live: LiveComparison | None = None

    async def run(self, namespace: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry comparisons out until cancelled; `namespace` keeps this database's keys apart in Redis."""
        self._namespace = namespace
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def start(self, terms: Terms) -> LiveComparison:
        """Begin a comparison and return at once.

        Raises:
            HttpProblem: 429, another one is under way.
            ServiceUnavailable: the database is away, or the plugin is stopping; nothing was begun.
        """
        if self._nursery is None:
            raise ServiceUnavailable("the plugin is not ready for comparisons")
        if self.live is not None and not self.live.is_over:
            raise HttpProblem(429, "another comparison is under way", headers={"Retry-After": "5"})
        trace = trace_of(terms.seed, terms.buyers, terms.seats, terms.party, terms.spread_ms)
        head = {"comparison_id": secrets.token_hex(6), **asdict(terms), "trace_sha256": trace_sha256(trace)}
        self.live = live = LiveComparison({**head, "state": "running", "started_at": time.time(), "strategies": []})
        try:
            await self._postgres.execute(_BEGIN, [head["comparison_id"]])
        except BaseException:
            live.is_over = True
            live.tell()
            raise
        self._nursery.start_soon(self._carry_out, live, terms, trace)
        return live

    async def find(self, comparison_id: str) -> dict[str, Any] | None:
        """The document of a comparison, running or not; None when there is none."""
        if self.live is not None and self.live.document["comparison_id"] == comparison_id:
            return self.live.document
        found: dict[str, Any] | None = await self._postgres.fetch_value(
            _FIND, [comparison_id.replace("\x00", "\ufffd")]
        )
        return found

    async def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest comparisons that have a result, newest first."""
        return [row[0] for row in await self._postgres.fetch_all(_LATEST, [limit])]

    async def _carry_out(self, live: LiveComparison, terms: Terms, trace: Sequence[Wish]) -> None:
        comparison_id = live.document["comparison_id"]
        try:
            for strategy in STRATEGIES:
                trial = _Trial(self._postgres, self._redis, self._namespace, self._settings, comparison_id, strategy)
                live.document["strategies"].append(await trial.run(terms, trace))
                live.tell()
            live.document["state"] = "done"
            await self._postgres.execute(_SAVE, [Jsonb(live.document), comparison_id])
            await self._postgres.execute(_FORGET_SCRATCH, [comparison_id])
            await self._postgres.execute(_PRUNE, {"newest": comparison_id, "kept": TRIALS_KEPT})
        except _AWAY as error:
            live.document["state"] = live.error = f"cut short: {error}"
            self._log.warning("comparison was cut short", comparison=comparison_id, error=str(error))
        except Exception as error:
            # One comparison's fault must not end the plugin.
            live.document["state"] = live.error = f"failed: {error}"
            self._log.exception("comparison failed", comparison=comparison_id)
        finally:
            live.is_over = True
            live.tell()


class _Trial:
    """One strategy on the trace."""

    def __init__(
        self,
        postgres: "Postgres",
        redis: "Redis",
        namespace: str,
        settings: Settings,
        comparison_id: str,
        strategy: Strategy,
    ) -> None:
        self._postgres = postgres
        self._redis = redis
        self._holds = HoldDesk(redis, f"{namespace}:trial:{comparison_id}", settings)
        self._settings = settings
        self._id = comparison_id
        self._strategy = strategy
        self._claims = ClaimDesk(postgres)
        self._event_id = 0
        self._verdicts: dict[int, str] = {}
        self._waits_ms: dict[int, float] = {}
        self._gun_s = 0.0
        self._keys: list[str] = []
        self._sales = 0
        self._sales_to_flush: int | None = None
        self._flushed_at_ms: float | None = None

    async def run(self, terms: Terms, trace: Sequence[Wish]) -> dict[str, Any]:
        """Everybody comes at their time, asks, and hears; those who still wait at the end of the time are unserved."""
        seat_ids = await self._make_seats(terms.seats)
        counter = Counter(
            self._id, self._strategy.name, self._postgres, terms.payment_ms / 1e3, trio.Semaphore(TRANSACTIONS_MAX)
        )
        sell = self._seller(seat_ids)
        self._keys = [self._holds.key(self._event_id, seat) for seat in seat_ids]
        self._sales_to_flush = max(terms.seats // (2 * terms.party), 1) if self._strategy.is_flushed else None
        self._gun_s = trio.current_time()
        with trio.move_on_after(self._settings.comparison_timeout):
            asking = trace
            for _ in range(ROUNDS_MAX):
                async with trio.open_nursery() as nursery:
                    for wish in asking:
                        nursery.start_soon(self._buyer, sell, counter, wish)
                asking = still_possible(trace, self._turned_away(), set(await self._sales_of_seats()))
                if not asking:
                    break
        elapsed_ms = (trio.current_time() - self._gun_s) * 1e3
        counter.tally.statements += self._claims.statements_total
        await self._forget_holds()
        return await self._result(counter, trace, elapsed_ms)

    async def _make_seats(self, seats: int) -> tuple[int, ...]:
        """The seats to sell; for those that are told apart by Redis or by the real tables, their ids by position."""
        name = self._strategy.name
        if name.startswith("two_layers"):
            async with self._postgres.transaction() as connection:
                row = await (await connection.execute(_EVENT, [f"Trial {self._id}: {name}", self._id])).fetchone()
                assert row is not None
                self._event_id = row[0]
                rows = await (await connection.execute(_EVENT_SEATS, [self._event_id, seats])).fetchall()
            return tuple(seat_id for seat_id, _ in sorted(rows, key=lambda row: row[1]))
        await self._postgres.execute(_SEATS, [self._id, name, seats])
        return tuple(range(seats))

    def _seller(self, seat_ids: tuple[int, ...]) -> Seller:
        name = self._strategy.name
        if name.startswith("two_layers"):
            return sellers.two_layers(BoxOffice(self._holds, self._claims, self._settings), self._event_id, seat_ids)
        if name.startswith("redis_only"):
            return sellers.redis_only(self._holds, self._event_id)
        return _ON_SCRATCH[name]

    async def _buyer(self, sell: Seller, counter: Counter, wish: Wish) -> None:
        self._verdicts[wish.buyer] = UNSERVED
        comes_s = self._gun_s + wish.at_ms / 1e3
        await trio.sleep_until(comes_s)
        try:
            self._verdicts[wish.buyer] = await sell(counter, wish)
        except sql_error.DeadlockDetected:
            counter.tally.deadlocks += 1
            self._verdicts[wish.buyer] = GAVE_UP
        except _AWAY:
            return
        self._waits_ms[wish.buyer] = (trio.current_time() - comes_s) * 1e3
        if self._verdicts[wish.buyer] == BOOKED:
            await self._count_sale()

    async def _count_sale(self) -> None:
        """Once half of the seats are sold, do what FLUSHALL would do to this trial, and to nobody else."""
        self._sales += 1
        if self._sales == self._sales_to_flush:
            await self._forget_holds()
            self._flushed_at_ms = round((trio.current_time() - self._gun_s) * 1e3, 3)

    async def _forget_holds(self) -> None:
        # Redis that is away has nothing to forget, and what it finds when it is back lapses by itself.
        with suppress(*_AWAY):
            await self._redis.delete(*self._keys)

    def _turned_away(self) -> set[int]:
        return {buyer for buyer, verdict in self._verdicts.items() if verdict in (REJECTED, GAVE_UP)}

    async def _sales_of_seats(self) -> Count[int]:
        """How often each seat was sold, by its position."""
        if self._strategy.name.startswith("two_layers"):
            rows = await self._postgres.fetch_all(_SOLD_EVENT, [self._event_id])
        else:
            rows = await self._postgres.fetch_all(_SOLD_SCRATCH, [self._id, self._strategy.name])
        return Count(position for (position,) in rows)

    async def _result(self, counter: Counter, trace: Sequence[Wish], elapsed_ms: float) -> dict[str, Any]:
        sales = await self._sales_of_seats()
        told = Count(self._verdicts.values())
        in_vain = still_possible(trace, self._turned_away(), sales.keys())

        def waits(*verdicts: str) -> dict[str, float | None]:
            return asdict(spread_of(ms for buyer, ms in self._waits_ms.items() if self._verdicts[buyer] in verdicts))

        return {
            "name": self._strategy.name,
            "title": self._strategy.title,
            "idea": self._strategy.idea,
            "booked": told[BOOKED],
            "rejected": told[REJECTED],
            "gave_up": told[GAVE_UP],
            "unserved": told[UNSERVED],
            "seats_sold": len(sales),
            "oversold": sum(sales.values()) - len(sales),
            "undersold": len({seat for wish in in_vain for seat in wish.seats}),
            "winners": waits(BOOKED),
            "losers": waits(REJECTED, GAVE_UP),
            "statements_per_sale": round(counter.tally.statements / told[BOOKED], 2) if told[BOOKED] else None,
            **asdict(counter.tally),
            "elapsed_ms": round(elapsed_ms, 3),
            "flushed_at_ms": self._flushed_at_ms,
        }
