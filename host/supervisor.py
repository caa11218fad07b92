"""One supervising task for each plugin: starts it, restarts it when it fails, stops it in order.

    discovered → configured → starting → ready ⇄ degraded
                      ↑           ↓          ↓
                   backoff  ←  (failure) ────┘        failed: given up        stopping → stopped: asked to

A nursery alone is not a supervisor (trio#136): the first failure would cancel all. Here a failure is caught around
one plugin's run, its dependents are stopped in order, and after the back-off all of them start again; the others do
not notice.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import structlog
import trio

from host.descriptors import Card, Mount, Page
from host.errors import HostError, ServiceUnavailable
from host.plugin_run import House, PluginRun, RunSettings, crash_in, first_line, leaves
from host.plugins import LoadedPlugin
from host.restart import RestartSchedule, backoff_s

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.supervisor")


class PluginState(StrEnum):
    """Where a plugin is in its life."""

    DISCOVERED = "discovered"
    CONFIGURED = "configured"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


UP = frozenset({PluginState.READY, PluginState.DEGRADED})
SETTLED = UP | {PluginState.BACKOFF, PluginState.FAILED, PluginState.STOPPED, PluginState.DISCOVERED}


@dataclass(frozen=True, slots=True)
class SupervisedConfig:
    """A plugin's configuration with the host's settings of its run and of its failures."""

    config: Any = None
    run: RunSettings = field(default_factory=RunSettings)
    on_failure: Literal["restart", "stop", "exit"] = "restart"
    restart_intensity: int = 5
    restart_window_s: float = 60.0


@dataclass(slots=True)
class Supervised:
    """A plugin as the supervisor sees it. Read it freely; only the supervisor writes.

    `routes` and `card` are those of the newest start that succeeded: a plugin that is down keeps its place in the
    navigation and on the overview.
    """

    plugin: LoadedPlugin
    configured: SupervisedConfig
    schedule: RestartSchedule
    state: PluginState = PluginState.CONFIGURED
    reason: str = ""
    since_s: float = 0.0
    restarts: int = 0
    failures: int = 0
    last_failure: str = ""
    start_duration_s: float | None = None
    run: PluginRun | None = None
    routes: list[Mount | Page] = field(default_factory=list)
    card: Card | None = None
    wanted: bool = True

    @property
    def name(self) -> str:
        return self.plugin.name


class Supervisor:
    """Runs plugins, each under its own task in `nursery`. All methods belong to the Trio thread.

    `on_run_end` is called when a run of a plugin has ended and nothing refers to it any more.
    """

    def __init__(self, house: House, nursery: trio.Nursery, on_run_end: Callable[[], None] = lambda: None) -> None:
        self.units: dict[str, Supervised] = {}
        self.fatal: str = ""
        self._house = house
        self._nursery = nursery
        self._on_run_end = on_run_end
        self._changed = trio.Event()
        self._on_change: list[Callable[[Supervised], None]] = []

    def subscribe(self, on_change: Callable[[Supervised], None]) -> None:
        """Call `on_change` after every change of a plugin's state or health."""
        self._on_change.append(on_change)

    def add(self, plugin: LoadedPlugin, configured: SupervisedConfig) -> None:
        """Take a plugin in and start it as soon as those it requires are up."""
        schedule = RestartSchedule(configured.restart_intensity, configured.restart_window_s)
        unit = Supervised(plugin, configured, schedule, since_s=trio.current_time())
        self.units[plugin.name] = unit
        self._nursery.start_soon(self._supervise, unit, name=f"supervise {plugin.name}")

    async def wait_settled(self) -> None:
        """Return when every plugin is up, backing off, given up or stopped."""
        await self.wait_for(lambda: all(unit.state in SETTLED for unit in self.units.values()))

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        """Return when `holds()` is true, asking again after every change."""
        while not holds():
            await self._changed.wait()

    def next_change(self) -> trio.Event:
        """An event that is set at the next change of any plugin."""
        return self._changed

    def drain(self) -> None:
        """Tell every running plugin that the end is near, without stopping anything."""
        for unit in self.units.values():
            if unit.run is not None:
                unit.run.drain()

    async def stop(self, names: Iterable[str] | None = None) -> None:
        """Stop these plugins (all by default) for good: dependents first, each in order."""
        chosen = set(self.units if names is None else names)
        for name in tuple(chosen):
            chosen.update(unit.name for unit in self._dependents(name))
        for unit in self._stop_order(chosen):
            unit.wanted = False
            await self._stop_run(unit)
            if unit.state not in (PluginState.FAILED, PluginState.STOPPED):
                self._enter(unit, PluginState.STOPPED, "")

    async def remove(self, name: str) -> None:
        """Stop a plugin and its dependents for good, and forget it."""
        await self.stop([name])
        del self.units[name]

    async def replace(self, name: str, plugin: LoadedPlugin, configured: SupervisedConfig) -> None:
        """Give a plugin another configuration: as it runs, where it can take it over, else by a restart.

        For a restart its dependents stop before and come back after.
        """
        unit = self.units[name]
        if self._taken_over(unit, configured):
            return
        unit.wanted = False
        self._enter(unit, PluginState.STOPPING, "its configuration changed")
        await self._stop_dependents(unit)
        await self._stop_run(unit)
        self.add(plugin, configured)

    def _taken_over(self, unit: Supervised, configured: SupervisedConfig) -> bool:
        if unit.state not in UP or unit.run is None:
            return False
        if replace(configured, config=None) != replace(unit.configured, config=None):
            return False
        try:
            if not unit.run.reconfigure(configured.config):
                return False
        except HostError as error:
            log.error("plugin could not take over its configuration, it is restarted", reason=str(error))
            return False
        unit.configured = configured
        log.info("plugin took over its configuration", plugin=unit.name)
        return True

    async def _supervise(self, unit: Supervised) -> None:
        attempts_unavailable = 0
        while unit.wanted:
            if not await self._await_requirements(unit):
                return
            error = await self._run_once(unit)
            if error is None:
                self._on_run_end()
                continue
            if unit.state in UP and trio.current_time() - unit.since_s >= unit.configured.restart_window_s:
                # It was well for long enough: what happens now is another story.
                attempts_unavailable = 0
            if _is_unavailable(error):
                # Not the plugin's fault: a service is not there yet. Wait for it as long as it takes.
                attempts_unavailable += 1
                if attempts_unavailable == 1:
                    log.warning("plugin waits for a service", plugin=unit.name, reason=first_line(error))
                delay_s: float | None = backoff_s(min(attempts_unavailable, 6), random.random())
            else:
                attempts_unavailable = 0
                unit.failures += 1
                unit.last_failure = first_line(error)
                delay_s = self._after_failure(unit)
            self._enter(unit, PluginState.FAILED if delay_s is None else PluginState.BACKOFF, first_line(error))
            # Its traceback holds the whole run.
            del error
            self._on_run_end()
            await self._stop_dependents(unit)
            if delay_s is None:
                self._give_up(unit)
                return
            unit.restarts += 1
            with trio.move_on_after(delay_s):
                await self.wait_for(lambda: not unit.wanted)

    def _after_failure(self, unit: Supervised) -> float | None:
        if unit.configured.on_failure != "restart":
            return None
        return unit.schedule.failed(trio.current_time(), random.random())

    def _give_up(self, unit: Supervised) -> None:
        if unit.configured.on_failure == "exit":
            self.fatal = f'plugin {unit.name!r} failed and has on_failure = "exit": {unit.reason}'
            self._notify(unit)

    async def _await_requirements(self, unit: Supervised) -> bool:
        """Wait until the plugins that this one requires are up and those it comes after are settled.

        Returns False when it was told to stop meanwhile.
        """
        requires, after = unit.plugin.info.requires, unit.plugin.info.after

        def state(name: str) -> PluginState:
            return self.units[name].state

        while unit.wanted:
            blocked = [name for name in requires if state(name) in SETTLED - UP]
            if blocked:
                self._enter(unit, PluginState.BACKOFF, f"waits for {', '.join(blocked)}")
            elif all(state(name) in UP for name in requires) and all(
                # One that is not there, or has been removed meanwhile, is not waited for.
                state(name) in SETTLED
                for name in after
                if name in self.units
            ):
                return True
            await self._changed.wait()
        return False

    async def _run_once(self, unit: Supervised) -> BaseException | None:
        """Run the plugin once. None: it was stopped in order. Otherwise what failed it, already logged."""
        run = PluginRun(
            unit.plugin, unit.configured.config, unit.configured.run, self._house, restart_count=unit.restarts
        )
        run.on_health = lambda: self._health_changed(unit)
        unit.run = run
        began_s = trio.current_time()
        self._enter(unit, PluginState.STARTING, "")
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(run.run, name=f"plugin {unit.name}")
                unit.start_duration_s = trio.current_time() - began_s
                unit.routes, unit.card = run.routes, run.card
                if not run.is_stopping:
                    self._enter(unit, PluginState.READY, "")
                    self._health_changed(unit)
        except (Exception, BaseExceptionGroup, SystemExit) as group:
            # SystemExit too: a plugin that calls sys.exit ends itself, and nobody else.
            error, rest = crash_in(group)
            if error is not None:
                self._log_failure(unit, error)
            if rest is not None:
                raise rest from None
            return error
        finally:
            unit.run = None
            self._notify(unit)
        return None

    def _log_failure(self, unit: Supervised, error: BaseException) -> None:
        if _is_unavailable(error):
            return
        expected = isinstance(leaves(error)[0], HostError)
        log.error("plugin failed", plugin=unit.name, reason=first_line(error), exc_info=None if expected else error)

    def _health_changed(self, unit: Supervised) -> None:
        if unit.state in UP and unit.run is not None:
            troubles = unit.run.troubles
            self._enter(unit, PluginState.DEGRADED if troubles else PluginState.READY, "; ".join(troubles))

    async def _stop_run(self, unit: Supervised) -> None:
        """Stop the plugin's run, if it has one, and wait until nothing is left of it."""
        run = unit.run
        if run is None:
            self._notify(unit)
            return
        self._enter(unit, PluginState.STOPPING, unit.reason if unit.state is PluginState.STOPPING else "")
        run.stop()
        await self.wait_for(lambda: unit.run is not run)

    async def _stop_dependents(self, unit: Supervised) -> None:
        dependents = {dependent.name for dependent in self._dependents(unit.name)}
        for dependent in self._stop_order(dependents):
            await self._stop_run(dependent)

    def _dependents(self, name: str) -> list[Supervised]:
        """All that require `name`, directly or through others."""
        direct = [unit for unit in self.units.values() if name in unit.plugin.info.requires]
        return direct + [further for unit in direct for further in self._dependents(unit.name)]

    def _stop_order(self, names: set[str]) -> list[Supervised]:
        """`units` is in start order."""
        return [unit for unit in reversed(self.units.values()) if unit.name in names]

    def _enter(self, unit: Supervised, state: PluginState, reason: str) -> None:
        if (unit.state, unit.reason) == (state, reason):
            return
        unit.state, unit.reason, unit.since_s = state, reason, trio.current_time()
        self._notify(unit)

    def _notify(self, unit: Supervised) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        for on_change in self._on_change:
            on_change(unit)


def _is_unavailable(error: BaseException) -> bool:
    return all(isinstance(leaf, ServiceUnavailable) for leaf in leaves(error))
