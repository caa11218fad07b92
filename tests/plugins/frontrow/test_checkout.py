"""The checkout on real servers and the simulated provider: every card, every order of reports, every way to be late."""

import json
import math
import time
import uuid
from dataclasses import replace

import httpx
import pytest
import trio

from host.api import OutcomeUnknown
from plugins.frontrow.claims import Claim
from plugins.frontrow.core.signature import HEADER, sign
from plugins.frontrow.order_store import STEP_MANY, Move, OrderStore
from plugins.frontrow.payments import Payment
from plugins.frontrow.sale_claims import CLAIM_MANY
from plugins.frontrow.service import payment_secret
from plugins.frontrow.simulated.ledger import Entry, Ledger
from tests.plugins.frontrow.conftest import eventually, open_front_row
from tests.plugins.frontrow.houses import hold, open_house

ORDERS = "/api/frontrow/orders"


class Shop:
    """A house on sale, and a buyer's way through it."""

    def __init__(self, front_row, client, event_id, seats, area):
        self.front_row, self.client = front_row, client
        self.event_id, self.seats, self.area = event_id, seats, area

    async def hold(self, *places, buyer="ann", **more):
        async def asked():
            answer = await hold(self.client, self.event_id, *(self.seats[p] for p in places), buyer=buyer, **more)
            # An order that has expired gives its hold back a moment after it says so.
            return None if answer.status_code == 409 and answer.json()["type"] == "held" else answer

        answer = await eventually(asked)
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]

    async def order(self, *places, buyer="ann", method="card", **more):
        token = await self.hold(*places, buyer=buyer, **more)
        answer = await self.client.post(ORDERS, json={"token": token, "buyer": buyer, "method": method})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def pay(self, order, card="ok", key=None):
        headers = {"idempotency-key": key} if key else {}
        return await self.client.post(f"{order['url']}/payment", json={"card": card}, headers=headers)

    async def see(self, order):
        return (await self.client.get(order["url"])).json()

    async def until(self, order, *states):
        async def is_there():
            seen = await self.see(order)
            return seen if seen["state"] in states else None

        return await eventually(is_there)

    async def ledger(self, order):
        return await self.front_row.provider._ledger.of_order(order["id"])

    async def value(self, sql, *parameters):
        return await self.front_row.ctx.postgres.fetch_value(sql, list(parameters))

    async def owner(self, place):
        return await self.value("SELECT booking_id::text FROM frontrow.seats WHERE id = %s", self.seats[place])

    async def expire(self, order):
        """Let its time be over, by the database's clock, and nobody have the hold any more."""
        sql = "UPDATE frontrow.orders SET pay_by = clock_timestamp(), try_at = clock_timestamp() WHERE id = %s"
        await self.front_row.ctx.postgres.execute(sql, [order["id"]])
        await self.front_row.checkout.look_after()
        return await self.until(order, "expired")

    async def look_after(self):
        await self.front_row.ctx.postgres.execute("UPDATE frontrow.orders SET try_at = now() WHERE try_at IS NOT NULL")
        await self.front_row.checkout.look_after()

    def hurry(self, order):
        self.front_row.provider.hurry(order["id"])

    async def report(self, order, kind, *, event=None, secret=None, **sums):
        return await self.send_report(event_of(order, kind, event, **sums), secret)

    async def send_report(self, document, secret=None):
        body = json.dumps(document).encode()
        if secret is None:
            secret = payment_secret(self.front_row.settings, await self.front_row.inventory.installation())
        headers = {"content-type": "application/json", HEADER: sign(body, secret, round(time.time()))}
        return await self.client.post("/api/frontrow/payments/events", content=body, headers=headers)


def event_of(order, kind, event=None, **sums):
    return {
        "id": event or f"evt_{uuid.uuid4()}",
        "type": kind,
        "payment_id": f"pay_of_{order['id']}",
        "order_id": order["id"],
        "amount": order["price"],
        **({"authorised": 0, "captured": 0, "refunded": 0} | sums),
    }


async def opened(front_row, **house):
    transport = httpx.ASGITransport(app=front_row.router)
    client = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30)
    return Shop(front_row, client, *await open_house(client, **house))


@pytest.fixture
async def shop(front_row):
    front_row.provider.faults.slow_s, front_row.provider.faults.late_s = 0.05, math.inf
    return await opened(front_row)


async def test_way_from_hold_to_receipt(shop):
    order = await shop.order(0, 1)
    assert (order["state"], order["price"], order["currency"]) == ("held", 10_000, "EUR")
    assert 295_000 < order["left_ms"] <= 300_000
    paid = await shop.pay(order)
    assert (paid.status_code, paid.json()["state"]) == (200, "confirmed")
    assert [step["state"] for step in paid.json()["steps"]] == [
        "held",
        "authorised",
        "claimed",
        "captured",
        "confirmed",
    ]
    booking = (await shop.client.get(paid.json()["booking_url"])).json()
    assert booking["seats"] == sorted(shop.seats[:2])
    assert (await shop.ledger(order)).captured == 10_000
    kinds = await shop.value("SELECT array_agg(kind) FROM frontrow.outbox WHERE booking_id = %s", order["id"])
    assert kinds == ["booking.confirmed"]


async def test_area_is_paid_like_seats(shop):
    order = await shop.order(area=shop.area, quantity=3)
    assert (await shop.pay(order)).json()["state"] == "confirmed"
    assert await shop.value("SELECT sold FROM frontrow.areas WHERE id = %s", shop.area) == 3


async def test_booking_of_an_order_that_is_not_paid_is_none(shop):
    order = await shop.order(0)
    assert (await shop.client.get(f"/api/frontrow/bookings/{order['id']}")).status_code == 404


async def test_order_lengthens_its_hold_once_and_a_hold_has_one_order(shop):
    token = await shop.hold(0)
    body = {"token": token, "buyer": "ann"}
    first = (await shop.client.post(ORDERS, json=body)).json()
    key = shop.front_row.sale.holds.key(shop.event_id, shop.seats[0])
    redis = shop.front_row.ctx.redis
    assert 310_000 < await redis.pttl(key) <= 315_000
    await redis.pexpire(key, 1000)
    again = (await shop.client.post(ORDERS, json=body)).json()
    assert again["id"] == first["id"]
    assert await redis.pttl(key) <= 1000
    other = await shop.client.post(ORDERS, json=body | {"buyer": "bob"})
    assert (other.status_code, other.json()["type"]) == (409, "hold-lost")


async def test_order_of_a_hold_that_passed_on_is_refused(shop):
    token = await shop.hold(0)
    await shop.front_row.ctx.redis.flushdb()
    await shop.hold(0, buyer="bob")
    refused = await shop.client.post(ORDERS, json={"token": token, "buyer": "ann"})
    assert (refused.status_code, refused.json()["type"]) == (409, "hold-lost")


async def test_declined_card_leaves_the_order_to_another(shop):
    order = await shop.order(0)
    declined = await shop.pay(order, "declined")
    assert (declined.status_code, declined.json()["type"]) == (402, "payment-declined")
    assert (await shop.pay(order)).json()["state"] == "confirmed"


@pytest.mark.parametrize("card", ["slow", "twice", "webhook-first", "reordered"])
async def test_provider_that_is_slow_or_repeats_itself_is_paid_once(shop, card):
    order = await shop.order(0)
    paid = await shop.pay(order, card)
    assert paid.status_code in (200, 202)
    await shop.until(order, "confirmed")
    entry = await shop.ledger(order)
    assert (entry.captured, entry.refunded) == (5000, 0)

    async def reported():
        return await shop.value("SELECT count(*) FROM frontrow.payment_events WHERE kind = 'payment.captured'")

    assert await eventually(reported) == 1
    assert (await shop.see(order))["captured"] == 5000


