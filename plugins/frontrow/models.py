"""What requests may say, and what the API document says of answers. Unknown fields are refused."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from plugins.frontrow.core.arrivals import SEED_MAX
from plugins.frontrow.core.tokens import SEATS_MAX

BUYERS_MAX = 100_000
RUN_SEATS_MAX = 1000
_ID_MAX = 2**63 - 1


def without_nul(value: Any) -> Any:
    """The value, if it is no text with a NUL in it, which Postgres cannot keep. Raises `ValueError`."""
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("text may not hold NUL")
    return value


Buyer = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
"""Who a request says it is: visible ASCII. Scopes the Idempotency-Key and is written into the booking."""


TicketId = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
"""A ticket of a waiting room, where the event has one."""


class StrictBody(BaseModel):
    """What all requests have in common."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("*")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        return without_nul(value)


class StampedeRequest(StrictBody):
    """How large a stampede. With the same seed, the same buyers want the same seats."""

    buyers: int = Field(1000, ge=1, le=BUYERS_MAX)
    seats: int = Field(1, ge=1, le=RUN_SEATS_MAX)
    seed: int | None = Field(None, ge=0, le=SEED_MAX)


class ChaosRequest(StrictBody):
    """A stampede with a fault in the middle of it."""

    fault: str = Field(min_length=1, max_length=40)
    buyers: int = Field(20_000, ge=100, le=BUYERS_MAX)
    seats: int = Field(500, ge=10, le=RUN_SEATS_MAX)
    seed: int | None = Field(None, ge=0, le=SEED_MAX)


class ComparisonRequest(StrictBody):
    """The trace on which strategies are compared, and how long each payment takes. `party` seats go to one buyer."""

    buyers: int = Field(500, ge=1, le=2000)
    seats: int = Field(20, ge=1, le=200)
    party: int = Field(2, ge=1, le=4)
    payment_ms: float = Field(5.0, ge=0, le=100)
    spread_ms: float = Field(250.0, ge=0, le=5000)
    seed: int | None = Field(None, ge=0, le=SEED_MAX)

    @model_validator(mode="after")
    def _party_fits(self) -> Self:
        if self.party > self.seats:
            raise ValueError("a party cannot have more seats than there are")
        return self


class HoldRequest(StrictBody):
    """Seats of one event, or places of an area without seats: all or none."""

    event_id: int = Field(ge=1, le=_ID_MAX)
    seats: list[Annotated[int, Field(ge=1, le=_ID_MAX)]] = Field(default_factory=list, max_length=SEATS_MAX)
    area: int | None = Field(None, ge=1, le=_ID_MAX)
    quantity: int = Field(0, ge=0, le=SEATS_MAX)
    buyer: Buyer = "guest"
    ticket: TicketId = ""

    @model_validator(mode="after")
    def _seats_or_places(self) -> Self:
        if bool(self.seats) == (self.area is not None) or (self.area is None) != (self.quantity == 0):
            raise ValueError("a hold is on seats, or on a quantity of places of an area")
        return self


class BestRequest(StrictBody):
    """The best seats of a tier, side by side. `apart` takes seats that are not, when there are no others."""

    tier: str = Field(min_length=1, max_length=40)
    count: int = Field(ge=1, le=SEATS_MAX)
    accessible: bool = False
    apart: bool = False
    buyer: Buyer = "guest"
    ticket: TicketId = ""


class EventRequest(StrictBody):
    """An event in a venue: one that was imported (`venue_id`), or a `sample` that ships."""

    name: str = Field(min_length=1, max_length=120)
    venue_id: int | None = Field(None, ge=1, le=_ID_MAX)
    sample: Literal["theatre", "arena"] | None = None
    state: Literal["draft", "open"] = "open"
    places_per_buyer_max: int | None = Field(None, ge=1, le=1000)

    @model_validator(mode="after")
    def _one_venue(self) -> Self:
        if (self.venue_id is None) == (self.sample is None):
            raise ValueError("an event is in a venue, by its id, or in a sample")
        return self


class BookingRequest(StrictBody):
    """The token of a hold, from whoever has it."""

    token: str = Field(min_length=1, max_length=200)
    buyer: Buyer = "guest"


class OrderRequest(StrictBody):
    """The hold to be paid. `instant` takes the money at once, `card` only when the seats are the buyer's."""

    token: str = Field(min_length=1, max_length=200)
    buyer: Buyer = "guest"
    method: Literal["card", "instant"] = "card"


class PaymentRequest(StrictBody):
    """How to pay. With the simulated provider, the card's name says what will happen."""

    card: str = Field("ok", min_length=1, max_length=40)


class RunsQuery(BaseModel):
    """Which runs: the newest `limit`, or those older than the run `before`."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=100)
    before: str | None = Field(None, min_length=1, max_length=40)


class HoldAnswer(BaseModel):
    """A hold. `protected` is false while layer 1 is away: then whoever books first has the seats.

    `price` is in the smallest unit of `currency`; with none there is nothing to pay. `how` is what a search for the
    best seats had to give up.
    """

    token: str
    event_id: int
    seats: list[int]
    area: int | None = None
    quantity: int = 0
    price: int = 0
    currency: str | None = None
    how: str | None = None
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


class OrderStep(BaseModel):
    """A state that an order was in, and since when (Unix seconds)."""

    state: str
    at: float


class OrderAnswer(BaseModel):
    """An order. Sums are in the smallest unit of `currency`; `left_ms` until it must be paid."""

    id: str
    url: str
    event_id: int
    buyer: str
    seats: list[int]
    area: int | None
    quantity: int
    price: int
    currency: str
    state: str
    method: str
    payment_id: str | None
    captured: int
    refunded: int
    reason: str
    pay_by: float
    left_ms: int
    steps: list[OrderStep]
    booking_url: str | None = None


class StrategyAnswer(BaseModel):
    """How one strategy fared. Times in milliseconds, from a buyer's arrival to the verdict."""

    name: str
    title: str
    idea: str
    booked: int
    rejected: int
    gave_up: int
    unserved: int
    seats_sold: int
    oversold: int
    undersold: int
    winners: dict[str, float | None]
    losers: dict[str, float | None]
    statements: int
    statements_per_sale: float | None
    redis_commands: int
    payments: int
    payments_wasted: int
    deadlocks: int
    retries: int
    elapsed_ms: float
    flushed_at_ms: float | None


class ComparisonAnswer(BaseModel):
    """A comparison. `state` is “running”, “done”, or says why it was cut short."""

    comparison_id: str
    seed: int
    buyers: int
    seats: int
    party: int
    payment_ms: float
    spread_ms: float
    trace_sha256: str
    state: str
    started_at: float
    strategies: list[StrategyAnswer]


class ChaosAnswer(BaseModel):
    """What a fault came to: the run that it struck, what was done, and the invariants of the house counted after.

    `verdict` is “holds” when the run's and the house's both are. `recovered_ms` is from the strike until both servers
    answered again.
    """

    fault: str
    title: str
    sentence: str
    struck: dict[str, Any]
    recovered_ms: float | None
    run: dict[str, Any] | None
    audit: dict[str, Any] | None
    verdict: str


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
    """The result of a run. Figures are null where they died with the host that ran it.

    `evidence_sha256` is a hash of the history and the verdict; the checker finds the same from the history alone.
    """

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
    faults: list[dict[str, Any]] = Field(default_factory=list)
    evidence_sha256: str | None = None
