"""FrontRow for the benchmarks that measure it inside their own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
import trio

from host.api import PluginContext, open_client
from host.context import Lent
from host.process import spare_the_collector
from host.services.metrics import plugin_metrics
from host.services.migrations import migrate
from host.services.postgres_pool import Postgres
from host.services.redis import Redis
from plugins import frontrow
from plugins.frontrow.service import FrontRow
from plugins.frontrow.settings import Settings


@asynccontextmanager
async def front_row(urls: dict[str, Any], data_dir: Path) -> AsyncIterator[tuple[FrontRow, Postgres]]:
    """The plugin, set up and serving as the host would have it."""
    info = frontrow.quartet_info()
    assert info.migrations is not None
    async with (
        Postgres(urls["postgres_url"], name="frontrow") as postgres,
        open_client() as http,
        trio.open_nursery() as nursery,
    ):
        redis = Redis(urls["redis_url"], name="frontrow")
        await nursery.start(redis.run)
        await migrate(postgres, "frontrow", info.migrations)
        ctx = PluginContext(
            name="frontrow",
            config=Settings(samples=False),
            log=structlog.get_logger("benchmark"),
            metrics=plugin_metrics("frontrow", frontrow.quartet_metrics())[1],
            data_dir=data_dir,
            threads=trio.CapacityLimiter(2),
            draining=trio.Event(),
            lent=Lent(postgres, redis, http),
        )
        plugin = FrontRow(ctx)
        await nursery.start(plugin.serve)
        spare_the_collector()
        yield plugin, postgres
        nursery.cancel_scope.cancel("measured")
