"""A lab for tests: faster than that of the site, in a folder of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from host.api import HttpProblem
from plugins.raft.core.kv import Operation
from plugins.raft.lab import actions
from plugins.raft.lab.clients import LabStore
from plugins.raft.lab.cluster import Cluster
from plugins.raft.lab.operate import Operator
from plugins.raft.lab.recording import Recording
from plugins.raft.lab.sameness import HASTY
from plugins.raft.settings import Settings


class Lab:
    """The parts that a test uses."""

    def __init__(self, cluster: Cluster, timeout_s: float) -> None:
        self.cluster = cluster
        self.store = LabStore(cluster, timeout_s)
        self.operator = Operator(cluster, self.store, timeout_s)

    async def led(self) -> int:
        """Wait for a leader."""
        with trio.fail_after(20):
            while not self.cluster.leader:
                await self.cluster.led.wait()
        return self.cluster.leader

    async def attempt(self, action: Any) -> None:
        """Do something that may be refused, as when the leader changes meanwhile."""
        try:
            await self.operator.do(action)
        except HttpProblem:
            await trio.sleep(0.01)

    async def put(self, key: bytes, value: bytes) -> None:
        """Write until it is done: on a busy machine leaders come and go. A put may come twice."""
        with trio.fail_after(60):
            while True:
                await self.led()
                try:
                    await self.store.write(Operation("put", key, value), None, None)
                except HttpProblem:
                    await trio.sleep(0.01)
                else:
                    return


@asynccontextmanager
async def running_lab(folder: Path, settings: Settings = HASTY, timeout_s: float = 1.0) -> AsyncIterator[Lab]:
    """A lab that runs for the block."""
    cluster = Cluster(settings, folder / "lab", trio.CapacityLimiter(8))
    async with trio.open_nursery() as nursery:
        await nursery.start(cluster.run)
        yield Lab(cluster, timeout_s)
        nursery.cancel_scope.cancel(reason="the test is over")


async def recorded(tmp_path: Path) -> Recording:
    """A lab's life: five writes, the leader is killed and comes back, a last write."""
    async with running_lab(tmp_path) as lab:
        for number in range(5):
            await lab.put(b"k", b"%d" % number)
        await lab.operator.do(actions.OnNode(action="kill", node=await lab.led()))
        await lab.led()
        await lab.operator.do(actions.Whole(action="heal"))
        await lab.put(b"k", b"last")
        return lab.cluster.recorder.export(lab.cluster.now_us(), 30)
