"""FrontRow put together: what its routes, tasks, health checks and card share during one run of the plugin."""

import hashlib
import hmac
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import trio

from host.api import Figure, OutcomeUnknown, PluginContext, Router, ServiceUnavailable, TrioTransport
from plugins.frontrow.audit import Auditor
from plugins.frontrow.audit_routes import AuditRoutes
from plugins.frontrow.box_office import BoxOffice
from plugins.frontrow.chaos.faults import Ground
from plugins.frontrow.chaos.trials import Chaos
from plugins.frontrow.chaos_routes import ChaosRoutes
from plugins.frontrow.checkout import Checkout
from plugins.frontrow.claims import ClaimDesk
from plugins.frontrow.comparison_routes import ComparisonRoutes
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.holding import Holding
from plugins.frontrow.holds import HoldDesk
from plugins.frontrow.house_routes import HouseRoutes
from plugins.frontrow.idempotency import IdempotencyKeys
from plugins.frontrow.inventory import Installation, Inventory
from plugins.frontrow.kafka import KafkaTopic, security_options
from plugins.frontrow.live_house import LiveHouses
from plugins.frontrow.live_map import LiveMaps
from plugins.frontrow.map_feed import MapFeed
from plugins.frontrow.operator_routes import OperatorRoutes
from plugins.frontrow.operators import Operators
from plugins.frontrow.order_routes import OrderRoutes
from plugins.frontrow.order_store import OrderStore
from plugins.frontrow.payments import HttpPaymentProvider
from plugins.frontrow.relay import RedisStream, Relay, Sink
from plugins.frontrow.room import Rooms
from plugins.frontrow.room_routes import RoomRoutes
from plugins.frontrow.run_routes import RunRoutes
from plugins.frontrow.run_store import RunStore
from plugins.frontrow.runs import RunService, document_of
from plugins.frontrow.sale_claims import SaleClaimDesk
from plugins.frontrow.sale_routes import SaleRoutes
from plugins.frontrow.samples_on_sale import put_samples_on_sale
from plugins.frontrow.settings import Settings
from plugins.frontrow.simulated.ledger import Ledger
from plugins.frontrow.simulated.provider import SimulatedProvider
from plugins.frontrow.simulated.server import serve_loopback
from plugins.frontrow.strategies.comparison import Comparisons
from plugins.frontrow.subscribers import Subscribers
from plugins.frontrow.subscription_routes import SubscriptionRoutes
from plugins.frontrow.venues import Venues
from plugins.frontrow.wall_clock import WallClock

SALES_WAITING_MAX: Final = 10_000
"""Sales that layer 1 has not been told of yet; when there are more, it is not told: it is a hint, nothing else."""
SALES_TOLD_MAX: Final = 500
"""Sales that layer 1 is told of in one go."""
METRICS_INTERVAL_S: Final = 1.0
SALE_CLAIMS_MAX: Final = 1000
"""Claims of the public that wait for a statement at one time; the desk puts them together."""


