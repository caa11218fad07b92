"""The waiting room in front of a sale."""

import time

import pytest

from plugins.frontrow.core.waiting_room import draw, entrants_hash, seed_hash
from plugins.frontrow.room import Rooms
from tests.plugins.frontrow.conftest import eventually
from tests.plugins.frontrow.test_checkout import opened

LATER = 3600.0


@pytest.fixture
async def shop(front_row):
    return await opened(front_row)


def queue_of(shop):
    return f"/api/frontrow/events/{shop.event_id}/queue"


async def make(shop, *, opens_in_s=LATER, at_once=0, per_s=0.0):
    body = {"opens_at": time.time() + opens_in_s, "at_once": at_once, "per_s": per_s}
    answer = await shop.client.put(queue_of(shop), json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def enter(shop, buyer):
    answer = await shop.client.post(queue_of(shop), json={"buyer": buyer})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def let_the_hour_come(shop):
    sql = "UPDATE frontrow.rooms SET opens_at = clock_timestamp(), since = clock_timestamp() WHERE event_id = %s"
    await shop.front_row.ctx.postgres.execute(sql, [shop.event_id])


async def try_to_hold(shop, seat, buyer, ticket=""):
    body = {"event_id": shop.event_id, "seats": [shop.seats[seat]], "buyer": buyer, "ticket": ticket}
    return await shop.client.post("/api/frontrow/holds", json=body)


async def test_lottery_is_as_it_was_committed_to_and_late_comers_stand_behind(shop):
    room = await make(shop, at_once=2)
    assert (room["open"], room["seed"]) == (False, None)
    early = [await enter(shop, f"b{number}") for number in range(10)]
    assert {ticket["place"] for ticket in early} == {None}
    assert (await shop.client.get(f"{queue_of(shop)}/lottery")).json()["type"] == "not-drawn"
    await let_the_hour_come(shop)
    late = await enter(shop, "late")
    lottery = (await shop.client.get(f"{queue_of(shop)}/lottery")).json()
    seed, tickets = bytes.fromhex(lottery["seed"]), [ticket["ticket"] for ticket in early]
    assert seed_hash(seed) == room["seed_sha256"] == lottery["seed_sha256"]
    assert entrants_hash(tickets) == lottery["entrants_sha256"]
    assert [place["ticket"] for place in lottery["places"]] == draw(seed, tickets)
    assert late["place"] == 11
    assert (await enter(shop, "later"))["place"] == 12


async def test_only_whose_turn_it_is_gets_a_hold(shop):
    await make(shop, opens_in_s=0, at_once=1)
    first, second = await enter(shop, "ann"), await enter(shop, "bob")
    assert (first["place"], first["admitted"], first["estimate_s"]) == (1, True, 0)
    assert (second["place"], second["admitted"], second["ahead"], second["estimate_s"]) == (2, False, 0, None)
    without = await try_to_hold(shop, 0, "ann")
    assert (without.status_code, without.json()["type"]) == (403, "waiting-room")
    early = await try_to_hold(shop, 0, "bob", second["ticket"])
    assert (early.status_code, early.json()["ticket"]["place"]) == (403, 2)
    stolen = await try_to_hold(shop, 0, "bob", first["ticket"])
    assert stolen.status_code == 403
    assert (await try_to_hold(shop, 0, "ann", first["ticket"])).status_code == 201
    await shop.client.patch(queue_of(shop), json={"per_s": 1000.0})

    async def is_in():
        return (await try_to_hold(shop, 1, "bob", second["ticket"])).status_code == 201

    await eventually(is_in)


async def test_nobody_is_in_before_the_hour(shop):
    await make(shop, at_once=100)
    ticket = await enter(shop, "ann")
    assert (await try_to_hold(shop, 0, "ann", ticket["ticket"])).status_code == 403
    await let_the_hour_come(shop)
    assert (await try_to_hold(shop, 0, "ann", ticket["ticket"])).status_code == 201


async def test_place_survives_a_reload_and_a_restart(shop):
    await make(shop, opens_in_s=0)
    tickets = [await enter(shop, buyer) for buyer in ("ann", "bob", "ann")]
    assert tickets[0] == tickets[2]
    anew = Rooms(shop.front_row.ctx.postgres)
    _, ticket = await anew.enter(shop.event_id, "bob")
    assert (ticket.id, ticket.place) == (tickets[1]["ticket"], 2)


async def test_place_is_pushed_until_it_is_admitted(shop):
    await make(shop, opens_in_s=0, at_once=1)
    ticket = await enter(shop, "ann")
    answer = await shop.client.get(f"{ticket['url']}/events")
    assert "event: place" in answer.text
    assert '"admitted":true' in answer.text


async def test_other_events_have_no_room(shop):
    assert (await shop.client.get(queue_of(shop))).status_code == 404
    assert (await shop.client.post(queue_of(shop), json={"buyer": "ann"})).status_code == 404
    assert (await try_to_hold(shop, 0, "ann")).status_code == 201


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("PUT", "", {}, 422),
    ("PUT", "", {"opens_at": 1, "per_s": -1}, 422),
    ("POST", "", {"buyer": ""}, 422),
    ("PATCH", "", {"per_s": 1}, 404),
    ("GET", "/x", None, 404),
    ("GET", "/lottery", None, 404),
])  # fmt: skip
async def test_what_is_no_room_is_refused(shop, method, path, body, status):
    assert (await shop.client.request(method, queue_of(shop) + path, json=body)).status_code == status
