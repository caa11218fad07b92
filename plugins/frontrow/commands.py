"""FrontRow on the command line."""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Final

import trio

from host.api import Command, PluginContext
from plugins.frontrow.comparison_routes import terms_of
from plugins.frontrow.models import BUYERS_MAX, RUN_SEATS_MAX, ComparisonRequest, StampedeRequest
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


def _comparison_arguments(parser: ArgumentParser) -> None:
    for name, field in ComparisonRequest.model_fields.items():
        kind = float if name.endswith("_ms") else int
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=field.default, help=f"default {field.default}"
        )
    parser.epilog = "example: quartet frontrow compare --buyers 1000 --seats 1 --party 1"


async def _compare(ctx: PluginContext, arguments: Namespace) -> int:
    """Try every strategy on one trace and print the figures. Exit code 0 when the two layers kept the promise."""
    wish = ComparisonRequest(**{name: getattr(arguments, name) for name in ComparisonRequest.model_fields})
    front_row = FrontRow(ctx)
    async with trio.open_nursery() as nursery:
        await nursery.start(front_row.serve)
        live = await front_row.comparisons.start(terms_of(wish))
        await live.finished()
        nursery.cancel_scope.cancel("the comparison is over")
    json.dump(live.document, sys.stdout, indent=2)
    sys.stdout.write("\n")
    ours = [each for each in live.document["strategies"] if each["name"].startswith("two_layers")]
    return 0 if len(ours) == 2 and not any(each["oversold"] or each["undersold"] for each in ours) else 1


STAMPEDE: Final = Command("stampede", "Run one stampede and print its result as JSON.", _stampede, _arguments)
COMPARE: Final = Command(
    "compare", "Try every strategy on one trace and print the figures.", _compare, _comparison_arguments
)
