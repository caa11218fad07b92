"""How long the whole host takes to start, and what it weighs then: all four plugins, embedded Postgres and Redis.

    python -m benchmarks.start_up [--rounds N]

The databases are made by a first start that does not count. Each round starts the host as `quartet run` does, until it
says that it is ready, and stops it. Prints a line for each round, then one JSON object with the medians.
"""

import argparse
import json
import platform
import tempfile
import time
from os import cpu_count
from pathlib import Path
from statistics import median

from benchmarks.liveboard import rss_kb
from host.testing import host_process


def start(folder: Path) -> tuple[float, float]:
    """Seconds until the host is ready, and the megabytes of its process."""
    began = time.perf_counter()
    with host_process(data_dir=folder) as host:
        return time.perf_counter() - began, rss_kb(host.pid) / 1024


def main() -> None:
    """Start it, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty_s, _ = start(folder)
        found = []
        for number in range(rounds):
            found.append(start(folder))
            print(f"round {number + 1}: ready after {found[-1][0]:.2f} s, {found[-1][1]:.0f} MB", flush=True)
    result = {
        "rounds": rounds,
        "ready_s": round(median(seconds for seconds, _ in found), 2),
        "ready_on_empty_s": round(empty_s, 2),
        "rss_mb": round(median(mb for _, mb in found), 1),
        "python": platform.python_version(),
        "cores": cpu_count(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
