"""How long the gateway takes to let go of a request whose client has left, in every phase of it.

    python -m benchmarks.gateway_cancel [--rounds N]

Plays the matrix that the tests assert (`tests.plugins.gateway.cancel_matrix`): phase, endpoint, streamed or not, shared
or alone, each on real sockets with client, host and upstream in one process. Prints a line for each phase, then one
JSON object, in milliseconds:

- `upstream_...`: from the close of the client's connection until the upstream sees its own closed, in the phases in
  which it has the request; 50 ms are promised;
- `gateway_...`: until the gateway has nothing of the request any more. The host closes its end of the connection 25 ms
  later: a client that has closed its side may only have said that its request is over.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio

from benchmarks.gateway_kill import percentile
from host.testing_servers import embedded_servers
from tests.plugins.gateway.cancel_matrix import Left, cells, open_matrix

PROMISED_MS: Final = 50


async def measure(folder: Path, redis_url: str, rounds: int) -> dict[str, list[Left]]:
    """Play all cells so many times; what each phase cost."""
    left: dict[str, list[Left]] = defaultdict(list)
    async with open_matrix(folder, redis_url) as matrix:
        for _ in range(rounds):
            for cell in cells():
                left[cell.phase].append(await matrix.leave(cell))
    return left


def summary(left: Sequence[Left]) -> dict[str, Any]:
    """Percentiles of a phase, or of all."""
    seen = [each.upstream_s * 1000 for each in left if each.upstream_s is not None]
    gone = [each.gateway_s * 1000 for each in left]
    return {
        "cells": len(left),
        "upstream_p50_ms": percentile(seen, 0.5),
        "upstream_p99_ms": percentile(seen, 0.99),
        "upstream_max_ms": percentile(seen, 1),
        "gateway_p50_ms": percentile(gone, 0.5),
        "gateway_p99_ms": percentile(gone, 0.99),
        "late": sum(each > PROMISED_MS for each in seen),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_cancel")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, embedded_servers("--redis") as servers:
        left = trio.run(measure, Path(folder), servers["redis_url"], rounds)
    phases = {phase: summary(of_phase) for phase, of_phase in left.items()}
    for phase, figures in phases.items():
        print(f"{phase:<18} {figures}")
    total = summary([each for of_phase in left.values() for each in of_phase])
    print(json.dumps({"python": platform.python_version(), "rounds": rounds, **total, "phases": phases}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
