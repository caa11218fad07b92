#!/usr/bin/env python3
"""Recompute the verdict of a FrontRow run from its history alone: no host, no database, no dependencies.

    python check_run.py frontrow-RUN.jsonl.gz

The history says what every buyer asked and heard, and when. Each seat is a register that is set once, so the whole is
checked seat by seat. Prints what was found as JSON and exits with 0 when the run holds, 1 when it broke, 2 when that
cannot be told from the file, 3 when the file is no history. `evidence_sha256` is the hash that the run's page shows: it
is made of the history and of the verdict, which the host took from its database. Equal hashes mean that both agree.
"""

import gzip
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

FORMAT: Final = "frontrow-history/1"
VERDICTS: Final = ("booked", "held", "sold", "unavailable", "unknown")
REJECTED: Final = ("held", "sold")
EXCUSED: Final = ("unavailable", "unknown")
HASHED: Final = ("run_id", "seed", "buyers", "seats", "booked", "rejected", "unknown", "unavailable", "oversold")
HASHED_LAST: Final = ("undersold", "verdict")

Line = Mapping[str, Any]
_MASK: Final = 2**64 - 1


def verdict_hash(history_sha256: str, found: Mapping[str, Any]) -> str:
    """The hash of a history with a verdict: both sides compute it from figures of their own."""
    figures = json.dumps({name: found[name] for name in HASHED + HASHED_LAST}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{history_sha256}\n{figures}\n".encode()).hexdigest()


def check(history: bytes) -> dict[str, Any]:
    """What a history (unpacked) shows.

    Raises:
        ValueError: it is not a history.
    """
    head, *lines = [json.loads(line) for line in history.splitlines()]
    if head.get("format") != FORMAT:
        raise ValueError(f"format {head.get('format')!r}, expected {FORMAT!r}")
    told = Counter(line["verdict"] for line in lines)
    seats_sold = len({line["seat"] for line in lines if line["verdict"] == "booked"})
    excused = sum(told[name] for name in EXCUSED)
    problems = [problem for find in CHECKS for problem in find(head, lines)]
    found: dict[str, Any] = {
        "run_id": head["run_id"],
        "seed": head["seed"],
        "buyers": head["buyers"],
        "seats": head["seats"],
        "booked": told["booked"],
        "rejected": sum(told[name] for name in REJECTED),
        "unknown": told["unknown"],
        "unavailable": told["unavailable"],
        "oversold": told["booked"] - seats_sold,
        "undersold": max(min(head["buyers"], head["seats"]) - excused - seats_sold, 0),
        "verdict": "broke" if problems else "unknown" if told["unknown"] else "holds",
        "problems": problems,
        "history_sha256": hashlib.sha256(history).hexdigest(),
    }
    found["evidence_sha256"] = verdict_hash(found["history_sha256"], found)
    return found


def everybody_is_there(head: Line, lines: Sequence[Line]) -> list[str]:
    """Each buyer has one line, with a verdict, in the order of arrival that the seed gives."""
    order = sorted(range(head["buyers"]), key=lambda buyer: (_arrival(head["seed"], buyer), buyer))
    problems = [] if [line["buyer"] for line in lines] == order else ["the buyers are not those that the seed sends"]
    return problems + [
        f"buyer {line['buyer']} has no verdict: {line['verdict']!r}"
        for line in lines
        if line["verdict"] not in VERDICTS
    ]


def time_runs_forwards(head: Line, lines: Sequence[Line]) -> list[str]:
    """Nobody heard a verdict before asking, nor asked before the gun."""
    return [
        f"buyer {line['buyer']} heard at {line['verdict_us']} µs what it asked at {line['invoke_us']} µs"
        for line in lines
        if line["invoke_us"] is not None and not 0 <= line["invoke_us"] <= line["verdict_us"]
    ]


def one_winner_a_seat(head: Line, lines: Sequence[Line]) -> list[str]:
    """No seat and no booking belongs to two buyers, and each winner has both."""
    winners = [line for line in lines if line["verdict"] == "booked"]
    seats = Counter(line["seat"] for line in winners)
    bookings = Counter(line.get("booking") for line in winners)
    return (
        [f"seat {seat} was sold {count} times" for seat, count in seats.items() if count > 1]
        + [f"booking {booking} is held by {count} buyers" for booking, count in bookings.items() if count > 1]
        + [f"seat {seat} does not exist" for seat in seats if seat is None or not 0 <= seat < head["seats"]]
        + [f"buyer {line['buyer']} won without a booking" for line in winners if not line.get("booking")]
    )


def sold_means_sold(head: Line, lines: Sequence[Line]) -> list[str]:
    """Whoever was told "sold" overlaps or follows somebody who then had that seat; and so "held", unless excused."""
    asked_first: dict[int, int] = defaultdict(lambda: sys.maxsize)
    for line in lines:
        if line["verdict"] in ("booked", "unknown") and line["seat"] is not None:
            asked_first[line["seat"]] = min(asked_first[line["seat"]], line["invoke_us"])
    free = set(range(head["seats"])) - {line["seat"] for line in lines if line["verdict"] == "booked"}
    excused = sum(line["verdict"] in EXCUSED for line in lines)
    # A holder who then could not book, because a service was away, leaves people turned away from a seat still free.
    phantoms = ("sold",) if len(free) <= excused else REJECTED
    return [
        f"buyer {line['buyer']} was told {line['verdict']!r} of seat {line['seat']}, which nobody had"
        for line in lines
        if (line["verdict"] == "sold" and asked_first[line["seat"]] > line["verdict_us"])
        or (line["verdict"] in phantoms and line["seat"] in free)
    ]


def sells_what_it_can(head: Line, lines: Sequence[Line]) -> list[str]:
    """As many seats are sold as there were buyers or seats, but for those who could not be served."""
    sold = len({line["seat"] for line in lines if line["verdict"] == "booked"})
    least = min(head["buyers"], head["seats"]) - sum(line["verdict"] in EXCUSED for line in lines)
    return [f"{sold} seats were sold, and {least} could have been"] if sold < least else []


CHECKS: Final[tuple[Callable[[Line, Sequence[Line]], list[str]], ...]] = (
    everybody_is_there,
    time_runs_forwards,
    one_winner_a_seat,
    sold_means_sold,
    sells_what_it_can,
)


def _arrival(seed: int, buyer: int) -> int:
    """The buyer's place in the order of arrival: a well-spread value of the seed (the finaliser of splitmix64)."""
    value = (seed * 0x9E3779B97F4A7C15 + (0x41525249 << 32) + buyer * 0xD1B54A32D192ED03) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def main() -> int:
    """The command line; returns the exit code."""
    if len(sys.argv) != 2:
        sys.stderr.write(f"usage: python {sys.argv[0]} frontrow-RUN.jsonl.gz\n")
        return 3
    try:
        with open(sys.argv[1], "rb") as file:
            data = file.read()
        found = check(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"{sys.argv[1]} is no history of a run: {error!r}\n")
        return 3
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return {"holds": 0, "broke": 1, "unknown": 2}[found["verdict"]]


if __name__ == "__main__":
    sys.exit(main())
