"""Cron expressions: five fields, and the next moment that one names. Pure: no clock is read here.

As in crontab(5): minute, hour, day of the month, month, day of the week (0 and 7 are Sunday); `*`, numbers, names
(`jan`, `mon`), ranges, lists and steps. When both days are restricted, either of them is enough. `@hourly`, `@daily`,
`@weekly`, `@monthly` and `@yearly` stand for their expressions.

Times are those of a wall clock in a zone. One that a change of the clock leaves out does not come; one that it repeats
comes once, the first time.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# February 29th may be eight years away (1896, 1904; 2096, 2104).
_DAYS_AHEAD_MAX = 366 * 8 + 1
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. `either_day`: both days are restricted, and one is enough."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first due time after `moment`, in UTC; None when there is none (February 30th)."""
        earliest = moment.astimezone(zone).replace(tzinfo=None)
        midnight = earliest.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(_DAYS_AHEAD_MAX):
            if self._names_day(midnight):
                # A due time is the first of its wall clock's, so the wall clock never runs back from one to the next.
                hours = self.hours if midnight > earliest else self.hours[bisect_left(self.hours, earliest.hour) :]
                for hour in hours:
                    for minute in self.minutes:
                        wall = midnight.replace(hour=hour, minute=minute)
                        if wall <= earliest:
                            continue
                        due = wall.replace(tzinfo=zone).astimezone(UTC)
                        if due > moment and due.astimezone(zone).replace(tzinfo=None) == wall:
                            return due
            midnight += timedelta(days=1)
        return None

    def _names_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_date, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date or by_week if self.either_day else by_date and by_week


@lru_cache(maxsize=1024)
def parse_cron(text: str) -> Cron:
    """Read an expression.

    Raises:
        ValueError: it is malformed; the text says where and what was expected.
    """
    parts = _SHORT.get(text.strip().lower(), text).split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"a cron expression has five fields, or is one of {', '.join(_SHORT)}: {text!r}")
    values = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    return Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(day % 7 for day in weekdays),
        either_day=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    """The values of one field."""
    values: set[int] = set()
    for item in text.split(","):
        span, slash, step_text = item.partition("/")
        step = _number(step_text, name, 1, high - low + 1, {}) if slash else 1
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, name, low, high, names)
            last = _number(end, name, low, high, names) if dash else high if slash else first
        if first > last:
            raise ValueError(f"{name}: {item!r} ends before it begins")
        values.update(range(first, last + 1, step))
    return values


def _number(text: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    if known is not None:
        return known
    # int() takes more than cron does: signs, underscores, digits of other scripts.
    if text.isascii() and text.isdigit() and len(text) <= 2 and low <= int(text) <= high:
        return int(text)
    raise ValueError(f"{name}: expected {low} to {high}{' or a name' if names else ''}, found {text!r}")
