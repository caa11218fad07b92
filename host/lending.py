"""Opening the services that a plugin declared, for one run of it, and closing them after.

Each plugin has connections of its own: one that hogs its pool, or leaves a connection in a bad state, takes nothing
from another.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import trio

from host.context import Lent
from host.plugin_run import RunSettings
from host.plugins import LoadedPlugin

if TYPE_CHECKING:
    from host.http.client import TrioTransport

EXPIRY_INTERVAL_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Lender:
    """Where the services are, and how long a plugin waits for them. `url_of` is asked when one is opened."""

    url_of: Callable[[Literal["postgres", "redis"]], str]
    acquire_timeout_s: float
    response_timeout_s: float
    redis_timeout_s: float

    @asynccontextmanager
    async def lend(self, plugin: LoadedPlugin, settings: RunSettings) -> AsyncIterator[Lent]:
        """Open what the plugin declared. Connections are made when first used, and a server that is away fails nothing
        yet. When the block ends, or is cancelled, all of them are closed.
        """
        services = plugin.info.services if settings.services is None else settings.services
        lent = Lent()
        # Imports stand where they are needed, so that a host whose plugins use none of it starts without their weight.
        async with trio.open_nursery() as nursery:
            if "http" in services:
                from host.http.client import open_client, transport_of

                lent.http = open_client()
                lent.http_transport = transport_of(lent.http)
                nursery.start_soon(_close_expired, lent.http_transport)
            if "postgres" in services:
                from host.services.postgres_pool import Postgres

                lent.postgres = Postgres(
                    self.url_of("postgres"),
                    name=f"quartet/{plugin.name}",
                    connections_max=settings.postgres_connections_max,
                    acquire_timeout_s=self.acquire_timeout_s,
                    response_timeout_s=self.response_timeout_s,
                )
            if "redis" in services:
                from host.services.redis import Redis

                lent.redis = Redis(self.url_of("redis"), name=f"quartet-{plugin.name}", timeout_s=self.redis_timeout_s)
                await nursery.start(lent.redis.run, name=f"{plugin.name}.redis")
            try:
                yield lent
            finally:
                with trio.CancelScope(shield=True):
                    if lent.http is not None:
                        await lent.http.aclose()
                    if lent.postgres is not None:
                        await lent.postgres.aclose()
                nursery.cancel_scope.cancel("the plugin gives its services back")


async def _close_expired(transport: "TrioTransport") -> None:
    """Close what has been idle for too long, also in a plugin that has stopped calling."""
    while True:
        await trio.sleep(EXPIRY_INTERVAL_S)
        transport.close_expired()
