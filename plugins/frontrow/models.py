"""What requests may say, and what the API document says of answers. Unknown fields are refused."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from plugins.frontrow.core.arrivals import SEED_MAX
from plugins.frontrow.core.tokens import SEATS_MAX

BUYERS_MAX = 100_000
RUN_SEATS_MAX = 1000
_ID_MAX = 2**63 - 1

Buyer = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
"""Who a request says it is: visible ASCII. Scopes the Idempotency-Key and is written into the booking."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StampedeRequest(_Strict):
    """How large a stampede. With the same seed, the same buyers want the same seats."""

    buyers: int = Field(1000, ge=1, le=BUYERS_MAX)
    seats: int = Field(1, ge=1, le=RUN_SEATS_MAX)
    seed: int | None = Field(None, ge=0, le=SEED_MAX)


class HoldRequest(_Strict):
    """Seats of one event, all or none."""

    event_id: int = Field(ge=1, le=_ID_MAX)
    seats: list[Annotated[int, Field(ge=1, le=_ID_MAX)]] = Field(min_length=1, max_length=SEATS_MAX)
    buyer: Buyer = "guest"


class BookingRequest(_Strict):
    """The token of a hold, from whoever has it."""

    token: str = Field(min_length=1, max_length=200)
    buyer: Buyer = "guest"


class RunsQuery(BaseModel):
    """Which runs: the newest `limit`, or those older than the run `before`."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100)
    before: str | None = Field(None, min_length=1, max_length=40)


class HoldAnswer(BaseModel):
    """A hold. `protected` is false while layer 1 is away: then whoever books first has the seats."""

    token: str
    event_id: int
    seats: list[int]
    ttl_ms: int
    expires_at: str
    protected: bool


class BookingAnswer(BaseModel):
    """A confirmed booking."""

    id: str
    url: str
    event_id: int
    seats: list[int]
    buyer: str


class RunStarted(BaseModel):
    """A run under way: its page, and where it reports."""

    run_id: str
    url: str
    api_url: str
    events_url: str


class InvariantAnswer(BaseModel):
    """One statement about a run, and what was found. `holds` is null where it could not be checked."""

    name: str
    statement: str
    holds: bool | None
    found: int | None
    expected: int | str
    checked_at: float


class RunResult(BaseModel):
    """The result of a run. Figures are null where they died with the host that ran it."""

    run_id: str
    url: str
    seed: int
    buyers: int
    seats: int
    state: str
    verdict: str
    booked: int | None
    rejected: int | None
    unknown: int | None
    unavailable: int | None
    oversold: int | None
    undersold: int | None
    elapsed_ms: float | None
    winners: dict[str, float | None]
    losers: dict[str, float | None]
    invariants: list[InvariantAnswer]
    holds_lost: int
    redis: str
    started_at: float
    host: dict[str, Any]
    timeline: list[dict[str, float]]
