"""kill -9 of processes at random, under load: nothing acknowledged may be lost, and what clients saw must make sense.

`python -m plugins.raft.process.chaos --seconds 60` runs three processes on this machine, and prints one JSON object.
Each client appends its own numbered tokens to shared keys, one at a time, and reads now and then; a client whose
command got no answer becomes another client, as nobody knows what became of it. At the end all processes are killed,
and started again: every acknowledged token must be in its key once, and the history must be linearizable.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from plugins.raft.core.kv import OK, Operation
from plugins.raft.kv_client import command_of
from plugins.raft.process.lane import Lane
from plugins.raft.process.local import LocalGroup, local_group
from plugins.raft.process.wire import Told, WireError
from plugins.raft.requests import Fate
from plugins.raft.sim.history import OPEN_US, Seen
from plugins.raft.sim.linearizability import judge

ANSWER_TIMEOUT_S: Final = 3.0
KEYS: Final = 128
"""So many that few unanswered commands meet on one key: each of them doubles what a judge has to look through."""
THINK_S: Final = 0.01


@dataclass(slots=True)
class Run:
    """What happened."""

    history: list[Seen] = field(default_factory=list)
    acknowledged: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Key and token of each append that was acknowledged."""
    unknown: int = 0
    kills: int = 0
    kills_of_all: int = 0
    clients: int = 0


class _Client:
    """Does one operation after the other, at whoever leads."""

    def __init__(self, group: LocalGroup, run: Run, lot: random.Random) -> None:
        self._group = group
        self._run = run
        self._lot = lot
        self._lane: Lane | None = None
        self._target = lot.choice(list(group.peers))
        self._tag = 0
        self._become_another()

    def _become_another(self) -> None:
        self._run.clients += 1
        self._name = self._run.clients

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                key = b"key-%d" % self._lot.randrange(KEYS)
                if self._lot.random() < 0.2:
                    await self._do(Operation("get", key))
                else:
                    self._tag += 1
                    await self._do(Operation("append", key, b"<%d.%d>" % (self._name, self._tag)))
                await trio.sleep(self._lot.random() * THINK_S)
        finally:
            if self._lane is not None:
                await self._lane.aclose()

    async def _do(self, operation: Operation) -> None:
        """One operation. Refusals are tried again elsewhere; without an answer it is left open."""
        called_us = _now_us()
        try:
            told = await self._answer(operation)
        except trio.Cancelled:
            self._leave_open(operation, called_us)
            raise
        if told is None:
            self._leave_open(operation, called_us)
            return
        is_read = operation.kind == "get"
        order = 2 * told.index + (1 if is_read else 0)
        self._run.history.append(Seen(self._name, operation, called_us, _now_us(), told.value, order))
        if not is_read:
            self._run.acknowledged.append((operation.key, operation.value))

    def _leave_open(self, operation: Operation, called_us: int) -> None:
        if operation.kind != "get":
            self._run.unknown += 1
            self._run.history.append(Seen(self._name, operation, called_us, OPEN_US, b"", 0))
        self._become_another()

    async def _answer(self, operation: Operation) -> Told | None:
        while True:
            try:
                if self._lane is None:
                    with trio.fail_after(ANSWER_TIMEOUT_S):
                        self._lane = await Lane.open(self._group.peers[self._target], self._target)
            except (OSError, trio.TooSlowError):
                await self._elsewhere(0)
                continue
            try:
                with trio.fail_after(ANSWER_TIMEOUT_S):
                    if operation.kind == "get":
                        await self._lane.send_read(1, operation.key)
                    else:
                        await self._lane.send([(1, command_of(operation, None))])
                    (told,) = await self._lane.receive()
            except (trio.BrokenResourceError, trio.EndOfChannel, trio.TooSlowError, WireError):
                await self._elsewhere(0)
                return None
            if told.fate == Fate.REFUSED:
                await self._elsewhere(told.leader)
                continue
            if told.fate == Fate.UNKNOWN:
                return None
            return told

    async def _elsewhere(self, leader: int) -> None:
        if self._lane is not None:
            await self._lane.aclose()
            self._lane = None
        self._target = leader if leader in self._group.peers else self._lot.choice(list(self._group.peers))
        await trio.sleep(0.02)


def _now_us() -> int:
    return time.monotonic_ns() // 1000


async def _kill_at_random(group: LocalGroup, run: Run, lot: random.Random) -> None:
    """Kill one, now and then all, and start them again after a while."""
    while True:
        await trio.sleep(0.2 + lot.random() * 0.5)
        victims = group.running if lot.random() < 0.15 else [lot.choice(group.running)]
        run.kills += len(victims)
        run.kills_of_all += len(victims) == len(group.peers)
        async with trio.open_nursery() as nursery:
            for number in victims:
                nursery.start_soon(trio.to_thread.run_sync, group.kill, number)
        await trio.sleep(lot.random() * 0.5)
        async with trio.open_nursery() as nursery:
            for number in victims:
                nursery.start_soon(trio.to_thread.run_sync, group.start, number)


async def _load(group: LocalGroup, run: Run, seconds: float, clients: int, lot: random.Random) -> None:
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_kill_at_random, group, run, lot)
            for _ in range(clients):
                nursery.start_soon(_Client(group, run, random.Random(lot.random())).run)


async def _read_all(group: LocalGroup) -> dict[bytes, bytes]:
    """The whole store, read linearizably."""
    number = await trio.to_thread.run_sync(group.leader)
    lane = await Lane.open(group.peers[number], number)
    found = {}
    for place in range(KEYS):
        key = b"key-%d" % place
        await lane.send_read(place, key)
        (told,) = await lane.receive()
        if told.fate != Fate.READY:
            raise RuntimeError(f"the store cannot be read: {told}")
        found[key] = told.value[1:] if told.value[:1] == OK else b""
    await lane.aclose()
    return found


def run_chaos(folder: Path, seconds: float, *, clients: int = 6, seed: int = 0) -> dict[str, Any]:
    """Do it, and judge it. Blocks."""
    lot = random.Random(seed)
    run = Run()
    with local_group(folder) as group:
        group.leader()
        trio.run(_load, group, run, seconds, clients, lot)
        for number in group.running:
            group.kill(number)
        for number in group.peers:
            if number not in group.running:
                group.start(number)
        values = trio.run(_read_all, group)
    return verdict_of(run, values) | {"seconds": seconds, "seed": seed}


def verdict_of(run: Run, values: dict[bytes, bytes]) -> dict[str, Any]:
    """What the run shows: every acknowledged token is in its key once, and some order explains what clients saw."""
    lost = [token for key, token in run.acknowledged if values.get(key, b"").count(token) != 1]
    judged = judge(run.history)
    wrong = sorted(key.decode() for key, verdict in judged.items() if verdict == "illegal")
    undecided = sorted(key.decode() for key, verdict in judged.items() if verdict == "unknown")
    return {
        "verdict": "broke" if lost or wrong else "unknown" if undecided else "holds",
        "acknowledged": len(run.acknowledged),
        "lost": len(lost),
        "unknown": run.unknown,
        "operations": len(run.history),
        "kills": run.kills,
        "kills_of_all": run.kills_of_all,
        "not_linearizable": wrong,
        "undecided": undecided,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0 when the promises hold."""
    parser = argparse.ArgumentParser(prog="python -m plugins.raft.process.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="quartet-raft-") as folder:
        found = run_chaos(Path(folder), chosen.seconds, clients=chosen.clients, seed=chosen.seed)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["verdict"] == "holds" else 1


if __name__ == "__main__":
    sys.exit(main())
