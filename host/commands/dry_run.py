"""Everything that a plugin would put up, without starting any of it.

Hooks do no I/O, so all of them can be called on a context whose services are real, and are never reached.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
import trio

from host.context import Lent, PluginContext
from host.descriptors import Card, Command, HealthCheck, Metric, Mount, Page, Task
from host.errors import PluginError
from host.http.client import open_client
from host.http.system import described, system_routes
from host.plugins import LoadedPlugin, commands_of
from host.services.metrics import MetricsPage, plugin_metrics
from host.services.postgres_pool import Postgres
from host.services.redis import Redis

# Only handed on, never looked into.
_WEB: Final = Path()
# Nothing is there: a hook that does I/O against the rules fails at once instead of waiting.
_NO_POSTGRES: Final = "postgresql://quartet@/quartet?host=/nonexistent"
_NO_REDIS: Final = "unix:///nonexistent/redis.sock?db=0"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hooks of one plugin returned."""

    metrics: list[Metric]
    routes: list[Mount | Page]
    tasks: list[Task]
    checks: list[HealthCheck]
    commands: list[Command]
    card: Card | None


def offer_of(plugin: LoadedPlugin, config: Any) -> Offer:
    """Call all hooks of a plugin once, in the order of a start.

    Raises:
        PluginError: a hook raised, or returned something else than its descriptors.
    """
    return trio.run(_offer_of, plugin, config)


def host_offer() -> list[Mount | Page]:
    """The routes of the host itself."""
    nothing: Any = None
    pages = [route for route in system_routes(nothing, MetricsPage(), trio.Event(), _WEB) if isinstance(route, Page)]
    return [described(), *pages]


async def _offer_of(plugin: LoadedPlugin, config: Any) -> Offer:
    services = plugin.services(config)
    lent = Lent(
        postgres=Postgres(_NO_POSTGRES, name=plugin.name) if "postgres" in services else None,
        redis=Redis(_NO_REDIS, name=plugin.name) if "redis" in services else None,
        http=open_client() if "http" in services else None,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="quartet-") as folder:
            return _call_hooks(plugin, config, lent, Path(folder))
    finally:
        if lent.postgres is not None:
            await lent.postgres.aclose()
        if lent.http is not None:
            await lent.http.aclose()


def _call_hooks(plugin: LoadedPlugin, config: Any, lent: Lent, data_dir: Path) -> Offer:
    metrics = _checked(plugin, "quartet_metrics", Metric)
    try:
        _, by_name = plugin_metrics(plugin.name, metrics)
    except ValueError as error:
        raise plugin.error("quartet_metrics", error) from error
    ctx = PluginContext(
        name=plugin.name,
        config=config,
        log=structlog.get_logger(f"plugin.{plugin.name}"),
        metrics=by_name,
        data_dir=data_dir,
        threads=trio.CapacityLimiter(1),
        draining=trio.Event(),
        lent=lent,
    )
    arguments = {"ctx": ctx, "state": plugin.call("quartet_setup", ctx=ctx)}
    card = plugin.call("quartet_card", **arguments)
    if card is not None and not isinstance(card, Card):
        raise _wrong(plugin, "quartet_card", card, "a Card or None")
    return Offer(
        metrics=metrics,
        routes=_checked(plugin, "quartet_routes", Mount, Page, **arguments),
        tasks=_checked(plugin, "quartet_tasks", Task, **arguments),
        checks=_checked(plugin, "quartet_health", HealthCheck, **arguments),
        commands=commands_of(plugin),
        card=card,
    )


def _checked(plugin: LoadedPlugin, hook: str, *kinds: type, **arguments: Any) -> list[Any]:
    """The items that a hook returns, each of which must be of one of `kinds`."""
    items: list[Any] = plugin.call(hook, **arguments)
    for item in items:
        if not isinstance(item, kinds):
            raise _wrong(plugin, hook, item, " or ".join(kind.__name__ for kind in kinds))
    return items


def _wrong(plugin: LoadedPlugin, hook: str, item: object, expected: str) -> PluginError:
    reason = f"expected {expected}, found {type(item).__name__}"
    return PluginError(plugin.name, hook, reason, origin=plugin.candidate.origin)
