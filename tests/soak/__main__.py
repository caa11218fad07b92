"""Soak all four plugins of one host: load, faults at random, and every promise checked at the end.

    python -m tests.soak [--minutes 10] [--seed 0] [--report docs/soak.md]

Prints the outcome as JSON; the exit code is 1 when a promise was broken.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import trio

from tests.soak.report import page_of
from tests.soak.run import Outcome, Plan, soak

KILLS_EVERY_S = 60.0
"""Of the first quarter, in which the host is killed."""


def main() -> None:
    """Run it and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page of documentation")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write what the host has logged")
    options = parser.parse_args()
    plan = Plan(options.minutes * 60, max(1, round(options.minutes * 15 / KILLS_EVERY_S)))
    outcome = run(plan, options.seed)
    document = asdict(outcome)
    print(json.dumps({name: document[name] for name in document if name not in ("samples", "log")}, indent=1))
    if options.log is not None:
        options.log.write_text("".join(outcome.log))
    if options.report is not None:
        options.report.write_text(page_of(outcome))
    sys.exit(1 if outcome.problems else 0)


def run(plan: Plan, seed: int) -> Outcome:
    """The soak in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="quartet-soak-") as folder:
        # The embedded Postgres runs as another user when this one is root.
        Path(folder).chmod(0o755)
        return trio.run(soak, Path(folder), plan, seed, _say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