async def test_answer_that_got_lost_is_202_and_then_found(shop):
    order = await shop.order(0)
    unknown = await shop.pay(order, "lost")
    assert (unknown.status_code, unknown.headers["location"]) == (202, order["url"])
    await shop.until(order, "confirmed")
    assert shop.front_row.checkout.tally.payments_unknown >= 1


async def test_capture_whose_answer_got_lost_is_taken_once(shop):
    order = await shop.order(0)
    await shop.pay(order, "capture-lost")
    await shop.look_after()
    seen = await shop.until(order, "confirmed")
    assert (seen["captured"], (await shop.ledger(order)).captured) == (5000, 5000)


async def test_refused_capture_gives_the_seats_back(shop):
    order = await shop.order(0)
    answer = await shop.pay(order, "capture-refused")
    assert (answer.status_code, answer.json()["type"]) == (402, "payment-declined")
    assert await shop.owner(0) is None
    again = await shop.order(0, buyer="bob")
    assert (await shop.pay(again)).json()["state"] == "confirmed"


async def test_payment_repeated_is_one_payment(shop):
    order = await shop.order(0)
    first, again = await shop.pay(order), await shop.pay(order)
    assert (first.json()["state"], again.json()["state"]) == ("confirmed", "confirmed")
    assert await shop.value("SELECT count(*) FROM frontrow.booking_seats") == 1


async def test_two_payments_at_once_are_one(shop):
    order = await shop.order(0)
    answers = []

    async def pay():
        answers.append(await shop.pay(order))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(pay)
    await shop.until(order, "confirmed")
    assert (await shop.ledger(order)).captured == 5000
    assert {answer.status_code for answer in answers} <= {200, 202}


# Late money.


async def test_time_that_is_over_gives_the_seats_back(shop):
    order = await shop.order(0)
    await shop.expire(order)
    await shop.hold(0, buyer="bob")
    late = await shop.pay(order)
    assert (late.status_code, late.json()["type"]) == (409, "expired")


async def test_late_money_claims_again_while_nobody_has_the_seats(shop):
    order = await shop.order(0)
    assert (await shop.pay(order, "late")).status_code == 202
    await shop.expire(order)
    shop.hurry(order)
    seen = await shop.until(order, "confirmed")
    assert "expired" in [step["state"] for step in seen["steps"]]
    assert await shop.owner(0) == order["id"]


@pytest.mark.parametrize(("method", "states", "money"), [
    ("card", ("voided",), (0, 0)),
    ("instant", ("refunded",), (5000, 5000)),
])  # fmt: skip
async def test_late_money_goes_back_when_somebody_has_the_seats(shop, method, states, money):
    order = await shop.order(0, method=method)
    await shop.pay(order, "late")
    await shop.expire(order)
    other = await shop.order(0, buyer="bob")
    assert (await shop.pay(other)).json()["state"] == "confirmed"
    shop.hurry(order)
    await shop.until(order, *states)
    entry = await shop.ledger(order)
    assert (entry.captured, entry.refunded) == money
    assert await shop.owner(0) == other["id"]
    assert (await shop.pay(order)).json()["type"] == "seats-gone"


async def test_late_money_leaves_a_newer_hold_alone(shop):
    """Nobody owns the seat yet, but somebody was promised it."""
    order = await shop.order(0)
    await shop.pay(order, "late")
    await shop.expire(order)
    token = await shop.hold(0, buyer="bob")
    shop.hurry(order)
    await shop.until(order, "voided")
    made = await shop.client.post(ORDERS, json={"token": token, "buyer": "bob"})
    assert (await shop.pay(made.json())).json()["state"] == "confirmed"


async def test_money_for_an_order_that_was_given_up_goes_back(shop):
    order = await shop.order(0)
    await shop.pay(order, "late")
    assert (await shop.client.delete(order["url"])).json()["state"] == "cancelled"
    shop.hurry(order)
    await shop.until(order, "voided")
    assert await shop.owner(0) is None


