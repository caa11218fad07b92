"""Supervision in virtual time: states, restarts, dependents, stopping in order. No sockets, so MockClock may jump."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from host.api import HealthCheck, HostError, Metric, Mount, Page, ServiceUnavailable, Task
from host.plugin_run import House, lend_nothing
from host.services.metrics import MetricsPage
from host.supervisor import PluginState, SupervisedConfig, Supervisor
from tests.host.fake_plugins import make_plugin


class RecordedRoutes:
    """A dispatcher that only notes what it was told."""

    def __init__(self) -> None:
        self.mounted: dict[str, list[Mount | Page]] = {}
        self.history: list[str] = []

    def mount(self, owner: str, routes: list[Mount | Page]) -> None:
        for other, taken in self.mounted.items():
            if other != owner and {route.path for route in taken} & {route.path for route in routes}:
                raise HostError(f"the path is taken by {other}")
        self.mounted[owner] = routes
        self.history.append("open")

    def unmount(self, owner: str) -> None:
        self.mounted.pop(owner, None)
        self.history.append("closed")

    async def drain(self, owner: str, timeout_s: float) -> None:
        self.history.append(f"drained within {timeout_s:g} s")
        await trio.lowlevel.checkpoint()


class Bench:
    """A supervisor on the test bench, with a journal of what its plugins did."""

    def __init__(self, nursery: trio.Nursery, data_dir: Path) -> None:
        self.routes = RecordedRoutes()
        self.journal: list[str] = []
        self.states: list[tuple[str, PluginState]] = []
        self.nursery = nursery
        self.metrics = MetricsPage()
        self.supervisor = Supervisor(
            House(self.routes, self.metrics, data_dir, lambda scope: None, lend_nothing), nursery
        )
        self.supervisor.subscribe(lambda unit: self.states.append((unit.name, unit.state)))

    def add(self, name: str, run: Callable[..., Any] | None = None, **options: Any) -> None:
        """Add a plugin with one task: `run(ctx)`, by default one that waits for the drain."""
        configured = options.pop("configured", SupervisedConfig())
        restart = options.pop("restart", "permanent")

        def tasks(ctx: Any) -> list[Task]:
            async def body() -> None:
                self.journal.append(f"{name} began")
                try:
                    await (run(ctx) if run else ctx.draining.wait())
                finally:
                    self.journal.append(f"{name} ended")

            return [Task("work", body, restart=restart, stop_timeout_s=1)]

        self.supervisor.add(make_plugin(name, tasks=tasks, **options), configured)

    def state(self, name: str) -> PluginState:
        return self.supervisor.units[name].state

    async def until(self, name: str, state: PluginState) -> None:
        await self.supervisor.wait_for(lambda: self.state(name) is state)


@pytest.fixture
def clock() -> MockClock:
    """Virtual time; pytest-trio takes it only from a test's own arguments."""
    return MockClock(autojump_threshold=0)


@pytest.fixture
async def bench(tmp_path: Path, clock: MockClock) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        yield Bench(nursery, tmp_path)
        nursery.cancel_scope.cancel()


def failing(times: int, then: Callable[[Any], Any] | None = None) -> Callable[[Any], Any]:
    """A task body that raises in its first `times` runs."""
    runs = 0

    async def run(ctx: Any) -> None:
        nonlocal runs
        runs += 1
        await trio.sleep(1)
        if runs <= times:
            raise RuntimeError(f"crash {runs}")
        await (then(ctx) if then else ctx.draining.wait())

    return run


async def test_a_plugin_passes_from_configured_through_starting_to_ready(bench: Bench, clock: MockClock) -> None:
    bench.add("a")
    await bench.supervisor.wait_settled()
    assert [state for _, state in bench.states] == [PluginState.STARTING, PluginState.READY]
    await bench.supervisor.stop()
    assert bench.state("a") is PluginState.STOPPED
    assert bench.journal == ["a began", "a ended"]


