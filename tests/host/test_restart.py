"""The restart schedule: OTP's intensity, exponential back-off, jitter."""

from hypothesis import given
from hypothesis import strategies as st

from host.restart import BACKOFF_FIRST_S, BACKOFF_MAX_S, RestartSchedule, backoff_s


def test_failures_within_the_intensity_are_restarted_and_one_more_is_given_up() -> None:
    schedule = RestartSchedule(intensity=3, window_s=60)
    assert all(schedule.failed(at, 0.5) is not None for at in (0.0, 1.0, 2.0))
    assert schedule.failed(3.0, 0.5) is None


def test_failures_outside_the_window_are_forgotten() -> None:
    schedule = RestartSchedule(intensity=2, window_s=60)
    delays = [schedule.failed(at, 0.0) for at in (0.0, 61.0, 122.0, 183.0)]
    assert delays == [BACKOFF_FIRST_S / 2] * 4


def test_an_intensity_of_zero_restarts_nothing() -> None:
    assert RestartSchedule(intensity=0).failed(0.0, 0.0) is None


@given(attempt=st.integers(1, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_the_delay_is_bounded_and_never_shrinks_with_the_attempts(attempt: int, jitter: float) -> None:
    delay = backoff_s(attempt, jitter)
    assert BACKOFF_FIRST_S / 2 <= delay <= BACKOFF_MAX_S
    assert backoff_s(attempt + 1, jitter) >= delay
