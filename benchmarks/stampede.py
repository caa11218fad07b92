"""The stampede on real embedded servers: 1,000 buyers, 1 seat, the plugin's own code, from gun to last verdict.

    python -m benchmarks.stampede [--runs N] [--buyers N] [--seats N]

Prints one line a run, then one JSON object. Floors are medians, measured in the same process, on the same servers,
between the runs, and none of them has tasks, a gate or verdicts in it:

- `redis_floor_ms`: the same SET NX PX, each with an owner's mark of its own as each buyer has, packed by hiredis,
  written as one pipeline to a raw socket, their replies read and parsed. `ratio_to_floor` is the median over it.
- `redis_wire_ms`: the same with the packing done beforehand.
- `commit_floor_ms`: one claim of a free seat through the same pool, alone, until its commit is answered (fsync on).

The buyers are tasks in this process; there is no HTTP in it.
"""

import argparse
import json
import platform
import secrets
import socket
import tempfile
import time
from os import cpu_count
from pathlib import Path
from statistics import median
from typing import Any

import hiredis
import trio

from benchmarks.frontrow_kit import front_row
from benchmarks.servers import servers
from plugins.frontrow.box_office import new_nonce
from plugins.frontrow.claims import Claim, ClaimDesk
from plugins.frontrow.core.history import percentile
from plugins.frontrow.run_store import RunStore

WARM_UP_RUNS = 5


def redis_floors_ms(url: str, commands: int) -> tuple[float, float]:
    """Milliseconds of the pipeline with the packing of its commands, and without it."""
    path = url.removeprefix("unix://").partition("?")[0]
    key = f"frontrow:{secrets.token_hex(6)}:{{1}}:1"
    requests = [("SET", key, new_nonce(), "NX", "PX", 300_000) for _ in range(commands)]
    reader = hiredis.Reader()
    left = commands
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        began_ns = time.perf_counter_ns()
        data = b"".join(hiredis.pack_command(request) for request in requests)
        packed_ns = time.perf_counter_ns()
        connection.sendall(data)
        while left:
            reader.feed(connection.recv(65536))
            while reader.gets() is not False:
                left -= 1
        ended_ns = time.perf_counter_ns()
    return (ended_ns - began_ns) / 1e6, (ended_ns - packed_ns) / 1e6


async def commit_floor_ms(store: RunStore, desk: ClaimDesk) -> float:
    """One claim of a free seat and its commit, nothing else going on."""
    new_run = await store.begin(secrets.token_hex(6), seed=0, buyers=1, seats=1, timeout_s=60)
    claim = Claim(f"{secrets.token_hex(16)}", new_run.event_id, new_run.seat_ids, "floor")
    began_ns = time.perf_counter_ns()
    assert await desk.claim(claim) == "won"
    return (time.perf_counter_ns() - began_ns) / 1e6


async def measure(urls: dict[str, Any], arguments: argparse.Namespace, data_dir: Path) -> dict[str, Any]:
    """All runs, and the floors between them."""
    results: list[dict[str, Any]] = []
    redis_floors: list[tuple[float, float]] = []
    commit_floors: list[float] = []
    async with front_row(urls, data_dir) as (plugin, postgres):
        durable = [await postgres.fetch_value(f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
        if durable != ["on", "on"]:
            raise SystemExit(f"fsync and synchronous_commit must be on: {durable}")
        desk = ClaimDesk(postgres)
        for number in range(WARM_UP_RUNS + arguments.runs):
            live = await plugin.runs.start(arguments.buyers, arguments.seats, None)
            await live.finished.wait()
            if number < WARM_UP_RUNS:
                continue
            assert live.document is not None
            results.append(live.document)
            redis_floors.append(redis_floors_ms(urls["redis_url"], arguments.buyers))
            commit_floors.append(await commit_floor_ms(plugin.store, desk))
            shown = ("booked", "rejected", "oversold", "verdict", "elapsed_ms")
            print(number - WARM_UP_RUNS + 1, *(f"{name}={live.document[name]}" for name in shown))
        version = await postgres.fetch_value("SHOW server_version")
    elapsed = sorted(result["elapsed_ms"] for result in results)
    floor_ms, wire_ms = (median(floors) for floors in zip(*redis_floors, strict=True))
    return {
        "runs": len(results),
        "buyers": arguments.buyers,
        "seats": arguments.seats,
        "booked": sum(result["booked"] for result in results),
        "rejected": sum(result["rejected"] for result in results),
        "oversold": sum(result["oversold"] for result in results),
        "undersold": sum(result["undersold"] for result in results),
        "verdicts": sorted({result["verdict"] for result in results}),
        "median_ms": round(median(elapsed), 3),
        "p99_ms": round(percentile(elapsed, 99), 3),
        "min_ms": elapsed[0],
        "winner_median_ms": round(median(result["winners"]["p50_ms"] for result in results), 3),
        "redis_floor_ms": round(floor_ms, 3),
        "redis_wire_ms": round(wire_ms, 3),
        "ratio_to_floor": round(median(elapsed) / floor_ms, 2),
        "commit_floor_ms": round(median(commit_floors), 3),
        "host": {
            "python": platform.python_version(),
            "trio": trio.__version__,
            "cores": cpu_count(),
            "postgres": version,
        },
    }


def main() -> None:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stampede", description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--buyers", type=int, default=1000)
    parser.add_argument("--seats", type=int, default=1)
    arguments = parser.parse_args()
    with servers() as urls, tempfile.TemporaryDirectory() as data_dir:
        print(json.dumps(trio.run(measure, urls, arguments, Path(data_dir))))


if __name__ == "__main__":
    main()
