"""The result of a run as one JSON document: figures from the history, figures from the tables, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from plugins.frontrow.core import outcome
from plugins.frontrow.core.history import History, sample, spread, timeline
from plugins.frontrow.core.invariants import Expectation


def run_url(run_id: str) -> str:
    """The permanent address of a run's page."""
    return f"/frontrow/runs/{run_id}"


def expectation(history: History, seats: int) -> Expectation:
    """What the counts of a run are held against, by what its buyers heard."""
    return Expectation(history.buyers, seats, excused=history.count(outcome.UNAVAILABLE, outcome.UNKNOWN))


def head(run_id: str, seed: int, buyers: int, seats: int, started_at: float) -> dict[str, Any]:
    """What is known of a run before its gun."""
    return {
        "run_id": run_id,
        "url": run_url(run_id),
        "api_url": f"/api/frontrow/runs/{run_id}",
        "seed": seed,
        "buyers": buyers,
        "seats": seats,
        "started_at": started_at,
    }


def figures(history: History) -> dict[str, Any]:
    """What the buyers heard, and when."""
    return {
        "booked": history.count(outcome.BOOKED),
        "rejected": history.count(*outcome.REJECTED),
        "unknown": history.count(outcome.UNKNOWN),
        "unavailable": history.count(outcome.UNAVAILABLE),
        "attempts": history.attempts_sum(),
        "elapsed_ms": round(history.elapsed_ms(), 3),
        "winners": asdict(spread(history, outcome.BOOKED)),
        "losers": asdict(spread(history, *outcome.REJECTED)),
        "timeline": timeline(history),
    }


def shortfall(expected: Expectation, seats_sold: int) -> int:
    """Seats left unsold although a buyer was there for each, and no service's absence excuses it."""
    least = min(expected.buyers, expected.seats) - expected.excused
    return max(least - seats_sold, 0)


def without_history(buyers: int) -> dict[str, Any]:
    """The figures of a run whose host died: what its buyers heard died with it."""
    nothing = {"p50_ms": None, "p90_ms": None, "p99_ms": None, "max_ms": None}
    return {
        "booked": None,
        "rejected": None,
        "unknown": buyers,
        "unavailable": None,
        "attempts": None,
        "elapsed_ms": None,
        "winners": nothing,
        "losers": nothing,
        "timeline": [],
    }


def progress(history: History, now_ns: int) -> dict[str, Any]:
    """How a running stampede stands."""
    waiting, holding = history.count(outcome.WAITING), history.count(outcome.HOLDING)
    return {
        "t_ms": round((now_ns - history.gun_ns) / 1e6, 1) if history.gun_ns else 0.0,
        "waiting": waiting,
        "holding": holding,
        "booked": history.count(outcome.BOOKED),
        "rejected": history.count(*outcome.REJECTED),
        "sample": sample(history),
    }


def with_invariants(
    document: Mapping[str, Any], state: str, verdict: str, findings: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The document with what the invariants say of it."""
    return {**document, "state": state, "verdict": verdict, "invariants": list(findings)}


def layer_one(holds_missing: int, holds_lost: int, attempts: int) -> str:
    """How layer 1 fared: "up" for everybody, "down" for everybody, or "lost" somewhere in between."""
    if not holds_missing and not holds_lost:
        return "up"
    return "down" if holds_missing == attempts else "lost"
