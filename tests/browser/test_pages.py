"""Every page as a visitor meets it: small, still, in any window and theme, without barriers, and hard to lose.

Each page is opened once; the tests of a page use it in their order, and each of them leaves it as it would be found.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from host.http.writing import ARTICLES
from tests.browser.axe import Axe
from tests.browser.conftest import TIMEOUT_MS, Visit, watch
from tests.browser.network import Traffic
from tests.browser.tour import STOPS, Stop, ready

pytestmark = pytest.mark.browser

LIKE_ANOTHER = {"frontrow-arena", "liveboard", *(f"writing-{article.slug}" for article in ARTICLES[:-1])}
"""What has the script and the frame of another stop: the same page with other content."""
OF_ITS_OWN = [stop for stop in STOPS if stop.name not in LIKE_ANOTHER]
of_its_own = pytest.mark.parametrize("arrival", OF_ITS_OWN, indirect=True, ids=lambda stop: stop.name)
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
WIDTHS = (360, 768, 1280, 1920, 3840)
FIRST_LOAD_BYTES_MAX = 150_000
SHIFT_MAX = 0.05
ROUTES_TIMEOUT_S = 60
WATCH_SHIFTS = """
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
"""
OVERFLOW = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 120)).slice(0, 5)"""


@dataclass
class Arrival:
    """A visit to a stop, and what came over the wire until the page was ready."""

    stop: Stop
    visit: Visit
    first_load: dict[str, int]

    @property
    def page(self) -> Page:
        return self.visit.page


@pytest.fixture(scope="module", params=STOPS, ids=lambda stop: stop.name)
def arrival(request: pytest.FixtureRequest, browser: Browser, host_url: str) -> Iterator[Arrival]:
    stop: Stop = request.param
    path = stop.at(host_url)
    context = browser.new_context(base_url=host_url, viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(WATCH_SHIFTS)
    page = context.new_page()
    traffic = Traffic(page)
    visit = Visit(page)
    watch(visit)
    page.goto(path)
    ready(page)
    traffic.wait_until_quiet()
    yield Arrival(stop, visit, traffic.bytes_by_url())
    context.close()
    allowed = [f"status of {status}" for status in stop.refusals]
    assert [fault for fault in visit.faults if not any(part in fault for part in allowed)] == []
    assert visit.hosts_asked() == {urlsplit(host_url).netloc}


@pytest.fixture(scope="module")
def axe() -> Axe:
    return Axe()


def test_first_load_is_small(arrival: Arrival) -> None:
    assert sum(arrival.first_load.values()) < FIRST_LOAD_BYTES_MAX, arrival.first_load


def test_nothing_moves_while_the_page_comes_alive(arrival: Arrival) -> None:
    assert arrival.page.evaluate("window.shifted") < SHIFT_MAX


def test_it_has_one_title_and_its_landmarks(arrival: Arrival) -> None:
    page = arrival.page
    assert title(page).count() == 1
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() <= 1


def test_it_fits_every_window(arrival: Arrival) -> None:
    page = arrival.page
    try:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(OVERFLOW)
    finally:
        page.set_viewport_size(WIDE)


@of_its_own
def test_it_comes_back_after_a_reload_and_by_the_back_button(arrival: Arrival) -> None:
    page = arrival.page
    before = title(page).inner_text()
    page.reload()
    ready(page)
    page.goto("/livez")
    page.go_back()
    ready(page)
    assert title(page).inner_text() == before
    page.go_forward()
    page.wait_for_url("**/livez")
    page.go_back()
    ready(page)


@of_its_own
def test_it_says_that_it_is_offline_and_comes_back(arrival: Arrival) -> None:
    page = arrival.page
    with faults_allowed(arrival.visit, "ERR_INTERNET_DISCONNECTED"):
        page.context.set_offline(True)
        expect(page.locator(".gone-banner")).to_contain_text("The host does not answer")
        page.context.set_offline(False)
        ready(page)
    expect(page.locator(".gone-banner")).to_have_count(0)


def test_it_has_no_barriers_in_either_theme_wide_and_narrow(arrival: Arrival, axe: Axe) -> None:
    page = arrival.page
    arrival.stop.use(page)
    found = {"wide, light": axe.violations(page)}
    page.emulate_media(color_scheme="dark")
    found["wide, dark"] = axe.violations(page, only_colours=True)
    page.set_viewport_size(PHONE)
    found["360 px, dark"] = axe.violations(page)
    page.emulate_media(color_scheme="light")
    found["360 px, light"] = axe.violations(page, only_colours=True)
    assert {where: lines for where, lines in found.items() if lines} == {}
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], page.evaluate(OVERFLOW)


def test_a_barrier_would_be_found(browser: Browser, host_url: str, axe: Axe) -> None:
    context = browser.new_context(base_url=host_url)
    page = context.new_page()
    page.goto("/livez")
    page.evaluate('document.body.innerHTML = \'<p style="color: #bbb">Pale</p><img src="data:,">\'')
    assert {line.partition(":")[0] for line in axe.violations(page)} >= {"color-contrast", "image-alt"}
    assert {line.partition(":")[0] for line in axe.violations(page, only_colours=True)} == {"color-contrast"}
    context.close()


def test_every_page_of_the_site_is_on_the_tour() -> None:
    command = [sys.executable, "-m", "host.cli", "routes", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ROUTES_TIMEOUT_S)
    pages = {row["path"] for row in json.loads(run.stdout) if row["summary"].startswith("page: ")}
    assert pages - {stop.route for stop in STOPS} == set()


def title(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


@contextmanager
def faults_allowed(visit: Visit, part: str) -> Iterator[None]:
    """Forget for the block what the console says that has this part in it."""
    before = len(visit.faults)
    yield
    visit.faults[before:] = [fault for fault in visit.faults[before:] if part not in fault]
