"""Scheduler: cron-like jobs on Postgres. Any number of hosts share them, and each due time runs once.

`store.py` says why that holds, `jobs.py` what becomes of times that were missed.
"""

from collections.abc import Iterable
from pathlib import Path

from host.api import Card, Command, Metric, Mount, Page, PluginContext, PluginInfo, Task, hookimpl

from quartet_scheduler.commands import commands
from quartet_scheduler.config import Config
from quartet_scheduler.routes import API, BODY_BYTES_MAX, OPERATIONS, build_router
from quartet_scheduler.scheduler import Scheduler

HERE = Path(__file__).parent
# How long runs under way may go on once the host stops; what takes longer turns "unknown".
STOP_TIMEOUT_S = 10.0


@hookimpl
def quartet_info() -> PluginInfo:
    """What the plugin is and what it needs."""
    return PluginInfo(
        summary="Cron-like jobs on Postgres, each due time run once.",
        requires_api="1.0",
        services=frozenset({"postgres", "http"}),
        config=Config,
        migrations=HERE / "migrations",
    )


@hookimpl
def quartet_metrics() -> Iterable[Metric]:
    """Of the runs of this host."""
    yield Metric("counter", "runs_total", "Runs that ended, by how: done, failed or unknown.", labels=("state",))
    yield Metric("histogram", "run_seconds", "How long runs took.", buckets=(0.01, 0.1, 1, 10, 60))


@hookimpl
def quartet_setup(ctx: PluginContext) -> Scheduler:
    """What routes and tasks share."""
    return Scheduler(ctx)


@hookimpl
def quartet_routes(state: Scheduler) -> Iterable[Mount | Page]:
    """The API and the page."""
    yield Mount(
        API,
        build_router(state),
        operations=OPERATIONS,
        body_bytes_max=BODY_BYTES_MAX,
        request_timeout_s=state.config.action_timeout + 5,
    )
    yield Page("/scheduler", "Scheduler", HERE / "page", nav=True)


@hookimpl
def quartet_tasks(state: Scheduler) -> Iterable[Task]:
    """What runs the jobs, and what gives up those of dead hosts."""
    yield Task("run due", state.run_due, stop_timeout_s=STOP_TIMEOUT_S)
    yield Task("expire", state.run_expiry)


@hookimpl
def quartet_card(state: Scheduler) -> Card:
    """The plugin's place on the overview."""
    return Card(
        title="Scheduler",
        href="/scheduler",
        hard_thing="Many hosts, one schedule",
        promise="Each due time runs once.",
        figures=state.figures,
    )


@hookimpl
def quartet_commands() -> Iterable[Command]:
    """`quartet scheduler …`."""
    return commands()
