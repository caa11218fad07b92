"""One run of a plugin, from opening its services to the end of its last task.

All of it happens inside one call of `PluginRun.run`, in nurseries that the call opens: when it has returned or raised,
nothing of the plugin is left. The supervisor decides when there is another run.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog
import trio

from host.context import Lent, PluginContext
from host.data_dir import made
from host.descriptors import Card, HealthCheck, Mount, Page, Scope, Service, Task
from host.errors import HostError, PluginError
from host.plugins import LoadedPlugin
from host.services.metrics import MetricsPage, plugin_metrics

TASK_CANCEL_WARN_S = 5.0
"""How long a cancelled task may clean up before the log names it."""


class Routes(Protocol):
    """What a run needs of the dispatcher."""

    def mount(self, owner: str, routes: list[Mount | Page]) -> None: ...
    def unmount(self, owner: str) -> None: ...
    async def drain(self, owner: str, timeout_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class House:
    """What the host gives to every run: where to put routes and metrics, and how to open the services."""

    routes: Routes
    metrics: MetricsPage
    data_dir: Path
    authorize: Callable[[Scope], None]
    lend: Callable[[LoadedPlugin, "RunSettings"], AbstractAsyncContextManager[Lent]]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The host's own settings of one plugin, beside the plugin's configuration. `services` None: those of its info."""

    services: frozenset[Service] | None = None
    threads_max: int = 8
    postgres_connections_max: int = 10
    drain_s: float = 5.0


@dataclass(slots=True)
class CheckResult:
    """The newest result of a health check: `error` is empty when it passed, `checked_at_s` is Trio's clock."""

    required: bool
    error: str = ""
    checked_at_s: float | None = None


@dataclass(slots=True)
class _RunningTask:
    task: Task
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


