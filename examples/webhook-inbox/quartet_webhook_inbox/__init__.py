"""Webhook inbox: receives any HTTP call at `/hooks/{name}`, keeps it, shows it live, and sends it on again.

What is kept is bounded in every direction (`config.py` names the limits), and secrets are replaced before they are
stored. Several hosts on one Postgres are one inbox.
"""

from collections.abc import Iterable
from pathlib import Path

from host.api import Metric, Mount, Page, PluginContext, PluginInfo, hookimpl

from quartet_webhook_inbox.config import Config
from quartet_webhook_inbox.inbox import Inbox
from quartet_webhook_inbox.routes import API, API_OPERATIONS, HOOK_OPERATIONS, build_api, build_hooks

HERE = Path(__file__).parent


@hookimpl
def quartet_info() -> PluginInfo:
    """What the plugin is and what it needs."""
    return PluginInfo(
        summary="Receives webhooks, keeps them, shows them live, and sends them on again.",
        requires_api="1.0",
        services=frozenset({"postgres", "http"}),
        config=Config,
        migrations=HERE / "migrations",
    )


@hookimpl
def quartet_metrics() -> Iterable[Metric]:
    """Counted on this host alone, and without the names of inboxes: strangers choose those."""
    yield Metric("counter", "received_total", "Calls received and kept.")
    yield Metric("counter", "received_bytes_total", "Bytes of their bodies.")
    yield Metric("counter", "refused_total", "Calls refused because too many arrived at once.")
    yield Metric("counter", "replayed_total", "Calls sent on to a target that answered.")
    yield Metric("gauge", "receiving", "Calls that arrive or are being stored, of receiving_max.")
    yield Metric("gauge", "tails", "Live tails that are open.")


@hookimpl
def quartet_setup(ctx: PluginContext) -> Inbox:
    """What the routes share."""
    return Inbox(ctx)


@hookimpl
def quartet_routes(state: Inbox) -> Iterable[Mount | Page]:
    """The hooks, the administrators' API, and the page."""
    yield Mount(
        "/hooks",
        build_hooks(state),
        operations=HOOK_OPERATIONS,
        # Senders send what they like, and some of them are browsers.
        content_types=(),
        cross_origin=True,
        body_bytes_max=state.config.body_bytes_max,
    )
    yield Mount(API, build_api(state), operations=API_OPERATIONS, request_timeout_s=state.config.replay_timeout + 5)
    yield Page("/webhooks", "Webhooks", HERE / "page", nav=True)