async def test_a_crash_restarts_that_plugin_and_no_other(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(2))
    bench.add("b")
    await bench.supervisor.wait_for(lambda: bench.supervisor.units["a"].restarts == 2)
    await bench.until("a", PluginState.READY)
    assert bench.journal.count("a began") == 3
    assert bench.journal.count("b began") == 1
    assert "b ended" not in bench.journal


async def test_a_plugin_that_crashes_too_often_is_given_up_with_its_reason(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(99), configured=SupervisedConfig(restart_intensity=2))
    await bench.until("a", PluginState.FAILED)
    assert bench.supervisor.units["a"].reason == "RuntimeError: crash 3"
    assert bench.supervisor.units["a"].restarts == 2


async def test_on_failure_stop_gives_up_at_once(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(1), configured=SupervisedConfig(on_failure="stop"))
    await bench.until("a", PluginState.FAILED)
    assert bench.supervisor.units["a"].restarts == 0
    assert bench.supervisor.fatal == ""


async def test_on_failure_exit_asks_the_host_to_exit(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(1), configured=SupervisedConfig(on_failure="exit"))
    await bench.supervisor.wait_for(lambda: bench.supervisor.fatal != "")
    assert "RuntimeError: crash 1" in bench.supervisor.fatal


async def test_dependents_stop_before_a_restart_and_come_back_after(bench: Bench, clock: MockClock) -> None:
    bench.add("base", failing(1))
    bench.add("dependent", requires=("base",))
    bench.add("stranger")
    await bench.supervisor.wait_for(lambda: bench.journal.count("dependent began") == 2)
    ours = [line for line in bench.journal if not line.startswith("stranger")]
    assert ours == [
        "base began",
        "dependent began",
        "base ended",
        "dependent ended",
        "base began",
        "dependent began",
    ]
    assert "stranger ended" not in bench.journal


async def test_a_dependent_of_a_given_up_plugin_waits_and_says_for_whom(bench: Bench, clock: MockClock) -> None:
    bench.add("base", failing(1), configured=SupervisedConfig(on_failure="stop"))
    bench.add("dependent", requires=("base",))
    await bench.until("dependent", PluginState.BACKOFF)
    assert bench.supervisor.units["dependent"].reason == "waits for base"
    await bench.supervisor.wait_settled()


async def test_stop_ends_dependents_first(bench: Bench, clock: MockClock) -> None:
    bench.add("base")
    bench.add("dependent", requires=("base",))
    await bench.supervisor.wait_settled()
    await bench.supervisor.stop(["base"])
    assert bench.journal[-2:] == ["dependent ended", "base ended"]
    assert bench.state("dependent") is PluginState.STOPPED


async def test_replace_starts_with_the_new_configuration_and_brings_dependents_back(
    bench: Bench, clock: MockClock
) -> None:
    seen: list[Any] = []

    async def note(ctx: Any) -> None:
        seen.append(ctx.config)
        await ctx.draining.wait()

    bench.add("base", note, configured=SupervisedConfig(config="old"))
    bench.add("dependent", requires=("base",))
    await bench.supervisor.wait_settled()
    await bench.supervisor.replace("base", bench.supervisor.units["base"].plugin, SupervisedConfig(config="new"))
    await bench.until("dependent", PluginState.READY)
    assert seen == ["old", "new"]
    assert bench.journal.index("dependent ended") < bench.journal.index("base ended")


