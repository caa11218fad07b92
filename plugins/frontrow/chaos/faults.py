"""The faults. Each says what it did, in a record for the page of the run.

Servers are killed and stopped as processes, with real signals. Only those that this host started itself: whoever runs
Redis or Postgres elsewhere has others' data there.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from host.api import HttpProblem
from plugins.frontrow.runs import LiveRun
from plugins.frontrow.wall_clock import WallClock

if TYPE_CHECKING:
    from host.api import Postgres, Redis

PAUSE_S: Final = 2.0
"""How long Redis stands still."""
STEP_S: Final = 300.0
"""How far the clock is stepped, forwards and then backwards."""
STEPPED_S: Final = 0.2
LEAVING: Final = 50
"""Winners whose connection breaks between the commit and its answer."""
HUNT_S: Final = 5.0
"""How long a claim is waited for whose session can be ended."""

_END_A_CLAIM: Final = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
  FROM (SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
           AND state = 'active' AND query LIKE '%UPDATE frontrow.seats%'
         LIMIT 2) AS claims
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """What can be broken."""

    postgres: "Postgres"
    redis: "Redis"
    clock: WallClock


Record = dict[str, Any]
Strike = Callable[[Ground, LiveRun, int, Record], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: what it is called, what it does in a sentence, and how it is done.

    `strike` notes in the record what it does. `aim` finds the process that will be struck, before the gun, and refuses
    what is not this host's own. `leaving` is how many winners the stampede is to drop.
    """

    name: str
    title: str
    sentence: str
    strike: Strike
    aim: Callable[[Ground], Awaitable[int]] | None = None
    leaving: int = 0


def is_ours(pid: int) -> bool:
    """Whether this very process started it. Always false where there is no /proc."""
    return _parent_of(pid) == os.getpid()


def _parent_of(pid: int) -> int:
    """The process that started it; 0 when that cannot be known."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


async def redis_process(ground: Ground) -> int:
    """The process of Redis.

    Raises:
        HttpProblem: 409, this host did not start it.
    """
    pid = int((await ground.redis.info("server"))["process_id"])
    if not is_ours(pid):
        raise _not_ours("Redis")
    return pid


async def postmaster(ground: Ground) -> int:
    """The first process of Postgres; raises as `redis_process` does."""
    backend: int = await ground.postgres.fetch_value("SELECT pg_backend_pid()")
    pid = _parent_of(backend)
    if not is_ours(pid):
        raise _not_ours("Postgres")
    return pid


async def _kill(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    await trio.lowlevel.checkpoint()
    os.kill(pid, signal.SIGKILL)
    record.update(signal="SIGKILL", pid=pid)


async def _redis_flush(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    await ground.redis.flushall()
    record.update(command="FLUSHALL")


async def _redis_empty(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    await _redis_flush(ground, live, pid, record)
    await _kill(ground, live, pid, record)


async def _redis_pause(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    os.kill(pid, signal.SIGSTOP)
    record.update(signal="SIGSTOP", pid=pid, paused_at_most_s=PAUSE_S)
    try:
        with trio.move_on_after(PAUSE_S):
            await live.finished.wait()
    finally:
        os.kill(pid, signal.SIGCONT)


async def _end_claims(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    ended = 0
    with trio.move_on_after(HUNT_S):
        while not ended and not live.finished.is_set():
            ended += await ground.postgres.fetch_value(_END_A_CLAIM)
    record.update(sessions_ended=ended)


async def _clients_leave(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    # They leave by themselves, as each of them wins; see `Stampede`.
    await trio.lowlevel.checkpoint()
    record.update(winners_leaving=LEAVING)


async def _clock_step(ground: Ground, live: LiveRun, pid: int, record: Record) -> None:
    record.update(stepped_s=[STEP_S, -STEP_S])
    for by_s in (STEP_S, -STEP_S):
        with ground.clock.stepped(by_s), trio.move_on_after(STEPPED_S):
            await live.finished.wait()


def _not_ours(what: str) -> HttpProblem:
    text = f"this host did not start that {what}, and does not break what others may use"
    return HttpProblem(409, text, type="not-ours", title="Not ours to break")


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("redis-kill", "Kill Redis", "SIGKILL to Redis; it is started again.", _kill, redis_process),
        Fault("redis-flush", "Flush Redis", "FLUSHALL: every hold is forgotten.", _redis_flush, redis_process),
        Fault("redis-pause", "Pause Redis", "SIGSTOP to Redis for two seconds.", _redis_pause, redis_process),
        Fault(
            "redis-empty",
            "Restart Redis empty",
            "FLUSHALL, then SIGKILL: it comes back empty.",
            _redis_empty,
            redis_process,
        ),
        Fault("postgres-kill", "Kill Postgres", "SIGKILL to Postgres; it recovers by its log.", _kill, postmaster),
        Fault("claims-end", "End claims", "Sessions are ended between UPDATE and the commit's answer.", _end_claims),
        Fault(
            "clients-leave",
            "Drop clients",
            f"{LEAVING} winners are gone before they can be told.",
            _clients_leave,
            leaving=LEAVING,
        ),
        Fault("clock-step", "Step the clock", "The application's clock jumps by five minutes, and back.", _clock_step),
    )
}
HOST_KILL: Final = "host-kill"
