"""The order of the lottery and the pace of admission."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.frontrow.core.waiting_room import Admission, draw, entrants_hash, seed_hash

SEED = bytes(range(32))


def test_lottery_can_be_drawn_again_by_anybody_with_nothing_but_hmac():
    tickets = [f"ticket-{number}" for number in range(50)]
    by_hand = sorted(tickets, key=lambda ticket: hmac.new(SEED, ticket.encode(), hashlib.sha256).digest())
    assert draw(SEED, tickets) == by_hand
    assert draw(SEED, reversed(tickets)) == by_hand, "when somebody entered does not matter"
    assert by_hand != tickets


def test_another_seed_is_another_order_and_another_hash():
    tickets = [f"ticket-{number}" for number in range(50)]
    assert draw(SEED, tickets) != draw(SEED[::-1], tickets)
    assert seed_hash(SEED) != seed_hash(SEED[::-1])
    assert seed_hash(SEED) == hashlib.sha256(SEED).hexdigest()


def test_hash_of_the_entrants_tells_one_more_or_one_less():
    tickets = ["a", "b", "c"]
    assert entrants_hash(tickets) == entrants_hash(reversed(tickets))
    assert len({entrants_hash(some) for some in (tickets, tickets[:2], [*tickets, "d"], ["ab", "c"])}) == 4


@pytest.mark.parametrize(
    ("place", "turn_ms"), [(1, 0), (10, 0), (11, 101), (12, 201), (20, 1001)]
)  # fmt: skip
def test_turn_comes_at_the_rate(place, turn_ms):
    assert Admission(10, 1000, 10.0).turn_ms(place, 1000) == turn_ms


def test_turn_never_comes_when_nobody_is_let_in():
    assert Admission(10, 0, 0.0).turn_ms(11, 10**9) is None
    assert Admission(10, 0, 0.0).turn_ms(10, 0) == 0


@given(
    st.integers(0, 1000), st.floats(0.1, 1000), st.integers(0, 10**6), st.floats(0, 1000), st.integers(1, 5000)
)  # fmt: skip
def test_turn_is_when_the_place_is_admitted_and_a_new_rate_turns_nobody_away(base, per_s, later_ms, new_per_s, place):
    admission = Admission(base, 0, per_s)
    turn_ms = admission.turn_ms(place, 0)
    assert admission.admitted(turn_ms) >= place
    changed = admission.changed(new_per_s, later_ms)
    assert changed.admitted(later_ms) == admission.admitted(later_ms)
    assert changed.admitted(later_ms + 1000) >= admission.admitted(later_ms)
