"""What a request with an Idempotency-Key gets, given what is remembered of that key.

A key belongs to a buyer and a route. The first request of a key is carried out, a repetition gets the same answer, the
same key on another request is refused, and while the first is under way the second is told to wait. An attempt whose
host died, or whose outcome is unknown, is taken over by the next repetition, for the same booking.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

KEY_CHARS_MAX: Final = 255

Decision = Literal["answer", "mismatch", "in_flight", "take_over"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the table has of a key. `age_ms` counts from its latest attempt, by the database's clock."""

    request_sha256: bytes
    has_answer: bool
    age_ms: int


def fingerprint(route: str, fields: Mapping[str, Any]) -> bytes:
    """A hash of what a request asks for; the order of its fields does not matter."""
    text = "\x00".join([route, *(f"{name}={fields[name]!r}" for name in sorted(fields))])
    return hashlib.sha256(text.encode()).digest()


def decide(remembered: Remembered, request_sha256: bytes, *, attempt_ms_max: int) -> Decision:
    """What to do with a request whose key is known. An attempt older than `attempt_ms_max` was left behind."""
    if remembered.request_sha256 != request_sha256:
        return "mismatch"
    if remembered.has_answer:
        return "answer"
    return "take_over" if remembered.age_ms > attempt_ms_max else "in_flight"


def key_problem(key: str) -> str:
    """Why this cannot be an Idempotency-Key, or "" when it can: 1 to 255 visible ASCII characters."""
    if not key or len(key) > KEY_CHARS_MAX or not all("!" <= char <= "~" for char in key):
        return f"Idempotency-Key must be 1 to {KEY_CHARS_MAX} visible ASCII characters"
    return ""
