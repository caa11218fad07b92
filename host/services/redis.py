"""Redis as the host lends it: redis-py's commands on Trio, over one connection that pipelines whatever is waiting.

`Redis.run` keeps the connection: it reconnects for ever, with back-off and jitter. What callers can rely on:

- a reply is the caller's own, whoever else was cancelled, timed out or failed;
- `ServiceUnavailable`: nothing was sent. `OutcomeUnknown`: it was sent, and what became of it is not known;
- no call waits longer than `timeout_s` once the connection is up, than `reconnect_wait_s` while it is being
  replaced, and none waits at all while the server is known to be down.

Blocking commands and WATCH get a connection of their own (`dedicated`), subscriptions too (`pubsub`). MULTI and
EXEC travel as one unit (`pipeline`).
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

import structlog
import trio
from trio.lowlevel import checkpoint_if_cancelled, current_task, wait_task_rescheduled

from host.errors import ServiceUnavailable
from host.services.redis_calls import Call
from host.services.redis_commands import Commands, Script, pack, refuse_on_shared, shape, verb_of
from host.services.redis_connection import Connection, backoff_s, open_connection
from host.services.redis_dedicated import Dedicated
from host.services.redis_lane import Lane
from host.services.redis_pipeline import Pipeline
from host.services.redis_pubsub import Missed, PubSub, PubSubMessage
from host.services.redis_url import parse_redis_url

__all__ = ["Dedicated", "Missed", "Pipeline", "PubSub", "PubSubMessage", "Redis", "RedisStatistics", "Script"]

RedisState = Literal["idle", "connecting", "ready", "down", "closed"]
# A connection that lived this long was a good one: the next loss starts again with the shortest delay.
STABLE_S = 5.0


@dataclass(frozen=True, slots=True)
class RedisStatistics:
    """What a `Redis` has done and is doing. Counts are since it was made, over all its connections.

    `window_full_total` counts the writes that had to leave calls queued because `in_flight_max` were awaiting their
    replies. `replies_discarded_total` came for callers that had been cancelled. `connections_lent` are those of
    `dedicated` and `pubsub`.
    """

    state: RedisState
    reason: str
    server_version: str
    connections_opened_total: int
    connections_lost_total: int
    connect_failures_total: int
    connections_lent: int
    connections_lent_max: int
    calls_sent_total: int
    calls_unavailable_total: int
    calls_unknown_total: int
    timeouts_total: int
    replies_discarded_total: int
    in_flight: int
    in_flight_max: int
    in_flight_peak: int
    queued: int
    window_full_total: int
    bytes_sent_total: int
    bytes_received_total: int


class _Totals:
    """The counts of connections that are gone."""

    def __init__(self) -> None:
        self.opened = self.lost = self.failures = 0
        self.sent = self.unavailable = self.unknown = self.timeouts = self.discarded = 0
        self.peak = self.window_full = self.bytes_sent = self.bytes_received = 0

    def absorb(self, lane: Lane) -> None:
        calls = lane.calls
        self.lost += 1
        self.sent += calls.calls_sent
        self.unknown += lane.unknown
        self.unavailable += lane.unsent
        self.timeouts += lane.timeouts
        self.discarded += calls.replies_discarded
        self.peak = max(self.peak, calls.in_flight_peak)
        self.window_full += calls.window_full
        self.bytes_sent += calls.bytes_sent
        self.bytes_received += calls.bytes_received


class Redis(Commands):
    """redis-py's commands, as many at once as one likes.

    `name` is shown in CLIENT LIST as `quartet:NAME`. `timeout_s` bounds the time from the call to its reply; when
    the server says nothing at all for that long while replies are due, the connection is closed and replaced.
    `in_flight_max` bounds the calls written and not yet answered; when it is full the others wait, unsent, and fail
    with `ServiceUnavailable` when their time is up. `connections_max` bounds the connections lent by `dedicated`
    and `pubsub`.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        timeout_s: float = 5.0,
        in_flight_max: int = 10_000,
        connect_timeout_s: float = 2.0,
        reconnect_wait_s: float = 1.0,
        connections_max: int = 32,
    ) -> None:
        self.address = parse_redis_url(url)
        self.name = name
        self._timeout_s = timeout_s
        self._in_flight_max = in_flight_max
        self._connect_timeout_s = connect_timeout_s
        self._reconnect_wait_s = reconnect_wait_s
        self._lent = trio.CapacityLimiter(connections_max)
        self._lane: Lane | None = None
        self._state: RedisState = "idle"
        self._reason = "its connection task is not running"
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._totals = _Totals()
        self._server_version = ""
        self._log = structlog.get_logger("quartet.redis").bind(service=name)

    def __repr__(self) -> str:
        return f"<Redis {self.name} at {self.address}, {self._state}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the connection until cancelled. Ready once the first attempt has succeeded or failed.

        To be run once, in the nursery of those who use it. Cancelled, it closes every connection and leaves no caller
        waiting.
        """
        assert self._state == "idle", "a Redis is run once"
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await self._keep_connected(task_status)
        finally:
            self._nursery = None
            self._lane = None
            self._set_state("closed", "it was closed")

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command, as in `execute_command("SET", key, value, "NX")`; returns redis-py's shape of its reply.

        Any number of tasks may call it at once. Cancelled, the command may be carried out or not; its reply is
        discarded.

        Raises:
            ServiceUnavailable: nothing was sent.
            OutcomeUnknown: sent, and the connection was lost, or the server did not answer in time.
            redis.exceptions.ResponseError: an error reply.
            redis.exceptions.DataError: arguments that cannot be sent.
            HostError: a command that would hold up or change the connection for everybody.
        """
        verb = verb_of(args[0])
        if verb.is_risky:
            refuse_on_shared(verb, args)
        data = pack(verb, args)
        lane = self._lane
        if lane is None:
            lane = await self._wait_for_lane()
        if not lane.calls.awaiting:
            # It will be written at once: too late then to take it back from a caller that is already cancelled.
            await checkpoint_if_cancelled()
        call = Call(current_task(), data, monotonic() + self._timeout_s)
        lane.start(call)
        return shape(verb, await wait_task_rescheduled(call.abort), options)

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """Commands to be staged and then sent as one unit, by default within MULTI and EXEC."""
        return Pipeline(self._execute_packed, transaction=transaction)

    @asynccontextmanager
    async def dedicated(self) -> AsyncGenerator[Dedicated]:
        """Open a connection for this task alone, for blocking commands and WATCH; it is closed at the end.

        Raises:
            ServiceUnavailable: it cannot be opened, or `connections_max` are lent out and none came back within
                `timeout_s`.
        """
        async with self._lend():
            dedicated = Dedicated(await self._open(), self._timeout_s)
            try:
                yield dedicated
            finally:
                dedicated.close("its `async with` has ended")

    @asynccontextmanager
    async def pubsub(self, *, queue_items: int = 1000, queue_bytes: int = 16 * 1024 * 1024) -> AsyncGenerator[PubSub]:
        """Open a subscriber with a connection of its own; see `PubSub`. A server that is down does not fail it.

        Raises:
            ServiceUnavailable: `run` is not running, or `connections_max` are lent out and none came back within
                `timeout_s`.
        """
        async with self._lend():
            if self._nursery is None:
                raise ServiceUnavailable(f"Redis {self.name}: {self._reason}")
            pubsub = PubSub(self._open, timeout_s=self._timeout_s, queue_items=queue_items, queue_bytes=queue_bytes)
            self._nursery.start_soon(pubsub.run)
            try:
                yield pubsub
            finally:
                pubsub.close()

    def statistics(self) -> RedisStatistics:
        """A snapshot; costs nothing worth mentioning."""
        now = _Totals()
        now.__dict__.update(self._totals.__dict__)
        calls = self._lane.calls if self._lane is not None else None
        if self._lane is not None:
            now.absorb(self._lane)
            now.lost -= 1
        return RedisStatistics(
            state=self._state,
            reason=self._reason,
            server_version=self._server_version,
            connections_opened_total=now.opened,
            connections_lost_total=now.lost,
            connect_failures_total=now.failures,
            connections_lent=self._lent.borrowed_tokens,
            connections_lent_max=int(self._lent.total_tokens),
            calls_sent_total=now.sent,
            calls_unavailable_total=now.unavailable,
            calls_unknown_total=now.unknown,
            timeouts_total=now.timeouts,
            replies_discarded_total=now.discarded,
            in_flight=len(calls.awaiting) if calls else 0,
            in_flight_max=self._in_flight_max,
            in_flight_peak=now.peak,
            queued=len(calls.queued) if calls else 0,
            window_full_total=now.window_full,
            bytes_sent_total=now.bytes_sent,
            bytes_received_total=now.bytes_received,
        )

    async def _execute_packed(self, data: bytes, due: int) -> list[Any]:
        lane = self._lane or await self._wait_for_lane()
        await checkpoint_if_cancelled()
        call = Call(current_task(), data, monotonic() + self._timeout_s, due, [])
        lane.start(call)
        replies: list[Any] = await wait_task_rescheduled(call.abort)
        return replies

    async def _wait_for_lane(self) -> Lane:
        """Wait for a connection that is being replaced, but not when the last attempt to replace it has failed."""
        await checkpoint_if_cancelled()
        with trio.move_on_after(self._reconnect_wait_s):
            while self._state == "connecting":
                await self._changed.wait()
        if self._lane is not None:
            return self._lane
        self._totals.unavailable += 1
        raise ServiceUnavailable(f"Redis {self.name} is not there: {self._reason}")

    async def _keep_connected(self, task_status: trio.TaskStatus[None]) -> None:
        failures = 0
        is_started = False
        while True:
            if self._state != "down":
                self._set_state("connecting", f"connecting to {self.address}" if not failures else self._reason)
            connection: Connection | None = None
            try:
                connection = await self._open()
            except ServiceUnavailable as error:
                failures += 1
                self._totals.failures += 1
                if self._state != "down":
                    self._log.warning("Redis is down", reason=str(error))
                self._set_state("down", str(error))
            if not is_started:
                is_started = True
                task_status.started()
            if connection is not None:
                began_s = monotonic()
                await self._serve(connection)
                failures = 1 if monotonic() - began_s >= STABLE_S else failures + 1
            await trio.sleep(backoff_s(failures))

    async def _serve(self, connection: Connection) -> None:
        lane = Lane(connection, timeout_s=self._timeout_s, in_flight_max=self._in_flight_max)
        self._totals.opened += 1
        self._server_version = connection.server_version
        self._lane = lane
        if self._state == "down" or self._totals.lost:
            self._log.info("Redis is back", version=connection.server_version)
        self._set_state("ready", "")
        try:
            reason = await lane.run()
        finally:
            self._lane = None
            self._totals.absorb(lane)
        self._log.warning("the connection to Redis was lost", reason=reason, unknown=lane.unknown, unsent=lane.unsent)
        self._set_state("connecting", f"the connection was lost: {reason}")

    async def _open(self) -> Connection:
        return await open_connection(self.address, f"quartet:{self.name}", self._connect_timeout_s)

    @asynccontextmanager
    async def _lend(self) -> AsyncGenerator[None]:
        borrower = object()
        with trio.move_on_after(self._timeout_s) as patience:
            await self._lent.acquire_on_behalf_of(borrower)
        if patience.cancelled_caught:
            raise ServiceUnavailable(
                f"Redis {self.name}: all {self._lent.total_tokens:g} connections of `dedicated` and `pubsub` are in use"
            )
        try:
            yield
        finally:
            self._lent.release_on_behalf_of(borrower)

    def _set_state(self, state: RedisState, reason: str) -> None:
        self._state, self._reason = state, reason
        self._changed.set()
        self._changed = trio.Event()
