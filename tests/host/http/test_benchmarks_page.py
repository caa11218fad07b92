"""`/benchmarks`: what was measured, missed and failed, and how to measure when there is nothing."""

import json
import shutil
from pathlib import Path

import pytest

from host.http.benchmarks_page import benchmarks_page, view
from host.http.pages import Pages
from host.measurements import PLACE, Measurements
from tests.benchmarks.cases import measured, printed
from tests.host.http.memory import ask

WEB = Path(__file__).parents[3] / "web"


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """The site's folder, as far as this page needs it, without measurements."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("layout.html", "benchmarks/index.html"):
        shutil.copy(WEB / name, tmp_path / name)
    return tmp_path


async def shown(web: Path, found: Measurements | None = None) -> str:
    if found is not None:
        (web / PLACE).write_text(found.model_dump_json())
    got = await ask(Pages(web).apps([benchmarks_page(web)])["/benchmarks"], "GET", "/benchmarks")
    assert got.status == 200
    return " ".join(got.body.decode().split())


async def test_without_a_file_the_page_says_how_to_make_one(web: Path) -> None:
    page = await shown(web)
    assert "Nothing has been measured here yet." in page
    assert "<code>make bench</code>" in page
    assert "not live" in page


async def test_a_file_that_is_none_is_told_and_nothing_else(web: Path) -> None:
    (web / PLACE).write_text("{}")
    page = await shown(web)
    assert "The last measurements cannot be read." in page
    assert "is not a file of measurements" in page


async def test_a_file_without_benchmarks_is_as_none(web: Path) -> None:
    page = await shown(web, measured(printed()).model_copy(update={"benchmarks": ()}))
    assert "Nothing has been measured here yet." in page


async def test_figures_stand_beside_their_peers_dated_with_what_was_missed(web: Path) -> None:
    page = await shown(web, measured(printed()))
    assert "Measured 22 November 2026, not live" in page
    assert "Every number here comes off the running process." not in page
    assert 'A relay: p99</a> <b class="figure">2.50×</b> <span class="soft">at most 2.00× the floor was' in page
    assert 'href="#fanout-p99"' in page
    assert 'id="fanout-p99"' in page
    assert "<code>python -m benchmarks.fanout</code>" in page
    assert "Noisy" not in page


async def test_what_failed_or_was_disturbed_is_told(web: Path) -> None:
    page = await shown(web, measured({}, error="it took <longer> than 2 s", busy_share=0.9))
    assert "<b>Failed.</b> it took &lt;longer&gt; than 2 s" in page
    assert "<b>Noisy:</b> others were at work on the machine before 1 of the benchmarks began." in page
    assert "Beside others" not in page


async def test_a_peer_that_is_not_installed_is_named(web: Path) -> None:
    page = await shown(web, measured(printed() | {"theirs": "not installed"}))
    assert "a peer: not measured, <code>make bench-peers</code>" in page


def test_bars_are_as_long_as_their_figures_are_large() -> None:
    deliveries, p99 = view(measured(printed()))["comparisons"]
    lengths = [(bar["kind"], bar["length"]) for bar in deliveries["bars"]]
    assert lengths == [("ours", 25), ("peer", 10), ("floor", 100)]
    assert (p99["ratio"], p99["nearest"], p99["is_less_better"]) == ("1.50×", "a peer", True)


def test_the_ratio_in_front_is_that_to_the_nearest_peer() -> None:
    found = measured(printed())
    (benchmark,) = found.benchmarks
    first, *rest = benchmark.results
    stronger = first.against[0].model_copy(update={"name": "stronger", "ratio": 0.8})
    changed = first.model_copy(update={"against": (*first.against, stronger)})
    benchmark = benchmark.model_copy(update={"results": (changed, *rest)})
    shown = view(found.model_copy(update={"benchmarks": (benchmark,)}))["comparisons"][0]
    assert (shown["ratio"], shown["nearest"]) == ("0.80×", "stronger")


def test_the_view_is_plain_values() -> None:
    assert json.loads(json.dumps(view(measured(printed()))))["targets"]["missed"] == 1
