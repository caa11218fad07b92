"""Liveboard: a canvas that comes out the same on every screen, and shows that it does.

A board is a grow-only set of operations in the order of (Lamport clock, site, number); `core` is that set in pure
functions, `room` a board that is shared, `session` one client of it. README.md has the promises and their tests,
docs/liveboard-protocol.md what a client of one's own needs.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from host.api import (
    Card,
    Command,
    HealthCheck,
    Metric,
    Mount,
    Page,
    PluginContext,
    PluginInfo,
    Task,
    WebSocketPolicy,
    hookimpl,
)
from plugins.liveboard import commands, faults, room_routes
from plugins.liveboard.core.operations import IMAGE_TYPES
from plugins.liveboard.service import Liveboard
from plugins.liveboard.settings import Settings

WEB: Final = Path(__file__).parents[2] / "web" / "liveboard"
BODY_BYTES_MAX: Final = 16 * 1024
PROOF_TIMEOUT_S: Final = 120.0

_COUNTERS: Final = {
    "saved": "Operations saved",
    "commits": "Commits, each of one or more operations",
    "conflicts": "Commits that found that another host was faster, and were judged anew",
    "failures": "Commits that the database failed, and that were tried again",
    "refused": "Operations refused, each with a reason told",
    "known": "Operations offered again that were saved before",
    "relayed": "Operations times the others who were there when they were saved: messages relayed",
    "operations": "Operations sent to anybody, the author's own and late joiners' boards included",
    "frames": "Frames sent to clients",
    "bytes": "Bytes of frames sent to clients",
    "skipped": "Tellings of presence and people that a slow client did not get, because newer ones were there",
    "images_kept": "Images uploaded and kept, known ones included",
    "image_bytes": "Bytes of images uploaded and kept, known ones included",
    "images_refused": "Images refused: no image, not what its type says, or more than a room may have",
    "pages": "Frames made for a client that was behind, from the log of its board",
    "presence_dropped": "Signs of presence that were dropped, because their client sent too many",
    "joined": "Clients that came with nothing",
    "resumed": "Clients that came back, and went on behind the revision that they had",
    "resynced": "Clients that came back with another board, and were merged",
    "checks_passed": "Clients' digests that were the board's",
    "checks_failed": "Clients' digests that were not: 0, or a promise is broken",
}


@hookimpl
def quartet_info() -> PluginInfo:
    """What Liveboard is and what it stands on."""
    return PluginInfo(
        summary="A canvas that converges identically everywhere, and shows that it does.",
        services=frozenset({"postgres", "redis"}),
        config=Settings,
        migrations=Path(__file__).parent / "migrations",
    )


@hookimpl
def quartet_metrics() -> Iterable[Metric]:
    """What rooms count, and how things stand."""
    yield from (Metric("counter", f"{name}_total", help) for name, help in _COUNTERS.items())
    yield Metric("gauge", "rooms", "Rooms open on this host")
    yield Metric("gauge", "clients", "Clients connected to this host")
    yield Metric("gauge", "uncommitted", "Operations that wait to be saved")
    yield Metric("gauge", "hints_dropped", "Hints to other hosts that were dropped, because too many waited")


@hookimpl
def quartet_setup(ctx: PluginContext) -> Liveboard:
    """Put the parts together; nothing is opened or asked yet."""
    return Liveboard(ctx)


@hookimpl
def quartet_routes(ctx: PluginContext, state: Liveboard) -> Iterable[Mount | Page]:
    """The API, the socket, and the page of the board."""
    settings = state.settings
    yield Mount(
        "/api/liveboard",
        state.router,
        (*room_routes.OPERATIONS, *faults.OPERATIONS),
        content_types=("application/json", *IMAGE_TYPES),
        body_bytes_max=max(BODY_BYTES_MAX, settings.image_bytes_max),
        request_timeout_s=PROOF_TIMEOUT_S,
        websocket=WebSocketPolicy(high_water_bytes=settings.send_bytes_max),
    )
    if (WEB / "index.html").exists():
        yield Page("/liveboard", "Liveboard", WEB, nav=True)
        yield Page("/liveboard/{room}", "Liveboard", WEB)


@hookimpl
def quartet_tasks(ctx: PluginContext, state: Liveboard) -> Iterable[Task]:
    """One task, which holds all rooms."""
    yield Task("rooms", state.serve)


@hookimpl
def quartet_health(ctx: PluginContext, state: Liveboard) -> Iterable[HealthCheck]:
    """Neither makes the host unready: people draw on while the database is away, and see that nothing is saved."""
    yield HealthCheck("postgres", state.check_postgres)
    yield HealthCheck("redis", state.check_redis)


@hookimpl
def quartet_card(ctx: PluginContext, state: Liveboard) -> Card:
    """The simulated network, on the overview."""
    return Card(
        title="Liveboard",
        href="/liveboard",
        hard_thing="Real-time convergence",
        promise="Every screen shows the same picture and the same digest, whatever order things arrived in.",
        figures=state.figures,
        proof_url="/api/liveboard/proof",
        proof_body={"seed": 0, "seeds": 50},
    )


@hookimpl
def quartet_commands() -> Iterable[Command]:
    """`quartet liveboard soak` and `quartet liveboard verify`."""
    yield commands.SOAK
    yield commands.VERIFY
