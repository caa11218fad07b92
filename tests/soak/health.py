"""What the process takes: memory each second, and its tasks and open files when nobody is there."""

import os
import resource
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from tests.soak.house import House

INTERVAL_S = 1.0
STABLE_S = 3.0
"""Counts that have not changed for so long are taken for those of an idle process."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process. `at_s` counts from the beginning of the soak."""

    at_s: float
    life: int
    resident_mib: float


@dataclass(frozen=True, slots=True)
class Idle:
    """The process when nobody is there. `tasks` are Trio's, `files` the open ones, sockets among them."""

    tasks: int
    files: int
    connections: int

    def exceeds(self, before: "Idle") -> list[str]:
        """What there is more of than before."""
        mine, theirs = asdict(self), asdict(before)
        return [f"{name}: {mine[name]} now, {theirs[name]} before" for name in mine if mine[name] > theirs[name]]


class Health:
    """Keeps the samples."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._began_s = trio.current_time()
        self.samples: list[Sample] = []

    def now_s(self) -> float:
        return trio.current_time() - self._began_s

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            resident = _resident_mib(self._house.pid)
            if resident is not None:
                self.samples.append(Sample(round(self.now_s(), 1), self._house.life, round(resident, 1)))
            await trio.sleep(INTERVAL_S)

    async def idle(self, target: Idle | None, timeout_s: float) -> Idle:
        """The counts once they have come down to the target; without one, once they stay as they are for a while."""
        found = await self._look()
        same_since_s = trio.current_time()
        with trio.move_on_after(timeout_s):
            while True:
                if target is not None and not found.exceeds(target):
                    break
                if target is None and trio.current_time() - same_since_s >= STABLE_S:
                    break
                await trio.sleep(0.25)
                now = await self._look()
                if now != found:
                    found, same_since_s = now, trio.current_time()
        return found

    async def _look(self) -> Idle:
        host = (await self._house.http.get("/-/overview.json")).json()["host"]
        metrics = (await self._house.http.get("/metrics")).text
        (line,) = (line for line in metrics.splitlines() if line.startswith("quartet_engine_open_connections "))
        files = len(os.listdir(f"/proc/{self._house.pid}/fd"))
        return Idle(host["tasks"], files, round(float(line.split()[1])))


def slope_mib_per_min(samples: list[Sample]) -> float:
    """How fast memory grows: the median over all pairs (Theil and Sen), which a few outliers do not move."""
    pairs = [
        (later.resident_mib - sooner.resident_mib) / (later.at_s - sooner.at_s)
        for number, sooner in enumerate(samples)
        for later in samples[number + 1 :]
    ]
    return statistics.median(pairs) * 60 if pairs else 0.0


def _resident_mib(pid: int) -> float | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, IndexError):
        return None
