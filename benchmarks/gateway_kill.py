"""The primary provider is killed in the middle of steady traffic: what its clients see, and how long they wait.

    python -m benchmarks.gateway_kill [--rate N] [--seconds N]

Four processes on real sockets: two providers (OpenAI's dialect and Anthropic's), the host with the gateway in front of
both, and this one, which sends requests at a steady rate whatever becomes of the earlier ones. After a third of the
time the primary gets SIGKILL; after two thirds it is started again on its port. One request in four is a stream; none
may come from the cache. Prints one JSON object:

- `failed` and `samples`: requests that got anything but a whole answer, streams below aside; 0 is promised;
- `streams_told`: streams that were under way at the kill. Their words cannot be gone on with elsewhere, so each ends
  with an error event and an unfinished body, which the SDKs raise; `streams_silent`: streams that were cut and looked
  whole, which must be none;
- `p50_ms`, `p99_ms`, `max_ms`: from when a request was due to the end of its answer; `..._around_the_kill`: of those
  due within a second of it;
- `answered_by`: how many each provider answered.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import trio

from host.api import PoolLimits, TrioTransport
from host.testing import host_process

STREAM_EVERY: Final = 4
PATIENCE_S: Final = 60.0
KEPT_SAMPLES: Final = 10
WORDS: Final = "whoever answers this may be killed at any moment of it"


@dataclass(slots=True)
class Tally:
    """What the clients saw. `took_ms` has the seconds at which requests were due with what they took."""

    sent: int = 0
    failed: int = 0
    streams_told: int = 0
    streams_silent: int = 0
    took_ms: list[tuple[float, float]] = field(default_factory=list)
    answered_by: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    def fail(self, sample: str) -> None:
        """Neither an answer nor a word of why there is none."""
        self.failed += 1
        if len(self.samples) < KEPT_SAMPLES:
            self.samples.append(sample[-300:])


class Provider:
    """A simulated provider as a process that can be killed and started again."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it, on its port when it has had one, and wait until it serves."""
        port = self.url.partition("127.0.0.1:")[2].partition("/")[0] or "0"
        command = [sys.executable, "-m", "plugins.gateway.simulated", "--dialect", self._dialect, "--port", port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def kill(self) -> None:
        """SIGKILL: its connections are reset, new ones refused."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None


@contextmanager
def providers() -> Iterator[tuple[Provider, Provider]]:
    """The primary and its backup."""
    both = Provider("openai"), Provider("anthropic")
    try:
        for provider in both:
            provider.start()
        yield both
    finally:
        for provider in both:
            provider.kill()


async def run(url: str, primary: Provider, rate: int, seconds: float) -> Tally:
    """The traffic, with the kill in its middle."""
    tally = Tally()
    limits = PoolLimits(connections_max=4000, connections_per_origin_max=4000)
    async with httpx.AsyncClient(base_url=url, transport=TrioTransport(limits=limits), timeout=PATIENCE_S) as client:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_kill_and_restart, primary, began, seconds)
            for number in range(round(rate * seconds)):
                due = began + number / rate
                await trio.sleep_until(due)
                nursery.start_soon(_ask, client, number, due, began, tally)
    return tally


async def _kill_and_restart(primary: Provider, began: float, seconds: float) -> None:
    await trio.sleep_until(began + seconds / 3)
    primary.kill()
    await trio.sleep_until(began + seconds * 2 / 3)
    await trio.to_thread.run_sync(primary.start)


async def _ask(client: httpx.AsyncClient, number: int, due: float, began: float, tally: Tally) -> None:
    is_stream = number % STREAM_EVERY == 0
    body = {"model": "fast", "stream": is_stream, "messages": [{"role": "user", "content": f"{WORDS} {number}"}]}
    tally.sent += 1
    text, status, provider, is_whole = "", 0, "", True
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=_FRESH) as answer:
            status, provider = answer.status_code, answer.headers.get("x-quartet-provider", "")
            async for part in answer.aiter_text():
                text += part
    except httpx.HTTPError as error:
        is_whole = False
        text += f" {error!r}"
    took_ms = (trio.current_time() - due) * 1000
    if status == 200 and is_whole and _says_all(text, number, is_stream=is_stream):
        tally.answered_by[provider] += 1
        tally.took_ms.append((due - began, took_ms))
    elif status == 200 and is_stream and not is_whole and '"error"' in text and "[DONE]" not in text:
        tally.streams_told += 1
    else:
        tally.streams_silent += is_stream and status == 200 and is_whole
        tally.fail(f"{status} {text}")


_FRESH: Final = {"cache-control": "no-store"}


def _says_all(text: str, number: int, *, is_stream: bool) -> bool:
    if not is_stream:
        return f"{WORDS} {number}" in text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    said = "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ()))
    return said == f"{WORDS} {number}" and text.endswith("data: [DONE]\n\n")


def result(tally: Tally, rate: int, seconds: float) -> dict[str, Any]:
    """The figures."""
    killed_at = seconds / 3
    took = [ms for _, ms in tally.took_ms]
    around = [ms for at, ms in tally.took_ms if abs(at - killed_at) <= 1]
    return {
        "rate": rate,
        "seconds": seconds,
        "sent": tally.sent,
        "answered": len(took),
        "failed": tally.failed,
        "streams_told": tally.streams_told,
        "streams_silent": tally.streams_silent,
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
        "max_ms": percentile(took, 1),
        "p99_ms_around_the_kill": percentile(around, 0.99),
        "answered_by": dict(tally.answered_by),
        "samples": tally.samples,
    }


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that this share of all does not exceed, None when there is none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None


def measure(rate: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Start everything, run the traffic, and say what became of it."""
    with providers() as (primary, backup):
        anthropic = f'{{ base_url = "{backup.url}", kind = "anthropic" }}'
        sets = (
            f'plugins.gateway.providers={{ primary = {{ base_url = "{primary.url}" }}, backup = {anthropic} }}',
            'plugins.gateway.models={ fast = ["primary/echo", "backup/echo"] }',
        )
        section = {"gateway": {"providers_from_environment": False}}
        with host_process(section, data_dir=folder, sets=sets) as host:
            return result(trio.run(run, host.url, primary, rate, seconds), rate, seconds)


def main() -> int:
    """Measure and print; 1 when a request failed or a broken stream looked whole."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_kill")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.rate, arguments.seconds, Path(folder))
    print(json.dumps(figures))
    return 1 if figures["failed"] or figures["streams_silent"] else 0


if __name__ == "__main__":
    sys.exit(main())
