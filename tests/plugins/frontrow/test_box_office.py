"""What the box office makes of the answers of its two layers, with both of them played by the test."""

import psycopg
import pytest
import trio
from trio.testing import MockClock

from host.api import OutcomeUnknown, ServiceUnavailable
from plugins.frontrow import box_office
from plugins.frontrow.box_office import BoxOffice
from plugins.frontrow.claims import LastLineCrossed
from plugins.frontrow.core.tokens import Hold
from plugins.frontrow.holds import KEPT, RETAKEN, TAKEN, UNPROTECTED, HoldState
from plugins.frontrow.settings import Settings

HOLD = Hold(1, (2, 3), "00" * 16)


class Layer1:
    def __init__(self, standing=KEPT, *, is_sold=False):
        self.standing = standing
        self.is_sold = is_sold

    async def keep(self, hold):
        await trio.lowlevel.checkpoint()
        return self.standing

    async def look(self, hold):
        await trio.lowlevel.checkpoint()
        return [HoldState(is_ours=False, is_sold=self.is_sold, left_ms=1000)]


class Layer2:
    """Gives the scripted answers in turn, the last one for ever; an exception is raised, an Event is waited for."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.inside = self.inside_peak = 0

    async def claim(self, claim, *, is_repeated=False):
        self.asked.append((claim.booking_id, is_repeated))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.inside += 1
        self.inside_peak = max(self.inside, self.inside_peak)
        try:
            if isinstance(answer, trio.Event):
                await answer.wait()
                return "won"
            await trio.lowlevel.checkpoint()
        finally:
            self.inside -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def autojump_clock():
    return MockClock(autojump_threshold=0)


def office(layer1, layer2, **settings):
    sales = []
    made = BoxOffice(layer1, layer2, Settings(**settings), announce_sale=lambda *sale: sales.append(sale))
    return made, sales


async def test_hold_that_stands_is_booked_and_announced():
    made, sales = office(Layer1(), Layer2("won"))
    assert await made.book(HOLD, "ann", "b1") == box_office.BOOKED
    assert sales == [(1, (2, 3))]
    assert made.tally.bookings == 1
    assert made.tally.holds_lost == 0


async def test_seat_sold_meanwhile_is_sold_and_not_announced():
    made, sales = office(Layer1(), Layer2("lost"))
    assert await made.book(HOLD, "ann", "b1") == box_office.SOLD
    assert sales == []


@pytest.mark.parametrize("standing", [RETAKEN, UNPROTECTED])
async def test_hold_that_got_lost_is_counted_and_booked_all_the_same(standing):
    made, _ = office(Layer1(standing), Layer2("won"))
    assert await made.book(HOLD, "ann", "b1") == box_office.BOOKED
    assert made.tally.holds_lost == 1


@pytest.mark.parametrize(("is_sold", "verdict"), [(False, box_office.GONE), (True, box_office.SOLD)])
async def test_late_holder_whose_seats_passed_on_never_reaches_layer_2(is_sold, verdict):
    layer2 = Layer2("won")
    made, _ = office(Layer1(TAKEN, is_sold=is_sold), layer2)
    assert await made.book(HOLD, "ann", "b1") == verdict
    assert layer2.asked == []


async def test_answer_lost_is_asked_for_again_under_the_same_booking(autojump_clock):
    layer2 = Layer2(OutcomeUnknown(), ServiceUnavailable(), OutcomeUnknown(), "won")
    made, _ = office(Layer1(), layer2)
    assert await made.book(HOLD, "ann", "b1") == box_office.BOOKED
    assert layer2.asked == [("b1", False), ("b1", True), ("b1", True), ("b1", True)]
    assert (made.tally.unknowns, made.tally.unknowns_resolved) == (1, 1)


async def test_answer_lost_for_good_is_unknown_and_never_failed(autojump_clock):
    made, sales = office(Layer1(), Layer2(OutcomeUnknown(), ServiceUnavailable()), claim_patience=3)
    began = trio.current_time()
    assert await made.book(HOLD, "ann", "b1") == box_office.UNKNOWN
    assert trio.current_time() - began <= 3
    assert sales == []


async def test_layer_2_away_all_the_time_is_unavailable(autojump_clock):
    made, _ = office(Layer1(), Layer2(ServiceUnavailable()), claim_patience=3)
    assert await made.book(HOLD, "ann", "b1") == box_office.UNAVAILABLE


async def test_layer_2_back_in_time_is_booked(autojump_clock):
    made, _ = office(Layer1(), Layer2(ServiceUnavailable(), ServiceUnavailable(), "won"))
    assert await made.book(HOLD, "ann", "b1") == box_office.BOOKED


@pytest.mark.parametrize("error", [psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure])
async def test_claim_that_the_database_undid_is_made_again(autojump_clock, error):
    layer2 = Layer2(error(), "won")
    made, _ = office(Layer1(), layer2)
    assert await made.book(HOLD, "ann", "b1") == box_office.BOOKED
    assert made.tally.unknowns == 0


async def test_fault_of_the_program_is_raised_and_frees_the_place_in_line():
    made, _ = office(Layer1(), Layer2(psycopg.errors.UndefinedTable(), "won"), claims_max=1)
    with pytest.raises(psycopg.errors.UndefinedTable):
        await made.book(HOLD, "ann", "b1")
    assert await made.book(HOLD, "ann", "b2") == box_office.BOOKED


async def test_last_line_crossed_is_sold_and_counted():
    made, _ = office(Layer1(), Layer2(LastLineCrossed()))
    assert await made.book(HOLD, "ann", "b1") == box_office.SOLD
    assert made.tally.last_line_crossed == 1


async def test_claim_that_hangs_is_unknown_after_its_time_out(autojump_clock):
    made, _ = office(Layer1(), Layer2(trio.Event()), claim_timeout=1, claim_patience=0.5)
    assert await made.book(HOLD, "ann", "b1") == box_office.UNKNOWN


async def test_buyer_who_leaves_during_the_claim_still_gets_it_decided():
    answered = trio.Event()
    layer2 = Layer2(answered)
    made, sales = office(Layer1(), layer2)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.book, HOLD, "ann", "b1")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            assert layer2.inside == 1
            answered.set()
    assert layer2.inside == 0
    assert sales == [(1, (2, 3))]


async def test_line_lets_only_so_many_claims_through_and_refuses_when_full():
    answered = trio.Event()
    layer2 = Layer2(answered)
    made, _ = office(Layer1(), layer2, claims_max=2, claims_waiting_max=3)
    verdicts = []

    async def buyer(number):
        try:
            verdicts.append(await made.book(HOLD, "ann", f"b{number}"))
        except ServiceUnavailable:
            verdicts.append("refused")

    async with trio.open_nursery() as nursery:
        for number in range(7):
            nursery.start_soon(buyer, number)
        await trio.testing.wait_all_tasks_blocked()
        assert (layer2.inside, made.line.waiting) == (2, 3)
        answered.set()
    assert layer2.inside_peak == 2
    assert sorted(verdicts) == ["booked"] * 5 + ["refused"] * 2


async def test_counted_apart_shares_the_line_and_not_the_tally():
    made, _ = office(Layer1(RETAKEN), Layer2("won"))
    apart = made.counted_apart()
    await apart.book(HOLD, "ann", "b1")
    assert apart.line is made.line
    assert (apart.tally.bookings, made.tally.bookings) == (1, 0)
    made.tally.add(apart.tally)
    assert (made.tally.bookings, made.tally.holds_lost) == (1, 1)
