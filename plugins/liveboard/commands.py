"""Liveboard on the command line."""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Final

import trio

from host.api import Command, PluginContext
from plugins.liveboard.certificates import CertificateError, verify
from plugins.liveboard.simulation.soak import play, soak_page, summed

STEP_SEEDS: Final = 250


def _soak_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=10_000, help="how many, default 10,000")
    parser.add_argument("--seed", type=int, default=0, help="the first, default 0")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a summary as Markdown")
    parser.epilog = "example: quartet liveboard soak --seeds 500 --seed 42"


async def _soak(ctx: PluginContext, arguments: Namespace) -> int:
    """Play the simulated network seed by seed and print what it came to. Exit code 0 when all converged, else 1."""
    last = arguments.seed + arguments.seeds
    parts: list[dict[str, Any]] = []
    for first in range(arguments.seed, last, STEP_SEEDS):
        count = min(STEP_SEEDS, last - first)
        parts.append(await trio.to_thread.run_sync(play, first, count, limiter=ctx.threads, abandon_on_cancel=True))
        broken = sum(part["seeds"] - part["converged"] for part in parts)
        sys.stderr.write(f"\r{first + count - arguments.seed:,} of {arguments.seeds:,} seeds, {broken} broken ")
        sys.stderr.flush()
    sys.stderr.write("\n")
    result = summed(parts)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if arguments.report is not None:
        await trio.Path(arguments.report).write_text(soak_page(result))
    return 1 if result["faults"] else 0


def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a board's certificate, as its page offers it")
    parser.add_argument("--key", help="the room's key in hex, as known from elsewhere; else the certificate's own")
    parser.epilog = "example: quartet liveboard verify board.json"


async def _verify(ctx: PluginContext, arguments: Namespace) -> int:
    """Recompute a certificate from its operations and check its signature. Exit code 0 when all of it holds, else 1."""
    text = await trio.Path(arguments.file).read_text()
    try:
        found = verify(json.loads(text), arguments.key)
    except (CertificateError, ValueError) as error:
        sys.stdout.write(f"does not hold: {error}\n")
        return 1
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


SOAK: Final = Command("soak", "Play the simulated network for many seeds.", _soak, _soak_arguments)
VERIFY: Final = Command("verify", "Check a board's certificate without its server.", _verify, _verify_arguments)
