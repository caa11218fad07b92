"""The host as one program: services, plugins and listener in their nurseries, signals, drain, reload.

    services: embedded Postgres and Redis, loop lag, signals
        plugins: one supervising task each
            serving: the engine

The first signal drains: readiness goes 503, the listener closes, streams are told, plugins stop in order. The second
cancels everything at once, the third ends the process. SIGHUP reads the configuration again and restarts only what
changed in it.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import structlog
import trio

from host.config import changed_plugins
from host.data_dir import made
from host.descriptors import ASGIApp
from host.errors import ConfigError, HostError
from host.host_metrics import HouseCollector
from host.http.access_log import AccessLog
from host.http.dispatcher import Dispatcher
from host.http.engine import TLS, Engine, bind, engine_named, is_loopback, socket_files, urls
from host.http.forwarded import TrustedProxies
from host.http.pages import Pages
from host.http.security import Policy, admin_guard
from host.http.system import system_routes
from host.inventory import Inventory, take_inventory
from host.lending import Lender
from host.plugin_run import House, RunSettings, leaves
from host.plugins import HOST_DISTRIBUTION
from host.process import (
    EXIT_FAILURE,
    EXIT_FORCED,
    EXIT_OK,
    HARD_STOP_S,
    collect_a_run,
    end_if_it_hangs,
    handle_signals,
    spare_the_collector,
)
from host.services.embedded import Endpoint, run_embedded_postgres, run_embedded_redis
from host.services.loop_lag import run_loop_lag
from host.services.metrics import MetricsPage
from host.settings import Settings
from host.site import Site
from host.supervisor import UP, SupervisedConfig, Supervisor

log: structlog.stdlib.BoundLogger = structlog.get_logger("quartet.host")

WEB = Path(__file__).parents[1] / "web"


@dataclass(frozen=True, slots=True)
class Options:
    """How the host is run, beside its configuration.

    `safe_mode` leaves third-party plugins out; `strict_plugins` ends the host when one cannot be loaded or started.
    `reload` reads the configuration anew for SIGHUP. `announce` takes the lines for the person at the terminal.
    `owns_process`: the process is the host's alone, which then hears its signals (in the main thread), tunes its
    garbage collector, and ends it when a stop hangs.
    """

    safe_mode: bool = False
    strict_plugins: bool = False
    reload: Callable[[], Settings] | None = None
    announce: Callable[[str], None] = lambda line: None
    owns_process: bool = True


class Application:
    """One host, from its start to its exit code. Not run twice."""

    def __init__(self, settings: Settings, options: Options | None = None) -> None:
        self.settings = settings
        self.options = options or Options()
        self.urls: list[str] = []
        self.endpoints: dict[str, Endpoint] = {}
        self._stop = trio.Event()
        self._draining = trio.Event()
        self._reload_asked = trio.Event()
        self._abort = trio.CancelScope()
        self._socket_files: list[Path] = []
        self._failure = ""
        self.site: Site
        self.supervisor: Supervisor
        self.dispatcher: Dispatcher

    def stop(self) -> None:
        """Drain, stop everything in order, and let `run` return."""
        self._stop.set()

    def reload(self) -> None:
        """Read the configuration again and apply what changed, as SIGHUP does; while the host starts, once it has."""
        self._reload_asked.set()

    async def run(self, *, task_status: trio.TaskStatus["Application"] = trio.TASK_STATUS_IGNORED) -> int:
        """Run until drained and return the exit code; `started()` once every plugin is up, backing off or given up.

        Raises:
            HostError: the host cannot start: the port is taken, an embedded server does not come up, and the like.
        """
        try:
            # Outside of what the second signal cancels, so that there is somebody to hear the third.
            async with trio.open_nursery() as signals:
                if self.options.owns_process:
                    await signals.start(
                        partial(handle_signals, stop=self.stop, abort=self._abort.cancel, reload=self.reload)
                    )
                with self._abort:
                    await self._run(task_status)
                signals.cancel_scope.cancel("the host has stopped")
        except BaseExceptionGroup as group:
            own = [leaf for leaf in leaves(group) if isinstance(leaf, HostError)]
            if len(own) < len(leaves(group)):
                raise
            # Two servers that do not start are two things to mend.
            raise (own[0] if len(own) == 1 else HostError("; ".join(map(str, own)))) from group
        finally:
            _remove(self._socket_files)
        if self._abort.cancelled_caught:
            return EXIT_FORCED
        if self._failure:
            log.error("stopped after a failure", reason=self._failure)
            return EXIT_FAILURE
        return EXIT_OK

    async def _run(self, task_status: trio.TaskStatus["Application"]) -> None:
        began_s = trio.current_time()
        inventory = take_inventory(self.settings, safe_mode=self.options.safe_mode)
        if inventory.problems:
            raise ConfigError(inventory.problems)
        limits = self.settings.server.limits.to_limits()
        sockets = bind(
            self.settings.server.host, self.settings.server.port, backlog_connections=limits.backlog_connections
        )
        self._socket_files = socket_files(sockets)
        async with trio.open_nursery() as services:
            with ExitStack() as unserved:
                # Bound first, since a port that is taken should be found before anything is started.
                for sock in sockets:
                    unserved.enter_context(sock)
                await self._start_embedded(services, inventory)
                unserved.pop_all()
            async with trio.open_nursery() as plugins:
                engine = self._build(plugins, services, sockets)
                async with trio.open_nursery() as serving:
                    serve = partial(engine.serve, self._app(), sockets, limits, drain=self._draining)
                    await serving.start(serve)
                    self._admit(inventory)
                    services.start_soon(self._watch_failures)
                    await self._settle()
                    if self.options.owns_process:
                        spare_the_collector()
                    if not self._stop.is_set():
                        self._announce(trio.current_time() - began_s)
                    task_status.started(self)
                    await self._reload_until_stopped(services)
                    self._begin_draining()
                await self.supervisor.stop()
                plugins.cancel_scope.cancel("the host has stopped")
            services.cancel_scope.cancel("the host has stopped")

    def _app(self) -> ASGIApp:
        """The dispatcher, behind what the configuration puts in front of it."""
        app: ASGIApp = self.dispatcher
        if self.settings.log.access != "off":
            app = AccessLog(app, self.settings.log.access)
        server = self.settings.server
        if server.trusted_proxies:
            app = TrustedProxies(app, server.trusted_proxies, server.forwarded_header)
        return app

    def _build(self, plugins: trio.Nursery, services: trio.Nursery, sockets: list[socket.socket]) -> Engine:
        """Put the parts together; nothing runs yet but the loop's lag meter."""
        settings, server = self.settings, self.settings.server
        metrics = MetricsPage()
        loopback = is_loopback(sockets)
        self.urls = urls(sockets, tls=server.certfile is not None)
        if not loopback:
            _warn_of_strangers(settings)
        lender = Lender(
            url_of=self._url_of,
            acquire_timeout_s=settings.postgres.acquire_timeout,
            response_timeout_s=settings.postgres.response_timeout,
            redis_timeout_s=settings.redis.timeout,
        )
        policy = Policy(
            loopback=loopback,
            allowed_hosts=server.allowed_hosts,
            cors_origins=server.cors_origins,
            hsts_max_age_s=server.hsts_max_age,
        )
        self.dispatcher = Dispatcher(
            limits=server.limits.to_limits(),
            policy=policy,
            pages=Pages(WEB, self._page_site),
            rate_limits=server.rate_limit.to_rates(),
        )
        token = settings.admin.token.reveal() if settings.admin.token else None
        house = House(
            self.dispatcher, metrics, settings.data.dir.absolute(), admin_guard(token, loopback=loopback), lender.lend
        )
        self.supervisor = Supervisor(house, plugins, self._run_ended)
        self.site = Site(version(HOST_DISTRIBUTION), self.supervisor)
        routes = system_routes(self.site, metrics, self._draining, WEB)
        self.dispatcher.mount("host", routes)
        engine = engine_named(server.engine, tls=_tls(settings))
        collector = HouseCollector(
            self.site,
            self.endpoints,
            engine=engine.statistics,
            http=self.dispatcher.statistics,
            rate_limiter=self.dispatcher.rate_limiter.statistics,
        )
        metrics.host.register(collector)
        services.start_soon(self.dispatcher.run_clock)
        services.start_soon(run_loop_lag, metrics.host, self._note_lag)
        return engine

    def _url_of(self, service: Literal["postgres", "redis"]) -> str:
        """Where a service is: what is embedded may start only when a reload enables the first plugin that needs it."""
        endpoint, configured = self.endpoints.get(service), getattr(self.settings, service).url
        return endpoint.url if endpoint else str(configured.reveal())

    async def _start_embedded(self, services: trio.Nursery, inventory: Inventory) -> None:
        """Start the embedded servers that an enabled plugin needs and that do not run yet, and wait until they answer.

        Raises:
            HostError: (or a group of them) one cannot be started, or the folder for their data cannot be made.
        """
        configured = inventory.configured
        needed = {
            service
            for plugin in inventory.ordered
            for service in plugin.services(configured[plugin.name][1] if plugin.name in configured else None)
        } - self.endpoints.keys()
        data_dir = made(self.settings.data.dir.absolute())

        async def start(service: str, run: Callable[..., Awaitable[None]]) -> None:
            began_s = trio.current_time()
            self.endpoints[service] = await services.start(run, data_dir)
            took_s = trio.current_time() - began_s
            self.options.announce(_line(service, f"embedded {self.endpoints[service].version}", took_s))

        async with trio.open_nursery() as starting:
            if "postgres" in needed and self.settings.postgres.url.is_embedded:
                starting.start_soon(start, "postgres", run_embedded_postgres)
            if "redis" in needed and self.settings.redis.url.is_embedded:
                starting.start_soon(start, "redis", run_embedded_redis)

    def _admit(self, inventory: Inventory) -> None:
        """Hand the plugins over to the supervisor, in order, and note those that cannot run."""
        self._note_absent(inventory)
        for plugin in inventory.ordered:
            self.supervisor.add(plugin, self._configured(inventory, plugin.name))

    def _note_absent(self, inventory: Inventory) -> None:
        self.site.not_loaded = dict(inventory.errors)
        self.site.disabled = dict(inventory.disabled)
        for error in inventory.errors.values():
            log.error("plugin not loaded", plugin=error.plugin, reason=str(error))

    def _configured(self, inventory: Inventory, name: str) -> SupervisedConfig:
        host_part, config = inventory.configured[name]
        plugin = next(plugin for plugin in inventory.ordered if plugin.name == name)
        return SupervisedConfig(
            config=config,
            run=RunSettings(
                services=plugin.services(config),
                threads_max=host_part.threads_max,
                postgres_connections_max=host_part.postgres_connections_max or self.settings.postgres.connections_max,
            ),
            on_failure=host_part.on_failure,
            restart_intensity=host_part.restart_intensity,
            restart_window_s=host_part.restart_window,
        )

    async def _settle(self) -> None:
        """Wait until every plugin is up, backing off or given up, or the host is told to stop meanwhile."""
        async with trio.open_nursery() as waiting:

            async def cancel_when_draining() -> None:
                await self._stop.wait()
                waiting.cancel_scope.cancel("told to stop while starting")

            waiting.start_soon(cancel_when_draining)
            await self.supervisor.wait_settled()
            waiting.cancel_scope.cancel("settled")

    def _announce(self, took_s: float) -> None:
        """Say how each plugin came up, and where to click."""
        say = self.options.announce
        units = list(self.supervisor.units.values())
        for unit in units:
            say(_line(unit.name, f"{unit.state} {unit.reason}".strip(), unit.start_duration_s))
        for name, error in self.site.not_loaded.items():
            say(_line(name, f"failed {error}", None))
        down = len(self.site.not_loaded) + sum(unit.state not in UP for unit in units)
        count = f"{len(units)} plugin{'s' if len(units) != 1 else ''}{f', {down} not up' if down else ''}"
        say(f"Ready on {' and '.join(self.urls)} in {took_s:.2f} s ({count})")

    def _page_site(self) -> dict[str, Any]:
        return self.site.for_pages()

    def _run_ended(self) -> None:
        if self.options.owns_process and not self._stop.is_set():
            collect_a_run()

    def _note_lag(self, lag_s: float) -> None:
        self.site.loop_lag_s = lag_s

    async def _watch_failures(self) -> None:
        """End the host when a plugin's failure is configured to, or under `strict_plugins` any failure of a plugin."""

        def broken() -> str:
            if self.supervisor.fatal or not self.options.strict_plugins:
                return self.supervisor.fatal
            errors = [str(error) for error in self.site.not_loaded.values()]
            failed = [unit for unit in self.supervisor.units.values() if unit.failures]
            return "; ".join(errors + [f"plugin {unit.name!r} failed: {unit.last_failure}" for unit in failed])

        await self.supervisor.wait_for(lambda: bool(broken()))
        self._failure = broken()
        self._stop.set()

    def _begin_draining(self) -> None:
        self.site.draining = True
        # Plugins first: once the engine drains it closes their WebSockets, which they should do with their own words.
        self.supervisor.drain()
        self._draining.set()
        if self.options.owns_process:
            end_if_it_hangs(self.settings.server.limits.grace_s + HARD_STOP_S)

    async def _reload_until_stopped(self, services: trio.Nursery) -> None:
        """Carry out one reload after another until the host is told to stop, which ends one that is under way.

        Not in the task that takes the signals: a plugin may need long to stop, and Ctrl-C must be heard meanwhile.
        """
        async with trio.open_nursery() as reloading:

            async def run_reloads() -> None:
                while True:
                    await self._reload_asked.wait()
                    # Before the file is read: a signal that comes while it is applied is another reload.
                    self._reload_asked = trio.Event()
                    await self._reload(services)

            reloading.start_soon(run_reloads)
            await self._stop.wait()
            reloading.cancel_scope.cancel("the host stops")

    async def _reload(self, services: trio.Nursery) -> None:
        """Read the configuration again and restart only the plugins whose part of it changed.

        A configuration with anything wrong in it changes nothing.
        """
        if self.options.reload is None:
            return
        problems: list[str] = []
        changed: set[str] = set()
        try:
            new = self.options.reload()
            inventory = take_inventory(new, safe_mode=self.options.safe_mode)
            changed = self._changed_by(new, inventory)
            await self._start_embedded(services, inventory)
        except* ConfigError as group:
            problems += [line for error in leaves(group) if isinstance(error, ConfigError) for line in error.problems]
        except* HostError as group:
            problems += [str(error) for error in leaves(group)]
        if problems:
            log.error("the new configuration is not used", problems=problems)
            return
        self.settings = new
        await self._apply(inventory, changed)
        log.info("configuration read again", changed=sorted(changed))

    def _changed_by(self, new: Settings, inventory: Inventory) -> set[str]:
        """The plugins whose part differs. Raises `HostError` when the new configuration cannot be applied."""
        if inventory.problems:
            raise ConfigError(inventory.problems)
        changed = changed_plugins(self.settings, new)
        if changed == "host":
            raise HostError("it changes the host's own part, which needs a restart")
        return changed

    async def _apply(self, inventory: Inventory, changed: set[str]) -> None:
        wanted = {plugin.name: plugin for plugin in inventory.ordered}
        for name in [name for name in self.supervisor.units if name not in wanted]:
            await self.supervisor.remove(name)
            self.dispatcher.remove(name)
        # Only now: until it has stopped, a plugin is one that runs.
        self._note_absent(inventory)
        for name, plugin in wanted.items():
            if name not in self.supervisor.units:
                self.supervisor.add(plugin, self._configured(inventory, name))
            elif name in changed:
                await self.supervisor.replace(name, plugin, self._configured(inventory, name))


def _warn_of_strangers(settings: Settings) -> None:
    if settings.admin.token is None:
        log.warning("others can reach this site, and nobody can administer it: set admin.token")
    if not settings.server.allowed_hosts:
        log.warning("others can reach this site under any name, foreign pages' too: set server.allowed_hosts")


def _remove(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _tls(settings: Settings) -> TLS | None:
    server = settings.server
    if server.certfile is None or server.keyfile is None:
        return None
    password = server.keyfile_password.reveal() if server.keyfile_password else None
    return TLS(server.certfile, server.keyfile, password)


def _line(name: str, text: str, took_s: float | None) -> str:
    return f"  {name:<12} {text}" if took_s is None else f"  {name:<12} {text:<32} {took_s * 1e3:6.0f} ms"
