"""Four Chromium pages draw at random while the host is killed under them, and end with the same pixels and digest."""

import re
from collections.abc import Iterator
from random import Random

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from host.testing import host_process
from tests.browser.conftest import Open
from tests.browser.killed_host import CUT_OFF, KilledHost

pytestmark = pytest.mark.browser

PAGES = 4
ROUNDS = 7
KILLED_AT = {1, 4}
PATIENCE_MS = 60_000


@pytest.fixture
def killed_host(
    module_postgres_url: str, redis_server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KilledHost]:
    """A host with Liveboard alone."""
    servers = {"postgres_url": module_postgres_url, "redis_url": redis_server_url}
    folder = tmp_path_factory.mktemp("host")
    host = KilledHost(lambda sets: host_process({"liveboard": {}}, **servers, data_dir=folder, sets=sets))
    yield host
    host.stop()


@pytest.fixture
def host_url(killed_host: KilledHost) -> str:
    return killed_host.host.url


def act(page: Page, random: Random) -> None:
    """Draw a line, erase across the board, or take something back."""
    wish = random.random()
    if wish < 0.15:
        page.keyboard.press("Control+z")
        return
    page.keyboard.press("e" if wish < 0.3 else "p")
    page.mouse.move(random.randint(250, 1000), random.randint(200, 650))
    page.mouse.down()
    for _ in range(random.randint(1, 4)):
        page.mouse.move(random.randint(250, 1000), random.randint(200, 650), steps=3)
    page.mouse.up()


def is_settled(page: Page) -> None:
    """Wait until the page is connected and everything it drew is saved."""
    board = page.locator(".board")
    expect(board).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    for light in ("local", "sent"):
        expect(page.locator(f"[data-light={light}]").first).to_have_text("0", timeout=PATIENCE_MS)


KEPT = """async () => {
  const opening = indexedDB.open("liveboard");
  await new Promise((resolve) => (opening.onsuccess = resolve));
  const counting = opening.result.transaction("unsaved").objectStore("unsaved").count();
  await new Promise((resolve) => (counting.onsuccess = resolve));
  opening.result.close();
  return counting.result;
}"""


def test_what_was_drawn_offline_is_saved_by_the_page_after_it(open_page: Open) -> None:
    page = open_page("/-/plugins", allowed=CUT_OFF).page
    is_off = True

    def socket(route: WebSocketRoute) -> None:
        if is_off:
            route.close()
        else:
            route.connect_to_server()

    page.route_web_socket(re.compile("/socket$"), socket)
    page.goto("/liveboard/kept")
    board = page.locator(".board")
    expect(board).to_have_attribute("data-state", "offline")
    for seed in range(3):
        page.keyboard.press("p")
        page.mouse.move(300, 300 + 50 * seed)
        page.mouse.down()
        page.mouse.move(400, 340 + 50 * seed, steps=3)
        page.mouse.up()
    expect(page.locator("[data-light=local]").first).to_have_text("3")
    page.wait_for_function(f"({KEPT})().then((count) => count === 3)")

    is_off = False
    page.reload()

    expect(board).to_have_attribute("data-rev", "3", timeout=PATIENCE_MS)
    is_settled(page)
    page.wait_for_function(f"({KEPT})().then((count) => count === 0)")


def test_four_pages_draw_through_kills_of_the_host_and_end_pixel_equal(
    open_page: Open, killed_host: KilledHost
) -> None:
    pages = [open_page("/liveboard/storm", allowed=CUT_OFF).page for _ in range(PAGES)]
    randoms = [Random(seed) for seed in range(PAGES)]
    for page in pages:
        expect(page.locator(".board")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    for number in range(ROUNDS):
        for at, (page, random) in enumerate(zip(pages, randoms, strict=True)):
            act(page, random)
            if number in KILLED_AT and at == 1:
                killed_host.kill()
        if number in KILLED_AT:
            killed_host.start_again()

    for page in pages:
        is_settled(page)
    answer = pages[0].request.get(f"{killed_host.host.url}/api/liveboard/rooms/storm").json()
    assert answer["rev"] >= ROUNDS * PAGES // 2
    for page in pages:
        board = page.locator(".board")
        expect(board).to_have_attribute("data-rev", str(answer["rev"]), timeout=PATIENCE_MS)
        expect(board).to_have_attribute("data-digest", answer["digest"])
        expect(board).to_have_attribute("data-painted", answer["digest"], timeout=PATIENCE_MS)
        # Nobody's pointer hangs over the board's edge, and no tool is held.
        page.mouse.move(5, 5)
    pictures = [page.evaluate("document.getElementById('marks').toDataURL()") for page in pages]
    assert [picture == pictures[0] for picture in pictures] == [True] * PAGES
    newcomer = open_page("/liveboard/storm").page
    expect(newcomer.locator(".board")).to_have_attribute("data-painted", answer["digest"], timeout=PATIENCE_MS)
    assert newcomer.evaluate("document.getElementById('marks').toDataURL()") == pictures[0]
