"""The breaker and the schedule of attempts, exact on a clock of integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.gateway.core.breaker import Breaker
from plugins.gateway.core.errors import ApiError, Failure, failure_of_status
from plugins.gateway.core.retry import Backoff, Budget, Campaign, GiveUp, Try, parse_retry_after


def opened(**settings: int) -> Breaker:
    breaker = Breaker(failures_max=2, pause_ms=100, pause_ms_max=400, **settings)
    for _ in range(2):
        permit = breaker.admit(0)
        assert permit
        breaker.failed(permit, 0)
    assert breaker.state == "open"
    return breaker


def test_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through_after_its_pause() -> None:
    breaker = opened()
    assert breaker.wait_ms(1) == 99
    assert breaker.admit(99) is None
    probe = breaker.admit(100)
    assert probe
    assert probe.is_probe
    assert breaker.admit(100) is None
    breaker.succeeded(probe)
    assert breaker.state == "closed"


def test_a_failed_probe_doubles_the_pause_up_to_its_bound() -> None:
    breaker, now = opened(), 0
    for pause_ms in (100, 200, 400, 400):
        assert breaker.wait_ms(now) == pause_ms
        now += pause_ms
        probe = breaker.admit(now)
        assert probe
        breaker.failed(probe, now)


def test_a_cancelled_probe_gives_its_place_back() -> None:
    breaker = opened()
    probe = breaker.admit(100)
    assert probe
    breaker.abandoned(probe)
    assert breaker.admit(100) is not None


def test_what_was_let_through_before_it_opened_says_nothing_afterwards() -> None:
    breaker = Breaker(failures_max=1, pause_ms=100)
    early, late = breaker.admit(0), breaker.admit(0)
    assert early
    assert late
    breaker.failed(early, 0)
    breaker.succeeded(late)
    breaker.failed(late, 50)
    assert (breaker.state, breaker.retry_at_ms) == ("open", 100)


def test_half_of_the_window_failing_opens_it_without_a_row_of_failures() -> None:
    breaker = Breaker(failures_max=99, window=10)
    for number in range(10):
        permit = breaker.admit(number)
        assert permit
        (breaker.failed(permit, number) if number % 2 else breaker.succeeded(permit))
    assert breaker.state == "open"


def test_a_hold_keeps_everybody_out_until_then_and_is_no_failure() -> None:
    breaker = Breaker()
    breaker.hold_until(500)
    assert breaker.admit(499) is None
    assert breaker.admit(500) is not None
    assert breaker.state == "closed"


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "abandon", "wait"]), st.integers(0, 300)), max_size=60))
def test_breaker_never_has_two_probes_and_always_opens_again(steps: list[tuple[str, int]]) -> None:
    breaker, now, probes = Breaker(failures_max=2, pause_ms=50, pause_ms_max=200), 0, 0
    for what, elapsed in steps:
        now += elapsed
        permit = breaker.admit(now)
        if permit is None:
            assert breaker.wait_ms(now) > 0
            continue
        if permit.is_probe:
            probes += 1
            assert breaker.admit(now) is None
        if what == "ok":
            breaker.succeeded(permit)
        elif what == "fail":
            breaker.failed(permit, now)
        else:
            breaker.abandoned(permit)
    assert breaker.admit(now + 10_000) is not None


def failure(verdict: str = "retry") -> Failure:
    return Failure(ApiError(500, None, verdict), verdict, True, "x")  # type: ignore[arg-type]


def campaign(
    targets: int = 2, *, waits: dict[int, int] | None = None, budget: Budget | None = None, **more: int
) -> Campaign:
    settings = {"rounds_max": 3, "attempts_max": 6, "patience_ms": 1000, "deadline_ms": 10_000} | more
    waits = waits or {}
    return Campaign(
        targets,
        backoff=Backoff(100, 800),
        budget=budget or Budget(0.2, 100),
        wait_ms=lambda target, now: max(0, waits.get(target, 0) - now),
        **settings,
    )


def run(attempts: Campaign, verdicts: list[str], random_unit: float = 0.5) -> list[tuple[int, int]]:
    """The attempts made, as (target, delay), while these verdicts come back."""
    made, now = [], 0
    for verdict in verdicts:
        step = attempts.next(now, random_unit)
        if isinstance(step, GiveUp):
            break
        made.append((step.target, step.delay_ms))
        now += step.delay_ms
        attempts.failed(step.target, failure(verdict))
    return made


def test_the_first_round_falls_over_at_once_and_later_rounds_wait_with_full_jitter() -> None:
    assert run(campaign(), ["retry"] * 9) == [(0, 0), (1, 0), (0, 50), (1, 0), (0, 100), (1, 0)]
    assert run(campaign(), ["retry"] * 9, 0.0)[2] == (0, 0)


def test_a_target_that_cannot_do_it_is_not_asked_again() -> None:
    assert run(campaign(), ["fallback", "retry", "retry", "retry"]) == [(0, 0), (1, 0), (1, 50), (1, 100)]


def test_a_final_failure_ends_it() -> None:
    attempts = campaign()
    assert run(attempts, ["final"] * 3) == [(0, 0)]
    step = attempts.next(0, 0)
    assert isinstance(step, GiveUp)
    assert step.failure is not None


def test_an_open_breaker_is_passed_over_and_its_wait_is_told_when_there_is_nobody_else() -> None:
    assert run(campaign(waits={0: 99_999}), ["retry"]) == [(1, 0)]
    step = campaign(1, waits={0: 5000}).next(0, 0.5)
    assert step == GiveUp(None, 5000)
    assert campaign(1, waits={0: 700}).next(0, 0.5) == Try(0, 700)


def test_a_spent_budget_allows_first_attempts_at_every_target_and_no_second_ones() -> None:
    """A provider that dies under more requests than the budget has tokens still costs none of them its answer."""
    spent = Budget(0.2, 0)
    for _ in range(1000):
        assert run(campaign(3, budget=spent), ["retry"] * 9) == [(0, 0), (1, 0), (2, 0)]
    assert (spent.spent_count, spent.refused_count) == (0, 1000)


def test_a_target_that_let_nobody_through_was_not_asked() -> None:
    attempts = campaign(1, budget=Budget(0.2, 0))
    assert attempts.next(0, 0.5) == Try(0, 0)
    attempts.refused(0)
    assert attempts.next(0, 0.5) == Try(0, 50)


def test_budget_is_saved_up_to_its_reserve() -> None:
    budget = Budget(0.5, 1)
    assert budget.spend()
    assert not budget.spend()
    budget.deposit()
    budget.deposit()
    assert budget.spend()
    assert (budget.spent_count, budget.refused_count) == (2, 1)


def test_no_wait_goes_beyond_the_deadline() -> None:
    attempts = campaign(1, deadline_ms=40)
    assert run(attempts, ["retry"] * 3) == [(0, 0)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after-ms", b"1500"), (b"retry-after", b"9")], 1.5),
        ([(b"Retry-After", b"20")], 20.0),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:01:40 GMT")], 100.0),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"-3")], None),
        ([(b"retry-after", b"9e99")], None),
        ([], None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert parse_retry_after(headers, 0.0) == seconds


@pytest.mark.parametrize(
    ("status", "code", "told", "verdict", "counts"),
    [
        (400, None, 400, "final", False),
        (400, "context_length_exceeded", 400, "fallback", False),
        (401, "invalid_api_key", 502, "fallback", True),
        (404, None, 404, "fallback", False),
        (408, None, 502, "retry", True),
        (429, None, 429, "retry", False),
        (429, "insufficient_quota", 429, "fallback", False),
        (500, None, 500, "retry", True),
        (529, None, 503, "retry", True),
    ],
)
def test_an_upstreams_status_decides_where_to_go_next(
    status: int, code: str | None, told: int, verdict: str, counts: bool
) -> None:
    made = failure_of_status("p", status, code=code, message="sk-secret", kind="", param=None, retry_after_s=None)
    assert (made.error.status, made.verdict, made.counts) == (told, verdict, counts)
    if status == 401:
        assert "sk-secret" not in made.error.message


def test_errors_have_all_four_keys_and_text_codes() -> None:
    assert ApiError(404, "model_not_found", "no").document() == {
        "error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "model_not_found"}
    }
    assert dict(ApiError(503, "x", "no", retry_after_s=0.25, should_retry=False).headers()) == {
        b"retry-after": b"1",
        b"retry-after-ms": b"250",
        b"x-should-retry": b"false",
    }
