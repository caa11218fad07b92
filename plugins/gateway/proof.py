"""The proof that anybody can run: a provider is killed in the middle of steady traffic, and nobody gets an error.

The traffic goes through the very app that serves `/v1`, each request to a provider that is a real server on loopback;
the first of the two is killed, its connections reset, and later comes back. Requests bypass the cache. Streams that had
begun at the kill cannot be continued elsewhere: each of these must end with an error event, never as if it were whole.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import trio
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json, to_json

from host.api import ASGIApp, HttpProblem, Message
from plugins.gateway.simulated.faults import Fault
from plugins.gateway.simulated.server import SimulatedProvider

ROUTE: Final = "proof"
STREAM_EVERY: Final = 4
"""One request in so many is streamed."""
KEPT_SAMPLES: Final = 10
_TEXT: Final = "the provider that answers this may die any moment"


class ProofRequest(BaseModel):
    """How much traffic, for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: Annotated[int, Field(ge=10, le=500)] = 200
    seconds: Annotated[float, Field(ge=1, le=60)] = 3.0


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    answered: int = 0
    failed: int = 0
    cut_streams: int = 0
    silent_cuts: int = 0
    durations_ms: list[float] = field(default_factory=list)
    providers: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)


class Proof:
    """Runs the proof, one at a time."""

    def __init__(self, api: ASGIApp, primary: SimulatedProvider | None) -> None:
        self.latest: dict[str, Any] | None = None
        self._api = api
        self._primary = primary
        self._turn = trio.Semaphore(1, max_value=1)

    async def run(self, request: ProofRequest) -> dict[str, Any]:
        """Run it and return its result.

        Raises:
            HttpProblem: 429 while another runs, 409 when the simulated providers are switched off.
        """
        primary = self._primary
        if primary is None:
            raise HttpProblem(409, "the simulated providers are off: set plugins.gateway.simulated.enabled")
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            raise HttpProblem(429, "the proof is being run already", headers={"Retry-After": "5"}) from None
        try:
            began = trio.current_time()
            tally = _Tally()
            primary.heal()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._kill_and_heal, primary, request.seconds)
                for number in range(round(request.rate * request.seconds)):
                    await trio.sleep_until(began + number / request.rate)
                    nursery.start_soon(self._ask, number, tally)
            elapsed_ms = (trio.current_time() - began) * 1000
        finally:
            primary.heal()
            self._turn.release()
        self.latest = _result(request, tally, elapsed_ms)
        return self.latest

    async def _kill_and_heal(self, primary: SimulatedProvider, seconds: float) -> None:
        await trio.sleep(seconds / 3)
        primary.break_with(Fault(kind="refuse", duration=seconds))
        await trio.sleep(seconds / 3)
        primary.heal()

    async def _ask(self, number: int, tally: _Tally) -> None:
        is_stream = number % STREAM_EVERY == 0
        body = {"model": ROUTE, "stream": is_stream, "messages": [{"role": "user", "content": f"{_TEXT} {number}"}]}
        client = _Client(to_json(body), number)
        began_ns = time.perf_counter_ns()
        tally.sent += 1
        await self._api(client.scope, client.receive, client.send)
        duration_ms = (time.perf_counter_ns() - began_ns) / 1e6
        answer = b"".join(client.body)
        is_whole = client.is_complete and (b"[DONE]" in answer if is_stream else _is_answer(answer))
        if client.status == 200 and is_whole:
            tally.answered += 1
            tally.durations_ms.append(duration_ms)
            tally.providers[client.headers.get(b"x-quartet-provider", b"").decode()] += 1
        elif client.status == 200 and is_stream and not client.is_complete and b'"error"' in answer:
            tally.cut_streams += 1
        else:
            tally.failed += 1
            tally.silent_cuts += is_stream and client.status == 200
            if len(tally.samples) < KEPT_SAMPLES:
                tally.samples.append(f"{client.status} {answer[-200:].decode('utf-8', 'replace')}")


class _Client:
    """A client of the app without a socket."""

    def __init__(self, body: bytes, number: int) -> None:
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": headers,
            "http_version": "1.1",
            "quartet.request_id": f"proof-{number}",
        }
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.is_complete = False
        self._request: bytes | None = body

    async def receive(self) -> Message:
        if self._request is None:
            await trio.sleep_forever()
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body.append(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)


def _is_answer(answer: bytes) -> bool:
    try:
        document = from_json(answer)
    except ValueError:
        return False
    return bool(document.get("choices"))


def _result(request: ProofRequest, tally: _Tally, elapsed_ms: float) -> dict[str, Any]:
    durations = sorted(tally.durations_ms)

    def percentile(share: float) -> float | None:
        return round(durations[min(len(durations) - 1, int(share * len(durations)))], 1) if durations else None

    holds = tally.failed == 0 and tally.answered + tally.cut_streams == tally.sent
    return {
        "verdict": "holds" if holds else "broke",
        "simulated": True,
        "rate": request.rate,
        "seconds": request.seconds,
        "requests": tally.sent,
        "answered": tally.answered,
        "failed": tally.failed,
        "streams_cut_with_an_error": tally.cut_streams,
        "streams_cut_silently": tally.silent_cuts,
        "p50_ms": percentile(0.5),
        "p99_ms": percentile(0.99),
        "max_ms": percentile(1),
        "answered_by": dict(tally.providers),
        "elapsed_ms": round(elapsed_ms, 1),
        "failures": tally.samples,
        "at": time.time(),
    }
