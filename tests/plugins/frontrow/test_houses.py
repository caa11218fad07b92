"""Houses over HTTP: import, maps, the best seats, areas, and the limits on a buyer."""

from itertools import accumulate

import httpx
import pytest
import trio

from host.api import ServiceUnavailable
from plugins.frontrow.core.samples import arena
from plugins.frontrow.samples_on_sale import put_samples_on_sale
from tests.plugins.frontrow.conftest import eventually
from tests.plugins.frontrow.houses import PLAN, hold, open_house


@pytest.fixture
async def client(front_row):
    transport = httpx.ASGITransport(app=front_row.router)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as opened:
        yield opened


async def state(client, event_id):
    return (await client.get(f"/api/frontrow/events/{event_id}/state")).json()


async def best(client, event_id, count, tier="gold", **more):
    body = {"tier": tier, "count": count, **more}
    return await client.post(f"/api/frontrow/events/{event_id}/best-available", json=body)


async def test_imported_house_comes_back_as_it_was_and_its_map_shows_it(client):
    event_id, seats, _ = await open_house(client)
    venue = (await client.get("/api/frontrow/venues")).json()["venues"][-1]
    assert (venue["seats"], venue["places"]) == (12, 17)
    plan = (await client.get(f"/api/frontrow/venues/{venue['id']}")).json()
    assert plan["sections"][0]["rows"][0] == PLAN["sections"][0]["rows"][0]
    event = (await client.get(f"/api/frontrow/events/{event_id}")).json()
    assert (event["state"], event["currency"], event["seats"], event["free"]) == ("open", "EUR", 12, 11)
    assert event["areas"][0]["free"] == 5
    assert (await state(client, event_id))["seats"] == "fffffffffffb"
    assert len(seats) == 12


