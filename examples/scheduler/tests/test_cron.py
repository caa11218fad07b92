"""Cron expressions and missed times alone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from quartet_scheduler.cron import parse_cron
from quartet_scheduler.jobs import Job, due_times

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("* * * * *", "2026-03-01T10:00:00", "2026-03-01T10:01:00"),
        ("*/15 * * * *", "2026-03-01T10:46:00", "2026-03-01T11:00:00"),
        ("5/20 * * * *", "2026-03-01T10:06:00", "2026-03-01T10:25:00"),
        ("0 9-17/4 * * mon-fri", "2026-03-06T17:00:00", "2026-03-09T09:00:00"),
        ("0 0 29 feb *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-03-01T00:00:00", "2026-03-06T00:00:00"),
        ("0 0 * * 7", "2026-03-01T00:00:00", "2026-03-08T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_next_time_is_the_one_that_crontab_names(cron: str, after: str, due: str) -> None:
    assert parse_cron(cron).next_after(at(after), ZoneInfo("UTC")) == at(due)


def test_time_that_never_comes_has_no_next() -> None:
    assert parse_cron("0 0 30 2 *").next_after(at("2026-01-01"), ZoneInfo("UTC")) is None


def test_time_that_the_clock_leaves_out_does_not_come_and_a_repeated_one_comes_once() -> None:
    cron = parse_cron("30 2 * * *")
    # On 2026-03-29 the clock goes from 02:00 to 03:00, on 2026-10-25 from 03:00 back to 02:00.
    assert cron.next_after(at("2026-03-28T12:00:00"), BERLIN) == at("2026-03-30T00:30:00")
    first = cron.next_after(at("2026-10-24T12:00:00"), BERLIN)
    assert first == at("2026-10-25T00:30:00")
    assert cron.next_after(first, BERLIN) == at("2026-10-26T01:30:00")


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* * * * mo", "5-1 * * * *", "*/0 * * * *", "+1 * * * *", "1, * * * *", "@x"]
)
def test_malformed_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|five fields|ends before"):
        parse_cron(text)


def job(missed: str) -> Job:
    return Job.model_validate({"cron": "* * * * *", "missed": missed, "action": {"kind": "notify", "channel": "c"}})


def test_late_run_within_grace_is_run_whatever_the_policy() -> None:
    due = at("2026-03-01T10:00:00")
    for policy in ("skip", "once", "all"):
        assert due_times(job(policy), due, due + timedelta(seconds=59), 60, 100) == (due, True)


def test_missed_times_are_skipped_run_once_or_run_all() -> None:
    due, now = at("2026-03-01T10:00:00"), at("2026-03-01T10:10:30")
    assert due_times(job("all"), due, now, 5, 100) == (due, True)
    assert due_times(job("all"), due, now, 5, 3) == (at("2026-03-01T10:08:00"), True)
    assert due_times(job("once"), due, now, 5, 100) == (at("2026-03-01T10:10:00"), True)
    assert due_times(job("skip"), due, now, 5, 100) == (at("2026-03-01T10:10:00"), False)
    # The latest one is only late.
    assert due_times(job("skip"), due, now, 60, 100) == (at("2026-03-01T10:10:00"), True)


def test_a_century_without_a_host_is_no_century_of_minutes_to_go_through() -> None:
    latest = due_times(job("once"), at("1926-01-01T00:00:00"), at("2026-01-01T00:00:30"), 5, 100)
    assert latest == (at("2026-01-01T00:00:00"), True)
