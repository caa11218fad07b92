"""Negative controls: each guard is taken out once, and a named check must turn red. A check that cannot fail is none.

The statements are the ones that sell, with one line missing, against tables of the same migrations in a schema of
their own, which is dropped afterwards; holds are under keys of their own in Redis. So the controls may run beside a
sale. Each also runs with everything in place, where its check must stay green.
"""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio
from psycopg import Rollback
from psycopg import errors as sql_error

from plugins.frontrow import holds as layer_one
from plugins.frontrow.claims import CLAIM
from plugins.frontrow.core.checkout import STEPS
from plugins.frontrow.core.house_invariants import HOUSE
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.gather import records
from plugins.frontrow.holds import TAKEN, HoldDesk
from plugins.frontrow.order_store import FREE, STEP_MANY
from plugins.frontrow.sale_claims import CLAIM_MANY
from plugins.frontrow.settings import Settings

if TYPE_CHECKING:
    from host.api import Postgres, Redis

MIGRATIONS: Final = Path(__file__).parent / "migrations"
BLOCKED_WITHIN_S: Final = 30.0

_STATEMENTS: Final = {statement.name: statement.sql for statement in HOUSE}
_LAST_LINES: Final = {
    "booking_seats_one_live_sale": "last_line_unneeded",
    "outbox_one_confirmation": "confirmed_has_its_event",
    "seats_blocked_is_unsold": "blocked_is_unsold",
    "areas_within_capacity": "areas_within_capacity",
}
"""The indexes and checks behind the guards, and the check that is red when one of them had to stop something."""

_HOUSE: Final = """
WITH venue AS (
    INSERT INTO frontrow.venues (name, plan, seats, places) VALUES (gen_random_uuid(), '{}', 2, 4) RETURNING id
), event AS (
    INSERT INTO frontrow.events (name, venue_id, currency, places_per_buyer_max)
    SELECT 'Controls', id, 'EUR', 2 FROM venue RETURNING id
), seat AS (
    INSERT INTO frontrow.seats (event_id, position, label, is_blocked)
    SELECT id, n, 'A' || n, false FROM event, generate_series(0, 1) AS n RETURNING id
), area AS (
    INSERT INTO frontrow.areas (event_id, name, tier, capacity) SELECT id, 'Floor', 'floor', 2 FROM event RETURNING id
)
SELECT (SELECT id FROM event), (SELECT array_agg(id ORDER BY id) FROM seat), (SELECT id FROM area)
"""
_ORDER: Final = """
INSERT INTO frontrow.orders (id, event_id, buyer, hold_nonce, seats, currency, price, state, method, pay_by, captured)
VALUES (%s, %s, 'ann', %s, %s, 'EUR', 100, 'authorised', 'card', clock_timestamp(), 0)
"""


