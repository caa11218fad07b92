"""One request of a client as the gateway carries it out, and who takes its answer."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from plugins.gateway.core.errors import Failure
from plugins.gateway.core.reading import Reader, Whole
from plugins.gateway.core.usage import Usage
from plugins.gateway.targets import Route, Target


@dataclass(slots=True)
class Call:
    """What is to be answered. `deadline_s` is on Trio's clock; `tenant` names whose money it is."""

    request_id: str
    surface: str
    route: Route
    body: dict[str, Any]
    raw: bytes
    stream: bool
    tenant: str
    deadline_s: float
    forwarded: tuple[tuple[bytes, bytes], ...] = ()
    sticky: float = 0.0
    prompt_tokens: int = 0
    attempts: int = 0
    failures: list[tuple[str, Failure]] = field(default_factory=list)


@dataclass(slots=True)
class Meta:
    """Who answers, known with the first token. `content_type` is that of the answer when it is a stream."""

    target: Target
    attempts: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    first_token_us: float = 0.0
    content_type: bytes = b"text/event-stream"


@dataclass(slots=True)
class Outcome:
    """How a call ended at the upstream that answered it. `is_final`: it may be kept."""

    meta: Meta
    usage: Usage
    cost_nano_usd: int
    is_final: bool


class Sink(Protocol):
    """Takes one answer: `begin`, then either `whole` or any number of `frames`, then, if all went well, `end`."""

    async def begin(self, meta: Meta) -> None: ...
    async def whole(self, whole: Whole) -> None: ...
    async def frames(self, frames: list[bytes]) -> None: ...
    async def end(self, reader: Reader | None, outcome: Outcome) -> None: ...


class AnswerBroken(Exception):
    """The answer failed after its first token: nothing can be tried elsewhere any more. `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure
