"""FrontRow's API as a client sees it, through the plugin's router."""

import gzip
import json
import uuid

import httpx
import pytest
import trio

from host.api import OutcomeUnknown, ServiceUnavailable
from host.services.redis import Redis
from plugins import frontrow
from plugins.frontrow.claims import Claim, ClaimDesk
from plugins.frontrow.core.tokens import encode
from plugins.frontrow.holds import HoldDesk
from tests.plugins.frontrow.conftest import eventually
from tests.plugins.frontrow.test_holds import hold_of

JSON = {"content-type": "application/json"}


@pytest.fixture
async def client(front_row):
    transport = httpx.ASGITransport(app=front_row.router)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as opened:
        yield opened


@pytest.fixture
async def house(client):
    """The event on public sale and its seats' ids."""
    event = (await client.get("/api/frontrow/events")).json()["events"][0]
    seats = (await client.get(f"/api/frontrow/events/{event['id']}/seats")).json()["seats"]
    return event["id"], [seat["id"] for seat in seats]


async def post_hold(client, house, *places, buyer="ann", key=None):
    event_id, seats = house
    body = {"event_id": event_id, "seats": [seats[place] for place in places], "buyer": buyer}
    return await client.post("/api/frontrow/holds", json=body, headers={"idempotency-key": key} if key else {})


async def post_booking(client, token, buyer="ann", key=None):
    headers = {"idempotency-key": key} if key else {}
    return await client.post("/api/frontrow/bookings", json={"token": token, "buyer": buyer}, headers=headers)


async def token_of(client, house, *places):
    answer = await post_hold(client, house, *places)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


async def sold_count(front_row):
    return await front_row.ctx.postgres.fetch_value("SELECT count(*) FROM frontrow.booking_seats")


async def test_way_of_a_customer_from_seat_map_to_booking(client, house):
    held = await post_hold(client, house, 3, 1)
    assert held.status_code == 201
    hold = held.json()
    assert hold["seats"] == sorted(house[1][place] for place in (1, 3))
    assert hold["protected"] is True
    assert 299_000 < hold["ttl_ms"] <= 300_000
    booked = await post_booking(client, hold["token"])
    assert booked.status_code == 201
    found = await client.get(booked.headers["location"])
    assert found.status_code == 200
    assert {name: found.json()[name] for name in booked.json()} == booked.json()
    assert found.json()["labels"] == ["A2", "A4"]
    seats = (await client.get(f"/api/frontrow/events/{house[0]}/seats")).json()["seats"]
    assert [seat["label"] for seat in seats if seat["sold"]] == ["A2", "A4"]
    assert (await client.get("/api/frontrow/events")).json()["events"][0]["free"] == 94


async def test_held_seat_is_retryable_and_sold_seat_is_final(client, house):
    token = await token_of(client, house, 0)
    held = await post_hold(client, house, 0, buyer="bob")
    assert (held.status_code, held.json()["type"]) == (409, "held")
    assert 299 <= int(held.headers["retry-after"]) <= 303
    assert held.json()["held_until"]
    await post_booking(client, token)

    async def refused_for_good():
        # Layer 1 hears of the sale right after the answer.
        answer = await post_hold(client, house, 0, buyer="bob")
        return answer if answer.json()["type"] != "held" else None

    sold = await eventually(refused_for_good)
    assert (sold.status_code, sold.json()["type"], sold.json()["seats"]) == (409, "sold", [house[1][0]])
    assert "retry-after" not in sold.headers


async def test_sold_seat_that_layer_1_forgot_is_still_sold(client, house, front_row):
    await post_booking(client, await token_of(client, house, 0))
    await front_row.ctx.redis.flushdb()
    again = await post_hold(client, house, 0, buyer="bob")
    assert (again.status_code, again.json()["type"]) == (409, "sold")


async def test_hold_given_back_is_free_for_others_and_giving_it_back_twice_is_no_harm(client, house):
    token = await token_of(client, house, 0, 1)
    assert [(await client.delete(f"/api/frontrow/holds/{token}")).status_code for _ in range(2)] == [204, 204]
    assert (await post_hold(client, house, 0, 1, buyer="bob")).status_code == 201


async def test_late_holder_books_while_nobody_else_has_the_seat(client, house, front_row):
    token = await token_of(client, house, 0)
    await front_row.ctx.redis.flushdb()
    assert (await post_booking(client, token)).status_code == 201


async def test_late_holder_whose_seat_passed_on_loses_and_the_newer_hold_stands(client, house, front_row):
    late = await token_of(client, house, 0)
    await front_row.ctx.redis.flushdb()
    newer = await token_of(client, house, 0)
    lost = await post_booking(client, late, key="k")
    assert (lost.status_code, lost.json()["type"]) == (409, "hold-lost")
    assert (await post_booking(client, newer)).status_code == 201
    assert (await post_booking(client, late, key="k")).json() == lost.json()


