"""The last measurements as a visitor sees them: dated, in every window, each missed target a step from its row."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from host.measurements import PLACE, parse_measurements
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

FILE = Path(__file__).parents[2] / "web" / PLACE
FIRST_LOAD_BYTES_MAX = 150_000


def test_benchmarks_are_dated_and_whole_and_load_little(open_page: Open) -> None:
    found = parse_measurements(FILE.read_text(encoding="utf-8"), FILE)
    visit = open_page("/")
    visit.page.get_by_role("link", name="Benchmarks").click()
    page = visit.page
    expect(page.locator("h1")).to_have_text("Benchmarks")
    expect(page.get_by_role("link", name="Benchmarks")).to_have_attribute("aria-current", "page")
    expect(page.locator(".summary .overline")).to_contain_text("not live")
    expect(page.locator(".results tbody tr")).to_have_count(sum(len(each.results) for each in found.benchmarks))
    expect(page.locator(".link-state")).to_have_text("live")
    loaded = [each for each in visit.requests if not each.url.endswith("/events") and each.response()]
    assert sum(each.sizes()["responseBodySize"] for each in loaded) < FIRST_LOAD_BYTES_MAX


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_benchmarks_fit_every_window_with_every_bar_in_its_card(open_page: Open, scheme: str) -> None:
    page = open_page("/benchmarks", color_scheme=scheme).page
    for width in (360, 768, 1280, 1920, 3840):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            """() => [...document.querySelectorAll(".comparison .bars td, .results td")].filter((cell) => {
              const [own, frame] = [cell, cell.closest("article")].map((each) => each.getBoundingClientRect());
              return own.right > frame.right + 1 || cell.scrollWidth > cell.clientWidth + 1;
            }).map((cell) => cell.outerHTML)"""
        )
        assert outside == [], width


def test_a_figure_beside_its_peers_leads_to_its_row(open_page: Open) -> None:
    page = open_page("/benchmarks").page
    link = page.locator(".comparison h3 a").first
    row = page.locator(f"tr{link.get_attribute('href')}")
    link.click()
    expect(row).to_be_in_viewport()