async def test_money_for_an_order_that_another_host_gave_up_goes_back(shop):
    """This host knows the order as it made it, and pays without looking."""
    order = await shop.order(0)
    await shop.front_row.checkout.store.move(Move(order["id"], "cancel"))
    answer = await shop.pay(order)
    assert (answer.status_code, answer.json()["type"]) == (409, "seats-gone")
    await shop.until(order, "voided")
    assert (await shop.ledger(order)).captured == 0
    assert await shop.owner(0) is None


async def test_report_of_money_that_is_known_is_noted_without_touching_the_order(shop):
    order = await shop.order(0)
    await shop.pay(order)

    async def version():
        return await shop.value("SELECT xmin::text || ctid::text FROM frontrow.orders WHERE id = %s", order["id"])

    before = await version()
    await shop.report(order, "payment.captured", event="evt_again", authorised=5000, captured=5000)
    assert await shop.value("SELECT count(*) FROM frontrow.payment_events WHERE id = 'evt_again'") == 1
    assert await version() == before


async def test_refund_puts_the_seats_on_sale_and_the_money_back(shop):
    order = await shop.order(0, 1)
    await shop.pay(order, "refund-flaky")
    refunding, has_moved = await shop.front_row.checkout.refund(order["id"], "the show is off")
    assert has_moved
    assert refunding.state in ("refunding", "refunded")
    assert await shop.owner(0) is None
    again = await shop.order(0, 1, buyer="bob")
    assert (await shop.pay(again)).json()["state"] == "confirmed"
    await shop.look_after()
    await shop.until(order, "refunded")
    entry = await shop.ledger(order)
    assert (entry.captured, entry.refunded) == (10_000, 10_000)
    assert (await shop.front_row.checkout.refund(order["id"], "again"))[1] is False


async def test_refunded_area_and_allowance_come_back(front_row):
    shop = await opened(front_row, most=3)
    order = await shop.order(area=shop.area, quantity=3)
    await shop.pay(order)
    assert (await hold(shop.client, shop.event_id, shop.seats[0])).json()["type"] == "limit"
    await front_row.checkout.refund(order["id"], "ill")
    assert await shop.value("SELECT sold FROM frontrow.areas WHERE id = %s", shop.area) == 0
    assert (await hold(shop.client, shop.event_id, *shop.seats[:3])).status_code == 201


# Reports.


async def test_report_counts_once_however_often_it_comes(shop, monkeypatch):
    async def never(payment_id, amount):
        await trio.sleep_forever()

    # The provider knows nothing of this payment; asked for the money, it would say so while the reports come.
    monkeypatch.setattr(shop.front_row.checkout.provider, "capture", never)
    order = await shop.order(0)
    answers = [await shop.report(order, "payment.authorised", event="evt_1", authorised=5000) for _ in range(3)]
    assert [answer.json()["noted"] for answer in answers] == [True, False, False]
    assert await shop.value("SELECT count(*) FROM frontrow.payment_events WHERE order_id = %s", order["id"]) == 1


async def test_events_that_come_in_one_report_are_each_noted_once(shop):
    orders = [await shop.order(place, method="instant") for place in (0, 1)]
    events = [event_of(order, "payment.captured", authorised=5000, captured=5000) for order in orders]
    first, again = [await shop.send_report({"events": events}) for _ in range(2)]
    assert [answer.json()["noted"] for answer in (first, again)] == [2, 0]
    for order in orders:
        await shop.until(order, "confirmed")


async def test_report_with_an_event_of_nobodys_order_is_404_and_the_others_are_noted(shop):
    order = await shop.order(0, method="instant")
    events = [
        event_of(order, "payment.captured", authorised=5000, captured=5000),
        event_of(order | {"id": str(uuid.uuid4())}, "payment.captured"),
    ]
    assert (await shop.send_report({"events": events})).status_code == 404
    await shop.until(order, "confirmed")