async def test_refused_booking_gives_back_what_it_still_held(client, house, front_row):
    late = await token_of(client, house, 0, 1)
    await front_row.ctx.redis.flushdb()
    await post_booking(client, await token_of(client, house, 0))
    await front_row.ctx.redis.flushdb()
    lost = await post_booking(client, late, key="k")
    assert (lost.status_code, lost.json()["type"]) == (409, "sold")
    assert (await post_hold(client, house, 1, buyer="carol")).status_code == 201


@pytest.mark.parametrize("damage", [lambda token: "x" + token[1:], lambda token: token[:-2], lambda token: "nonsense"])
async def test_token_not_from_here_is_404_and_changes_nothing(client, house, front_row, damage):
    token = damage(await token_of(client, house, 0))
    assert (await post_booking(client, token)).status_code == 404
    assert (await client.delete(f"/api/frontrow/holds/{token}")).status_code == 404
    assert await sold_count(front_row) == 0
    assert (await post_hold(client, house, 0, buyer="bob")).status_code == 409


async def test_token_of_another_installation_is_refused_even_without_redis(client, house):
    forged = encode(hold_of(house[1][0]), b"another secret")
    assert (await post_booking(client, forged)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"event_id": 1, "seats": []}', 422),
        (b'{"event_id": 1, "seats": [0]}', 422),
        (b'{"event_id": 1, "seats": ["1"]}', 422),
        (b'{"event_id": 1, "seats": [99999999999999999999]}', 422),
        (b'{"event_id": 1, "seats": [1, 1]}', 422),
        (b'{"event_id": 1, "seats": [1, 123456]}', 422),
        (b'{"event_id": 1, "seats": [1,2,3,4,5,6,7,8,9,10,11]}', 422),
        (b'{"event_id": 1, "seats": [1], "buyer": ""}', 422),
        (b'{"event_id": 1, "seats": [1], "buyer": "a b"}', 422),
        (b'{"event_id": 1, "seats": [1], "extra": 1}', 422),
        (b'{"event_id": 424242, "seats": [1]}', 404),
    ],
)
async def test_hold_that_is_none_is_refused_and_holds_nothing(client, house, front_row, body, status):
    answer = await client.post("/api/frontrow/holds", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await front_row.ctx.redis.dbsize() == 0


@pytest.mark.parametrize(
    "path", ["events/x/seats", "events/999/seats", "events/99999999999999999999/seats", "bookings/x"]
)
async def test_what_is_not_there_is_404(client, path):
    assert (await client.get(f"/api/frontrow/{path}")).status_code == 404


async def test_seats_of_a_run_are_not_on_public_sale(client, front_row):
    new_run = await front_row.store.begin("r", seed=0, buyers=1, seats=1, timeout_s=60)
    body = {"event_id": new_run.event_id, "seats": list(new_run.seat_ids)}
    assert (await client.post("/api/frontrow/holds", json=body)).status_code == 404
    assert (await client.get(f"/api/frontrow/events/{new_run.event_id}/seats")).status_code == 404


# Idempotency keys.


async def test_hold_repeated_with_its_key_is_the_same_hold(client, house):
    first = await post_hold(client, house, 0, key="k1")
    again = await post_hold(client, house, 0, key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["token"] == again.json()["token"]
    assert (await post_hold(client, house, 0, key="k1", buyer="bob")).status_code == 409


async def test_hold_with_a_key_of_another_request_is_422_and_holds_nothing(client, house):
    await post_hold(client, house, 0, key="k1")
    other = await post_hold(client, house, 1, key="k1")
    assert (other.status_code, other.json()["type"]) == (422, "idempotency-mismatch")
    assert (await post_hold(client, house, 1, buyer="bob")).status_code == 201


async def test_booking_repeated_with_its_key_is_the_same_booking(client, house, front_row):
    token = await token_of(client, house, 0)
    first = await post_booking(client, token, key="k1")
    again = await post_booking(client, token, key="k1")
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert await sold_count(front_row) == 1


async def test_booking_with_a_key_of_another_request_is_422_and_books_nothing(client, house, front_row):
    await post_booking(client, await token_of(client, house, 0), key="k1")
    other = await post_booking(client, await token_of(client, house, 1), key="k1")
    assert (other.status_code, other.json()["type"]) == (422, "idempotency-mismatch")
    assert await sold_count(front_row) == 1


async def test_keys_of_different_buyers_are_different_keys(client, house):
    answers = [
        await post_booking(client, await token_of(client, house, place), buyer=buyer, key="k1")
        for place, buyer in ((0, "ann"), (1, "bob"))
    ]
    assert [answer.status_code for answer in answers] == [201, 201]


async def test_final_refusal_is_repeated_with_its_key(client, house, front_row):
    token = await token_of(client, house, 0)
    await ClaimDesk(front_row.ctx.postgres).claim(Claim(str(uuid.uuid4()), house[0], (house[1][0],), "bob"))
    first = await post_booking(client, token, key="k1")
    again = await post_booking(client, token, key="k1")
    assert (first.status_code, first.json()["type"]) == (409, "sold")
    assert (again.status_code, again.json()) == (409, first.json())
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["a b", "x" * 256])
async def test_key_that_is_none_is_400(client, house, key):
    assert (await post_hold(client, house, 0, key=key)).status_code == 400


class Held(ClaimDesk):
    """Keeps a claim waiting until it is let go."""

    def __init__(self, postgres):
        super().__init__(postgres)
        self.arrived, self.go = trio.Event(), trio.Event()

    async def claim(self, claim, *, is_repeated=False):
        self.arrived.set()
        await self.go.wait()
        return await super().claim(claim, is_repeated=is_repeated)


async def test_booking_repeated_while_the_first_is_under_way_is_409_and_both_end_as_one(
    client, house, front_row, monkeypatch
):
    desk = Held(front_row.ctx.postgres)
    monkeypatch.setattr(front_row.sale, "claims", desk)
    token = await token_of(client, house, 0)
    answers = []

    async def first():
        answers.append(await post_booking(client, token, key="k1"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await desk.arrived.wait()
        second = await post_booking(client, token, key="k1")
        assert (second.status_code, second.json()["type"]) == (409, "in-flight")
        assert second.headers["retry-after"] == "1"
        desk.go.set()
    assert answers[0].status_code == 201
    assert (await post_booking(client, token, key="k1")).json() == answers[0].json()


class AnswerLost(ClaimDesk):
    """Commits, and loses the answer every time."""

    async def claim(self, claim, *, is_repeated=False):
        await super().claim(claim, is_repeated=is_repeated)
        raise OutcomeUnknown("lost")


async def test_booking_whose_answer_got_lost_is_202_then_found_by_its_location_or_its_key(
    client, house, front_row, monkeypatch
):
    token = await token_of(client, house, 0)
    with monkeypatch.context() as patch:
        patch.setattr(front_row.sale, "claims", AnswerLost(front_row.ctx.postgres))
        patch.setattr(front_row.sale, "settings", front_row.settings.model_copy(update={"claim_patience": 0.0}))
        unknown = await post_booking(client, token, key="k1")
    assert (unknown.status_code, unknown.json()["state"]) == (202, "unknown")
    assert (await client.get(unknown.headers["location"])).status_code == 200
    again = await post_booking(client, token, key="k1")
    assert (again.status_code, again.json()["id"]) == (201, unknown.json()["id"])
    assert await sold_count(front_row) == 1


class NeverSent(ClaimDesk):
    """Loses the request as well as the answer."""

    async def claim(self, claim, *, is_repeated=False):
        await trio.lowlevel.checkpoint()
        raise OutcomeUnknown("lost")


async def test_booking_that_may_have_been_made_and_was_not_is_202_until_it_is_asked_again(
    client, house, front_row, monkeypatch
):
    token = await token_of(client, house, 0)
    with monkeypatch.context() as patch:
        patch.setattr(front_row.sale, "claims", NeverSent(front_row.ctx.postgres))
        patch.setattr(front_row.sale, "settings", front_row.settings.model_copy(update={"claim_patience": 0.0}))
        unknown = await post_booking(client, token, key="k1")
    assert unknown.status_code == 202
    assert (await client.get(unknown.headers["location"])).status_code == 202
    assert (await post_booking(client, token, key="k1")).json()["id"] == unknown.json()["id"]


async def test_booking_while_layer_2_is_away_is_503_and_the_key_is_free_again(client, house, front_row, monkeypatch):
    class Away(ClaimDesk):
        async def claim(self, claim, *, is_repeated=False):
            await trio.lowlevel.checkpoint()
            raise ServiceUnavailable("away")

    token = await token_of(client, house, 0)
    with monkeypatch.context() as patch:
        patch.setattr(front_row.sale, "claims", Away(front_row.ctx.postgres))
        patch.setattr(front_row.sale, "settings", front_row.settings.model_copy(update={"claim_patience": 0.0}))
        away = await post_booking(client, token, key="k1")
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert (await post_booking(client, token, key="k1")).status_code == 201


async def test_without_redis_holds_protect_nothing_and_seats_are_still_sold_once(
    client, house, front_row, monkeypatch, tmp_path
):
    async with trio.open_nursery() as nursery:
        away = Redis(f"unix://{tmp_path}/nobody.sock", name="away")
        await nursery.start(away.run)
        monkeypatch.setattr(front_row.sale, "holds", HoldDesk(away, "away", front_row.settings))
        holds = [await post_hold(client, house, 0, buyer=buyer) for buyer in ("ann", "bob")]
        assert [hold.status_code for hold in holds] == [201, 201]
        assert not any(hold.json()["protected"] for hold in holds)
        booked = [await post_booking(client, hold.json()["token"]) for hold in holds]
        assert [answer.status_code for answer in booked] == [201, 409]
        assert booked[1].json()["type"] == "sold"
        assert (await post_hold(client, house, 0)).json()["type"] == "sold"
        nursery.cancel_scope.cancel()


# Stampedes.


async def test_stampede_answers_with_its_result_and_keeps_it(client):
    answer = await client.post("/api/frontrow/stampede", json={"buyers": 100, "seats": 2, "seed": 9})
    assert answer.status_code == 200
    result = answer.json()
    assert (result["booked"], result["rejected"], result["oversold"], result["verdict"]) == (2, 98, 0, "holds")
    assert (await client.get(f"/api/frontrow/runs/{result['run_id']}")).json() == result
    history = await client.get(f"/api/frontrow/runs/{result['run_id']}/history")
    assert history.headers["content-type"] == "application/gzip"
    assert len(gzip.decompress(history.content).splitlines()) == 101


async def test_stampede_without_waiting_answers_at_once_and_reports_by_events(client):
    started = await client.post(
        "/api/frontrow/stampede", json={"buyers": 300, "seats": 1}, headers={"prefer": "wait=1, respond-async"}
    )
    assert started.status_code == 202
    assert started.headers["preference-applied"] == "respond-async"
    events = await client.get(started.json()["events_url"])
    parsed = [event.split("\n") for event in events.text.split("\n\n") if event.startswith("event:")]
    assert parsed[-1][0] == "event: result"
    result = json.loads(parsed[-1][1].removeprefix("data: "))
    assert (result["run_id"], result["verdict"]) == (started.json()["run_id"], "holds")
    for name, data in parsed[:-1]:
        assert name == "event: progress"
        progress = json.loads(data.removeprefix("data: "))
        assert progress["waiting"] + progress["holding"] + progress["booked"] + progress["rejected"] == 300
    again = await client.get(started.json()["events_url"])
    assert again.text.count("event: result") == 1
    assert "event: progress" not in again.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b'{"buyers": NaN}', 400),
        (b'{"buyers": 0}', 422),
        (b'{"buyers": 100001}', 422),
        (b'{"seats": 0}', 422),
        (b'{"seats": 1001}', 422),
        (b'{"buyers": "1000"}', 422),
        (b'{"buyers": 1.5}', 422),
        (b'{"seed": -1}', 422),
        (b'{"seed": 9007199254740992}', 422),
        (b'{"buyer": 10}', 422),
    ],
)
async def test_stampede_that_is_none_is_refused_and_runs_nothing(client, body, status):
    answer = await client.post("/api/frontrow/stampede", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get("/api/frontrow/runs")).json()["runs"] == []


