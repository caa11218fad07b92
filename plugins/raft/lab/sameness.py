"""Live or replayed, it is the same: random sessions in the lab, each replayed to the hash that it came to live.

`python -m plugins.raft.lab.sameness --sessions 100` runs labs of three hasty nodes, lets random clients and random
faults loose on them, and prints one JSON object. Exit code 0 when each replay came to the live hash and no promise
broke.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from host.api import HttpProblem
from plugins.raft.core.kv import Operation
from plugins.raft.lab import actions
from plugins.raft.lab.clients import LabStore
from plugins.raft.lab.cluster import Cluster
from plugins.raft.lab.frozen import NotFrozen
from plugins.raft.lab.operate import Operator
from plugins.raft.lab.recording import INPUT, decode_recording, encode_recording
from plugins.raft.lab.replay import Replay
from plugins.raft.settings import Settings

HASTY: Final = Settings.model_validate(
    {
        "nodes": 3,
        "election_timeout": 0.03,
        "heartbeat": 0.01,
        "link_delay": 0,
        "link_jitter": 0.001,
        "snapshot_every": 20,
    }
)
"""Five times as hasty as the lab of the site, so that much happens in a short session."""
TIMEOUT_S: Final = 0.3
SESSIONS_OF_A_LAB: Final = 20
ON_NODE: Final = ("kill", "restart", "pause", "resume", "isolate", "campaign", "snapshot", "transfer")


class Sameness(NamedTuple):
    """What some sessions came to. `differing` counts those whose replay came to another hash than the live cluster."""

    sessions: int = 0
    differing: int = 0
    steps: int = 0
    inputs: int = 0

    def plus(self, other: "Sameness") -> "Sameness":
        """Both together."""
        return Sameness(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


async def run_sessions(cluster: Cluster, operator: Operator, count: int, lot: random.Random) -> Sameness:
    """Run sessions one after the other, each from whatever state the one before left the cluster in."""
    store = LabStore(cluster, TIMEOUT_S)
    found = Sameness()
    for _ in range(count):
        cluster.begin_segment()
        await _session(operator, store, lot)
        recording = cluster.recorder.export(cluster.now_us(), 0)
        live = cluster.recorder.hash
        is_same = _replayed(encode_recording(recording)) == live
        inputs = sum(step.kind == INPUT for step in recording.steps)
        found = found.plus(Sameness(1, not is_same, len(recording.steps), inputs))
    return found


def _replayed(data: bytes) -> bytes | None:
    """The hash that a file replays to; None when it cannot be played."""
    replay = Replay(decode_recording(data))
    try:
        replay.run()
    except NotFrozen:
        return None
    return replay.hash


async def _session(operator: Operator, store: LabStore, lot: random.Random) -> None:
    """Some actions, some clients, a few moments."""
    async with trio.open_nursery() as nursery:
        for _ in range(lot.randint(1, 4)):
            nursery.start_soon(_use, store, lot, lot.choice([None, 1, 2, 3]))
            try:
                await operator.do(_random_action(lot))
            except HttpProblem:
                continue
            await trio.sleep(lot.random() * 0.05)
        nursery.cancel_scope.deadline = trio.current_time() + 0.1


async def _use(store: LabStore, lot: random.Random, node: int | None) -> None:
    operation = Operation("append", b"k%d" % lot.randrange(5), b"%d" % lot.randrange(100))
    try:
        await store.write(operation, None, node)
        await store.read(operation.key, node, is_stale=False)
    except HttpProblem:
        return


def _random_action(lot: random.Random) -> Any:
    node = lot.randint(1, 3)
    orders: list[dict[str, Any]] = [
        *({"action": name, "node": node} for name in ON_NODE),
        {"action": "cut", "from": node, "to": node % 3 + 1},
        {"action": "link", "loss": lot.randint(0, 300), "duplicate": 200, "delay_ms": lot.randint(0, 5)},
        {"action": "skew", "node": node, "permille": lot.randint(800, 1200)},
        {"action": "disk", "node": node, "state": "full"},
        {"action": "disk", "node": node, "state": "slow", "slow_ms": 5},
        {"action": "remove", "node": node},
        *({"action": "add", "node": node, "learner": learner} for learner in (True, False)),
        *({"action": "heal"} for _ in range(4)),
    ]
    return actions.Wish.model_validate(lot.choice(orders)).root


async def run_labs(folder: Path, sessions: int, seed: int) -> dict[str, Any]:
    """As many labs as are needed, one after the other; what came of them."""
    found, broken = Sameness(), dict[str, str | None]()
    while found.sessions < sessions:
        number = found.sessions // SESSIONS_OF_A_LAB
        cluster = Cluster(HASTY, folder / f"lab-{number}", trio.CapacityLimiter(8))
        operator = Operator(cluster, LabStore(cluster, TIMEOUT_S), TIMEOUT_S)
        async with trio.open_nursery() as nursery:
            await nursery.start(cluster.run)
            count = min(SESSIONS_OF_A_LAB, sessions - found.sessions)
            found = found.plus(await run_sessions(cluster, operator, count, random.Random(f"{seed}-{number}")))
            nursery.cancel_scope.cancel(reason="its sessions are over")
        broken |= cluster.watch.found
        if cluster.history.verdict == "illegal":
            broken["Linearizability"] = cluster.history.found
    holds = not broken and not found.differing
    return {"verdict": "holds" if holds else "broke", **found._asdict(), "broken": broken, "seed": seed}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m plugins.raft.lab.sameness", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="quartet-raft-") as folder:
        found = trio.run(run_labs, Path(folder), chosen.sessions, chosen.seed)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["verdict"] == "holds" else 1


if __name__ == "__main__":
    sys.exit(main())