class Scratch:
    """One connection to tables of its own, in a transaction that is rolled back; `found` counts what breaks a check."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self.event = 0
        self.seats: list[int] = []
        self.area = 0
        self.stopped_by = ""

    async def execute(self, sql: str, parameters: Any = None) -> list[Any]:
        """The rows of a statement, whose tables are the scratch ones."""
        cursor = await self._connection.execute(sql.replace("frontrow.", f"{self._schema}."), parameters)
        return await cursor.fetchall() if cursor.description else []

    async def build(self) -> None:
        """A house of two seats and an area of two places."""
        ((self.event, self.seats, self.area),) = await self.execute(_HOUSE)

    async def attempt(self, sql: str, parameters: Any) -> list[Any]:
        """As `execute`; what a last line stops is noted, and nothing was done."""
        try:
            async with self._connection.transaction():
                return await self.execute(sql, parameters)
        except (sql_error.UniqueViolation, sql_error.CheckViolation) as error:
            self.stopped_by = error.diag.constraint_name or ""
            return []

    async def sell(self, sql: str, *, buyer: str = "", seats: tuple[int, ...] = (), quantity: int = 0) -> str:
        """One claim of the public's, by this statement; its booking's id."""
        booking = str(uuid.uuid4())
        claim = {"booking": booking, "event": self.event, "buyer": buyer or booking, "is_order": False}
        areas = [{"booking": booking, "area": self.area, "quantity": quantity}] if quantity else []
        parameters = {
            "claims": records([claim]),
            "seats": records({"booking": booking, "seat": seat} for seat in seats),
            "areas": records(areas),
        }
        await self.attempt(sql, parameters)
        return booking

    async def step(self, sql: str, order: str, name: str, captured: int = 0) -> None:
        """One step of an order, by this statement."""
        step = STEPS[name]
        move = {"id": order, "of": ",".join(step.of), "to_state": step.to, "via": step.via, "captured": captured}
        zeros = {"authorised": 0, "refunded": 0, "try_s": -1, "amount": 0}
        empty = {"payment_id": "", "reason": "", "event": "", "kind": ""}
        await self.attempt(sql, [records([move | zeros | empty])])

    async def paid_order(self, sql: str) -> str:
        """An order of the first seat, claimed and captured; the step to "confirmed" is taken by this statement."""
        order = str(uuid.uuid4())
        await self.execute(_ORDER, [order, self.event, order, [self.seats[0]]])
        claim = {"booking": order, "event": self.event, "buyer": "ann", "is_order": True}
        seat = {"booking": order, "seat": self.seats[0]}
        await self.execute(CLAIM_MANY, {"claims": records([claim]), "seats": records([seat]), "areas": "[]"})
        await self.step(sql, order, "capture", captured=100)
        return order

    async def found(self, check: str) -> int:
        """What breaks a check: by its statement, or because a last line of that check had to stop something."""
        stopped = int(_LAST_LINES.get(self.stopped_by) == check)
        if check not in _STATEMENTS:
            return stopped
        return stopped + int((await self.execute(f"SELECT ({_STATEMENTS[check]})"))[0][0])


@dataclass(frozen=True, slots=True)
class Control:
    """What is taken out, which check must turn red, and how it is tried: what breaks the check, 0 when it is green."""

    removed: str
    check: str
    run: Callable[["Bench", bool], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a control found with everything in place, and with its guard taken out."""

    removed: str
    check: str
    found_whole: int
    found_without: int

    @property
    def is_good(self) -> bool:
        """Green with everything in place and red without the guard."""
        return self.found_whole == 0 and self.found_without > 0


class Bench:
    """Where controls run: a schema of its own, and keys of its own."""

    def __init__(self, postgres: "Postgres", redis: "Redis", settings: Settings, schema: str) -> None:
        self.postgres = postgres
        self._redis = redis
        self._settings = settings
        self.schema = schema

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Scratch]:
        """Tables with a house in them; all that is done to them, their indexes included, is undone at the end."""
        async with self.postgres.transaction() as connection:
            scratch = Scratch(connection, self.schema)
            await scratch.build()
            yield scratch
            raise Rollback

    async def found(self, check: str, act: Callable[[Scratch], Awaitable[None]]) -> int:
        """What breaks a check after something was done to scratch tables."""
        counts: list[int] = []
        async with self.scratch() as scratch:
            await act(scratch)
            counts.append(await scratch.found(check))
        return sum(counts)

    def holds(self, **scripts: str) -> HoldDesk:
        """Layer 1 with other scripts than its own."""
        return HoldDesk(self._redis, f"controls:{self.schema}", self._settings, scripts=scripts)


@asynccontextmanager
async def open_bench(postgres: "Postgres", redis: "Redis", settings: Settings) -> AsyncIterator[Bench]:
    """A bench for the block. Its schema is dropped at the end, also when the block is cancelled."""
    schema = f"frontrow_controls_{uuid.uuid4().hex[:12]}"
    try:
        async with postgres.transaction() as connection:
            await connection.execute(f"CREATE SCHEMA {schema}")
            for path in sorted(await trio.to_thread.run_sync(lambda: list(MIGRATIONS.glob("*.sql")))):
                text = await trio.Path(path).read_text()
                await connection.execute(text.replace("frontrow.", f"{schema}.").encode())
        yield Bench(postgres, redis, settings, schema)
    finally:
        with trio.move_on_after(10, shield=True):
            await postgres.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


async def run_all(bench: Bench) -> AsyncGenerator[Outcome, None]:
    """Every control, twice."""
    for control in CONTROLS:
        whole, without = await control.run(bench, False), await control.run(bench, True)
        yield Outcome(control.removed, control.check, whole, without)


