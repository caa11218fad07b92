"""What the host lends to a plugin for one run, from start to stop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from host.descriptors import Scope, Service
from host.errors import PluginError

if TYPE_CHECKING:
    import httpx
    import structlog

    from host.http.client import TrioTransport
    from host.services.postgres_pool import Postgres
    from host.services.redis import Redis


@dataclass(slots=True)
class Lent:
    """The services opened for one run of a plugin; those it did not declare are None."""

    postgres: "Postgres | None" = None
    redis: "Redis | None" = None
    http: "httpx.AsyncClient | None" = None
    http_transport: "TrioTransport | None" = None


@dataclass(slots=True)
class PluginContext:
    """A plugin's view of the house. Made anew at each start; nothing in it outlives that run.

    `config` is the validated model of the plugin's section (None when it has none). `metrics` maps the names
    of `quartet_metrics` to their Prometheus objects. `data_dir` exists and belongs to the plugin alone. `threads` is
    its own limiter for `trio.to_thread.run_sync`. `draining` is set when the plugin is about to stop: long-lived
    streams end then by themselves. `restart_count` counts the restarts after failures since the host started.
    """

    name: str
    config: Any
    log: "structlog.stdlib.BoundLogger"
    metrics: Mapping[str, Any]
    data_dir: Path
    threads: trio.CapacityLimiter
    draining: trio.Event
    restart_count: int = 0
    lent: Lent = field(default_factory=Lent)
    authorize: Callable[[Scope], None] = lambda scope: None

    @property
    def postgres(self) -> "Postgres":
        """The plugin's pool of Postgres connections."""
        return self.lent.postgres or self._undeclared("postgres")

    @property
    def redis(self) -> "Redis":
        """The plugin's Redis: redis-py's commands over one auto-pipelining connection."""
        return self.lent.redis or self._undeclared("redis")

    @property
    def http(self) -> "httpx.AsyncClient":
        """The plugin's HTTP client."""
        return self.lent.http or self._undeclared("http")

    def require_admin(self, scope: Scope) -> None:
        """Let an administrator pass: on loopback everybody, elsewhere who shows the admin token.

        Raises:
            HttpProblem: 401 without a token, 403 with a wrong one or when no token is configured.
        """
        self.authorize(scope)

    def _undeclared(self, service: Service) -> NoReturn:
        raise PluginError(
            self.name, "run", f"it uses {service} undeclared", hint=f'add "{service}" to PluginInfo.services'
        )
