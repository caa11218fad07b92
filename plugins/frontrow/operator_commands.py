"""The operators' commands: `quartet frontrow sale`, `block`, `refund`, `audit` and the others of `COMMANDS`."""

import getpass
import json
import sys
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
from pydantic import ValidationError

from host.api import Command, PluginContext
from plugins.frontrow.controls import open_bench, run_all
from plugins.frontrow.core.samples import SAMPLES
from plugins.frontrow.operators import SALE_STATES
from plugins.frontrow.order_store import NoOrder
from plugins.frontrow.reconciliation import reconcile
from plugins.frontrow.samples_on_sale import sample_venue
from plugins.frontrow.service import FrontRow
from plugins.frontrow.venue_plan import VenuePlan
from plugins.frontrow.venues import VenueExists

_Run = Callable[[FrontRow, Namespace], Awaitable[int]]


@asynccontextmanager
async def _serving(ctx: PluginContext) -> AsyncIterator[FrontRow]:
    """The plugin at work in this process, beside the hosts that serve the same database."""
    front_row = FrontRow(ctx)
    async with trio.open_nursery() as nursery:
        await nursery.start(front_row.serve)
        yield front_row
        nursery.cancel_scope.cancel("the command is done")


def _command(name: str, text: str, run: _Run, arguments: Callable[[ArgumentParser], None], example: str) -> Command:
    def with_example(parser: ArgumentParser) -> None:
        arguments(parser)
        parser.epilog = f"example: quartet frontrow {example}"

    async def serve_and_run(ctx: PluginContext, given: Namespace) -> int:
        codes: list[int] = []
        async with _serving(ctx) as front_row:
            codes.append(await run(front_row, given))
        return codes[0]

    return Command(name, text, serve_and_run, with_example)


