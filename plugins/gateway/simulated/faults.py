"""The faults that a simulated provider can be told to have."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from host.api import Duration

FaultKind = Literal[
    "none",
    "refuse",
    "rate_limit",
    "error",
    "overloaded",
    "hang",
    "stall",
    "drip",
    "cut",
    "bad_json",
    "empty",
    "unauthorized",
]
LONGEST_S: Final = 600.0

DESCRIPTIONS: Final[dict[str, str]] = {
    "none": "Healthy.",
    "refuse": "The server is gone: connections are reset, new ones refused.",
    "rate_limit": "Every request is answered 429 with Retry-After.",
    "error": "Every request is answered 500.",
    "overloaded": "Every request is answered 503, in Anthropic's dialect 529.",
    "hang": "Requests are taken and never answered.",
    "stall": "Answers fall silent in their middle.",
    "drip": "A token takes a second.",
    "cut": "The connection is cut in the middle of an answer.",
    "bad_json": "Answers are not JSON.",
    "empty": "Streams end before they say anything.",
    "unauthorized": "The key is refused.",
}


class Fault(BaseModel):
    """One fault, for a while. `after_tokens` is where the middle of an answer is; `share` of the requests have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind = "none"
    duration: Annotated[Duration, Field(gt=0, le=LONGEST_S)] = 30.0
    retry_after: Annotated[Duration, Field(le=LONGEST_S)] = 1.0
    after_tokens: Annotated[int, Field(ge=0, le=100_000)] = 3
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    cut_bytes: Annotated[int | None, Field(ge=0)] = None
    """Cut after so many bytes of the body instead of after tokens."""


HEALTHY: Final = Fault()
