"""The refusals of the box office, each with a type that says whether to try again."""

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from host.api import HttpProblem


def sold(seats: Sequence[int], **extra: Any) -> HttpProblem:
    """Somebody else owns it: final."""
    return HttpProblem(409, "somebody else owns a seat of these", type="sold", title="Sold", seats=list(seats), **extra)


def sold_out(area: int, left: int) -> HttpProblem:
    """An area has fewer places left than were asked for."""
    text = f"the area has {left} places left" if left else "the area is sold out"
    return HttpProblem(409, text, type="sold", title="Sold", area=area, left=left)


def held(left_ms: int) -> HttpProblem:
    """Somebody else holds it, and may not book: it may be tried again."""
    until = datetime.now(UTC) + timedelta(milliseconds=left_ms)
    # Spread out, so that all who were turned away do not come back in the same second.
    retry_after_s = math.ceil(left_ms / 1000) + random.randrange(3)
    return HttpProblem(
        409,
        "somebody else holds a seat of these, and may not book it",
        type="held",
        title="Held",
        headers={"Retry-After": str(retry_after_s)},
        held_until=until.isoformat(timespec="milliseconds"),
    )


def blocked(seats: Sequence[int]) -> HttpProblem:
    """The house keeps these seats back."""
    return HttpProblem(409, "the house keeps a seat of these", type="blocked", title="Blocked", seats=list(seats))


def not_on_sale(state: str) -> HttpProblem:
    """The sale gives no new holds now."""
    return HttpProblem(409, f"the sale is {state}", type="not-on-sale", title="Not on sale", state=state)


def limit(most: int, owned: int) -> HttpProblem:
    """One buyer may not have so much of one event."""
    text = f"one buyer may have {most} places of this event"
    return HttpProblem(409, text, type="limit", title="Too many", most=most, owned=owned)


def mismatch() -> HttpProblem:
    """The Idempotency-Key came with another request before."""
    text = "this Idempotency-Key was used for another request"
    return HttpProblem(422, text, type="idempotency-mismatch", title="Key reused")


def in_flight() -> HttpProblem:
    """The first request with this key has no answer yet."""
    text = "the first request with this Idempotency-Key is still under way"
    return HttpProblem(409, text, type="in-flight", title="In flight", headers={"Retry-After": "1"})


def no_event(event_id: int | str) -> HttpProblem:
    """There is none such, or it is not public."""
    return HttpProblem(404, f"there is no event {str(event_id)[:40]!r} on sale")