def _print(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def _complain(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


def _nothing(parser: ArgumentParser) -> None:
    pass


async def _events(front_row: FrontRow, given: Namespace) -> int:
    _print(await front_row.inventory.events())
    return 0


def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("plan", type=Path, help="a venue's plan in JSON; its schema is at /api/frontrow/venue-schema")


async def _import(front_row: FrontRow, given: Namespace) -> int:
    try:
        plan = VenuePlan.model_validate_json(await trio.Path(given.plan).read_bytes())
        _print({"id": await front_row.venues.import_plan(plan), "name": plan.name})
    except (OSError, ValidationError, VenueExists) as error:
        return _complain(f"{given.plan}: {error}")
    return 0


def _put_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("venue", help=f"the id of a venue, or a sample: {', '.join(SAMPLES)}")
    parser.add_argument("name", help="what the event is called")
    parser.add_argument("--draft", action="store_true", help="do not open the sale yet")
    parser.add_argument("--places-per-buyer", type=int, default=None, help="how many places one buyer may own")


async def _put_on_sale(front_row: FrontRow, given: Namespace) -> int:
    if given.venue in SAMPLES:
        venue_id, plan, _ = await sample_venue(front_row.venues, given.venue)
    else:
        found = await front_row.venues.plan(int(given.venue)) if given.venue.isdecimal() else None
        if found is None:
            return _complain(f"there is no venue {given.venue!r}")
        venue_id, plan = int(given.venue), found
    state = "draft" if given.draft else "open"
    most = given.places_per_buyer
    event_id = await front_row.venues.create_event(venue_id, plan, given.name, state=state, places_per_buyer_max=most)
    _print({"id": event_id, "name": given.name, "state": state})
    return 0


def _sale_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("event", type=int)
    parser.add_argument("state", choices=SALE_STATES)


async def _sale(front_row: FrontRow, given: Namespace) -> int:
    before = await front_row.operators.set_sale(given.event, given.state, getpass.getuser())
    if before is None:
        return _complain(f"there is no event {given.event}")
    _print({"event": given.event, "before": before, "state": given.state})
    return 0


def _block_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("event", type=int)
    parser.add_argument("seats", type=int, nargs="+", help="ids of seats")
    parser.add_argument("--release", action="store_true", help="give them free again")


async def _block(front_row: FrontRow, given: Namespace) -> int:
    is_blocked = not given.release
    changed = await front_row.operators.set_blocked(given.event, given.seats, is_blocked, getpass.getuser())
    _print({"event": given.event, "blocked": is_blocked, "seats": changed})
    return 0 if len(changed) == len(set(given.seats)) else 1


def _refund_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("order")
    parser.add_argument("--reason", default="by the house")


async def _refund(front_row: FrontRow, given: Namespace) -> int:
    try:
        order, _ = await front_row.operators.refund(str(uuid.UUID(given.order)), given.reason, getpass.getuser())
    except (NoOrder, ValueError) as error:
        return _complain(str(error))
    _print({"order": order.id, "state": order.state, "refunded": order.refunded})
    return 0 if order.state in ("refunding", "refunded") else 1


def _orders_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--event", type=int, default=None, help="only of this event")


async def _orders(front_row: FrontRow, given: Namespace) -> int:
    async for part in front_row.operators.export(given.event):
        sys.stdout.write(part)
    return 0


async def _audit(front_row: FrontRow, given: Namespace) -> int:
    audit = await front_row.auditor.check("command")
    _print(audit)
    return 0 if audit["verdict"] == "holds" else 1


async def _reconcile(front_row: FrontRow, given: Namespace) -> int:
    assert front_row.checkout is not None
    found = await reconcile(front_row.checkout.store, front_row.checkout.provider, given.event)
    _print(found.document())
    return 1 if found.differences else 0


def _cancel_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("order")


async def _cancel(front_row: FrontRow, given: Namespace) -> int:
    assert front_row.checkout is not None
    try:
        order = await front_row.checkout.cancel(str(uuid.UUID(given.order)))
    except (NoOrder, ValueError) as error:
        return _complain(str(error))
    _print({"order": order.id, "state": order.state})
    return 0 if order.state == "cancelled" else 1


async def _operations(front_row: FrontRow, given: Namespace) -> int:
    _print(await front_row.operators.trail(given.event, None, 100))
    return 0


async def _controls(front_row: FrontRow, given: Namespace) -> int:
    """Take each guard out once, on tables of its own, and print which check went red. Exit code 0 when each did."""
    outcomes, ctx = [], front_row.ctx
    async with open_bench(ctx.postgres, ctx.redis, front_row.settings) as bench, aclosing(run_all(bench)) as running:
        async for outcome in running:
            outcomes.append(outcome)
            verdict = "red" if outcome.is_good else "NOT AS IT SHOULD BE"
            found = f"{outcome.found_whole} with it, {outcome.found_without} without"
            sys.stdout.write(f"{outcome.removed:<52} {outcome.check:<24} {verdict} ({found})\n")
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


COMMANDS: Final = (
    _command("events", "The events on sale.", _events, _nothing, "events"),
    _command("import", "Import a venue's plan.", _import, _import_arguments, "import arena.json"),
    _command(
        "put-on-sale", "Make an event in a venue.", _put_on_sale, _put_arguments, 'put-on-sale arena "Closing night"'
    ),
    _command("sale", "Open, pause or close a sale.", _sale, _sale_arguments, "sale 3 paused"),
    _command("block", "Keep seats back, or give them free.", _block, _block_arguments, "block 3 1201 1202"),
    _command(
        "refund", "Give an order's money back.", _refund, _refund_arguments, "refund 6f1c… --reason 'the show is off'"
    ),
    _command("cancel", "Give up an order that is not paid.", _cancel, _cancel_arguments, "cancel 6f1c…"),
    _command("orders", "All orders as CSV.", _orders, _orders_arguments, "orders --event 3 > orders.csv"),
    _command(
        "reconcile", "Compare orders with the payment provider's books.", _reconcile, _orders_arguments, "reconcile"
    ),
    _command("audit", "Count the invariants of the house now.", _audit, _nothing, "audit"),
    _command(
        "controls",
        "Take each guard out once, on scratch tables: its check must turn red.",
        _controls,
        _nothing,
        "controls",
    ),
    _command("operations", "What operators did.", _operations, _orders_arguments, "operations --event 3"),
)
