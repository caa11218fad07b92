"""When a webhook that was not taken is sent again, and when nobody tries any more."""

from typing import Final

TRIES_MAX: Final = 18
FIRST_S: Final = 1.0
LONGEST_S: Final = 6 * 3600.0
"""Doubling from a second: the last try is a day after the first."""

GONE: Final = 410
"""The subscriber says that it is no more, and is not asked again."""


def pause_s(tries: int, jitter: float) -> float:
    """How long to wait after `tries` failures. `jitter` from 0 to 1 shortens it by up to a fifth."""
    assert tries > 0, "the first try does not wait"
    return float(min(FIRST_S * 2.0 ** (tries - 1), LONGEST_S) * (1 - 0.2 * jitter))


def verdict(status: int | None, tries: int) -> str:
    """What to do after an answer (None: there was none): "delivered", "disable", "again" or "give_up"."""
    if status is not None and 200 <= status < 300:
        return "delivered"
    if status == GONE:
        return "disable"
    return "give_up" if tries >= TRIES_MAX else "again"
