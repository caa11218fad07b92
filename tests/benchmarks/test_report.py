"""The catalogue is whole, and the report says what was measured, missed and failed."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.catalogue import CATALOGUE
from benchmarks.machine import REPORTS
from benchmarks.report import markdown
from host.measurements import parse_measurements
from tests.benchmarks.cases import measured, printed

ROOT = Path(__file__).parents[2]
# What is run by others, or measures nothing.
NOT_BENCHMARKS = {"gateway_floors", "gateway_rivals", "http_peer", "raft_peer"}


def test_every_benchmark_is_in_the_catalogue_once() -> None:
    there = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if f"python -m benchmarks.{path.stem}" in path.read_text(encoding="utf-8")
    }
    names = [entry.name for entry in CATALOGUE]
    assert sorted(names) == sorted(there - NOT_BENCHMARKS)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_an_entry_names_a_module_and_measures_something(entry: object) -> None:
    assert importlib.util.find_spec(f"benchmarks.{entry.name}") is not None  # type: ignore[attr-defined]
    labels = [measure.label for measure in entry.measures]  # type: ignore[attr-defined]
    assert labels
    assert len(set(labels)) == len(labels)


def test_report_has_figures_peers_targets_and_the_command() -> None:
    text = markdown(measured(printed()))
    assert "| deliveries | **1,000 a second** | a peer: 400<br>raw: 4,000 | 2.50×<br>0.25× the floor |" in text
    assert "- A relay, p99: 2.50×, at most 2.00× the floor was to be reached" in text
    assert "| targets | 4 of 5 met, **1 missed** |" in text
    assert "    python -m benchmarks.fanout\n" in text
    assert "A processor, 2 cores, 23.5 GiB" in text
    assert "noisy" not in text


def test_report_says_when_others_were_at_work_and_what_failed_or_was_not_measured() -> None:
    output = printed() | {"theirs": "not installed"}
    text = markdown(measured(output, error="it took longer than 2 s", busy_share=0.5))
    assert "**noisy: others were at work before 1 of them**" in text
    assert "**FAILED**: it took longer than 2 s" in text
    assert "a peer: not measured" in text
    assert "1 not measured" in text


def test_the_report_in_the_repository_is_made_of_the_measurements_beside_it() -> None:
    """Whoever changes one changes both: `make bench`."""
    page, data = (ROOT / name for name in REPORTS)
    assert page.read_text(encoding="utf-8") == markdown(parse_measurements(data.read_text(encoding="utf-8"), data))


def test_a_run_whose_load_was_not_kept_says_so() -> None:
    found = measured({"requests_per_s": 1.0})
    kept = found.model_copy(
        update={
            "benchmarks": tuple(
                each.model_copy(update={"load_1m": None, "busy_share": None}) for each in found.benchmarks
            )
        }
    )
    assert "load before not kept" in markdown(kept)
    assert "not kept for 1 of them" in markdown(kept)
    assert "not kept" not in markdown(found)