def _without(sql: str, *lines: str) -> str:
    for line in lines:
        assert line in sql, f"the statement has no {line!r} to take out"
        sql = sql.replace(line, "")
    return sql


def _claim_without_guard(sql: str) -> str:
    blind = _without(sql, "seat.booking_id IS NULL AND ").replace(
        "WHERE seat.id = asked.seat AND seat.booking_id IS NULL", "WHERE seat.id = asked.seat"
    )
    assert "booking_id IS NULL" not in blind
    return blind


async def _sold_twice(bench: Bench, check: str, sql: str, *, without_index: bool = False) -> int:

    async def act(scratch: Scratch) -> None:
        if without_index:
            await scratch.execute("DROP INDEX frontrow.booking_seats_one_live_sale")
        for _ in range(2):
            await scratch.sell(sql, seats=(scratch.seats[0],))

    return await bench.found(check, act)


async def _guard(bench: Bench, is_out: bool) -> int:
    sql = _claim_without_guard(CLAIM_MANY) if is_out else CLAIM_MANY
    return await _sold_twice(bench, "last_line_unneeded", sql)


async def _guard_and_index(bench: Bench, is_out: bool) -> int:
    sql = _claim_without_guard(CLAIM_MANY) if is_out else CLAIM_MANY
    return await _sold_twice(bench, "one_sale_per_seat", sql, without_index=is_out)


async def _index(bench: Bench, is_out: bool) -> int:
    return await _sold_twice(bench, "last_line_stands", CLAIM_MANY, without_index=is_out)


async def _block_guard(bench: Bench, is_out: bool) -> int:
    sql = _without(CLAIM_MANY, " AND NOT seat.is_blocked") if is_out else CLAIM_MANY

    async def act(scratch: Scratch) -> None:
        await scratch.execute("UPDATE frontrow.seats SET is_blocked = true WHERE id = %s", [scratch.seats[0]])
        await scratch.sell(sql, seats=(scratch.seats[0],))

    return await bench.found("blocked_is_unsold", act)


async def _area_guard(bench: Bench, is_out: bool) -> int:
    sql = CLAIM_MANY
    if is_out:
        sql = _without(sql, " AND area.sold + area_asked.quantity <= area.capacity").replace(
            "coalesce(area_locked.room >= quantity, false)", "true"
        )

    async def act(scratch: Scratch) -> None:
        for _ in range(2):
            await scratch.sell(sql, quantity=2)

    return await bench.found("areas_within_capacity", act)


async def _limit(bench: Bench, is_out: bool) -> int:
    sql = CLAIM_MANY
    if is_out:
        start = sql.index("     WHERE known.places + excluded.places")
        sql = sql[:start] + sql[sql.index("    RETURNING event_id, buyer") :]

    async def act(scratch: Scratch) -> None:
        await scratch.sell(sql, buyer="ann", seats=(scratch.seats[0],))
        await scratch.sell(sql, buyer="ann", quantity=2)

    return await bench.found("buyers_within_limits", act)


async def _step_condition(bench: Bench, is_out: bool) -> int:
    blind = STEP_MANY.replace("known.state = ANY(string_to_array(given.of, ','))", "true")
    assert blind != STEP_MANY

    async def act(scratch: Scratch) -> None:
        order = await scratch.paid_order(STEP_MANY)
        await scratch.step(blind if is_out else STEP_MANY, order, "expire")

    return await bench.found("money_balances", act)


async def _announcement(bench: Bench, is_out: bool) -> int:
    silent = STEP_MANY.replace("WHERE moves AND state IN ('confirmed', ", "WHERE moves AND state IN (")
    assert silent != STEP_MANY

    async def act(scratch: Scratch) -> None:
        await scratch.paid_order(silent if is_out else STEP_MANY)

    return await bench.found("confirmed_has_its_event", act)


async def _freeing(bench: Bench, is_out: bool) -> int:

    async def act(scratch: Scratch) -> None:
        order = await scratch.paid_order(STEP_MANY)
        await scratch.step(STEP_MANY, order, "refund")
        if not is_out:
            await scratch.execute(FREE, {"id": order})

    return await bench.found("paid_has_its_seats", act)


