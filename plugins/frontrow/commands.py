"""FrontRow on the command line."""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Final

import trio

from host.api import Command, PluginContext
from plugins.frontrow.models import BUYERS_MAX, RUN_SEATS_MAX, StampedeRequest
from plugins.frontrow.service import FrontRow


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--buyers", type=int, default=1000, help=f"1 to {BUYERS_MAX:,}, default 1,000")
    parser.add_argument("--seats", type=int, default=1, help=f"1 to {RUN_SEATS_MAX:,}, default 1")
    parser.add_argument("--seed", type=int, default=None, help="who wants which seat; drawn by lot when left out")
    parser.epilog = "example: quartet frontrow stampede --buyers 500 --seats 5"


async def _stampede(ctx: PluginContext, arguments: Namespace) -> int:
    """Run one stampede and print its result as JSON. Exit code 0 when every invariant holds, else 1."""
    wish = StampedeRequest(buyers=arguments.buyers, seats=arguments.seats, seed=arguments.seed)
    front_row = FrontRow(ctx)
    async with trio.open_nursery() as nursery:
        await nursery.start(front_row.serve)
        live = await front_row.runs.start(wish.buyers, wish.seats, wish.seed)
        await live.finished.wait()
        nursery.cancel_scope.cancel("the run is over")
    json.dump(live.document, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0 if live.document is not None and live.document["verdict"] == "holds" else 1


STAMPEDE: Final = Command("stampede", "Run one stampede and print its result as JSON.", _stampede, _arguments)
