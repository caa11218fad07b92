"""How fast the Raft is: real processes with fsync, against PySyncObj in memory; fail-over of the live lab; simulation.

`python -m benchmarks.raft [--seconds 5] [--rounds 3] [--kills 200] [--only commits,failover,sim]`

- `commits_per_s`: three processes of `quartet raft node` on loopback, each with its log on disk and an fsync before
  every answer; one client over TCP keeps a window of 64-byte commands unanswered at the leader. A commit counts when
  its answer, given after it was applied, is back at the client.
- `commit_p50_ms`: the same group, one client, one command at a time.
- `pysyncobj_commits_per_s`: three processes of PySyncObj with its defaults (in memory, nothing fsynced), called within
  the leader's process, the best of its windows. Rounds of both are interleaved; medians are reported.
- `failover_p50_ms`, `failover_p99_ms`: the lab's five nodes in this process, time-outs of 150–300 ms; from the end of
  the leader to the moment when another leads a majority.
- `sim_events_per_s`: events of the simulation, invariants and the specification checked after each.

Prints what it does to stderr, and one JSON object as the last line of stdout.
"""

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import trio

from plugins.raft.core.kv import Operation
from plugins.raft.kv_client import command_of
from plugins.raft.lab.cluster import Cluster
from plugins.raft.process.lane import Lane
from plugins.raft.process.local import LocalGroup, local_group
from plugins.raft.requests import Fate
from plugins.raft.settings import Settings
from plugins.raft.sim.days import plan_of
from plugins.raft.sim.world import World

COMMAND: Final = command_of(Operation("put", b"benchmark", b"x" * 32), None)
WINDOW: Final = 4096
FRAME: Final = 512
WARM_UP_S: Final = 1.0
TURNS: Final = 500
# Of 500, 2,000 and 10,000 unanswered calls.
PEER_WINDOWS: Final = (500, 2000, 10_000)

assert len(COMMAND) == 64


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


async def pipelined(group: LocalGroup, seconds: float) -> float:
    """Commits per second with a window of unanswered commands at the leader."""
    number = group.leader()
    lane = await Lane.open(group.peers[number], number)
    answered = refused = 0
    room = trio.Event()
    sent = 0

    async def receive() -> None:
        nonlocal answered, refused, room
        while True:
            for told in await lane.receive():
                if told.fate == Fate.APPLIED:
                    answered += 1
                else:
                    refused += 1
            room.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        counted_from, counted = trio.current_time() + WARM_UP_S, -1
        until = counted_from + seconds
        while (now := trio.current_time()) < until:
            if counted < 0 and now >= counted_from:
                counted, counted_from = answered, now
            if sent - answered - refused > WINDOW - FRAME:
                room = trio.Event()
                await room.wait()
                continue
            await lane.send([(sent + place, COMMAND) for place in range(FRAME)])
            sent += FRAME
        rate = (answered - counted) / (trio.current_time() - counted_from)
        nursery.cancel_scope.cancel()
    await lane.aclose()
    if refused:
        raise RuntimeError(f"{refused} commands were refused or lost from sight: a leader changed under load")
    return rate


async def in_turn(group: LocalGroup) -> list[float]:
    """The latency of single commands, in milliseconds."""
    number = group.leader()
    lane = await Lane.open(group.peers[number], number)
    found = []
    for turn in range(TURNS):
        started = time.perf_counter()
        await lane.send([(turn, COMMAND)])
        (told,) = await lane.receive()
        if told.fate != Fate.APPLIED:
            raise RuntimeError(f"a command was not applied: {told}")
        found.append((time.perf_counter() - started) * 1000)
    await lane.aclose()
    return found


def pysyncobj(seconds: float, window: int) -> float:
    """Commits per second of three processes of PySyncObj."""
    from plugins.raft.process.local import _free_addresses

    addresses = [f"127.0.0.1:{address.port}" for address in _free_addresses(3)]
    processes = []
    try:
        for own in addresses:
            peers = ",".join(other for other in addresses if other != own)
            command = [sys.executable, "-m", "benchmarks.raft_peer", own, peers, str(seconds), str(window)]
            processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
        rates = [json.loads(process.stdout.readline() or b"{}") for process in processes if process.stdout]
        return max((rate["commits_per_s"] for rate in rates if rate), default=0.0)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def commits(seconds: float, rounds: int) -> dict[str, Any]:
    """Ours and the peer's, in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    latencies: list[float] = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="quartet-raft-") as folder, local_group(Path(folder)) as group:
            latencies += trio.run(in_turn, group)
            ours.append(trio.run(pipelined, group, seconds))
            status = group.status(group.leader())
            say(f"round {number + 1}: {ours[-1]:,.0f} commits/s, {status}")
        window = PEER_WINDOWS[number % len(PEER_WINDOWS)]
        theirs.append(pysyncobj(seconds, window))
        say(f"round {number + 1}: PySyncObj with {window:,} unanswered: {theirs[-1]:,.0f} commits/s")
    latencies.sort()
    return {
        "commits_per_s": round(statistics.median(ours)),
        "commits_per_s_best": round(max(ours)),
        "commit_p50_ms": round(statistics.median(latencies), 2),
        "commit_p99_ms": round(latencies[int(len(latencies) * 0.99)], 2),
        "pysyncobj_commits_per_s": round(max(theirs)),
        "ratio": round(statistics.median(ours) / max(theirs), 2) if max(theirs) else None,
    }


async def failovers(kills: int) -> dict[str, Any]:
    """Kill the leader of the lab again and again."""
    lot = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="quartet-raft-") as folder:
        cluster = Cluster(Settings(), Path(folder) / "lab", trio.CapacityLimiter(8))
        cluster.failovers = type(cluster.failovers)(maxlen=max(kills, 1))
        async with trio.open_nursery() as nursery:
            await nursery.start(cluster.run)
            for number in range(kills):
                # At any moment between two heartbeats, and once the killed one has caught up.
                await trio.sleep(0.1 + lot.random() * 0.1)
                old = cluster.leader
                while not old:
                    await cluster.led.wait()
                    old = cluster.leader
                await cluster.stop(old, "killed")
                while not cluster.leader:
                    await cluster.led.wait()
                await cluster.start(old)
                if (number + 1) % 50 == 0:
                    say(f"{number + 1} leaders killed")
            verdict = cluster.checks()["verdict"]
            found = sorted(cluster.failovers)
            nursery.cancel_scope.cancel()
    return {
        "failover_p50_ms": round(statistics.median(found)),
        "failover_p99_ms": round(found[min(len(found) - 1, int(len(found) * 0.99))]),
        "failover_max_ms": round(found[-1]),
        "failovers": len(found),
        "failover_checks": verdict,
    }


def simulation(seconds: float) -> dict[str, Any]:
    """Events of the simulation per second, over as many seeds as fit."""
    events = seeds = 0
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        outcome = World(plan_of(seeds)).run()
        if outcome.violation:
            raise RuntimeError(f"seed {seeds} broke {outcome.violation}: {outcome.detail}")
        events += outcome.events
        seeds += 1
    return {"sim_events_per_s": round(events / (time.perf_counter() - started)), "sim_seeds": seeds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", default="commits,failover,sim")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    result: dict[str, Any] = {}
    if "commits" in chosen:
        result |= commits(arguments.seconds, arguments.rounds)
    if "failover" in chosen:
        result |= trio.run(failovers, arguments.kills)
    if "sim" in chosen:
        result |= simulation(arguments.seconds)
    print(json.dumps(result | {"python": platform.python_version(), "machine": platform.machine()}))


if __name__ == "__main__":
    main()
