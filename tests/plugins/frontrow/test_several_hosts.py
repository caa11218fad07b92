"""Three host processes on one Postgres and one Redis sell the same house over HTTP, and one is killed half-way."""

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
from host.testing import host_process
from plugins.frontrow.core.checkout import FINAL
from tests.plugins.frontrow.conftest import eventually

pytestmark = pytest.mark.chaos

SEATS = 120
BUYERS = 18
WITHIN_S = 100.0
SECTION = {"samples": False, "hold_ttl": "5s", "payment_ttl": "5s", "checkout_margin": "1s"}
PLAN = {
    "format": "frontrow-venue/1",
    "name": "Shared house",
    "stage": {"x": 0, "y": 0},
    "tiers": [{"code": "all", "name": "All", "price": 2500}],
    "sections": [
        {
            "name": "Main",
            "tier": "all",
            "rows": [
                {"label": str(row), "line": {"count": 10, "start": {"x": 0, "y": row}, "end": {"x": 9, "y": row}}}
                for row in range(SEATS // 10)
            ],
        }
    ],
}


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
        """Try seat after seat, each as often as it takes until it is sold to somebody."""
        wanted = self.seats.copy()
        random.Random(number).shuffle(wanted)
        while wanted and not self.over.is_set():
            seat = wanted.pop(0)
            buyer = f"b{number}"
            held = await self.post(
                number, "/api/frontrow/holds", {"event_id": self.event, "seats": [seat], "buyer": buyer}
            )
            if held.status_code == 409 and held.json()["type"] == "sold":
                continue
            wanted.append(seat)
            if held.status_code != 201:
                await trio.sleep(0.05)
                continue
            order = await self.post(number, "/api/frontrow/orders", {"token": held.json()["token"], "buyer": buyer})
            if order.status_code != 201:
                continue
            paid = await self.post(number, f"{order.json()['url']}/payment", {"card": "ok"})
            if paid.status_code == 200 and paid.json()["state"] == "confirmed":
                self.told.setdefault(seat, []).append(order.json()["id"])


async def test_three_hosts_sell_one_house_and_one_is_killed_half_way(hosts):
    async with open_client() as client:
        operator = {"base_url": hosts[1].url, "timeout": 60}
        async with httpx.AsyncClient(**operator, transport=client._transport) as office:
            venue = (await office.post("/api/frontrow/venues", json=PLAN)).json()
            event = (await office.post("/api/frontrow/events", json={"name": "Gala", "venue_id": venue["id"]})).json()[
                "id"
            ]

            async def standing():
                return (await office.get(f"/api/frontrow/events/{event}/seats")).json()["seats"]

            async def sold_at_least(count):
                return sum(seat["sold"] for seat in await standing()) >= count

            sale = Sale(client, [host.url for host in hosts], event, [seat["id"] for seat in await standing()])
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
