"""The stampede through both real layers."""

import gzip
import json

import pytest
import trio

from host.api import ServiceUnavailable
from plugins.frontrow.claims import ClaimDesk
from plugins.frontrow.core import outcome
from plugins.frontrow.gate import Gate
from tests.plugins.frontrow.conftest import invariant, run_stampede


@pytest.mark.parametrize(("buyers", "seats"), [(1000, 1), (500, 5), (1, 1), (3, 8), (40, 40), (300, 60)])
async def test_stampede_books_exactly_the_lesser_of_buyers_and_seats(front_row, buyers, seats):
    result = await run_stampede(front_row, buyers, seats)
    sold = min(buyers, seats)
    assert (result["booked"], result["rejected"], result["unknown"]) == (sold, buyers - sold, 0)
    assert (result["oversold"], result["undersold"]) == (0, 0)
    assert (result["state"], result["verdict"], result["redis"]) == ("done", "holds", "up")
    assert all(each["holds"] for each in result["invariants"])
    assert result["elapsed_ms"] > 0
    assert result["timeline"][-1] == {
        "t_ms": result["elapsed_ms"],
        "waiting": 0,
        "booked": sold,
        "rejected": buyers - sold,
    }


async def test_one_seat_costs_each_buyer_one_command(front_row):
    assert (await run_stampede(front_row, 200, 1))["attempts"] == 200


async def test_history_says_of_every_buyer_what_the_result_counts(front_row):
    result = await run_stampede(front_row, 50, 3, seed=42)
    packed = await front_row.runs.history(result["run_id"])
    head, *lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    assert (head["run_id"], head["seed"], head["buyers"], head["seats"]) == (result["run_id"], 42, 50, 3)
    assert sorted(line["buyer"] for line in lines) == list(range(50))
    booked = [line for line in lines if line["verdict"] == "booked"]
    assert len({line["seat"] for line in booked}) == len({line["booking"] for line in booked}) == 3
    assert max(line["verdict_us"] for line in lines) == pytest.approx(result["elapsed_ms"] * 1000, abs=1)
    assert all(0 <= line["invoke_us"] <= line["verdict_us"] for line in lines)


async def test_same_seed_same_wishes_other_seed_others(front_row):
    async def wishes(seed):
        live = await front_row.runs.start(30, 10, seed)
        await live.finished.wait()
        return live.stampede.order, live.stampede._wanted

    assert await wishes(5) == await wishes(5) != await wishes(6)


async def test_two_runs_at_once_do_not_touch_each_others_seats(front_row):
    results = []

    async def run(seed):
        results.append(await run_stampede(front_row, 150, 4, seed))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, 1)
        nursery.start_soon(run, 1)
    assert [(result["booked"], result["rejected"], result["verdict"]) for result in results] == [(4, 146, "holds")] * 2


class FailingFirst(ClaimDesk):
    """Layer 2 is away for the first claims, and lets them know once everybody else has been turned away."""

    failures = 1
    live = None

    async def claim(self, claim, *, is_repeated=False):
        if self.failures:
            self.failures -= 1
            while self.live is not None and self.live.stampede.history.count(outcome.HELD) < 99:
                await trio.lowlevel.checkpoint()
            raise ServiceUnavailable("away")
        return await super().claim(claim, is_repeated=is_repeated)


async def test_holder_who_cannot_book_gives_the_seat_back_and_the_rejected_return(front_row, monkeypatch):
    """The winner of the hold gives up at once; without a second round the seat would stay unsold."""
    desk = FailingFirst(front_row.ctx.postgres)
    monkeypatch.setattr(front_row.office, "claims", desk)
    monkeypatch.setattr(front_row.office, "settings", front_row.settings.model_copy(update={"claim_patience": 0.0}))
    live = await front_row.runs.start(100, 1, 1)
    desk.live = live
    await live.finished.wait()
    result = live.document
    assert (result["booked"], result["rejected"], result["unavailable"]) == (1, 99, 0)
    assert (result["undersold"], result["verdict"]) == (0, "holds")
    assert result["attempts"] == 200


async def test_layer_2_away_to_the_end_is_excused_and_not_undersold(front_row, monkeypatch):
    desk = FailingFirst(front_row.ctx.postgres)
    desk.failures = 10**9
    monkeypatch.setattr(front_row.office, "claims", desk)
    monkeypatch.setattr(front_row.office, "settings", front_row.settings.model_copy(update={"claim_patience": 0.0}))
    result = await run_stampede(front_row, 20, 1)
    assert (result["booked"], result["rejected"], result["unavailable"]) == (0, 19, 1)
    assert (result["oversold"], result["undersold"], result["verdict"]) == (0, 0, "holds")


class Forgetful(ClaimDesk):
    """Tells everybody that they have won, and sells to nobody."""

    async def claim(self, claim, *, is_repeated=False):
        await trio.lowlevel.checkpoint()
        return "won"


async def test_control_booking_told_and_not_made_breaks_the_run(front_row, monkeypatch):
    monkeypatch.setattr(front_row.office, "claims", Forgetful(front_row.ctx.postgres))
    result = await run_stampede(front_row, 20, 1)
    assert result["verdict"] == "broke"
    assert invariant(result, "told_is_booked") is False
    assert invariant(result, "no_phantom_sold") is False
    assert result["oversold"] == 1


class Denying(ClaimDesk):
    """Sells, and tells the buyer that it did not."""

    async def claim(self, claim, *, is_repeated=False):
        await super().claim(claim, is_repeated=is_repeated)
        return "lost"


async def test_control_booking_made_and_denied_breaks_the_run(front_row, monkeypatch):
    monkeypatch.setattr(front_row.office, "claims", Denying(front_row.ctx.postgres))
    result = await run_stampede(front_row, 20, 1)
    assert result["verdict"] == "broke"
    assert invariant(result, "booked_is_told") is False


class Refusing(ClaimDesk):
    """Calls every seat sold."""

    async def claim(self, claim, *, is_repeated=False):
        await trio.lowlevel.checkpoint()
        return "lost"


async def test_control_phantom_sold_out_breaks_the_run(front_row, monkeypatch):
    monkeypatch.setattr(front_row.office, "claims", Refusing(front_row.ctx.postgres))
    result = await run_stampede(front_row, 20, 2)
    assert result["verdict"] == "broke"
    assert invariant(result, "no_phantom_sold") is False
    assert invariant(result, "sells_what_it_can") is False
    assert result["undersold"] == 2


async def test_run_cut_short_tells_apart_who_asked_and_who_did_not(front_row, monkeypatch):
    class Hanging(ClaimDesk):
        async def claim(self, claim, *, is_repeated=False):
            await trio.sleep_forever()

    monkeypatch.setattr(front_row.office, "claims", Hanging(front_row.ctx.postgres))
    short = front_row.settings.model_copy(update={"run_timeout": 0.2, "claim_timeout": 0.4})
    monkeypatch.setattr(front_row.office, "settings", short)
    monkeypatch.setattr(front_row.runs, "_settings", short)
    live = await front_row.runs.start(20, 1, 1)
    await live.finished.wait()
    # Settled afterwards: the claim never came, and is kept from coming.
    assert live.stampede.history.count(outcome.UNAVAILABLE) == 1
    assert live.document["rejected"] == 19
    assert live.document["verdict"] == "holds"


async def test_gate_lets_go_in_the_order_of_arrival_and_skips_those_who_left():
    gate, passed = Gate(), []

    async def visitor(number, scope):
        with scope:
            await gate.wait()
            passed.append(number)

    scopes = [trio.CancelScope() for _ in range(6)]
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(visitor, number, scopes[number])
            await trio.testing.wait_all_tasks_blocked()
        scopes[1].cancel()
        await trio.testing.wait_all_tasks_blocked()
        while gate:
            gate.let_go(1)
            await trio.testing.wait_all_tasks_blocked()
    assert passed == [0, 2, 3, 4, 5]