async def test_a_missing_service_is_waited_for_without_using_up_the_intensity(bench: Bench, clock: MockClock) -> None:
    tries = 0

    async def start(ctx: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 50:
            raise ServiceUnavailable("Postgres does not answer")
        await ctx.draining.wait()

    bench.add("a", start, configured=SupervisedConfig(restart_intensity=1))
    await bench.supervisor.wait_for(lambda: tries == 50)
    assert bench.state("a") is not PluginState.FAILED


async def test_a_permanent_task_that_returns_fails_the_plugin(bench: Bench, clock: MockClock) -> None:
    async def run(ctx: Any) -> None:
        await trio.sleep(1)

    bench.add("a", run, configured=SupervisedConfig(on_failure="stop"))
    await bench.until("a", PluginState.FAILED)
    assert "a permanent task must not" in bench.supervisor.units["a"].reason


async def test_a_transient_task_may_return(bench: Bench, clock: MockClock) -> None:
    async def run(ctx: Any) -> None:
        await trio.sleep(1)

    bench.add("a", run, restart="transient")
    await trio.sleep(10)
    assert bench.state("a") is PluginState.READY


async def test_a_temporary_task_that_raises_degrades_and_does_not_restart(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(9), restart="temporary")
    await bench.until("a", PluginState.DEGRADED)
    assert "crash 1" in bench.supervisor.units["a"].reason
    assert bench.supervisor.units["a"].restarts == 0


async def test_a_task_that_never_says_ready_fails_the_start(bench: Bench, clock: MockClock) -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    plugin = make_plugin("a", tasks=lambda ctx: [Task("slow", run, start_timeout_s=3)])
    bench.supervisor.add(plugin, SupervisedConfig(on_failure="stop"))
    await bench.until("a", PluginState.FAILED)
    assert "'slow' was not ready within 3 s" in bench.supervisor.units["a"].reason


async def test_a_task_that_ignores_the_drain_is_cancelled_after_its_time_out(bench: Bench, clock: MockClock) -> None:
    async def run(ctx: Any) -> None:
        await trio.sleep_forever()

    bench.add("a", run)
    await bench.supervisor.wait_settled()
    began = trio.current_time()
    await bench.supervisor.stop()
    assert trio.current_time() - began == pytest.approx(1.0, abs=0.01)
    assert bench.journal == ["a began", "a ended"]


async def test_a_failing_health_check_degrades_and_a_passing_one_heals(bench: Bench, clock: MockClock) -> None:
    is_well = False

    async def check() -> None:
        if not is_well:
            raise HostError("the disk is full")

    def quartet_health() -> list[HealthCheck]:
        return [HealthCheck("disk", check, interval_s=5)]

    bench.add("a", quartet_health=quartet_health)
    await bench.until("a", PluginState.DEGRADED)
    assert bench.supervisor.units["a"].reason == "disk: the disk is full"
    is_well = True
    await bench.until("a", PluginState.READY)
    assert bench.supervisor.units["a"].reason == ""


async def test_a_hanging_health_check_is_cut_off(bench: Bench, clock: MockClock) -> None:
    def quartet_health() -> list[HealthCheck]:
        return [HealthCheck("slow", trio.sleep_forever, timeout_s=2)]

    bench.add("a", quartet_health=quartet_health)
    await bench.until("a", PluginState.DEGRADED)
    assert "no answer within 2 s" in bench.supervisor.units["a"].reason


async def test_a_clash_of_routes_fails_the_second_plugin_before_its_tasks_start(bench: Bench, clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    bench.add("a", routes=lambda ctx: [Mount("/api/x", app)])
    await bench.supervisor.wait_settled()
    bench.add("b", routes=lambda ctx: [Mount("/api/x", app)], configured=SupervisedConfig(on_failure="stop"))
    await bench.until("b", PluginState.FAILED)
    assert "quartet_routes: HostError: the path is taken by a" in bench.supervisor.units["b"].reason
    assert "b began" not in bench.journal
    assert bench.state("a") is PluginState.READY


async def test_a_crashed_plugin_has_no_routes_until_it_is_back(bench: Bench, clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    bench.add("a", failing(1), routes=lambda ctx: [Mount("/api/a", app)])
    await bench.until("a", PluginState.READY)
    assert "a" in bench.routes.mounted
    await bench.until("a", PluginState.BACKOFF)
    assert "a" not in bench.routes.mounted
    await bench.until("a", PluginState.READY)
    assert "a" in bench.routes.mounted


async def test_services_are_closed_after_the_last_task_has_ended(tmp_path: Path, clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, tmp_path)

        @asynccontextmanager
        async def lend(plugin: Any, settings: Any) -> AsyncIterator[Any]:
            async with lend_nothing(plugin, settings) as lent:
                yield lent
            bench.journal.append("services closed")

        house = House(bench.routes, MetricsPage(), tmp_path, lambda scope: None, lend)
        bench.supervisor = Supervisor(house, nursery)
        bench.add("a")
        await bench.supervisor.wait_settled()
        await bench.supervisor.stop()
        assert bench.journal == ["a began", "a ended", "services closed"]


async def test_a_plugin_that_another_only_comes_after_may_be_removed_while_that_one_waits(
    bench: Bench, clock: MockClock
) -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    bench.supervisor.add(make_plugin("slow", tasks=lambda ctx: [Task("slow", run)]), SupervisedConfig())
    await bench.until("slow", PluginState.STARTING)
    bench.add("later", after=("slow",))
    await trio.testing.wait_all_tasks_blocked()
    assert bench.state("later") is PluginState.CONFIGURED
    await bench.supervisor.remove("slow")
    await bench.until("later", PluginState.READY)


@pytest.mark.parametrize("restart", ["permanent", "temporary"])
async def test_a_task_that_exits_the_interpreter_ends_its_plugin_alone(
    bench: Bench, clock: MockClock, restart: str
) -> None:
    async def run(ctx: Any) -> None:
        await trio.sleep(1)
        sys.exit("enough")

    bench.add("a", run, restart=restart, configured=SupervisedConfig(on_failure="stop"))
    bench.add("b")
    await bench.until("a", PluginState.FAILED if restart == "permanent" else PluginState.DEGRADED)
    assert "SystemExit: enough" in bench.supervisor.units["a"].reason
    assert bench.state("b") is PluginState.READY


async def test_a_hook_that_exits_the_interpreter_ends_its_plugin_alone(bench: Bench, clock: MockClock) -> None:
    def quartet_setup() -> None:
        sys.exit("enough")

    bench.add("a", quartet_setup=quartet_setup, configured=SupervisedConfig(on_failure="stop"))
    bench.add("b")
    await bench.until("a", PluginState.FAILED)
    assert "quartet_setup: SystemExit: enough" in bench.supervisor.units["a"].reason
    await bench.until("b", PluginState.READY)


async def test_a_crash_during_the_cancellation_of_all_does_not_hide_it(tmp_path: Path, clock: MockClock) -> None:
    async def run(ctx: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            sys.exit("on the way out")

    with trio.CancelScope() as everything:
        async with trio.open_nursery() as nursery:
            bench = Bench(nursery, tmp_path)
            bench.add("a", run)
            await bench.supervisor.wait_settled()
            everything.cancel()
    assert everything.cancelled_caught


def slow_plugin(name: str, **options: Any) -> Any:
    """A plugin whose only task never says that it is ready."""

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    return make_plugin(name, tasks=lambda ctx: [Task("slow", run, start_timeout_s=1000)], **options)


async def test_a_start_that_is_given_up_is_over_at_once_and_lets_nobody_in(bench: Bench, clock: MockClock) -> None:
    bench.supervisor.add(slow_plugin("a"), SupervisedConfig())
    await bench.until("a", PluginState.STARTING)
    await trio.testing.wait_all_tasks_blocked()
    # The paths are claimed, and closed: they answer 503.
    assert bench.routes.history == ["open", "closed"]
    began = trio.current_time()
    await bench.supervisor.stop()
    assert trio.current_time() - began < 1
    assert bench.routes.history.count("open") == 1
    assert PluginState.READY not in [state for _, state in bench.states]
    assert bench.state("a") is PluginState.STOPPED


async def test_a_stop_closes_the_routes_then_lets_requests_finish_then_ends_the_tasks(
    bench: Bench, clock: MockClock
) -> None:
    bench.add("a")
    await bench.supervisor.wait_settled()
    await bench.supervisor.stop()
    assert bench.routes.history == ["open", "closed", "open", "closed", "drained within 5 s"]


async def test_tasks_end_in_the_reverse_of_their_order(bench: Bench, clock: MockClock) -> None:
    def task(name: str) -> Task:
        async def run() -> None:
            try:
                await trio.sleep_forever()
            finally:
                bench.journal.append(name)

        return Task(name, run)

    bench.supervisor.add(make_plugin("a", tasks=lambda ctx: [task("first"), task("second")]), SupervisedConfig())
    await bench.supervisor.wait_settled()
    await bench.supervisor.stop()
    assert bench.journal == ["second", "first"]


async def test_metrics_go_with_the_run_and_a_crash_sets_draining(bench: Bench, clock: MockClock) -> None:
    contexts: list[Any] = []

    def quartet_metrics() -> list[Metric]:
        return [Metric("counter", "beats", "Beats.")]

    async def run(ctx: Any) -> None:
        contexts.append(ctx)
        await trio.sleep(1)
        raise RuntimeError("crash")

    bench.add("a", run, quartet_metrics=quartet_metrics, configured=SupervisedConfig(on_failure="stop"))
    await bench.until("a", PluginState.READY)
    assert b"a_beats_total" in bench.metrics.render()
    await bench.until("a", PluginState.FAILED)
    assert b"a_beats_total" not in bench.metrics.render()
    assert contexts[0].draining.is_set()


async def test_stop_reaches_dependents_of_dependents(bench: Bench, clock: MockClock) -> None:
    bench.add("a")
    bench.add("b", requires=("a",))
    bench.add("c", requires=("b",))
    await bench.supervisor.wait_settled()
    await bench.supervisor.stop(["a"])
    assert bench.journal[-3:] == ["c ended", "b ended", "a ended"]


async def test_a_plugin_that_was_given_up_is_still_failed_after_the_stop(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(1), configured=SupervisedConfig(on_failure="stop"))
    await bench.until("a", PluginState.FAILED)
    await bench.supervisor.stop()
    assert bench.state("a") is PluginState.FAILED


async def test_a_plugin_that_is_removed_in_its_back_off_leaves_no_task_behind(bench: Bench, clock: MockClock) -> None:
    bench.add("a", failing(99))
    await bench.until("a", PluginState.BACKOFF)
    await bench.supervisor.remove("a")
    await trio.testing.wait_all_tasks_blocked()
    assert len(bench.nursery.child_tasks) == 0


async def test_a_service_that_goes_away_again_after_a_long_time_is_told_again(bench: Bench, clock: MockClock) -> None:
    starts = 0

    async def run(ctx: Any) -> None:
        nonlocal starts
        starts += 1
        await trio.sleep(100 if starts == 3 else 1)
        raise ServiceUnavailable("Postgres is away")

    with capture_logs() as logs:
        bench.add("a", run)
        await bench.supervisor.wait_for(lambda: starts == 6)
    assert len(logs) == 2


async def test_a_service_that_stays_away_is_told_once_and_anew_after_a_crash(bench: Bench, clock: MockClock) -> None:
    errors = [*(ServiceUnavailable("Postgres is away") for _ in range(6)), RuntimeError("crash"), None]
    errors.insert(-1, ServiceUnavailable("Postgres is away"))
    began_s: list[float] = []

    async def run(ctx: Any) -> None:
        began_s.append(trio.current_time())
        error = errors[len(began_s) - 1]
        if error is not None:
            raise error
        await ctx.draining.wait()

    with capture_logs() as logs:
        bench.add("a", run)
        await bench.supervisor.wait_for(lambda: len(began_s) == len(errors))
    assert [line["event"] for line in logs] == [
        "plugin waits for a service",
        "plugin failed",
        "plugin waits for a service",
    ]
    waits_s = [later - earlier for earlier, later in pairwise(began_s)]
    assert waits_s[-1] < waits_s[5], "a service that went away anew is looked for soon"
