import pytest

from plugins.frontrow.core.invariants import INVARIANTS, Expectation, judge, verdict

RUN = Expectation(buyers=500, seats=5, excused=0)
GOOD = {
    "one_sale_per_seat": 0,
    "seats_and_sales_agree": 0,
    "nothing_appears_or_vanishes": 5,
    "told_is_booked": 0,
    "booked_is_told": 0,
    "one_booking_per_buyer": 0,
    "no_phantom_sold": 0,
    "sells_what_it_can": 5,
    "last_line_stands": 1,
    "last_line_unneeded": 0,
}


def judged(**changes):
    return judge(GOOD | changes, RUN, 0.0)


def test_all_as_expected_holds():
    assert verdict(judged()) == "holds"
    assert {finding["name"] for finding in judged()} == set(GOOD) == {each.name for each in INVARIANTS}


@pytest.mark.parametrize("name", GOOD)
def test_any_count_off_by_one_breaks_exactly_that_one(name):
    findings = judged(**{name: GOOD[name] + 1})
    assert verdict(findings) == "broke"
    assert [finding["name"] for finding in findings if not finding["holds"]] == [name]


@pytest.mark.parametrize("name", GOOD)
def test_any_count_not_taken_makes_it_unknown(name):
    assert verdict(judged(**{name: None})) == "unknown"


def test_broken_outweighs_unknown():
    assert verdict(judged(told_is_booked=None, one_sale_per_seat=1)) == "broke"


def test_nothing_checked_is_unknown():
    assert verdict([]) == "unknown"


def test_undersold_breaks_unless_a_service_was_away_for_as_many():
    short = GOOD | {"sells_what_it_can": 3}
    assert verdict(judge(short, RUN, 0.0)) == "broke"
    assert verdict(judge(short, Expectation(500, 5, excused=1), 0.0)) == "broke"
    assert verdict(judge(short, Expectation(500, 5, excused=2), 0.0)) == "holds"


def test_fewer_buyers_than_seats_are_all_served():
    few = Expectation(buyers=2, seats=5, excused=0)
    counts = GOOD | {"sells_what_it_can": 2}
    assert verdict(judge(counts, few, 0.0)) == "holds"
    assert verdict(judge(counts | {"sells_what_it_can": 3}, few, 0.0)) == "broke"
