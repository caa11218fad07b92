"""What the runs of a plugin leave behind is freed when they have ended, not when the collector happens to come by."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from host.api import Task
from host.plugin_run import House, lend_nothing
from host.process import collect_a_run
from host.services.metrics import MetricsPage
from host.supervisor import PluginState, SupervisedConfig, Supervisor
from tests.host.fake_plugins import make_plugin
from tests.host.test_supervisor import RecordedRoutes, failing


class Held:
    """Something large that a run refers to, and that refers to it."""

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only what asks for it collects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_run_that_crashed_is_freed_before_the_next_begins(
    tmp_path: Path, no_collector: None, autojump_clock: MockClock
) -> None:
    held: list[weakref.ref[Held]] = []
    alive_at_start: list[int] = []

    def tasks(ctx: Any) -> list[Task]:
        alive_at_start.append(sum(each() is not None for each in held))
        thing = Held(ctx)
        held.append(weakref.ref(thing))

        async def body() -> None:
            await run(thing.ctx)

        return [Task("work", body, stop_timeout_s=1)]

    run = failing(2)
    async with trio.open_nursery() as nursery:
        house = House(RecordedRoutes(), MetricsPage(), tmp_path, lambda scope: None, lend_nothing)
        supervisor = Supervisor(house, nursery, collect_a_run)
        supervisor.add(make_plugin("a", tasks=tasks), SupervisedConfig())
        await supervisor.wait_for(lambda: supervisor.units["a"].restarts == 2)
        await supervisor.wait_for(lambda: supervisor.units["a"].state is PluginState.READY)
        assert alive_at_start == [0, 0, 0]
        await supervisor.stop()
        nursery.cancel_scope.cancel()
