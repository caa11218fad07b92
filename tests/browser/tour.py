"""A tour of the site: every page that it has, where to find it, and what a visitor does there first.

`test_pages.py` visits the stops; `pictures.py` takes their pictures.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from host.http.writing import ARTICLES

PROOF_TIMEOUT_MS = 60_000
PROOF_TRIES = 20
SAMPLES_TIMEOUT_S = 60
THEATRE = "The Late Show"
ARENA = "Harbour Lights Tour"
OUTCOMES = {
    "frontrow": r"^1 booked, 999 rejected, 0 oversold, in .* from the gun to the last verdict\.$",
    "raft": r"^n\d took over from n\d in .*, in term [\d,]+\. 0 of [\d,]+ acknowledged writes? lost\.$",
    "liveboard": r"^50 of 50 networks converged, with [\d,]+ operations saved",
    "gateway": r"^\d+ of 600 requests answered, 0 failed",
}
"""What a card says of a proof that holds."""
WITHOUT_LEADER = (409, 503)
"""How the lab refuses to kill a leader that there is not, on a machine so busy that it has lost its own."""


def _nothing(page: Page) -> None:
    """What there is to see is there from the start."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A page: its name, its route, where an example of it is on a host, and what brings its content up.

    `refusals` are statuses that it may be answered with, and that Chromium then tells on its console.
    """

    name: str
    route: str
    find: Callable[[str], str] | None = None
    use: Callable[[Page], None] = _nothing
    refusals: tuple[int, ...] = ()

    def at(self, url: str) -> str:
        """The path of an example on the host at `url`, made there if need be."""
        return self.route if self.find is None else self.find(url)


def ready(page: Page) -> None:
    """Wait until the page hears from its host."""
    expect(page.locator(".link-state")).to_have_text("live")


def prove(card: Locator) -> None:
    """Press a card's button until there is a verdict: a cluster without a leader, say, asks to be asked again."""
    mark = card.locator("verdict-mark")
    for _ in range(PROOF_TRIES):
        card.locator("[data-prove]").click()
        expect(mark).to_have_text(re.compile("Holds|Broke|Unknown"), timeout=PROOF_TIMEOUT_MS)
        if "Unknown" not in mark.inner_text():
            break
        expect(card.locator("[data-prove]")).to_be_enabled()
    expect(mark).to_have_text("Holds")


def prove_all(page: Page) -> None:
    for name, outcome in OUTCOMES.items():
        card = page.locator(f'proof-card[plugin="{name}"]')
        prove(card)
        expect(card.locator("[data-outcome]")).to_have_text(re.compile(outcome))


def prove_own(page: Page) -> None:
    """An article's proof, which stands beside its text."""
    page.locator("proof-card").scroll_into_view_if_needed()
    prove(page.locator("proof-card"))


def stampede(page: Page) -> None:
    page.get_by_role("button", name="Fire the gun").click()
    expect(page.locator("run-result .verdict-line verdict-mark")).to_have_text("Holds", timeout=PROOF_TIMEOUT_MS)
    page.locator("#lab").scroll_into_view_if_needed()
    expect(page.get_by_role("tab")).to_have_count(3)


def hold_the_best(page: Page) -> None:
    expect(page.locator("#event")).to_have_attribute("data-ready", "yes")
    page.get_by_role("button", name="Best together").click()
    expect(page.locator("#countdown")).to_be_visible()


def see_the_house(page: Page) -> None:
    expect(page.locator("#event")).to_have_attribute("data-ready", "yes")


def live_cluster(page: Page) -> None:
    expect(page.locator("#phase")).to_have_text("Live.")
    expect(page.locator(".ring-node[data-state=up]")).to_have_count(5)
    page.locator("#logs").scroll_into_view_if_needed()
    expect(page.locator("#logs td.entry").first).to_be_attached()
    page.locator("#rules").scroll_into_view_if_needed()
    expect(page.locator("#rules tr").first).to_be_visible()
    for tab in page.get_by_role("tab").all():
        tab.click()


def board_with_proof(page: Page) -> None:
    expect(page.locator(".board")).to_have_attribute("data-state", "live")
    page.get_by_role("button", name="Proof").click()
    expect(page.locator("#proof")).to_be_visible()
    expect(page.locator("#digests tr").first).to_be_visible()


def gateway_at_work(page: Page) -> None:
    page.locator(".break").scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Send a steady stream")).to_be_enabled()


def api_opened(page: Page) -> None:
    operation = page.locator("details", has=page.locator("code.path", has_text=re.compile("^/livez$")))
    operation.locator("summary").click()
    operation.get_by_role("button", name="Send GET").click()
    expect(operation.locator(".answer-status")).to_contain_text("200")


def _post(url: str, path: str, body: dict[str, Any]) -> Any:
    return httpx.post(url + path, json=body, timeout=60).raise_for_status().json()


def _run(url: str) -> str:
    return str(_post(url, "/api/frontrow/stampede", {"buyers": 200, "seats": 2})["url"])


def _event(name: str) -> Callable[[str], str]:
    def find(url: str) -> str:
        return f"/frontrow/events/{event(url, name)['id']}"

    return find


def event(url: str, name: str) -> dict[str, Any]:
    """An event on sale; samples are put there while the host starts to serve."""
    patience_s = time.monotonic() + SAMPLES_TIMEOUT_S
    while True:
        events: list[dict[str, Any]] = httpx.get(f"{url}/api/frontrow/events", timeout=60).json()["events"]
        for each in events:
            if each["name"] == name:
                return each
        assert time.monotonic() < patience_s, f"{name} is not on sale"
        time.sleep(0.1)


def _order(url: str) -> str:
    wish = {"tier": "stalls", "count": 2, "buyer": "Ada"}
    held = _post(url, f"/api/frontrow/events/{event(url, THEATRE)['id']}/best-available", wish)
    order = _post(url, "/api/frontrow/orders", {"token": held["token"], "buyer": "Ada"})
    _post(url, f"{order['url']}/payment", {"card": "ok"})
    return f"/frontrow/orders/{order['id']}"


def _always(path: str) -> Callable[[str], str]:
    return lambda _: path


STOPS = (
    Stop("overview", "/", use=prove_all, refusals=WITHOUT_LEADER),
    Stop("frontrow", "/frontrow", use=stampede),
    Stop("frontrow-run", "/frontrow/runs/{run_id}", _run),
    Stop("frontrow-theatre", "/frontrow/events/{event_id}", _event(THEATRE), hold_the_best),
    Stop("frontrow-arena", "/frontrow/events/{event_id}", _event(ARENA), see_the_house),
    Stop("frontrow-order", "/frontrow/orders/{order_id}", _order),
    Stop("raft-lab", "/raft-lab", use=live_cluster),
    Stop("liveboard", "/liveboard", use=board_with_proof),
    Stop("liveboard-room", "/liveboard/{room}", _always("/liveboard/tour")),
    Stop("gateway", "/gateway", use=gateway_at_work),
    Stop("writing", "/writing"),
    *(
        Stop(
            f"writing-{article.slug}",
            f"/writing/{article.slug}",
            use=prove_own if article.voice else _nothing,
            refusals=WITHOUT_LEADER,
        )
        for article in ARTICLES
    ),
    Stop("source", "/writing/source/{path:path}", _always("/writing/source/host/plugin_run.py")),
    Stop("benchmarks", "/benchmarks"),
    Stop("host", "/-/plugins"),
    Stop("api", "/-/docs", use=api_opened),
    Stop("problem", "/{nowhere}", _always("/nowhere"), refusals=(404,)),
)
