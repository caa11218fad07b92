import json

from hypothesis import given
from hypothesis import strategies as st

from plugins.frontrow.core import outcome
from plugins.frontrow.core.history import History, percentile, sample, spread, timeline, to_lines


def history_of(*verdicts):
    """A history whose gun was at 1 ms; each verdict is (outcome, ms after the gun)."""
    history = History(len(verdicts))
    history.gun_ns = 1_000_000
    for buyer, (value, at_ms) in enumerate(verdicts):
        history.outcomes[buyer] = value
        history.invoked_ns[buyer] = 1_000_000
        history.decided_ns[buyer] = 1_000_000 + round(at_ms * 1e6)
        history.seat[buyer] = 0
    return history


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_percentile_is_the_smallest_value_that_enough_do_not_exceed(values, percent):
    ascending = sorted(values)
    enough = [value for value in ascending if sum(v <= value for v in ascending) * 100 >= percent * len(ascending)]
    assert percentile(ascending, percent) == enough[0]


def test_spread_of_nobody_is_none():
    assert spread(history_of((outcome.HELD, 1.0)), outcome.BOOKED).max_ms is None


def test_elapsed_is_from_the_gun_to_the_last_verdict():
    assert history_of((outcome.BOOKED, 3.5), (outcome.HELD, 9.25)).elapsed_ms() == 9.25
    assert History(3).elapsed_ms() == 0


@given(
    st.lists(st.tuples(st.sampled_from([outcome.BOOKED, outcome.HELD, outcome.SOLD]), st.floats(0.001, 50)), min_size=1)
)
def test_timeline_loses_nobody_and_ends_with_nobody_waiting(verdicts):
    history = history_of(*verdicts)
    points = timeline(history)
    assert all(point["waiting"] + point["booked"] + point["rejected"] == len(verdicts) for point in points)
    assert [point["t_ms"] for point in points] == sorted(point["t_ms"] for point in points)
    assert [point["waiting"] for point in points] == sorted((point["waiting"] for point in points), reverse=True)
    assert points[-1]["waiting"] == 0
    assert points[-1]["booked"] == history.count(outcome.BOOKED)
    assert abs(points[-1]["t_ms"] - history.elapsed_ms()) < 0.001


def test_sample_of_a_large_crowd_is_small_and_spread_over_it():
    shown = sample(History(100_000))
    assert len(shown) <= 60
    assert shown[-1]["buyer"] > 98_000


def test_lines_are_json_in_the_order_of_arrival_and_say_what_was_heard():
    history = history_of((outcome.BOOKED, 2.0), (outcome.HELD, 1.0), (outcome.WAITING, 0))
    history.bookings[0] = "b-0"
    history.retries[1] = 2
    history.decided_ns[2] = history.invoked_ns[2] = 0
    head, *lines = [json.loads(line) for line in to_lines(history, {"run_id": "r"}, [1, 0, 2])]
    assert head == {"format": "frontrow-history/1", "run_id": "r"}
    assert lines == [
        {"buyer": 1, "invoke_us": 0, "verdict_us": 1000, "seat": 0, "attempts": 3, "verdict": "held"},
        {
            "buyer": 0,
            "invoke_us": 0,
            "verdict_us": 2000,
            "seat": 0,
            "attempts": 1,
            "verdict": "booked",
            "booking": "b-0",
        },
        {"buyer": 2, "invoke_us": None, "verdict_us": None, "seat": 0, "attempts": 0, "verdict": "waiting"},
    ]
    assert history.attempts_sum() == 4