async def _release_token(bench: Bench, is_out: bool) -> int:
    blind = _without(layer_one.RELEASE_SCRIPT, "if redis.call('GET', key) == ARGV[1] then ").replace(
        " end\nend", "\nend"
    )
    desk = bench.holds(**({"release": blind} if is_out else {}))
    held, stranger = Hold(1, (1,), "0a" * 16), Hold(1, (1,), "0b" * 16)
    await desk.hold(desk.request(held))
    return await _taken_from(desk, held, await desk.release(stranger))


async def _keep_token(bench: Bench, is_out: bool) -> int:
    blind = _without(layer_one.KEEP_SCRIPT, "  elseif owner ~= ARGV[1] then return 0")
    desk = bench.holds(**({"keep": blind.replace("local retaken = false", "local retaken = true")} if is_out else {}))
    newer, late = Hold(1, (1,), "0a" * 16), Hold(1, (1,), "0b" * 16)
    await desk.hold(desk.request(newer))
    return await _taken_from(desk, newer, await desk.extend(late, desk.ttl_ms + 60_000) != TAKEN)


async def _taken_from(desk: HoldDesk, hold: Hold, count: int) -> int:
    """1 when somebody else could touch the hold."""
    states = await desk.look(hold)
    is_ours = states is not None and states[0].is_ours
    await desk.release(hold)
    return int(bool(count) or not is_ours)


async def _lock_order(bench: Bench, is_out: bool) -> int:
    """The lower seat is locked by somebody else, and lies behind the higher: which is locked while it is waited for."""
    sql = _without(CLAIM, "ORDER BY id\n") if is_out else CLAIM
    postgres, schema = bench.postgres, bench.schema
    async with postgres.transaction() as connection:
        scratch = Scratch(connection, schema)
        await scratch.build()
    event, (low, high) = scratch.event, scratch.seats
    # A row that was rewritten lies last.
    await postgres.execute(f"UPDATE {schema}.seats SET label = 'moved' WHERE id = %s", [low])
    async with trio.open_nursery() as nursery, postgres.transaction() as blocker:
        await blocker.execute(f"SELECT id FROM {schema}.seats WHERE id = %s FOR UPDATE", [low])
        pid: int = await nursery.start(_claim_as_rows_lie, bench, sql, event, [low, high])
        with trio.fail_after(BLOCKED_WITHIN_S):
            while not await postgres.fetch_value(  # noqa: ASYNC110
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [pid]
            ):
                await trio.sleep(0.01)
        probe = f"SELECT id FROM {schema}.seats WHERE id = %s FOR UPDATE SKIP LOCKED"
        is_free = await postgres.fetch_value(probe, [high]) is not None
    return int(not is_free)


async def _claim_as_rows_lie(
    bench: Bench,
    sql: str,
    event: int,
    seats: list[int],
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    async with bench.postgres.transaction() as connection:
        await connection.execute("SET LOCAL enable_indexscan = off")
        await connection.execute("SET LOCAL enable_bitmapscan = off")
        row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
        assert row is not None
        task_status.started(row[0])
        parameters = {"seats": seats, "event": event, "booking": str(uuid.uuid4()), "buyer": "ann"}
        await connection.execute(sql.replace("frontrow.", f"{bench.schema}."), parameters)
        raise Rollback


CONTROLS: Final = (
    Control("the guard of a claim (booking_id IS NULL)", "last_line_unneeded", _guard),
    Control("the guard and the unique index on live sales", "one_sale_per_seat", _guard_and_index),
    Control("the unique index on live sales", "last_line_stands", _index),
    Control("the lock order of a claim (ORDER BY id)", "locks_in_order", _lock_order),
    Control("the owner's token, where a hold is given back", "holds_are_their_owners", _release_token),
    Control("the owner's token, where a hold is kept", "holds_are_their_owners", _keep_token),
    Control("the guard of blocked seats", "blocked_is_unsold", _block_guard),
    Control("the guard of an area's capacity", "areas_within_capacity", _area_guard),
    Control("the guard of a buyer's limit", "buyers_within_limits", _limit),
    Control("the condition of an order's step", "money_balances", _step_condition),
    Control("the event of a confirmation", "confirmed_has_its_event", _announcement),
    Control("the seats' way back at a refund", "paid_has_its_seats", _freeing),
)