class PluginRun:
    """One start, life and stop of a plugin. Not used twice."""

    def __init__(
        self, plugin: LoadedPlugin, config: Any, settings: RunSettings, house: House, *, restart_count: int
    ) -> None:
        self.plugin = plugin
        self.checks: dict[str, CheckResult] = {}
        self.failed_tasks: dict[str, str] = {}
        self.card: Card | None = None
        self.routes: list[Mount | Page] = []
        self.lent = Lent()
        self.threads = trio.CapacityLimiter(settings.threads_max)
        self._config = config
        self._settings = settings
        self._house = house
        self._restart_count = restart_count
        self._draining = trio.Event()
        self._stop = trio.Event()
        self._starting = trio.CancelScope()
        self._tasks: list[_RunningTask] = []
        # Once it is up: what `reconfigure` is called with.
        self._up: tuple[PluginContext, Any] | None = None
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger(f"plugin.{plugin.name}")
        self.on_health: Callable[[], None] = lambda: None

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks that run now."""
        return [running.task.name for running in self._tasks if not running.ended.is_set()]

    @property
    def troubles(self) -> list[str]:
        """Why the plugin is degraded: failing checks and failed temporary tasks; empty when it is well."""
        failing = [f"{name}: {result.error}" for name, result in self.checks.items() if result.error]
        return failing + [f"task {name} ended: {error}" for name, error in self.failed_tasks.items()]

    def drain(self) -> None:
        """Tell the plugin that its end is near: long-lived streams end by themselves. Nothing is stopped yet."""
        self._draining.set()

    def reconfigure(self, config: Any) -> bool:
        """Offer a new configuration to the plugin as it runs. Whether it has taken it over.

        Raises:
            PluginError: its hook failed.
        """
        if self._up is None or self._stop.is_set():
            return False
        ctx, state = self._up
        if not self.plugin.call("quartet_reconfigure", ctx=ctx, state=state, config=config):
            return False
        self._config = ctx.config = config
        return True

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask `run` to stop in order and to return. A start under way is given up."""
        self._draining.set()
        self._stop.set()
        self._starting.cancel("the plugin is stopped while it starts")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the plugin, report `started()` when it is ready, and return after `stop` once nothing of it is left.

        Whatever fails it is raised, as it came. Cancelling ends it at once, after the clean-up of tasks and services.
        """
        name = self.plugin.name
        with structlog.contextvars.bound_contextvars(plugin=name):
            async with self._house.lend(self.plugin, self._settings) as self.lent:
                ctx = self._context()
                try:
                    await self._live(ctx, task_status)
                finally:
                    self._draining.set()
                    self._house.metrics.detach(name)

    def _context(self) -> PluginContext:
        name = self.plugin.name
        try:
            registry, metrics = plugin_metrics(name, self.plugin.call("quartet_metrics"))
        except ValueError as error:
            raise self.plugin.error("quartet_metrics", error) from error
        data_dir = made(self._house.data_dir / name)
        self._house.metrics.attach(name, registry)
        return PluginContext(
            name=name,
            config=self._config,
            log=self._log,
            metrics=metrics,
            data_dir=data_dir,
            threads=self.threads,
            draining=self._draining,
            restart_count=self._restart_count,
            lent=self.lent,
            authorize=self._house.authorize,
        )

    async def _migrate(self, folder: Path) -> None:
        from host.services.migrations import migrate

        if self.lent.postgres is None:
            reason, hint = "it has migrations, but no database", 'add "postgres" to PluginInfo.services'
            raise PluginError(self.plugin.name, "migrations", reason, origin=self.plugin.candidate.origin, hint=hint)
        for applied in await migrate(self.lent.postgres, self.plugin.name, folder):
            self._log.info("migrated", migration=applied)

    async def _live(self, ctx: PluginContext, task_status: trio.TaskStatus[None]) -> None:
        call, name = self.plugin.call, self.plugin.name
        state = call("quartet_setup", ctx=ctx)
        routes = call("quartet_routes", ctx=ctx, state=state)
        tasks = call("quartet_tasks", ctx=ctx, state=state)
        checks = call("quartet_health", ctx=ctx, state=state)
        self.card = call("quartet_card", ctx=ctx, state=state)
        # Claims its paths: until the plugin is ready they answer 503, and a clash shows before anything is started.
        self._mount(routes)
        self._house.routes.unmount(name)
        async with trio.open_nursery() as nursery:
            with self._starting:
                is_optional = self.plugin.info.services_of is not None and self.lent.postgres is None
                if self.plugin.info.migrations is not None and not is_optional:
                    await self._migrate(self.plugin.info.migrations)
                for task in tasks:
                    await self._start(nursery, task)
            for check in checks:
                self.checks[check.name] = CheckResult(check.required)
                nursery.start_soon(self._watch, check)
            if not self._stop.is_set():
                # A start that was given up lets nobody in: its migrations or tasks may not be there.
                self._mount(routes)
            self._up = ctx, state
            try:
                task_status.started()
                await self._stop.wait()
            except trio.Cancelled:
                # A task failed, or the host is in a hurry: requests under way must not outlive the services.
                self._house.routes.unmount(name)
                with trio.CancelScope(shield=True):
                    await self._house.routes.drain(name, 0)
                raise
            self._house.routes.unmount(name)
            await self._house.routes.drain(name, self._settings.drain_s)
            for running in reversed(self._tasks):
                await self._end(running)
            nursery.cancel_scope.cancel("the plugin stopped")

    def _mount(self, routes: list[Mount | Page]) -> None:
        try:
            self._house.routes.mount(self.plugin.name, routes)
        except HostError as error:
            raise self.plugin.error("quartet_routes", error) from error
        self.routes = routes

    async def _start(self, nursery: trio.Nursery, task: Task) -> None:
        """Start a task and wait until it is ready, if it says when it is."""
        running = _RunningTask(task)
        self._tasks.append(running)
        if "task_status" not in inspect.signature(task.run).parameters:
            nursery.start_soon(self._run_task, running, name=f"{self.plugin.name}.{task.name}")
            return
        with trio.move_on_after(task.start_timeout_s) as scope:
            await nursery.start(self._run_task, running, name=f"{self.plugin.name}.{task.name}")
        if scope.cancelled_caught:
            reason = f"task {task.name!r} was not ready within {task.start_timeout_s:g} s"
            raise PluginError(self.plugin.name, "start", reason, origin=self.plugin.candidate.origin)

    async def _run_task(
        self, running: _RunningTask, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        task = running.task
        try:
            with running.scope:
                if task_status is trio.TASK_STATUS_IGNORED:
                    await task.run()
                else:
                    await task.run(task_status=task_status)
        except (Exception, SystemExit) as error:
            if task.restart != "temporary":
                raise
            self.failed_tasks[task.name] = first_line(error)
            self._log.exception("task ended", task=task.name)
            self.on_health()
        else:
            if task.restart == "permanent" and not self._draining.is_set():
                reason = f"task {task.name!r} returned, and a permanent task must not"
                raise PluginError(self.plugin.name, "run", reason, origin=self.plugin.candidate.origin)
        finally:
            running.ended.set()

    async def _end(self, running: _RunningTask) -> None:
        """Let a task end by itself within its stop time-out, then cancel it and wait for its clean-up."""
        with trio.move_on_after(running.task.stop_timeout_s):
            await running.ended.wait()
        running.scope.cancel("the plugin is stopping")
        with trio.move_on_after(TASK_CANCEL_WARN_S):
            await running.ended.wait()
            return
        self._log.error("task still cleans up after being cancelled", task=running.task.name)
        await running.ended.wait()

    async def _watch(self, check: HealthCheck) -> None:
        """Run a health check for ever and keep its newest result."""
        result = self.checks[check.name]
        while True:
            before = result.error
            try:
                with trio.fail_after(check.timeout_s):
                    await check.check()
            except trio.TooSlowError:
                result.error = f"no answer within {check.timeout_s:g} s"
            except Exception as error:
                result.error = first_line(error)
            else:
                result.error = ""
            result.checked_at_s = trio.current_time()
            if result.error != before:
                log = self._log.warning if result.error else self._log.info
                log("health check changed", check=check.name, error=result.error or None)
                self.on_health()
            await trio.sleep(check.interval_s)


@asynccontextmanager
async def lend_nothing(plugin: LoadedPlugin, settings: RunSettings) -> AsyncIterator[Lent]:
    """No services at all: what command-line listings run a plugin's hooks with."""
    yield Lent()


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside (nested) groups, in order; the exception itself when it is no group."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def crash_in(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """The part of an exception that is a plugin's crash, and the part that must go on (a cancellation, Ctrl-C)."""
    if isinstance(error, BaseExceptionGroup):
        return error.split((Exception, SystemExit))
    return (error, None) if isinstance(error, (Exception, SystemExit)) else (None, error)


def first_line(error: BaseException) -> str:
    """The kind and first line of an error (of the first in a group), for people."""
    leaf = leaves(error)[0]
    if isinstance(leaf, HostError):
        return str(leaf).splitlines()[0] if str(leaf) else type(leaf).__name__
    text = str(leaf)
    return f"{type(leaf).__name__}: {text.splitlines()[0]}" if text else type(leaf).__name__
