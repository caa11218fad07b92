"""FrontRow put together: what its routes, tasks, health checks and card share during one run of the plugin."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import trio

from host.api import Figure, PluginContext, Router
from plugins.frontrow.box_office import BoxOffice
from plugins.frontrow.claims import ClaimDesk
from plugins.frontrow.holds import HoldDesk
from plugins.frontrow.idempotency import IdempotencyKeys
from plugins.frontrow.inventory import Inventory
from plugins.frontrow.run_routes import RunRoutes
from plugins.frontrow.run_store import RunStore
from plugins.frontrow.runs import RunService, document_of
from plugins.frontrow.sale_routes import SaleRoutes
from plugins.frontrow.settings import Settings

SALES_WAITING_MAX: Final = 10_000
"""Sales that layer 1 has not been told of yet; when there are more, it is not told: it is a hint, nothing else."""
METRICS_INTERVAL_S: Final = 1.0


class FrontRow:
    """One run of the plugin. `serve` makes it ready; before that its routes answer 503 by the host."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        self.settings: Settings = ctx.config
        self.router = Router()
        self.store = RunStore(ctx.postgres, host_id(ctx.data_dir))
        self.inventory = Inventory(ctx.postgres)
        self.runs = RunService(
            ctx.postgres, self.store, self.settings, ctx.threads, ctx.log, on_result=self._count_result
        )
        self.run_routes = RunRoutes(self.runs, self.store, ctx.draining, self.settings.progress_interval)
        self.run_routes.add_to(self.router)
        self.office: BoxOffice | None = None
        self._latest: dict[str, Any] | None = None
        self._sales, self._sales_to_tell = trio.open_memory_channel[tuple[int, tuple[int, ...]]](SALES_WAITING_MAX)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the box office, then carry out runs, tell layer 1 of sales, and keep the metrics, until cancelled."""
        settings = self.settings
        installation = await self.inventory.installation()
        holds = HoldDesk(self.ctx.redis, installation.namespace, settings)
        self.office = BoxOffice(holds, ClaimDesk(self.ctx.postgres), settings, announce_sale=self._announce_sale)
        keys = IdempotencyKeys(self.ctx.postgres, round((settings.claim_patience + settings.claim_timeout) * 2000))
        SaleRoutes(self.office, self.inventory, keys, installation).add_to(self.router)
        async with trio.open_nursery() as nursery:
            await nursery.start(self.runs.run, self.office)
            nursery.start_soon(self._tell_of_sales, holds)
            nursery.start_soon(self._keep_metrics, self.office)
            task_status.started()

    async def figures(self) -> Sequence[Figure]:
        """The newest stampede in four numbers."""
        run = self._latest
        if run is None:
            stored = await self.store.latest(1)
            run = document_of(stored[0]) if stored else {}
        at = run.get("started_at")
        return [
            Figure("booked", run.get("booked"), "", at),
            Figure("rejected", run.get("rejected"), "", at),
            Figure("oversold", run.get("oversold"), "", at),
            Figure("gun to last verdict", run.get("elapsed_ms"), "ms", at),
        ]

    async def check_postgres(self) -> None:
        """Layer 2 answers, and its last line is in place."""
        await self.inventory.check_last_line()

    async def check_redis(self) -> None:
        """Layer 1 answers. Without it seats are sold all the same, with less fairness."""
        if self.office is not None:
            await self.office.holds.ping()

    def _announce_sale(self, event_id: int, seats: tuple[int, ...]) -> None:
        try:
            self._sales.send_nowait((event_id, seats))
        except trio.WouldBlock:
            self.ctx.metrics["sales_untold_total"].inc()

    async def _tell_of_sales(self, holds: HoldDesk) -> None:
        async for event_id, seats in self._sales_to_tell:
            await holds.mark_sold(event_id, seats)

    async def _keep_metrics(self, office: BoxOffice) -> None:
        """Export the tally: the hot path adds integers, and this turns them into metrics once a second."""
        exported: Counter[str] = Counter()
        while True:
            for name, now in (asdict(office.tally) | asdict(office.holds.tally)).items():
                self.ctx.metrics[f"{name}_total"].inc(now - exported[name])
                exported[name] = now
            self.ctx.metrics["claims_waiting"].set(office.line.waiting)
            self.ctx.metrics["layer_one_open"].set(office.holds.breaker.state != "closed")
            await trio.sleep(METRICS_INTERVAL_S)

    def _count_result(self, document: dict[str, Any]) -> None:
        self._latest = document
        metrics = self.ctx.metrics
        metrics["runs_total"].labels(verdict=document["verdict"]).inc()
        metrics["oversold_total"].inc(document["oversold"] or 0)
        metrics["undersold_total"].inc(document["undersold"] or 0)
        metrics["stampede_seconds"].observe(document["elapsed_ms"] / 1000)


def host_id(data_dir: Path) -> str:
    """The name by which this data folder's host knows its own runs again; made on the first start."""
    path = data_dir / "host-id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        name = uuid.uuid4().hex
        path.write_text(name + "\n")
        return name