async def test_runs_are_listed_newest_first_page_by_page(client):
    ids = [(await client.post("/api/frontrow/stampede", json={"buyers": 2})).json()["run_id"] for _ in range(3)]
    first = (await client.get("/api/frontrow/runs?limit=2")).json()
    assert [run["run_id"] for run in first["runs"]] == [ids[2], ids[1]]
    second = (await client.get(first["next"])).json()
    assert [run["run_id"] for run in second["runs"]] == [ids[0]]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=", "other=1"])
async def test_page_of_runs_that_is_none_is_422(client, query):
    assert (await client.get(f"/api/frontrow/runs?{query}")).status_code == 422


@pytest.mark.parametrize("path", ["runs/nope", "runs/nope/events", "runs/nope/history"])
async def test_run_that_is_not_there_is_404(client, path):
    assert (await client.get(f"/api/frontrow/{path}")).status_code == 404


async def test_every_operation_is_routed_and_every_route_is_described(front_row):
    described = {(each.method, each.path) for mount in _mounts(front_row) for each in mount.operations}
    for method, path in described:
        handler, _, _ = front_row.router.match(method, path.replace("{", "").replace("}", ""))
        assert handler is not None, (method, path)
    assert len(described) >= 11


def _mounts(front_row):
    routes = frontrow.quartet_routes(front_row.ctx, front_row)
    return [route for route in routes if hasattr(route, "operations")]
