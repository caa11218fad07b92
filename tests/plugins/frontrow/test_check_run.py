"""The offline checker: it agrees with the host's own verdict, and sees every lie that is put into a history."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.frontrow import check_run
from tests.plugins.frontrow.conftest import run_stampede


def run_checker(file: Path) -> subprocess.CompletedProcess:
    # As a stranger runs it: the file alone, with nothing of this project on the path.
    copy = file.with_name("check_run.py")
    copy.write_bytes(Path(check_run.__file__).read_bytes())
    return subprocess.run([sys.executable, "-I", copy, file], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("buyers", "seats"), [(300, 1), (60, 7), (3, 9)])
async def test_the_file_alone_gives_the_verdict_and_the_hash_of_the_page(front_row, tmp_path, buyers, seats):
    document = await run_stampede(front_row, buyers, seats, None)
    file = tmp_path / "history.jsonl.gz"
    file.write_bytes(await front_row.runs.history(document["run_id"]))
    done = run_checker(file)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["evidence_sha256"] == document["evidence_sha256"]
    for figure in ("verdict", "booked", "rejected", "oversold", "undersold", "seed"):
        assert found[figure] == document[figure]


def test_the_checker_is_short_and_needs_nothing():
    source = Path(check_run.__file__).read_text()
    assert len(source.splitlines()) < 200
    modules = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert modules <= sys.stdlib_module_names


SEED = 5
ORDER = sorted(range(4), key=lambda buyer: check_run._arrival(SEED, buyer))


def history_of(changes, *, seats=2):
    """Four buyers, two seats: the first two to arrive get one each. `changes` go by the place in that order."""
    lines = []
    for place, buyer in enumerate(ORDER):
        line = {"buyer": buyer, "invoke_us": place, "verdict_us": 100 + place, "seat": place % 2, "attempts": 1}
        line |= {"verdict": "booked", "booking": f"b{place}"} if place < 2 else {"verdict": "sold"}
        lines.append(line | changes.get(place, {}))
    head = {"format": check_run.FORMAT, "run_id": "r", "seed": SEED, "buyers": 4, "seats": seats}
    return "".join(json.dumps(line) + "\n" for line in [head, *lines]).encode()


def test_a_history_without_a_fault_holds():
    found = check_run.check(history_of({}))
    assert (found["verdict"], found["problems"]) == ("holds", [])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({2: {"verdict": "booked", "booking": "b2"}}, "seat 0 was sold 2 times"),
        ({2: {"verdict": "booked", "seat": 5, "booking": "b2"}}, "seat 5 does not exist"),
        ({1: {"booking": "b0"}}, "booking b0 is held by 2 buyers"),
        ({1: {"booking": None}}, f"buyer {ORDER[1]} won without a booking"),
        ({1: {"verdict": "held"}}, "1 seats were sold, and 2 could have been"),
        ({1: {"verdict": "held"}}, f"buyer {ORDER[1]} was told 'held' of seat 1, which nobody had"),
        ({2: {"verdict_us": -1, "invoke_us": -2}}, f"buyer {ORDER[2]} was told 'sold' of seat 0, which nobody had"),
        ({2: {"verdict_us": 1, "invoke_us": 2}}, f"buyer {ORDER[2]} heard at 1 µs what it asked at 2 µs"),
        ({3: {"verdict": "waiting"}}, f"buyer {ORDER[3]} has no verdict: 'waiting'"),
        ({3: {"buyer": ORDER[2]}}, "the buyers are not those that the seed sends"),
        (
            {1: {"verdict": "unavailable"}, 2: {"seat": 1}},
            f"buyer {ORDER[2]} was told 'sold' of seat 1, which nobody had",
        ),
    ],
)
def test_every_lie_is_seen(changes, problem):
    found = check_run.check(history_of(changes))
    assert found["verdict"] == "broke"
    assert problem in found["problems"]


def test_a_buyer_who_does_not_know_leaves_the_verdict_open():
    assert check_run.check(history_of({1: {"verdict": "unknown"}, 3: {"verdict": "held"}}))["verdict"] == "unknown"


def test_another_history_with_the_same_figures_has_another_hash():
    first = check_run.check(history_of({}))
    assert first["evidence_sha256"] != check_run.check(history_of({2: {"verdict_us": 999}}))["evidence_sha256"]


@pytest.mark.parametrize("data", [b"", b"{}", b"\x1f\x8bnonsense", b"[]", gzip.compress(b"nonsense\n")])
def test_what_is_no_history_is_said_to_be_none(tmp_path, data):
    file = tmp_path / "history"
    file.write_bytes(data)
    done = run_checker(file)
    assert done.returncode == 3
    assert "is no history" in done.stderr
    assert "Traceback" not in done.stderr
