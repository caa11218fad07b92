"""What operators do, by HTTP and by command, and the trail that it leaves."""

import csv
import io
import json
from argparse import ArgumentParser

import psycopg
import pytest

from host.api import HttpProblem
from plugins.frontrow.operator_commands import COMMANDS
from tests.plugins.frontrow.houses import PLAN, hold
from tests.plugins.frontrow.test_checkout import opened


@pytest.fixture
async def shop(front_row):
    return await opened(front_row)


async def operate(shop, method, path, body):
    return await shop.client.request(method, f"/api/frontrow/{path}", json=body)


async def set_sale(shop, state):
    return await operate(shop, "PUT", f"events/{shop.event_id}/sale", {"state": state, "actor": "olga"})


async def trail(shop):
    found = (await shop.client.get(f"/api/frontrow/operations?event_id={shop.event_id}")).json()["operations"]
    return [(line["actor"], line["action"], line["detail"]) for line in found]


async def test_paused_sale_gives_no_holds_and_lets_pay_what_was_held(shop):
    order = await shop.order(0)
    answer = await set_sale(shop, "paused")
    assert answer.json() == {"event_id": shop.event_id, "before": "open", "state": "paused"}
    assert (await hold(shop.client, shop.event_id, shop.seats[1])).json()["type"] == "not-on-sale"
    assert (await shop.pay(order)).json()["state"] == "confirmed"
    await set_sale(shop, "open")
    assert (await hold(shop.client, shop.event_id, shop.seats[1])).status_code == 201
    assert await trail(shop) == [
        ("olga", "sale", {"from": "paused", "to": "open"}),
        ("olga", "sale", {"from": "open", "to": "paused"}),
    ]


async def test_blocked_seats_leave_the_sale_and_come_back_and_sold_ones_stay_sold(shop):
    await shop.pay(await shop.order(0))
    held = await shop.order(1, buyer="bob")
    path = f"events/{shop.event_id}/blocks"
    answer = await operate(shop, "POST", path, {"seats": shop.seats[:3], "blocked": True})
    assert answer.json()["seats"] == sorted(shop.seats[1:3])
    assert (await hold(shop.client, shop.event_id, shop.seats[2], buyer="cy")).json()["type"] == "blocked"
    lost = await shop.pay(held)
    assert (lost.status_code, lost.json()["type"]) == (409, "seats-gone")
    assert (await shop.ledger(held)).captured == 0
    answer = await operate(shop, "POST", path, {"seats": shop.seats[:3], "blocked": False})
    assert answer.json()["seats"] == sorted(shop.seats[1:3])
    assert (await hold(shop.client, shop.event_id, shop.seats[2], buyer="cy")).status_code == 201


async def test_refund_is_in_the_trail_and_a_second_one_does_nothing(shop):
    order = await shop.order(0)
    too_soon = await operate(shop, "POST", f"orders/{order['id']}/refund", {})
    assert (too_soon.status_code, too_soon.json()["type"]) == (409, "not-confirmed")
    await shop.pay(order)
    for _ in range(2):
        refunded = await operate(shop, "POST", f"orders/{order['id']}/refund", {"reason": "ill", "actor": "olga"})
        assert refunded.status_code == 200
    entry = await shop.ledger(order)
    assert (entry.captured, entry.refunded) == (5000, 5000)
    assert ("olga", "refund", {"order": order["id"], "reason": "ill", "state": "confirmed"}) in await trail(shop)


async def test_trail_is_never_changed(shop):
    await set_sale(shop, "paused")
    for sql in ("DELETE FROM frontrow.operations", "UPDATE frontrow.operations SET actor = 'x'"):
        with pytest.raises(psycopg.errors.RaiseException):
            await shop.front_row.ctx.postgres.execute(sql)


