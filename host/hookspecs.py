"""The hooks of a plugin. All are synchronous, optional but `quartet_info`, and called for one plugin at a time.

Name only the arguments you need. Within one start of a plugin they are called in the order of this file: `info` once
at load; then, at each start or restart, `metrics`, `setup`, `routes`, `tasks`, `health`, `card`; `reconfigure` at a
reload; `commands` only for the command line. An exception is attributed to the plugin and the hook, and fails that
plugin alone.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from host.descriptors import Card, Command, HealthCheck, Metric, Mount, Page, PluginInfo, Task

if TYPE_CHECKING:
    from host.context import PluginContext

hookspec = pluggy.HookspecMarker("quartet")
hookimpl = pluggy.HookimplMarker("quartet")


@hookspec(firstresult=True)
def quartet_info() -> PluginInfo:
    """What the plugin is, what it needs, and the model of its configuration. The only hook that must be there."""
    raise NotImplementedError


@hookspec
def quartet_metrics() -> Iterable[Metric]:
    """The metrics that the plugin keeps."""
    return ()


@hookspec(firstresult=True)
def quartet_setup(ctx: "PluginContext") -> Any:
    """Build whatever the plugin's routes and tasks share. The result is handed to the hooks below as `state`.

    Called anew at each start, with a fresh context: a restarted plugin begins with nothing left over.
    """


@hookspec
def quartet_routes(ctx: "PluginContext", state: Any) -> Iterable[Mount | Page]:
    """The ASGI apps and pages that the plugin serves."""
    return ()


@hookspec
def quartet_tasks(ctx: "PluginContext", state: Any) -> Iterable[Task]:
    """The plugin's background tasks, started in this order, stopped in the reverse."""
    return ()


@hookspec
def quartet_health(ctx: "PluginContext", state: Any) -> Iterable[HealthCheck]:
    """The plugin's health checks."""
    return ()


@hookspec(firstresult=True)
def quartet_card(ctx: "PluginContext", state: Any) -> Card | None:
    """The plugin's card on the overview."""


@hookspec(firstresult=True)
def quartet_reconfigure(ctx: "PluginContext", state: Any, config: Any) -> bool:
    """Take over a new configuration while running; False, or no such hook, has the plugin restarted instead.

    Called at a reload while the plugin is up, when its services and the host's own settings of it are the same.
    `ctx.config` is still the old one, and the new one once True was returned. An exception is logged, and the plugin
    restarted.
    """
    return False


@hookspec
def quartet_commands() -> Iterable[Command]:
    """Subcommands of `quartet NAME-OF-PLUGIN`."""
    return ()
