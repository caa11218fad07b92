"""The gateway: any OpenAI client on `<host>/v1`, over many providers, with a cache, breakers, retries and fallback.

README.md has the promises and their tests. `core` is what is decided without I/O; `endpoints` is where a request comes
in, `pipeline` where it goes out; `simulated` are the providers that need no key.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from host.api import Card, Metric, Mount, Page, PluginContext, PluginInfo, Service, Task, hookimpl
from plugins.gateway.settings import Settings

if TYPE_CHECKING:
    from plugins.gateway.service import Gateway

WEB: Final = Path(__file__).parents[2] / "web" / "gateway"
PROOF_S_MAX: Final = 120.0
"""A proof runs for a minute at the most, and its last requests somewhat longer."""


def _services(config: Settings) -> frozenset[Service]:
    wanted: set[Service] = set()
    if config.use_postgres:
        wanted.add("postgres")
    if config.use_redis:
        wanted.add("redis")
    return frozenset(wanted)


@hookimpl
def quartet_info() -> PluginInfo:
    """What the gateway is and what it stands on: nothing, unless its configuration says so."""
    return PluginInfo(
        summary="An LLM gateway that keeps answering: any OpenAI client on /v1.",
        services_of=_services,
        config=Settings,
        migrations=Path(__file__).parent / "migrations",
    )


@hookimpl
def quartet_metrics() -> Iterable[Metric]:
    """Counters, histograms and gauges of requests, upstreams, tokens and the cache."""
    from plugins.gateway.telemetry import metrics

    return metrics()


@hookimpl
def quartet_setup(ctx: PluginContext) -> "Gateway":
    """Put the parts together; nothing is opened or asked yet."""
    # What it needs is loaded only by a host that runs it, and not by one that checks its configuration.
    from plugins.gateway.service import Gateway

    return Gateway(ctx)


@hookimpl
def quartet_routes(ctx: PluginContext, state: "Gateway") -> Iterable[Mount | Page]:
    """The API of OpenAI's clients, and the gateway's own."""
    from plugins.gateway.admin_routes import BASE, OPERATIONS
    from plugins.gateway.operations import V1

    slow_s = state.settings.clocks.total + 30
    yield Mount(
        "/v1",
        state.serve_v1,
        V1,
        # The app has these errors in the shape that its clients read.
        content_types=(),
        body_bytes_max=state.settings.body_bytes_max + 2**20,
        request_timeout_s=slow_s,
        cross_origin=True,
        # Limits are by key.
        rate_limit="none",
    )
    yield Mount(BASE, state.admin.router, OPERATIONS, request_timeout_s=PROOF_S_MAX)
    yield Page("/gateway", "Gateway", WEB, context=state.admin.page, nav=True)


@hookimpl
def quartet_tasks(ctx: PluginContext, state: "Gateway") -> Iterable[Task]:
    """One task, which holds all of the plugin's work."""
    yield Task("gateway", state.serve, stop_timeout_s=0)


@hookimpl
def quartet_card(ctx: PluginContext, state: "Gateway") -> Card:
    """The failover, on the overview."""
    return Card(
        title="Gateway",
        href="/gateway",
        hard_thing="AI infrastructure that keeps working",
        promise="A provider dies in the middle of the traffic: no client notices.",
        figures=state.figures,
        proof_url="/api/gateway/proof",
        proof_body={"rate": 200, "seconds": 3},
    )


@hookimpl
def quartet_reconfigure(ctx: PluginContext, state: "Gateway", config: Settings) -> bool:
    """Go on with the new configuration, and without dropping a token: see `Gateway.reconfigure`."""
    return state.reconfigure(config)
