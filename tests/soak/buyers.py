"""Buyers of FrontRow: they hold, order, pay with all kinds of cards, come back, walk away; and stampedes."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import trio

from tests.soak.house import House
from tests.soak.visitors import AWAY, Tally, Visitor

API = "/api/frontrow"
CARDS = ("ok",) * 6 + ("declined", "lost", "twice", "webhook-first", "reordered", "refund-flaky", "capture-lost")
POPULAR = 150
"""So many seats are wanted by everybody."""
TRIES_MAX = 8


@dataclass
class Sold:
    """What buyers were told. `confirmed` maps an order to its event and seats; `refunds` were asked for."""

    event_id: int = 0
    seats: list[int] = field(default_factory=list)
    confirmed: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    refunds: set[str] = field(default_factory=set)
    runs: dict[str, str] = field(default_factory=dict)


async def open_sale(house: House) -> Sold:
    """Put an arena on sale."""
    answer = await house.http.post(f"{API}/events", json={"name": "Soak", "sample": "arena", "state": "open"})
    assert answer.status_code == 201, answer.text
    event_id = answer.json()["id"]
    seats = (await house.http.get(f"{API}/events/{event_id}/seats")).json()["seats"]
    return Sold(event_id, [seat["id"] for seat in seats])


class Buyer(Visitor):
    """One purchase a visit."""

    def __init__(self, house: House, tally: Tally, lot: Random, sold: Sold, number: int) -> None:
        super().__init__(house, tally, lot)
        self._sold = sold
        self._number = number
        self._visits = 0

    async def visit(self) -> None:
        self._visits += 1
        self._name = f"buyer-{self._number}-{self._visits}"
        held = await self._hold()
        if held is None:
            return await self.pause(0.2)
        if self.lot.random() < 0.1:
            answer = await self.http.delete(f"{API}/holds/{held['token']}")
            self.tally.check("buyers", answer, 204)
            return None
        order = await self._order(held["token"])
        if order is not None and await self._pay(order):
            await self._maybe_refund(order)
        return await self.pause(0.3)

    async def _hold(self) -> dict[str, Any] | None:
        wanted = self._sold.seats[:POPULAR] if self.lot.random() < 0.5 else self._sold.seats
        seats = self.lot.sample(wanted, self.lot.randint(1, 4))
        body = {"event_id": self._sold.event_id, "seats": seats, "buyer": self._name}
        answer = await self.http.post(f"{API}/holds", json=body)
        if not self.tally.check("buyers", answer, 201, 409):
            return None
        self.tally.note("holds" if answer.status_code == 201 else "seats that were another's")
        return answer.json() if answer.status_code == 201 else None

    async def _order(self, token: str) -> dict[str, Any] | None:
        body = {"token": token, "buyer": self._name, "method": self.lot.choice(("card", "instant"))}
        answer = await self._insist(f"{API}/orders", body, 201, 409)
        if answer is None or answer.status_code != 201:
            return None
        order: dict[str, Any] = answer.json()
        if self.lot.random() < 0.2:
            again = await self._insist(f"{API}/orders", body, 201, 409)
            if again is not None and again.status_code == 201 and again.json()["id"] != order["id"]:
                self.tally.breach(f"buyers: one Idempotency-Key made the orders {order['id']} and {again.json()['id']}")
        return order

    async def _pay(self, order: dict[str, Any]) -> bool:
        answer = await self._insist(f"{order['url']}/payment", {"card": self.lot.choice(CARDS)}, 200, 202, 402, 409)
        if answer is None or answer.status_code != 200:
            return False
        paid = answer.json()
        if paid["state"] != "confirmed":
            return False
        self.tally.note("orders confirmed")
        self._sold.confirmed[paid["id"]] = (paid["event_id"], tuple(paid["seats"]))
        return True

    async def _maybe_refund(self, order: dict[str, Any]) -> None:
        if self.lot.random() < 0.15:
            self._sold.refunds.add(order["id"])
            answer = await self.http.post(f"{API}/orders/{order['id']}/refund", json={"reason": "changed plans"})
            if self.tally.check("buyers", answer, 200, 409):
                self.tally.note("refunds")

    async def _insist(self, path: str, body: dict[str, Any], *allowed: int) -> httpx.Response | None:
        """Ask again under one Idempotency-Key while nobody knows what became of it; None when it stays unknown."""
        life, key = self.house.life, f"{self._name}-{path.rpartition('/')[2]}"
        for _ in range(TRIES_MAX):
            try:
                answer = await self.http.post(path, json=body, headers={"idempotency-key": key})
            except AWAY:
                if self.house.life != life:
                    break
                self.tally.note("buyers: asked again")
                await trio.sleep(0.2)
                continue
            if self.tally.check("buyers", answer, *allowed):
                return answer
            await trio.sleep(0.3)
        return None


class Crowd(Visitor):
    """A stampede a visit."""

    def __init__(self, house: House, tally: Tally, lot: Random, sold: Sold) -> None:
        super().__init__(house, tally, lot)
        self._sold = sold

    async def visit(self) -> None:
        seats = self.lot.choice((1, 5, 20))
        body = {"buyers": self.lot.choice((100, 300)), "seats": seats, "seed": self.lot.randrange(2**32)}
        answer = await self.http.post(f"{API}/stampede", json=body)
        if self.tally.check("crowds", answer, 200, 202, 429) and answer.status_code == 200:
            run = answer.json()
            self.tally.note("stampedes")
            self._sold.runs[run["run_id"]] = run["verdict"]
            if run["verdict"] == "broke" or run.get("oversold"):
                self.tally.breach(f"crowds: run {run['run_id']} of seed {body['seed']} broke a promise")
        await self.pause(4)


async def settle(house: House, tally: Tally, sold: Sold) -> dict[str, Any]:
    """Compare what buyers were told with what is so now, and have the house counted."""
    owners: dict[tuple[int, int], str] = {}
    for order_id, (event_id, seats) in sold.confirmed.items():
        state = (await house.http.get(f"{API}/orders/{order_id}")).json()["state"]
        if order_id in sold.refunds:
            continue
        if state != "confirmed":
            tally.breach(f"buyers: order {order_id} was told to be confirmed and is {state}")
        for seat in seats:
            if (other := owners.setdefault((event_id, seat), order_id)) != order_id:
                tally.breach(f"buyers: seat {seat} was sold to {other} and to {order_id}")
    verdicts = [(await _verdict(house, run_id, told)) for run_id, told in sold.runs.items()]
    for run_id, verdict in zip(sold.runs, verdicts, strict=True):
        if verdict == "broke":
            tally.breach(f"crowds: run {run_id} broke a promise")
    audit = (await house.http.post(f"{API}/invariants", json={})).json()
    for finding in audit["invariants"]:
        if not finding["holds"]:
            tally.breach(f"frontrow: {finding['statement']} It found {finding['found']}")
    return {
        "seats_sold_to_one": len(owners),
        "invariants": len(audit["invariants"]),
        "audit": audit["verdict"],
        "runs_unknown": verdicts.count("unknown"),
    }


async def _verdict(house: House, run_id: str, told: str) -> str:
    """A run's verdict as it is now: one whose database was away is judged once that is back.

    Of one that is no longer kept, what was told as it ended.
    """
    answer = await house.http.get(f"{API}/runs/{run_id}")
    return str(answer.json()["verdict"]) if answer.status_code == 200 else told
