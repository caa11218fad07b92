"""Operations on the lab's store: each is judged by `history`; a client that never sleeps keeps the verdict fresh."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from host.api import HttpProblem, OutcomeUnknown
from plugins.raft import kv_client
from plugins.raft.core.kv import Operation
from plugins.raft.kv_client import Answer, Session
from plugins.raft.lab.cluster import Cluster
from plugins.raft.requests import NotTaken
from plugins.raft.shell import Shell, ShellStopped

PROBE_TIMEOUT_S: Final = 1.0
PROBE_KEY: Final = b"heartbeat"

Result = TypeVar("Result")


class LabStore:
    """The store of the lab, as `kv_routes` wants it."""

    def __init__(self, cluster: Cluster, timeout_s: float) -> None:
        self._cluster = cluster
        self._timeout_s = timeout_s

    async def register(self, node: int | None) -> int:
        """Open a session."""
        shell = self.shell_of(node)
        return await _told(kv_client.register(shell, self._timeout_s))

    async def write(self, operation: Operation, session: Session | None, node: int | None) -> Answer:
        """Write, or anything else that goes through the log. Raises HttpProblem."""
        shell = self.shell_of(node)
        return await self._judged(operation, 0, lambda: kv_client.write(shell, operation, session, self._timeout_s))

    async def read(self, key: bytes, node: int | None, *, is_stale: bool, lease: bool = False) -> Answer:
        """Read. Raises HttpProblem: 409 by a lease that would say nothing."""
        shell = self.shell_of(node)
        if lease and (problem := self._lease_problem(shell)):
            raise HttpProblem(409, problem)
        if is_stale:
            await trio.lowlevel.checkpoint()
            return kv_client.stale_read(shell, key)
        operation = Operation("get", key)
        return await self._judged(operation, 1, lambda: kv_client.read(shell, key, self._timeout_s, lease=lease))

    def _lease_problem(self, shell: Shell) -> str:
        """Why a lease of this node says nothing; "" when it does. Clocks that differ break it (thesis §6.4.1)."""
        cluster = self._cluster
        if not cluster.core_settings.lease_reads:
            return "the nodes run without reads by lease: restart them with these first"
        if shell.id != cluster.leader:
            return f"n{shell.id} does not lead: only a leader has a lease"
        # A promise that was given while a clock was fast has run out by then.
        promised_us = 2 * cluster.core_settings.election_timeout_us
        if any(seat.clock.steady_us() < promised_us for seat in cluster.seats.values()):
            return "the clocks differ, or did a moment ago: a lease says nothing then"
        return ""

    def shell_of(self, node: int | None) -> Shell:
        """Whom to ask: the leader, or the node that was named. Raises HttpProblem."""
        if node is None:
            return self._cluster.leader_shell()
        seat = self._cluster.seats.get(node)
        if seat is None:
            raise HttpProblem(422, f"there is no node {node}")
        if seat.shell is None:
            raise HttpProblem(409, f"n{node} is down: {seat.reason}")
        return seat.shell

    async def _judged(self, operation: Operation, half: int, run: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do an operation, and let `history` judge its answer. `half` is 1 for reads, which stand behind an entry."""
        cluster = self._cluster
        history = cluster.history
        floor, called_us = history.called(), cluster.now_us()
        try:
            answer = await _told(run())
        except BaseException:
            history.lost_sight()
            raise
        history.returned(operation, floor, 2 * answer.index + half, answer.output, called_us, cluster.now_us())
        return answer

    async def run_probe(self, interval_s: float) -> None:
        """Write and read in turn while somebody looks on, until cancelled."""
        count = 0
        while True:
            await trio.sleep(interval_s)
            if not self._cluster.feed.is_watched or not self._cluster.leader:
                continue
            count += 1
            # The lab is there to be broken; the page shows that nobody leads.
            with contextlib.suppress(HttpProblem):
                await self._probe(count)

    async def _probe(self, count: int) -> None:
        shell = self._cluster.leader_shell()
        if count % 2:
            operation = Operation("put", PROBE_KEY, b"%d" % count)
            await self._judged(operation, 0, lambda: kv_client.write(shell, operation, None, PROBE_TIMEOUT_S))
        else:
            operation = Operation("get", PROBE_KEY)
            await self._judged(operation, 1, lambda: kv_client.read(shell, PROBE_KEY, PROBE_TIMEOUT_S))


async def _told(waiting: Awaitable[Result]) -> Result:
    try:
        return await waiting
    except (NotTaken, OutcomeUnknown) as error:
        raise kv_client.problem_of(error) from None
    except ShellStopped as error:
        raise HttpProblem(503, str(error), headers={"Retry-After": "1"}) from None
