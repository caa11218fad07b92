"""The soak from beginning to end: load, kills of the host, load with faults, silence, and the judgement.

1. The first quarter: everybody comes, faults strike, and the host itself is killed with SIGKILL and started again.
2. The last process is warmed up under load; then everybody leaves, and its idle tasks and files are counted.
3. The rest: load and faults on that process alone, its memory sampled.
4. Everything is healed, everybody leaves; the counts must come back, and every promise is checked.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import trio

from plugins.raft.sim.history import Seen
from tests.soak import buyers, lab_users
from tests.soak.buyers import Buyer, Crowd, Sold
from tests.soak.chatters import Chatter, Rude, Watcher
from tests.soak.drawers import Board
from tests.soak.faults import Faults
from tests.soak.health import Health, Idle, Sample, slope_mib_per_min
from tests.soak.house import House
from tests.soak.lab_users import LabUser
from tests.soak.visitors import Tally, Visitor

BUYERS = 6
CHATTERS = 6
LAB_USERS = 4
DRAWERS = 4
WATCHERS = 6
RUDE = 2

IDLE_TIMEOUT_S = 90.0
FILES_SLACK = 12
"""Connections to Postgres that a pool opened after the first count, and keeps: plugins may hold ten each."""
SLOPE_MIB_PER_MIN_MAX = 5.0
"""Of the second half. What is bounded fills up for some minutes yet: windows of the lab's past, kept answers, pools."""
SLOPE_FROM_S = 120.0
"""How long samples must span to tell a slope from noise."""
DEFECTS = ("a request crashed", "a promise is broken", "Traceback (most recent call last)")
"""What the log of a host in order never says, whatever is broken around it."""


@dataclass
class Plan:
    """How long each part lasts, in seconds, and how often the host is killed."""

    seconds: float
    kills: int

    @property
    def first_s(self) -> float:
        return self.seconds / 4

    @property
    def warm_s(self) -> float:
        return min(60.0, self.seconds / 6)

    @property
    def rest_s(self) -> float:
        return self.seconds - self.first_s - self.warm_s


@dataclass
class Outcome:
    """What came of it. `problems` is empty when every promise held."""

    seed: int
    seconds: float
    kills: int
    struck: dict[str, int]
    counts: dict[str, int]
    problems: list[str]
    promises: dict[str, Any]
    idle_before: Idle
    idle_after: Idle
    slope_mib_per_min: float | None
    samples: list[Sample] = field(default_factory=list)
    log: list[str] = field(default_factory=list)


async def soak(folder: Path, plan: Plan, seed: int, say: Callable[[str], None]) -> Outcome:
    """Run it, and `say` what is being done. Raises nothing for a broken promise; that is in the outcome."""
    lot = Random(seed)
    house, tally, history = House(folder), Tally(), list[Seen]()
    await house.start()
    health, sold = Health(house), await buyers.open_sale(house)
    faults = Faults(house, tally, Random(lot.random()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(health.run)
        nursery.start_soon(Board(house, tally, Random(lot.random()), DRAWERS).run)
        for visitor in _visitors(house, tally, lot, sold, history):
            nursery.start_soon(visitor.run)
        say(f"{health.now_s():.0f} s: everybody comes; the host is killed {plan.kills} times")
        house.let_in()
        async with _striking(faults):
            for _ in range(plan.kills):
                await trio.sleep(plan.first_s / plan.kills)
                await house.kill()
                say(f"{health.now_s():.0f} s: the host was killed, and is back")
        await trio.sleep(plan.warm_s)
        say(f"{health.now_s():.0f} s: everybody leaves, to see what an idle host has")
        await faults.heal()
        await house.close()
        idle_before = await health.idle(None, IDLE_TIMEOUT_S)
        say(f"{health.now_s():.0f} s: {idle_before}; load and faults")
        began_s = health.now_s()
        house.let_in()
        async with _striking(faults):
            await trio.sleep(plan.rest_s)
        ended_s = health.now_s()
        say(f"{health.now_s():.0f} s: everything is healed, everybody leaves")
        await faults.heal()
        await house.close()
        idle_after = await health.idle(idle_before, IDLE_TIMEOUT_S)
        say(f"{health.now_s():.0f} s: {idle_after}; every promise is checked")
        promises = {
            "frontrow": await buyers.settle(house, tally, sold),
            "raft": await lab_users.settle(house, tally, history),
        }
        await house.until_ready()
        nursery.cancel_scope.cancel()
    exit_code = await house.stop()
    await house.http.aclose()
    middle_s = (began_s + ended_s) / 2
    steady = [sample for sample in health.samples if middle_s <= sample.at_s <= ended_s]
    slope = slope_mib_per_min(steady) if ended_s - middle_s >= SLOPE_FROM_S else None
    problems = [*tally.broken, *_unhealthy(house, idle_before, idle_after, slope, exit_code)]
    return Outcome(
        seed=seed,
        seconds=plan.seconds,
        kills=house.kills,
        struck=faults.struck,
        counts=dict(sorted(tally.counts.items())),
        problems=problems,
        promises=promises,
        idle_before=idle_before,
        idle_after=idle_after,
        slope_mib_per_min=slope,
        samples=health.samples,
        log=house.log_lines(),
    )


def _visitors(house: House, tally: Tally, lot: Random, sold: Sold, history: list[Seen]) -> Iterator[Visitor]:
    def own() -> Random:
        return Random(lot.random())

    yield from (Buyer(house, tally, own(), sold, number) for number in range(BUYERS))
    yield Crowd(house, tally, own(), sold)
    yield from (Chatter(house, tally, own(), number) for number in range(CHATTERS))
    yield from (LabUser(house, tally, own(), history, number) for number in range(LAB_USERS))
    yield from (Watcher(house, tally, own()) for _ in range(WATCHERS))
    yield from (Rude(house, tally, own()) for _ in range(RUDE))


@asynccontextmanager
async def _striking(faults: Faults) -> AsyncIterator[None]:
    """Let faults strike during the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(faults.run)
        yield
        nursery.cancel_scope.cancel()


def _unhealthy(house: House, before: Idle, after: Idle, slope: float | None, exit_code: int) -> Iterator[str]:
    """What is wrong with the process."""
    allowed = Idle(before.tasks, before.files + FILES_SLACK, before.connections)
    yield from (f"left over after all have gone: {what}" for what in after.exceeds(allowed))
    if slope is not None and slope > SLOPE_MIB_PER_MIN_MAX:
        yield f"memory grows by {slope:.2f} MiB a minute"
    if exit_code != 0:
        yield f"the host ended with {exit_code}"
    found = [line.strip() for line in house.log_lines() if any(mark in line for mark in DEFECTS)]
    yield from (f"in the log: {line[:400]}" for line in found[:10])
