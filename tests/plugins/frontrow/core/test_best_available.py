"""The search for seats, against a slow obvious one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.frontrow.core.best_available import best_available
from plugins.frontrow.core.house import FREE, SOLD, Availability, House, Place
from plugins.frontrow.core.samples import arena, theatre
from plugins.frontrow.venue_plan import VenuePlan

STAGE = (0.0, 0.0)


def row_of(states, *, y=10.0, row="A", tier="t", kinds=None):
    """Places of one row, a letter each: "f" free, "s" sold, "|" an aisle after the seat before."""
    places, taken = [], []
    for letter in states:
        if letter == "|":
            last = places[-1]
            places[-1] = Place(last.section, last.row, last.number, last.x, last.y, last.tier, last.kind, True)
            continue
        kind = "standard" if kinds is None else kinds[len(places)]
        places.append(Place("s", row, str(len(places) + 1), float(len(places)), y, tier, kind))
        taken.append(SOLD if letter == "s" else FREE)
    return places, taken


def availability_of(*rows):
    places = [place for row, _ in rows for place in row]
    return Availability(House(places, STAGE), [state for _, taken in rows for state in taken])


@pytest.mark.parametrize(
    ("states", "count", "found", "how"),
    [
        ("ffff", 2, (0, 1), "together"),
        ("sfffs", 2, (1, 2), "together-leaving-one"),
        ("sffffs", 2, (1, 2), "together"),
        ("sfffsffs", 2, (5, 6), "together"),
        ("fff", 3, (0, 1, 2), "together"),
        ("ff|ff", 3, None, None),
        ("ff|ffff", 3, (2, 3, 4), "together-leaving-one"),
        ("sfsfs", 2, None, None),
        ("f|fff", 1, (0,), "together"),
    ],
)
def test_block_leaves_no_single_seat_unless_there_is_no_other(states, count, found, how):
    answer = best_available(availability_of(row_of(states)), "t", count)
    assert (answer and answer.positions, answer and answer.how) == (found, how)


def test_nearest_row_with_a_block_wins():
    near, far = row_of("sfsfs", y=5.0), row_of("ffff", y=9.0, row="B")
    assert best_available(availability_of(near, far), "t", 2).positions == (5, 6)


def test_apart_takes_the_nearest_seats_only_when_asked():
    house = availability_of(row_of("fsfsf"))
    assert best_available(house, "t", 2) is None
    assert best_available(house, "t", 2, may_be_apart=True).positions == (0, 2)


def test_seats_for_wheelchairs_are_found_only_by_who_asks_for_them():
    kinds = ["accessible", "companion", "standard", "standard"]
    house = availability_of(row_of("ffff", kinds=kinds))
    assert best_available(house, "t", 2).positions == (2, 3)
    assert best_available(house, "t", 2, is_accessible=True).positions == (0, 1)
    assert best_available(house, "t", 3, is_accessible=True) is None


def test_other_tiers_seats_part_a_row():
    places, _ = row_of("fff")
    middle = places[1]
    places[1] = Place(middle.section, middle.row, middle.number, middle.x, middle.y, "other")
    assert best_available(availability_of((places, [FREE] * 3)), "t", 2) is None


def slow_search(availability, tier, count):
    """Every block of the tier, nearest first; those that leave one alone after all others."""
    house, states = availability.house, availability.states
    found = []
    for row in house.rows:
        if row.tier != tier:
            continue
        free = [at != -1 and states[at] == FREE for at in row.positions]
        for start in range(len(free) - count + 1):
            if not all(free[start : start + count]):
                continue
            left = start >= 1 and free[start - 1] and not (start >= 2 and free[start - 2])
            end = start + count
            right = end < len(free) and free[end] and not (end + 1 < len(free) and free[end + 1])
            found.append((left or right, round(row.reach[end] - row.reach[start], 6)))
    return min(found, default=None)


@given(
    st.lists(st.text(alphabet="fs|", min_size=1, max_size=14), min_size=1, max_size=4),
    st.integers(min_value=1, max_value=5),
)
def test_search_finds_what_the_slow_one_finds(rows, count):
    rows = [row_of("f" + text, y=5.0 + number, row=str(number)) for number, text in enumerate(rows)]
    availability = availability_of(*rows)
    expected, answer = slow_search(availability, "t", count), best_available(availability, "t", count)
    if expected is None:
        assert answer is None
        return
    house = availability.house
    row, bits = house.rows[house.row_of[answer.positions[0]]], [house.bit_of[at] for at in answer.positions]
    assert all(later - earlier == 1 for earlier, later in pairwise(bits))
    distance = round(row.reach[bits[-1] + 1] - row.reach[bits[0]], 6)
    assert (answer.how == "together-leaving-one", distance) == expected


def test_availability_keeps_its_bits_and_letters_in_step():
    availability = availability_of(row_of("ffff"))
    assert availability.set(2, SOLD)
    assert not availability.set(2, SOLD)
    assert (availability.letters(), availability.free[0]) == ("ffsf", 0b1011)
    availability.set(2, FREE)
    assert (availability.letters(), availability.free[0]) == ("ffff", 0b1111)


@pytest.mark.parametrize(("sample", "seats"), [(theatre, 400), (arena, 20_000)])
def test_samples_are_valid_plans_of_the_size_they_say(sample, seats):
    plan = VenuePlan.model_validate(sample())
    places = [place for place, _ in plan.places()]
    assert len(places) == seats
    assert len({(place.x, place.y) for place in places}) == seats
    assert {"accessible", "companion"} <= {place.kind for place in places}
