"""FrontRow opened over real servers: a fresh database and an emptied Redis for each test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

from host.api import PluginContext, open_client
from host.context import Lent
from host.services.metrics import plugin_metrics
from host.services.migrations import migrate
from host.services.postgres_pool import Postgres
from host.services.redis import Redis
from plugins import frontrow
from plugins.frontrow.service import FrontRow
from plugins.frontrow.settings import Settings


@asynccontextmanager
async def open_front_row(
    postgres_url: str, redis_url: str, data_dir: Path, *, redis_timeout_s: float = 5.0, **settings: Any
) -> AsyncIterator[FrontRow]:
    """The plugin as the host would have it, serving, until the end of the block."""
    info = frontrow.quartet_info()
    assert info.migrations is not None
    async with (
        Postgres(postgres_url, name="frontrow") as postgres,
        open_client() as http,
        trio.open_nursery() as nursery,
    ):
        redis = Redis(redis_url, name="frontrow", timeout_s=redis_timeout_s)
        await nursery.start(redis.run)
        await migrate(postgres, "frontrow", info.migrations)
        ctx = PluginContext(
            name="frontrow",
            config=Settings(**({"samples": False} | settings)),
            log=structlog.get_logger("test"),
            metrics=plugin_metrics("frontrow", frontrow.quartet_metrics())[1],
            data_dir=data_dir,
            threads=trio.CapacityLimiter(2),
            draining=trio.Event(),
            lent=Lent(postgres, redis, http),
        )
        front_row = FrontRow(ctx)
        await nursery.start(front_row.serve)
        yield front_row
        nursery.cancel_scope.cancel("the test is over")


@pytest.fixture
async def front_row(postgres_url, redis_url, tmp_path):
    """FrontRow with its default settings."""
    async with open_front_row(postgres_url, redis_url, tmp_path) as opened:
        yield opened


async def eventually(check: Callable[[], Awaitable[Any]], timeout_s: float = 20.0) -> Any:
    """Ask until the answer is true, and return it. For what happens in another process, which sets no `trio.Event`."""
    with trio.fail_after(timeout_s):
        while not (answer := await check()):  # noqa: ASYNC110
            await trio.sleep(0.005)
    return answer


async def run_stampede(front_row: FrontRow, buyers: int, seats: int, seed: int | None = 1) -> dict[str, Any]:
    """One stampede to its result."""
    live = await front_row.runs.start(buyers, seats, seed)
    await live.finished.wait()
    assert live.document is not None
    return live.document


def invariant(document: dict[str, Any], name: str) -> Any:
    """Whether an invariant of a result holds."""
    return next(each["holds"] for each in document["invariants"] if each["name"] == name)
