"""Runs one benchmark in a process of its own, within its time, and keeps whatever comes of it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.catalogue import Entry
from benchmarks.machine import ROOT, busy_share, commit
from benchmarks.reading import results_of
from host.measurements import Benchmark

LOGS: Final = ROOT / ".cache" / "benchmarks"
"""What each has printed."""
GRACE_S: Final = 20.0
"""For stopping servers and removing folders, once a benchmark has overrun its time."""
_SAID_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its last JSON object, and what went wrong, "" when nothing did."""

    output: Mapping[str, Any]
    error: str


def run(entry: Entry, *, is_quick: bool = False) -> Benchmark:
    """Run it; a failure of any kind is in the record, never raised. Blocks for as long as it takes.

    A KeyboardInterrupt ends the benchmark, with everything it has started, and goes on to the caller.
    """
    arguments = entry.quick or entry.arguments if is_quick else entry.arguments
    words = ["-m", f"benchmarks.{entry.name}", *arguments]
    at, load_1m, busy = datetime.now(UTC), os.getloadavg()[0], busy_share()
    began = time.monotonic()
    ended = execute([sys.executable, *words], entry.limit_s, LOGS / f"{entry.name}.log")
    results, missing = results_of(entry, ended.output) if ended.output else ([], [])
    return Benchmark(
        name=entry.name,
        system=entry.system,
        title=entry.title,
        how=entry.how,
        command=shlex.join(["python", *words]),
        at=at.replace(microsecond=0),
        commit=commit(),
        took_s=round(time.monotonic() - began, 1),
        load_1m=round(load_1m, 2),
        busy_share=busy,
        error="; ".join([ended.error, *missing] if ended.error else missing),
        results=tuple(results),
        output=dict(ended.output),
    )


def execute(command: list[str], limit_s: float, log: Path) -> Ended:
    """Run a command for at most `limit_s`, with its output, errors too, in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+b") as file:
        # A group of its own: what it has started ends with it.
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(limit_s)
            error = f"it ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            error = f"it took longer than {limit_s:g} s"
        finally:
            end(process)
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    output = last_object(said)
    if error and output and output.get("failures"):
        error += f": {'; '.join(map(str, output['failures']))}"
    if output is None:
        error = f"{error or 'it printed no JSON object last'}: {said[-_SAID_CHARS:] or 'it said nothing'}"
    return Ended(output or {}, error)


def last_object(said: str) -> Mapping[str, Any] | None:
    """The JSON object that is the last line, if it is one."""
    try:
        found = json.loads(said.rpartition("\n")[2])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt a process that still runs, so that it removes what it has made; then kill the group that it leads."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
