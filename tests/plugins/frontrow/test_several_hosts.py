"""Three host processes on one Postgres and one Redis sell the same arena over HTTP, and one is killed half-way.

The house is the arena of 20,000 seats. All buyers want the same two sections of it, in parties that overlap, until the
last of these seats is sold.
"""

import csv
import json
import os
import random
import signal
from contextlib import ExitStack

import httpx
import pytest
import trio

from host.api import open_client
from host.services.postgres_pool import Postgres
from host.testing import host_process
from plugins.frontrow.core.checkout import FINAL
from tests.plugins.frontrow.conftest import eventually

pytestmark = pytest.mark.chaos

SEATS = 500
PARTY_MAX = 10
BUYERS = 18
WITHIN_S = 100.0
SOLD = "SELECT count(*) FROM frontrow.seats WHERE booking_id IS NOT NULL"
SECTION = {"samples": False, "hold_ttl": "5s", "payment_ttl": "5s", "checkout_margin": "1s"}


@pytest.fixture
def hosts(postgres_url, redis_url, tmp_path):
    with ExitStack() as stack:
        opened = []
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            urls = {"postgres_url": postgres_url, "redis_url": redis_url, "data_dir": folder}
            opened.append(stack.enter_context(host_process({"frontrow": SECTION}, **urls)))
        yield opened


class Sale:
    """What all buyers see: the hosts that live, the seats, and what they were told."""

    def __init__(self, client, urls, event, seats):
        self.client, self.urls, self.event, self.seats = client, urls, event, seats
        self.told: dict[int, list[str]] = {}
        self.over = trio.Event()

    async def post(self, number, path, body):
        """An answer of the buyer's host; of another one when that has died."""
        for attempt in range(3):
            url = self.urls[(number + attempt) % len(self.urls)]
            try:
                return await self.client.post(f"{url}{path}", json=body)
            except httpx.HTTPError:
                continue
        raise AssertionError("no host answers")

    async def buy(self, number):
        """Try party after party of seats that may be free, until none is."""
        wanted, draw, buyer = self.seats.copy(), random.Random(number), f"b{number}"
        while wanted and not self.over.is_set():
            start = draw.randrange(len(wanted))
            party = wanted[start : start + draw.randint(1, PARTY_MAX)]
            held = await self.post(
                number, "/api/frontrow/holds", {"event_id": self.event, "seats": party, "buyer": buyer}
            )
            if held.status_code == 409 and held.json()["type"] == "sold":
                wanted = [seat for seat in wanted if seat not in held.json()["seats"]]
                continue
            if held.status_code != 201:
                await trio.sleep(0.05)
                continue
            order = await self.post(number, "/api/frontrow/orders", {"token": held.json()["token"], "buyer": buyer})
            if order.status_code != 201:
                continue
            paid = await self.post(number, f"{order.json()['url']}/payment", {"card": "ok"})
            if paid.status_code == 200 and paid.json()["state"] == "confirmed":
                for seat in party:
                    self.told.setdefault(seat, []).append(order.json()["id"])


async def test_three_hosts_sell_one_arena_and_one_is_killed_half_way(hosts, postgres_url):
    async with open_client() as client, Postgres(postgres_url, name="test") as postgres:
        operator = {"base_url": hosts[1].url, "timeout": 60}
        async with httpx.AsyncClient(**operator, transport=client._transport) as office:
            made = await office.post("/api/frontrow/events", json={"name": "Gala", "sample": "arena"})
            event = made.json()["id"]
            seats = (await office.get(f"/api/frontrow/events/{event}/seats")).json()["seats"]
            assert len(seats) == 20_000

            async def sold_at_least(count):
                return await postgres.fetch_value(SOLD) >= count

            sale = Sale(client, [host.url for host in hosts], event, [seat["id"] for seat in seats[:SEATS]])
            async with trio.open_nursery() as nursery:
                for number in range(BUYERS):
                    nursery.start_soon(sale.buy, number)
                await eventually(lambda: sold_at_least(SEATS // 3), WITHIN_S)
                os.kill(hosts[0].pid, signal.SIGKILL)
                assert not await sold_at_least(SEATS), "it was killed half-way"
                await eventually(lambda: sold_at_least(SEATS), WITHIN_S)
                sale.over.set()
            assert all(len(orders) == 1 for orders in sale.told.values()), "a seat was sold twice"

            async def states():
                lines = (await office.get(f"/api/frontrow/orders.csv?event_id={event}")).text.splitlines()
                return {order["id"]: order["state"] for order in csv.DictReader(lines)}

            async def has_settled():
                return FINAL.issuperset((await states()).values())

            await eventually(has_settled, WITHIN_S)
            audit = (await office.post("/api/frontrow/invariants")).json()
            assert audit["verdict"] == "holds", json.dumps(audit)
            known = await states()
            for orders in sale.told.values():
                assert known[orders[0]] == "confirmed", "what was told a buyer stands"
