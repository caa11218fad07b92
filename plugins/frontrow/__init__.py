"""FrontRow: seats that are never sold twice, and a stampede that anybody can start to see it.

Layer 1 (Redis) decides who waits, layer 2 (Postgres) decides who owns. README.md has the promises and their tests;
`box_office` is where the two layers meet, `stampede` what the button starts, `core` what is decided without I/O.
"""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Final

from host.api import Card, Command, HealthCheck, Metric, Mount, Page, PluginContext, PluginInfo, Task, hookimpl
from plugins.frontrow import (
    audit_routes,
    chaos_routes,
    commands,
    comparison_routes,
    house_routes,
    operator_commands,
    operator_routes,
    order_routes,
    room_routes,
    run_routes,
    sale_routes,
    subscription_routes,
)
from plugins.frontrow.box_office import Tally
from plugins.frontrow.checkout import CheckoutTally
from plugins.frontrow.holds import HoldTally
from plugins.frontrow.pages import SalePages
from plugins.frontrow.service import FrontRow
from plugins.frontrow.settings import Settings

WEB: Final = Path(__file__).parents[2] / "web" / "frontrow"
BODY_BYTES_MAX: Final = 16 * 1024
"""The largest request is a hold of ten seats: some hundred bytes."""


@hookimpl
def quartet_info() -> PluginInfo:
    """What FrontRow is and what it stands on."""
    return PluginInfo(
        summary="Seat booking that never sells a seat twice, proved by a stampede.",
        services=frozenset({"postgres", "redis", "http"}),
        config=Settings,
        migrations=Path(__file__).parent / "migrations",
    )


@hookimpl
def quartet_metrics() -> Iterable[Metric]:
    """Counters of the box office (one for each field of its tallies), and of the runs."""
    yield from (
        Metric("counter", f"{part.name}_total", f"{part.name} at the box office")
        for part in (*fields(Tally), *fields(HoldTally), *fields(CheckoutTally))
    )
    yield Metric("counter", "sales_untold_total", "Sales that layer 1 was not told of, because too many were waiting")
    yield Metric("counter", "audits_total", "Counts of the house's invariants")
    yield Metric("counter", "audits_broken_total", "Counts that found one broken: 0, or a promise is broken")
    yield Metric("counter", "events_relayed_total", "Events of the outbox that this host sent on")
    yield Metric("counter", "relay_failures_total", "Times that Redis or Kafka took no events: they wait meanwhile")
    yield Metric("gauge", "outbox_backlog", "Events that wait in the outbox")
    yield Metric("counter", "webhooks_delivered_total", "Webhooks that a subscriber took")
    yield Metric("counter", "webhooks_failed_total", "Webhooks that a subscriber did not take, each try counted")
    yield Metric("gauge", "map_watchers", "Clients that watch a seat map")
    yield Metric("gauge", "claims_waiting", "Claims waiting in line for layer 2")
    yield Metric("gauge", "layer_one_open", "1 while layer 1 is left alone because it gave no answers")
    yield Metric("counter", "runs_total", "Stampedes with a result", labels=("verdict",))
    yield Metric("counter", "oversold_total", "Seats sold twice in stampedes: 0, or a promise is broken")
    yield Metric("counter", "undersold_total", "Seats left unsold in stampedes although a buyer was there: 0, likewise")
    yield Metric(
        "histogram",
        "stampede_seconds",
        "From the gun to the last verdict",
        buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30),
    )


@hookimpl
def quartet_setup(ctx: PluginContext) -> FrontRow:
    """Put the parts together; nothing is opened or asked yet."""
    return FrontRow(ctx)


@hookimpl
def quartet_routes(ctx: PluginContext, state: FrontRow) -> Iterable[Mount | Page]:
    """The API and the pages."""
    slow_s = state.settings.run_timeout + 3 * state.settings.claim_patience
    operations = (
        *sale_routes.OPERATIONS,
        *house_routes.OPERATIONS,
        *order_routes.OPERATIONS,
        *audit_routes.OPERATIONS,
        *subscription_routes.OPERATIONS,
        *room_routes.OPERATIONS,
        *operator_routes.OPERATIONS,
        *comparison_routes.OPERATIONS,
        *run_routes.OPERATIONS[1:],
    )
    yield Mount(
        chaos_routes.CHAOS,
        state.router,
        chaos_routes.OPERATIONS,
        body_bytes_max=BODY_BYTES_MAX,
        request_timeout_s=slow_s,
    )
    yield Mount("/api/frontrow", state.router, operations, body_bytes_max=BODY_BYTES_MAX)
    yield Mount(house_routes.VENUES, state.router, body_bytes_max=house_routes.PLAN_BYTES_MAX)
    yield Mount(
        run_routes.STAMPEDE,
        state.router,
        run_routes.OPERATIONS[:1],
        body_bytes_max=BODY_BYTES_MAX,
        request_timeout_s=slow_s,
    )
    pages = SalePages(state)
    yield Page("/frontrow", "FrontRow", WEB, context=pages.front, nav=True)
    yield Page("/frontrow/runs/{run_id}", "FrontRow run", WEB, "run.html", context=state.run_routes.page_of_run)
    yield Page("/frontrow/events/{event_id}", "FrontRow box office", WEB, "event.html", context=pages.event)
    yield Page("/frontrow/orders/{order_id}", "FrontRow order", WEB, "order.html", context=pages.order)


@hookimpl
def quartet_tasks(ctx: PluginContext, state: FrontRow) -> Iterable[Task]:
    """One task, which holds all of the plugin's work."""
    yield Task("box-office", state.serve)


@hookimpl
def quartet_health(ctx: PluginContext, state: FrontRow) -> Iterable[HealthCheck]:
    """Neither makes the host unready: a page that says what is away is better than none."""
    yield HealthCheck("postgres", state.check_postgres)
    yield HealthCheck("redis", state.check_redis)


@hookimpl
def quartet_card(ctx: PluginContext, state: FrontRow) -> Card:
    """The stampede, on the overview."""
    return Card(
        title="FrontRow",
        href="/frontrow",
        hard_thing="A stampede for the same seat",
        promise="1,000 buyers, 1 seat: 1 booked, 999 rejected, 0 oversold.",
        figures=state.figures,
        proof_url=run_routes.STAMPEDE,
        proof_body={"buyers": 1000, "seats": 1},
    )


@hookimpl
def quartet_commands() -> Iterable[Command]:
    """`quartet frontrow stampede` and `compare`, and what operators type."""
    yield commands.STAMPEDE
    yield commands.COMPARE
    yield from operator_commands.COMMANDS