async def test_reports_in_the_wrong_order_end_where_the_right_order_does(shop):
    order = await shop.order(0, method="instant")
    await shop.report(order, "payment.captured", authorised=5000, captured=5000)
    await shop.report(order, "payment.authorised", authorised=5000)
    assert (await shop.until(order, "confirmed"))["captured"] == 5000


async def test_report_for_a_cancelled_order_turns_into_a_void_or_refund(shop):
    order = await shop.order(0)
    await shop.client.delete(order["url"])
    await shop.report(order, "payment.authorised", authorised=5000)
    assert (await shop.see(order))["state"] == "voiding"


async def test_report_that_is_not_the_providers_is_401_and_changes_nothing(shop):
    order = await shop.order(0)
    assert (await shop.report(order, "payment.authorised", secret=b"forged", authorised=5000)).status_code == 401
    assert (await shop.see(order))["state"] == "held"


async def test_report_for_nobodys_order_is_404(shop):
    order = (await shop.order(0)) | {"id": str(uuid.uuid4())}
    assert (await shop.report(order, "payment.authorised", authorised=5000)).status_code == 404


# Idempotency keys.


async def test_order_repeated_with_its_key_is_the_same_order(shop):
    token = await shop.hold(0)
    body, headers = {"token": token, "buyer": "ann"}, {"idempotency-key": "k"}
    first, again = [await shop.client.post(ORDERS, json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = await shop.client.post(ORDERS, json=body | {"method": "instant"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "idempotency-mismatch")


async def test_payment_repeated_with_its_key_gets_the_same_answer(shop):
    order = await shop.order(0)
    first, again = await shop.pay(order, "declined", key="k"), await shop.pay(order, "declined", key="k")
    assert (first.status_code, again.status_code) == (402, 402)
    assert (await shop.pay(order, "ok", key="k")).status_code == 422
    paid, same = await shop.pay(order, "ok", key="k2"), await shop.pay(order, "ok", key="k2")
    assert paid.json() == same.json()
    assert paid.json()["state"] == "confirmed"


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("POST", "", {}, 422),
    ("POST", "", {"token": "x"}, 404),
    ("GET", "/x", None, 404),
    ("GET", f"/{uuid.uuid4()}", None, 404),
    ("DELETE", f"/{uuid.uuid4()}", None, 404),
    ("POST", f"/{uuid.uuid4()}/payment", {}, 404),
    ("POST", f"/{uuid.uuid4()}/payment", {"card": ""}, 422),
])  # fmt: skip
async def test_what_is_no_order_is_refused(shop, method, path, body, status):
    assert (await shop.client.request(method, ORDERS + path, json=body)).status_code == status


async def test_confirmed_order_is_not_given_up(shop):
    order = await shop.order(0)
    await shop.pay(order)
    refused = await shop.client.delete(order["url"])
    assert (refused.status_code, refused.json()["state"]) == (409, "confirmed")


# What dies in the middle.


async def test_order_left_after_the_authorisation_is_finished_by_the_next_start(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path) as front_row:
        shop = await opened(front_row)
        order = await shop.order(0)
        await front_row.provider._authorise({"order_id": order["id"], "amount": 5000, "currency": "EUR"})
        front_row.provider.notify_url = ""
    async with open_front_row(postgres_url, redis_url, tmp_path) as front_row:
        shop = Shop(front_row, httpx.AsyncClient(transport=httpx.ASGITransport(app=front_row.router),
                    base_url="http://test"), shop.event_id, shop.seats, shop.area)  # fmt: skip
        await shop.look_after()
        await shop.until(order, "confirmed")


async def test_claim_whose_answer_got_lost_is_found_and_paid_once(shop, monkeypatch):
    order = await shop.order(0)
    claims = shop.front_row.sale.claims
    carry_out, lost = claims.gatherer._carry_out, []

    async def lose_one(asked):
        answers = await carry_out(asked)
        if not lost:
            lost.append(True)
            raise OutcomeUnknown("lost")
        return answers

    monkeypatch.setattr(claims.gatherer, "_carry_out", lose_one)
    assert (await shop.pay(order)).json()["state"] == "confirmed"
    assert lost
    assert await shop.value("SELECT count(*) FROM frontrow.booking_seats") == 1


async def test_claim_brings_the_money_along_and_without_money_claims_nothing(shop):
    order = await shop.order(0)
    claim = Claim(order["id"], shop.event_id, (shop.seats[0],), "ann", is_order=True)
    claims = shop.front_row.sale.claims
    assert await claims.claim(claim) == "lost"
    assert (await shop.see(order))["state"] == "held"
    payment = Payment("pay_1", order["id"], 5000, "authorised", 5000, 0, 0)
    assert await claims.claim(replace(claim, money=payment)) == "won"
    seen = await shop.see(order)
    assert (seen["state"], seen["payment_id"]) == ("claimed", "pay_1")
    assert [step["state"] for step in seen["steps"]] == ["held", "authorised", "claimed"]
    assert await shop.value("SELECT authorised FROM frontrow.orders WHERE id = %s", order["id"]) == 5000
    # Somebody looks at it soon, should this host die now.
    assert await shop.value("SELECT try_at < clock_timestamp() + interval '10 s' FROM frontrow.orders")


async def test_orders_are_looked_up_by_their_ids_in_a_table_that_the_planner_knows_nothing_of(shop):
    statements = {STEP_MANY: ["[]"], CLAIM_MANY: {"claims": "[]", "seats": "[]", "areas": "[]"}}
    for sql, parameters in statements.items():
        plan = await shop.front_row.ctx.postgres.fetch_all(f"EXPLAIN {sql}", parameters)
        lines = [row[0] for row in plan if " on orders" in row[0]]
        assert lines
        assert not [line for line in lines if "Seq Scan" in line]


async def test_step_is_taken_once_whoever_takes_it(shop):
    order = await shop.order(0)
    moved = []

    async def cancel():
        moved.append((await shop.front_row.checkout.store.move(Move(order["id"], "cancel")))[1])

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(cancel)
    assert sorted(moved) == [False] * 7 + [True]


async def test_without_its_condition_a_step_is_taken_from_anywhere(shop):
    """Negative control: the condition is what keeps a confirmed order from being expired."""
    order = await shop.order(0)
    await shop.pay(order)
    store = shop.front_row.checkout.store
    assert (await store.move(Move(order["id"], "expire")))[0].state == "confirmed"
    blind = OrderStore(
        shop.front_row.ctx.postgres,
        step_sql=STEP_MANY.replace("known.state = ANY(string_to_array(given.of, ','))", "true"),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(blind.run)
        assert (await blind.move(Move(order["id"], "expire")))[0].state == "expired"
        nursery.cancel_scope.cancel("done")


async def test_books_kept_by_several_hosts_at_once_are_one(shop):
    postgres = shop.front_row.ctx.postgres
    ledgers = [Ledger(postgres) for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for ledger in ledgers:
            await nursery.start(ledger.run)
        async with trio.open_nursery() as saving:
            for number in range(600):
                entry = Entry(f"pay_{number}", str(uuid.UUID(int=number)), 100, "EUR", "card", "ok", authorised=100)
                for ledger in ledgers:
                    saving.start_soon(ledger.save, entry)
        nursery.cancel_scope.cancel()
    assert await postgres.fetch_value("SELECT count(*) FROM frontrow.simulated_payments") == 600
    # The race is met seldom; what makes it impossible is that no second unique index can be hit first.
    unique = "SELECT count(*) FROM pg_index WHERE indrelid = 'frontrow.simulated_payments'::regclass AND indisunique"
    assert await postgres.fetch_value(unique) == 1