async def test_map_is_asked_for_once(client):
    event_id, _, _ = await open_house(client)
    for codings in ("gzip", "identity"):
        first = await client.get(f"/api/frontrow/events/{event_id}/map", headers={"accept-encoding": codings})
        again = await client.get(
            first.url, headers={"accept-encoding": codings, "if-none-match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")


async def test_map_tells_where_each_seat_is_by_its_difference_to_the_one_before(client):
    event_id, seats, _ = await open_house(client)
    (section,) = (await client.get(f"/api/frontrow/events/{event_id}/map")).json()["sections"]
    rows = section["rows"]
    assert [list(accumulate(row["ids"])) for row in rows] == [seats[:6], seats[6:]]
    assert [row["numbers"] for row in rows] == [["1", "2", "3", "4", "5", "6"]] * 2
    assert [list(accumulate(row["x_cm"])) for row in rows] == [[0, 100, 200, 300, 400, 500]] * 2
    assert [list(accumulate(row["y_cm"])) for row in rows] == [[100] * 6, [200] * 6]
    assert [row["kinds"] for row in rows] == [[], [[0, "accessible"], [1, "companion"]]]
    assert [(row["label"], row["tier"]) for row in rows] == [("A", "gold"), ("B", "tin")]


async def test_second_venue_of_a_name_is_409(client):
    await open_house(client)
    assert (await client.post("/api/frontrow/venues", json=PLAN | {"name": "Gala"})).status_code == 409


@pytest.mark.parametrize(("path", "body", "status"), [
    ("venues", {"name": "x"}, 422),
    ("events", {"name": "x"}, 422),
    ("events", {"name": "x", "venue_id": 99}, 404),
    ("events/99/best-available", {"tier": "gold", "count": 1}, 404),
    ("events/1/best-available", {"tier": "none", "count": 1}, 404),
    ("events/1/best-available", {"tier": "seat", "count": 11}, 422),
])  # fmt: skip
async def test_what_cannot_be_made_is_refused(client, path, body, status):
    assert (await client.post(f"/api/frontrow/{path}", json=body)).status_code == status


async def test_schema_of_the_import_is_served(client):
    schema = (await client.get("/api/frontrow/venue-schema")).json()
    assert schema["title"] == "VenuePlan"
    assert {"name", "tiers", "sections", "areas"} <= set(schema["properties"])


async def test_arena_of_20_000_seats_is_imported_and_searched(client, front_row):
    assert await put_samples_on_sale(front_row.venues) == ["Little Theatre", "Harbour Arena"]
    assert await put_samples_on_sale(front_row.venues) == []
    events = (await client.get("/api/frontrow/events")).json()["events"]
    event = next(event for event in events if event["name"] == "Harbour Lights Tour")
    assert (event["seats"], event["free"]) == (20_000, 20_000)
    found = (await best(client, event["id"], 4, "lower", buyer="ann")).json()
    assert (len(found["seats"]), found["how"], found["price"]) == (4, "together", 4 * 9500)
    again = (await best(client, event["id"], 4, "lower", buyer="bob")).json()
    assert not set(found["seats"]) & set(again["seats"])
    letters = (await state(client, event["id"]))["seats"]
    assert (len(letters), letters.count("h")) == (20_000, 8)
    assert len(arena()["sections"]) == 80


async def test_many_who_ask_for_a_house_at_once_have_it_read_once(client, front_row, monkeypatch):
    event_id, _, _ = await open_house(client)
    front_row.venues._houses.clear()
    reads = 0
    read = type(front_row.venues)._read

    async def counted(self, *args):
        nonlocal reads
        reads += 1
        return await read(self, *args)

    monkeypatch.setattr(type(front_row.venues), "_read", counted)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(front_row.venues.house, event_id)
    assert reads == 1


async def test_best_seats_are_held_side_by_side_until_there_are_none(client):
    event_id, seats, _ = await open_house(client)
    first = (await best(client, event_id, 2)).json()
    assert (first["price"], first["currency"], first["how"]) == (10_000, "EUR", "together")
    assert abs(first["seats"][0] - first["seats"][1]) == 1
    assert (await best(client, event_id, 2, buyer="bob")).status_code == 201
    assert (await best(client, event_id, 2, buyer="cy")).status_code == 201
    refused = await best(client, event_id, 1, buyer="cy")
    assert (refused.status_code, refused.json()["type"]) == (409, "none-together")
    wheelchair = (await best(client, event_id, 2, "tin", accessible=True, buyer="cy")).json()
    assert wheelchair["seats"] == seats[6:8]


async def test_best_seats_go_round_what_the_map_does_not_know_yet(client, front_row):
    """Held through another host: this one's map still shows the seats as free."""
    event_id, seats, _ = await open_house(client)
    await state(client, event_id)
    await front_row.ctx.redis.set(front_row.sale.holds.key(event_id, seats[2]), "another host's")
    found = (await best(client, event_id, 2)).json()
    assert seats[2] not in found["seats"]


async def test_blocked_seat_is_not_held_and_not_sold(client):
    event_id, seats, _ = await open_house(client)
    refused = await hold(client, event_id, seats[11])
    assert (refused.status_code, refused.json()["type"], refused.json()["seats"]) == (409, "blocked", [seats[11]])
    assert (await hold(client, event_id, seats[10])).status_code == 201


async def test_hold_on_a_paused_sale_is_refused_and_lets_go(client, front_row):
    event_id, seats, _ = await open_house(client)
    await front_row.ctx.postgres.execute("UPDATE frontrow.events SET state = 'paused' WHERE id = %s", [event_id])
    refused = await hold(client, event_id, seats[0])
    assert (refused.status_code, refused.json()["type"], refused.json()["state"]) == (409, "not-on-sale", "paused")
    assert await front_row.ctx.redis.exists(front_row.sale.holds.key(event_id, seats[0])) == 0


async def test_seats_with_a_price_are_not_booked_without_paying(client):
    event_id, seats, _ = await open_house(client)
    token = (await hold(client, event_id, seats[0])).json()["token"]
    refused = await client.post("/api/frontrow/bookings", json={"token": token, "buyer": "ann"})
    assert (refused.status_code, refused.json()["type"]) == (402, "payment-required")


# Areas without seats.


FREE_FLOOR = PLAN | {"tiers": [tier | {"price": 0} for tier in PLAN["tiers"]]}


async def book(client, token, buyer="ann"):
    return await client.post("/api/frontrow/bookings", json={"token": token, "buyer": buyer})


async def test_area_sells_its_capacity_and_no_more(client, front_row):
    event_id, _, area = await open_house(client, plan=FREE_FLOOR)
    for buyer in ("ann", "bob"):
        token = (await hold(client, event_id, area=area, quantity=2, buyer=buyer)).json()["token"]
        assert (await book(client, token, buyer)).status_code == 201

    async def counts_are_dropped():
        # What layer 1 counted of them goes right after the answers.
        return not await front_row.ctx.redis.zcard(front_row.sale.holds.area_key(event_id, area))

    await eventually(counts_are_dropped)
    refused = await hold(client, event_id, area=area, quantity=2, buyer="cy")
    assert (refused.status_code, refused.json()["type"], refused.json()["left"]) == (409, "sold", 1)
    assert (await hold(client, event_id, area=area, quantity=1, buyer="cy")).status_code == 201
    sold = await front_row.ctx.postgres.fetch_value("SELECT sold FROM frontrow.areas WHERE id = %s", [area])
    assert sold == 4


async def test_held_places_of_an_area_may_come_back_and_a_returned_hold_frees_them(client):
    event_id, _, area = await open_house(client)
    held = (await hold(client, event_id, area=area, quantity=4)).json()
    assert (held["price"], held["quantity"], held["area"]) == (4000, 4, area)
    refused = await hold(client, event_id, area=area, quantity=2, buyer="bob")
    assert (refused.status_code, refused.json()["type"]) == (409, "held")
    assert int(refused.headers["retry-after"]) > 200
    assert (await client.delete(f"/api/frontrow/holds/{held['token']}")).status_code == 204
    assert (await hold(client, event_id, area=area, quantity=2, buyer="bob")).status_code == 201


async def test_hold_on_an_area_repeated_with_its_key_is_the_same_hold(client):
    event_id, _, area = await open_house(client)
    first = await hold(client, event_id, area=area, quantity=3, key="k")
    again = await hold(client, event_id, area=area, quantity=3, key="k")
    assert first.json()["token"] == again.json()["token"]
    assert (await hold(client, event_id, area=area, quantity=2, key="k")).status_code == 422


@pytest.mark.parametrize(
    "body", [{"area": 1}, {"quantity": 1}, {"seats": [1], "area": 1, "quantity": 1}, {"area": 1, "quantity": 11}]
)
async def test_hold_is_on_seats_or_on_an_area(client, body):
    assert (await client.post("/api/frontrow/holds", json={"event_id": 1, **body})).status_code == 422


# What one buyer may have.


async def test_buyer_holds_no_more_than_one_may_have_and_another_buyer_may(client):
    event_id, seats, area = await open_house(client, most=3)
    held = (await hold(client, event_id, *seats[:2])).json()
    refused = await hold(client, event_id, seats[2], seats[3])
    assert (refused.status_code, refused.json()["type"], refused.json()["most"]) == (409, "limit", 3)
    assert (await hold(client, event_id, seats[2], seats[3], buyer="bob")).status_code == 201
    assert (await hold(client, event_id, area=area, quantity=2)).json()["type"] == "limit"
    await client.delete(f"/api/frontrow/holds/{held['token']}")
    assert (await hold(client, event_id, area=area, quantity=1)).status_code == 201


async def test_refused_hold_costs_nothing_of_what_a_buyer_may_have(client):
    event_id, seats, _ = await open_house(client, most=2)
    await hold(client, event_id, seats[0], buyer="bob")
    assert (await hold(client, event_id, seats[0], seats[1])).json()["type"] == "held"
    assert (await hold(client, event_id, seats[1], seats[2])).status_code == 201


async def test_buyer_owns_no_more_than_one_may_have_even_without_layer_1(client, front_row, monkeypatch):
    event_id, seats, _ = await open_house(client, most=2, plan=FREE_FLOOR)

    async def away(*arguments):
        raise ServiceUnavailable("away")

    monkeypatch.setattr(front_row.sale.holds, "_execute", away)
    scripts = dict.fromkeys(front_row.sale.holds._scripts, away)
    monkeypatch.setattr(front_row.sale.holds, "_scripts", scripts)
    tokens = [(await hold(client, event_id, *seats[at : at + 2])).json()["token"] for at in (0, 2)]
    answers = [await book(client, token) for token in tokens]
    assert [(answer.status_code, answer.json().get("type")) for answer in answers] == [(201, None), (409, "limit")]
