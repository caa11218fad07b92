"""Takes the pictures of the docs: every stop of the tour, after its proof, wide and on a phone, light and dark.

    python -m tests.browser.pictures            all of them, into docs/pictures
    python -m tests.browser.pictures overview   those of one stop

They are WebP, which Chromium encodes by itself; `docs/pages.md` shows them.
"""

import base64
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from host.testing import host_process
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.liveboard import draw
from tests.browser.tour import ARENA, STOPS, Stop, event, prove, ready, stampede

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
WINDOWS = {"wide": (1280, 800), "phone": (360, 740)}
SCHEMES = ("light", "dark")
QUALITY = 80
BUYERS = 400
SETTLE_MS = 600
PATIENCE_MS = 60_000
CALM = ("plugins.raft.election_timeout=0.6",)
"""A machine that is busy must not unseat the leader of the picture."""


def main() -> None:
    """Take the pictures that are asked for."""
    wanted = set(sys.argv[1:])
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        host_process(data_dir=Path(folder), sets=CALM) as host,
        sync_playwright() as playwright,
    ):
        expect.set_options(timeout=PATIENCE_MS)
        sell_some(host.url)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        for stop in STOPS:
            if not wanted or stop.name in wanted:
                take(browser, host.url, stop)
        browser.close()
    files = sorted(FOLDER.glob("*.webp"))
    print(f"{len(files)} pictures, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")


def take(browser: Browser, url: str, stop: Stop) -> None:
    """Take the four pictures of a stop, in one visit."""
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.goto(stop.at(url))
    ready(page)
    SCENES.get(stop.name, stop.use)(page)
    session = context.new_cdp_session(page)
    for window, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            show(page, stop.name)
            page.wait_for_timeout(SETTLE_MS)
            shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
            (FOLDER / f"{stop.name}-{window}-{scheme}.webp").write_bytes(base64.b64decode(shot["data"]))
    context.close()


def show(page: Page, name: str) -> None:
    """Scroll to what the picture is of."""
    page.mouse.move(0, 0)
    anchor = ANCHORS.get(name)
    if anchor is None:
        page.evaluate("scrollTo(0, 0)")
    else:
        page.locator(anchor).evaluate("each => scrollTo(0, each.getBoundingClientRect().top + scrollY - 16)")


def sell_some(url: str) -> None:
    """Let a part of the arena be sold and held, so that its map has something to tell."""
    arena = event(url, ARENA)["id"]
    letters = httpx.get(f"{url}/api/frontrow/events/{arena}/state", timeout=60).json()["seats"]
    ids = seat_ids(url, arena)
    lot = Random(7)
    with httpx.Client(base_url=url, timeout=60) as client:
        for buyer in range(BUYERS):
            # Who comes early sits near to the stage, which is where the positions begin.
            first = int(min(lot.expovariate(1 / 2500), len(letters) - 8))
            seats = ids[first : first + lot.randint(2, 6)]
            wish = {"event_id": arena, "seats": seats, "buyer": f"buyer-{buyer}"}
            held = client.post("/api/frontrow/holds", json=wish)
            if held.status_code == 201 and lot.random() < 0.75:
                order = client.post(
                    "/api/frontrow/orders", json={"token": held.json()["token"], "buyer": wish["buyer"]}
                ).json()
                client.post(f"{order['url']}/payment", json={"card": "ok"})


def seat_ids(url: str, event_id: int) -> list[int]:
    """The ids of an event's seats, in the order of their positions."""
    document = httpx.get(f"{url}/api/frontrow/events/{event_id}/map", timeout=60).json()
    ids: list[int] = []
    for section in document["sections"]:
        for row in section["rows"]:
            before = 0
            for step in row["ids"]:
                before += step
                ids.append(before)
    return ids


def see_the_replay_out(page: Page) -> None:
    stampede(page)
    expect(page.locator("[data-moment=waiting]")).to_have_text("0")


def kill_the_primary(page: Page) -> None:
    expect(page.locator("#phase")).to_have_text("Live: every spark is a request.")
    page.get_by_role("button", name="Kill the primary under load").click()
    expect(page.locator("gateway-proof verdict-mark")).to_have_text("Holds")
    # Something to be seen on its way.
    page.locator(".break").scroll_into_view_if_needed()
    page.get_by_role("button", name="Send a steady stream").click()
    expect(page.locator("steady-stream [data-count=answered]")).not_to_have_text("0")


def kill_the_leader(page: Page) -> None:
    expect(page.locator("#phase")).to_have_text("Live.")
    expect(page.locator(".ring-node[data-state=up]")).to_have_count(5)
    prove(page.locator("raft-proof"))
    page.get_by_role("button", name="Heal all").click()
    expect(page.locator(".ring-node[data-state=up]")).to_have_count(5)
    expect(page.locator("#f-leader .live-value")).to_have_text(re.compile(r"^n\d$"))


def draw_together(page: Page) -> None:
    """Four systems in one house, drawn by one while another points at it."""
    board = page.locator(".board")
    expect(board).to_have_attribute("data-state", "live")
    boxes = {
        "FrontRow": (330, 240, "4"),
        "Raft": (590, 240, "8"),
        "Liveboard": (330, 430, "6"),
        "Gateway": (590, 430, "7"),
    }
    for name, (x, y, colour) in boxes.items():
        page.keyboard.press("r")
        page.keyboard.press(colour)
        draw(page, (x, y), (x + 200, y + 130))
        page.keyboard.press("Escape")
        page.keyboard.press("t")
        page.mouse.click(x + 50, y + 55)
        page.keyboard.type(name)
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
    page.keyboard.press("p")
    page.keyboard.press("1")
    draw(
        page, (290, 200), (560, 185), (835, 205), (850, 400), (840, 590), (560, 605), (285, 590), (275, 380), (290, 200)
    )
    page.keyboard.press("a")
    draw(page, (950, 480), (870, 420))
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.mouse.click(960, 490)
    page.keyboard.type("one process,\nfour nurseries")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("v")
    expect(page.locator("[data-light=local]").first).to_have_text("0")
    browser = page.context.browser
    assert browser is not None
    guest = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    guest.goto(page.url)
    expect(guest.locator(".board")).to_have_attribute("data-state", "live")
    for x in range(600, 700, 10):
        guest.mouse.move(x, 380)
    expect(page.locator(".person")).to_have_count(2)


def compare_digests(page: Page) -> None:
    draw_together(page)
    page.get_by_role("button", name="Proof").click()
    expect(page.locator("#verdict")).to_have_attribute("data-verdict", "holds")


SCENES: dict[str, Callable[[Page], None]] = {
    "gateway": kill_the_primary,
    "raft-lab": kill_the_leader,
    "liveboard": compare_digests,
    "liveboard-room": draw_together,
    "frontrow": see_the_replay_out,
}
"""What is done for the picture where that is more than the tour does."""

ANCHORS = {"frontrow": ".stage", "gateway": "gateway-proof"}
"""What a picture begins with, where that is not the top of the page."""

if __name__ == "__main__":
    main()