async def test_export_has_every_order_and_no_formula(shop):
    await shop.pay(await shop.order(0, 1))
    await shop.order(2, buyer="=1+1")
    answer = await shop.client.get(f"/api/frontrow/orders.csv?event_id={shop.event_id}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = {line["buyer"]: line for line in csv.DictReader(io.StringIO(answer.text))}
    assert set(lines) == {"ann", "'=1+1"}
    assert (lines["ann"]["state"], lines["ann"]["captured"]) == ("confirmed", "10000")


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("PUT", "events/99/sale", {"state": "open"}, 404),
    ("PUT", "events/1/sale", {"state": "gone"}, 422),
    ("POST", "events/1/blocks", {"seats": [], "blocked": True}, 422),
    ("POST", "orders/x/refund", {}, 404),
    ("GET", "operations?limit=0", None, 422),
    ("GET", "orders.csv?event_id=x", None, 422),
])  # fmt: skip
async def test_what_cannot_be_done_is_refused(shop, method, path, body, status):
    assert (await operate(shop, method, path, body)).status_code == status


@pytest.mark.parametrize(("method", "path", "body"), [
    ("PUT", "events/1/sale", {"state": "open"}),
    ("POST", "events/1/blocks", {"seats": [1], "blocked": True}),
    ("POST", "orders/x/refund", {}),
    ("GET", "operations", None),
    ("GET", "orders.csv", None),
    ("POST", "venues", PLAN),
    ("POST", "events", {"name": "x", "sample": "theatre"}),
    ("GET", "subscriptions", None),
    ("POST", "subscriptions", {"url": "http://x"}),
    ("DELETE", "subscriptions/1", None),
    ("PUT", "events/1/queue", {"opens_at": 1, "per_s": 1}),
    ("PATCH", "events/1/queue", {"per_s": 1}),
])  # fmt: skip
async def test_who_is_no_operator_does_none_of_it(shop, front_row, method, path, body):
    def refuse(scope):
        raise HttpProblem(401)

    front_row.ctx.authorize = refuse
    assert (await operate(shop, method, path, body)).status_code == 401


async def run(front_row, capsys, *words):
    command = next(command for command in COMMANDS if command.name == words[0])
    parser = ArgumentParser()
    command.arguments(parser)
    code = await command.run(front_row.ctx, parser.parse_args(words[1:]))
    return code, capsys.readouterr().out


async def test_commands_do_what_their_routes_do(shop, front_row, capsys, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(PLAN | {"name": "Shed"}))
    code, out = await run(front_row, capsys, "import", str(plan))
    assert code == 0
    code, out = await run(front_row, capsys, "put-on-sale", str(json.loads(out)["id"]), "Matinee", "--draft")
    event_id = json.loads(out)["id"]
    assert (await run(front_row, capsys, "sale", str(event_id), "open"))[0] == 0
    code, out = await run(front_row, capsys, "events")
    assert next(event["state"] for event in json.loads(out) if event["id"] == event_id) == "open"
    assert (await run(front_row, capsys, "block", str(shop.event_id), str(shop.seats[5])))[0] == 0
    order = await shop.order(0)
    await shop.pay(order)
    code, out = await run(front_row, capsys, "refund", order["id"])
    assert (code, json.loads(out)["refunded"]) == (0, 5000)
    assert order["id"] in (await run(front_row, capsys, "orders"))[1]
    assert (await run(front_row, capsys, "audit"))[0] == 0
    waiting = await shop.order(1)
    assert (await run(front_row, capsys, "cancel", waiting["id"]))[0] == 0
    code, out = await run(front_row, capsys, "reconcile")
    assert (code, json.loads(out)) == (0, {"orders": 2, "under_way": 0, "differences": []})
    await front_row.ctx.postgres.execute("UPDATE frontrow.simulated_payments SET captured = captured - 1, refunded = 0")
    code, out = await run(front_row, capsys, "reconcile")
    assert (code, [each["what"] for each in json.loads(out)["differences"]]) == (1, ["captured", "refunded"])
    code, out = await run(front_row, capsys, "operations", "--event", str(shop.event_id))
    assert [line["action"] for line in json.loads(out)] == ["refund", "block"]


@pytest.mark.parametrize(
    "words",
    [("sale", "99", "open"), ("import", "/nowhere"), ("put-on-sale", "99", "x"), ("refund", "x"), ("cancel", "x")],
)
async def test_command_that_cannot_says_so_and_exits_1(front_row, capsys, words):
    assert (await run(front_row, capsys, *words))[0] == 1
