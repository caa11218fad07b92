"""Raft: consensus that one can break, and replay bit for bit.

`core` is the whole algorithm without I/O, `sim` drives it through simulated networks, disks and clocks. `shell`
surrounds a node with a task, a timer, a disk (`storage`) and clients; `lab` is a live cluster of such nodes that
everybody on the site shares, `process` runs one as a process of its own. README.md maps the paper to files and tests.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from host.api import Card, Command, HealthCheck, Metric, Mount, Page, PluginContext, PluginInfo, Task, hookimpl
from plugins.raft import kv_routes
from plugins.raft.lab import routes, rule_routes
from plugins.raft.lab.archive import FILE_BYTES_MAX
from plugins.raft.process.command import NODE
from plugins.raft.service import RaftLab
from plugins.raft.settings import Settings

WEB: Final = Path(__file__).parents[2] / "web" / "raft-lab"
BODY_BYTES_MAX: Final = 16 * 1024


@hookimpl
def quartet_info() -> PluginInfo:
    """What the plugin is."""
    return PluginInfo(
        summary="Consensus under failure: Raft that one can break and replay bit for bit.", config=Settings
    )


@hookimpl
def quartet_metrics() -> Iterable[Metric]:
    """Counters and gauges of the lab."""
    yield Metric("counter", "elections_total", "Elections won in the lab")
    yield Metric("counter", "steps_total", "Inputs, starts, stops and faults recorded")
    yield Metric("counter", "acknowledged_total", "Writes acknowledged to clients of the lab")
    yield Metric("counter", "lost_total", "Acknowledged writes that were lost: 0, or a promise is broken")
    yield Metric("counter", "violations_total", "Invariants seen broken: 0, likewise")
    yield Metric("counter", "frames_total", "Frames sent to viewers")
    yield Metric("counter", "leaderless_milliseconds_total", "Time in which nobody led a majority")
    yield Metric("gauge", "term", "The highest term of any node")
    yield Metric("gauge", "commit_index", "The highest index known to be committed")
    yield Metric("gauge", "led", "1 while a leader leads a majority")
    yield Metric("gauge", "viewers", "Pages that watch the lab")


@hookimpl
def quartet_setup(ctx: PluginContext) -> RaftLab:
    """Put the parts together; nothing runs yet."""
    return RaftLab(ctx)


@hookimpl
def quartet_routes(ctx: PluginContext, state: RaftLab) -> Iterable[Mount | Page]:
    """The API, and the page."""
    operations = routes.OPERATIONS + kv_routes.operations(f"{routes.API}/kv", admin=True)
    operations += rule_routes.operations(f"{routes.API}/rules")
    yield Mount(routes.API, state.router, operations, body_bytes_max=BODY_BYTES_MAX)
    yield Mount(routes.FAILOVER, state.router, (routes.FAILOVER_OPERATION,), body_bytes_max=BODY_BYTES_MAX)
    yield Mount(
        routes.REPLAYS,
        state.router,
        (routes.REPLAY_OPERATION,),
        content_types=("application/octet-stream",),
        body_bytes_max=FILE_BYTES_MAX,
    )
    if (WEB / "index.html").is_file():
        yield Page("/raft-lab", "Raft lab", WEB, context=state.routes.page, nav=True)


@hookimpl
def quartet_tasks(ctx: PluginContext, state: RaftLab) -> Iterable[Task]:
    """One task, which holds the whole lab."""
    yield Task("lab", state.serve)


@hookimpl
def quartet_health(ctx: PluginContext, state: RaftLab) -> Iterable[HealthCheck]:
    """The promises hold."""
    yield HealthCheck("promises", state.check_promises)


@hookimpl
def quartet_card(ctx: PluginContext, state: RaftLab) -> Card:
    """The lab, on the overview."""
    return Card(
        title="Raft lab",
        href="/raft-lab",
        hard_thing="Consensus under failure",
        promise="Kill the leader: another leads within a second, and nothing that was committed is lost.",
        figures=state.figures,
        proof_url=routes.FAILOVER,
        proof_body={},
    )


@hookimpl
def quartet_commands() -> Iterable[Command]:
    """`quartet raft node` and `lab`, and the simulation: `sim`, `soak`, `shrink`, `rules`."""
    from plugins.raft import commands, lab_commands  # only the command line needs them

    yield NODE
    yield lab_commands.LAB
    yield from commands.COMMANDS
