from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from plugins.frontrow.core.breaker import Breaker


def breaker():
    return Breaker(failures_max=3, pause_ms=100, pause_ms_max=350)


def opened(now_ms=0):
    made = breaker()
    for _ in range(3):
        made.failed(now_ms, was_probe=False)
    return made


def test_closed_failures_below_the_limit_stay_closed():
    made = breaker()
    made.failed(0, was_probe=False)
    made.failed(0, was_probe=False)
    made.succeeded(was_probe=False)
    made.failed(0, was_probe=False)
    made.failed(0, was_probe=False)
    assert made.state == "closed"
    assert made.admits(0)


def test_closed_failures_in_a_row_open_it():
    made = opened()
    assert made.state == "open"
    assert not made.admits(99)
    assert made.opened_count == 1


def test_open_late_answers_of_earlier_calls_change_nothing():
    made = opened()
    made.succeeded(was_probe=False)
    for _ in range(1000):
        made.failed(50, was_probe=False)
    assert made.state == "open"
    assert made.probe_at_ms == 100
    assert made.opened_count == 1


def test_open_after_the_pause_lets_one_probe_through():
    made = opened()
    assert [made.admits(100) for _ in range(5)] == [True, False, False, False, False]


def test_probe_answered_closes_it():
    made = opened()
    assert made.admits(100)
    made.succeeded(was_probe=True)
    assert made.state == "closed"
    assert all(made.admits(100) for _ in range(5))


def test_probe_failed_doubles_the_pause_up_to_its_limit():
    made, now_ms = opened(), 0
    pauses = []
    for _ in range(4):
        pauses.append(made.probe_at_ms - now_ms)
        now_ms = made.probe_at_ms
        assert made.admits(now_ms)
        made.failed(now_ms, was_probe=True)
    assert pauses == [100, 200, 350, 350]


def test_probe_that_never_comes_back_is_followed_by_another():
    made = opened()
    assert made.admits(100)
    assert not made.admits(449)
    assert made.admits(450)


@given(st.lists(st.tuples(st.sampled_from(["ask", "late success", "late failure"]), st.integers(0, 40))))
def test_open_whatever_comes_in_late_no_more_than_one_probe_a_pause(steps):
    made, now_ms, probes = opened(), 0, []
    for step, passed_ms in steps:
        now_ms += passed_ms
        if step == "late success":
            made.succeeded(was_probe=False)
        elif step == "late failure":
            made.failed(now_ms, was_probe=False)
        elif made.admits(now_ms):
            probes.append(now_ms)
            made.failed(now_ms, was_probe=True)
    assert all(later - earlier >= 100 for earlier, later in pairwise(probes))