class FrontRow:
    """One run of the plugin. `serve` makes it ready; before that its routes answer 503 by the host."""

    def __init__(self, ctx: PluginContext) -> None:
        self.ctx = ctx
        self.settings: Settings = ctx.config
        self.router = Router()
        self.store = RunStore(ctx.postgres, host_id(ctx.data_dir))
        self.inventory = Inventory(ctx.postgres)
        self.clock = WallClock()
        self.runs = RunService(
            ctx.postgres, self.store, self.settings, ctx.threads, ctx.log, self.clock, on_result=self._count_result
        )
        self.run_routes = RunRoutes(self.runs, self.store, ctx.draining, self.settings.progress_interval)
        self.run_routes.add_to(self.router)
        self.comparisons = Comparisons(ctx.postgres, ctx.redis, self.settings, ctx.log)
        self.comparison_routes = ComparisonRoutes(self.comparisons, ctx.draining)
        self.comparison_routes.add_to(self.router)
        self.venues = Venues(ctx.postgres)
        self.office: BoxOffice | None = None
        """Where stampedes book."""
        self.sale: BoxOffice | None = None
        """Where the public books: the same two layers, with a claim that also knows orders, areas and limits."""
        self.checkout: Checkout | None = None
        self.provider: SimulatedProvider | None = None
        self.operators: Operators
        self.maps: LiveMaps | None = None
        self.auditor = Auditor(ctx.postgres, ctx.log, self.settings.audit_interval, self.clock)
        AuditRoutes(self.auditor).add_to(self.router)
        self.chaos = Chaos(Ground(ctx.postgres, ctx.redis, self.clock), self.runs, self.store, self.auditor)
        ChaosRoutes(ctx, self.chaos).add_to(self.router)
        self.relay: Relay | None = None
        brokers = self.settings.kafka_brokers
        security = security_options(self.settings)
        self._topic = KafkaTopic(brokers, self.settings.kafka_topic, security=security) if brokers else None
        self.subscribers = Subscribers(ctx.postgres, ctx.http, ctx.log)
        SubscriptionRoutes(ctx, self.subscribers).add_to(self.router)
        self._latest: dict[str, Any] | None = None
        self._sales, self._sales_to_tell = trio.open_memory_channel[tuple[int, tuple[int, ...]] | tuple[Hold, str]](
            SALES_WAITING_MAX
        )

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the box office, then carry out runs, tell layer 1 of sales, and keep the metrics, until cancelled."""
        settings = self.settings
        installation = await self.inventory.installation()
        holds = HoldDesk(self.ctx.redis, installation.namespace, settings)
        self.office = BoxOffice(holds, ClaimDesk(self.ctx.postgres), settings, announce_sale=self._announce_sale)
        keys = IdempotencyKeys(self.ctx.postgres, round((settings.claim_patience + settings.claim_timeout) * 2000))
        desk = SaleClaimDesk(self.ctx.postgres)
        self.sale = self.office.with_claims(desk, SALE_CLAIMS_MAX)
        feed = MapFeed(self.ctx.redis, installation.namespace, holds)
        live = LiveHouses(self.ctx.postgres, self.venues, holds, feed)
        self.maps = LiveMaps(live, feed)
        rooms = Rooms(self.ctx.postgres)
        RoomRoutes(self.ctx, rooms, self.venues).add_to(self.router)
        holding = Holding(
            self.sale,
            self.ctx.postgres,
            self.venues,
            live,
            installation.secret,
            rooms,
            tell_of_sale=self._announce_hold_sold,
        )
        SaleRoutes(self.sale, self.inventory, keys, installation, self.venues, holding).add_to(self.router)
        HouseRoutes(self.ctx, self.venues, live, self.maps, holding, installation.secret).add_to(self.router)
        async with trio.open_nursery() as nursery:
            await nursery.start(keys.run)
            await nursery.start(desk.run)
            await nursery.start(holding.run)
            await self._open_checkout(nursery, holding, keys, installation)
            assert self.checkout is not None
            self.operators = Operators(self.ctx.postgres, self.checkout, live)
            OperatorRoutes(self.ctx, self.operators).add_to(self.router)
            await nursery.start(self.runs.run, self.office)
            await nursery.start(self.comparisons.run, installation.namespace)
            nursery.start_soon(self._tell_of_sales, holds, holding)
            await nursery.start(self.maps.run)
            nursery.start_soon(feed.run)
            nursery.start_soon(self.auditor.run)
            self.relay = Relay(self.ctx.postgres, [self._sink(installation)], self.ctx.log)
            nursery.start_soon(self.relay.run)
            nursery.start_soon(self.subscribers.run)
            if settings.samples:
                nursery.start_soon(self._put_samples_on_sale)
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

    async def _open_checkout(
        self, nursery: trio.Nursery, holding: Holding, keys: IdempotencyKeys, installation: Installation
    ) -> None:
        """Start the checkout, and the simulated provider with the listener for its reports when there is no other."""
        settings, ctx = self.settings, self.ctx
        secret = payment_secret(settings, installation)
        url = settings.payment_url
        if not url:
            self.provider = SimulatedProvider(Ledger(ctx.postgres), ctx.http, secret)
            url = await nursery.start(self.provider.run)
        transport = TrioTransport()
        nursery.start_soon(_close_at_the_end, transport)
        provider = HttpPaymentProvider(transport, url, settings.payment_timeout)
        store = OrderStore(ctx.postgres)
        self.checkout = Checkout(holding, store, provider, self.venues, ctx.postgres, settings, ctx.log)
        await nursery.start(self.checkout.run)
        routes = OrderRoutes(self.checkout, keys, installation.secret, secret, self.clock)
        routes.add_to(self.router)
        if self.provider is not None:

            async def take_report(method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
                return await routes.receive(headers, body)

            port: int = await nursery.start(lambda **started: serve_loopback(take_report, **started))
            self.provider.notify_url = f"http://127.0.0.1:{port}/"

    def _sink(self, installation: Installation) -> Sink:
        return self._topic or RedisStream(self.ctx.redis, stream_key(installation))

    def _announce_sale(self, event_id: int, seats: tuple[int, ...]) -> None:
        self._tell_later((event_id, seats))

    def _announce_hold_sold(self, hold: Hold, buyer: str) -> None:
        self._tell_later((hold, buyer))

    def _tell_later(self, sale: tuple[int, tuple[int, ...]] | tuple[Hold, str]) -> None:
        try:
            self._sales.send_nowait(sale)
        except trio.WouldBlock:
            self.ctx.metrics["sales_untold_total"].inc()

    async def _tell_of_sales(self, holds: HoldDesk, holding: Holding) -> None:
        async for first in self._sales_to_tell:
            # What came while layer 1 was told of others is told together.
            sales = [first]
            with suppress(trio.WouldBlock):
                while len(sales) < SALES_TOLD_MAX:
                    sales.append(self._sales_to_tell.receive_nowait())
            sold: dict[int, list[int]] = defaultdict(list)
            for what, detail in sales:
                if isinstance(what, Hold):
                    assert isinstance(detail, str)
                    try:
                        await holding.forget_counts(what, detail)
                    except (ServiceUnavailable, OutcomeUnknown):
                        self.ctx.metrics["sales_untold_total"].inc()
                else:
                    sold[what].extend(map(int, detail))
            for event_id, seats in sold.items():
                await holds.mark_sold(event_id, seats)

    async def _put_samples_on_sale(self) -> None:
        try:
            for name in await put_samples_on_sale(self.venues):
                self.ctx.log.info("a sample is on sale", venue=name)
        except (ServiceUnavailable, OutcomeUnknown) as error:
            self.ctx.log.warning("the samples are not on sale yet", error=str(error))

    async def _keep_metrics(self, office: BoxOffice) -> None:
        """Export the tally: the hot path adds integers, and this turns them into metrics once a second."""
        exported: Counter[str] = Counter()
        while True:
            for name, now in _tallies(office, self.checkout).items():
                self.ctx.metrics[f"{name}_total"].inc(now - exported[name])
                exported[name] = now
            audits = {"audits": self.auditor.audits_total, "audits_broken": self.auditor.broken_total}
            if self.relay is not None:
                audits["events_relayed"] = self.relay.sent_total
                audits["relay_failures"] = self.relay.failures_total
                self.ctx.metrics["outbox_backlog"].set(self.relay.backlog)
            audits["webhooks_delivered"] = self.subscribers.delivered_total
            audits["webhooks_failed"] = self.subscribers.failed_total
            for name, now in audits.items():
                self.ctx.metrics[f"{name}_total"].inc(now - exported[name])
                exported[name] = now
            self.ctx.metrics["map_watchers"].set(0 if self.maps is None else self.maps.watchers)
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


def _tallies(office: BoxOffice, checkout: Checkout | None) -> dict[str, int]:
    tallies = asdict(office.tally) | asdict(office.holds.tally)
    return tallies if checkout is None else tallies | asdict(checkout.tally)


def stream_key(installation: Installation) -> str:
    """The Redis stream that the outbox is relayed to."""
    return f"frontrow:{installation.namespace}:events"


async def _close_at_the_end(transport: TrioTransport) -> None:
    async with transport:
        await trio.sleep_forever()


def payment_secret(settings: Settings, installation: Installation) -> bytes:
    """What reports of the payment provider are signed with."""
    if settings.payment_secret is not None:
        return settings.payment_secret.reveal().encode()
    return hmac.digest(installation.secret, b"frontrow payments", hashlib.sha256)


def host_id(data_dir: Path) -> str:
    """The name by which this data folder's host knows its own runs again; made on the first start."""
    path = data_dir / "host-id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        name = uuid.uuid4().hex
        path.write_text(name + "\n")
        return name
