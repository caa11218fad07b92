"""What all pages have in common: size, themes, phones, nothing from elsewhere, and a host that goes and comes back."""

import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from host.testing import host_process
from tests.browser.conftest import TIMEOUT_MS, Open, Visit, watch

pytestmark = pytest.mark.browser

PAGES = ("/", "/frontrow", "/gateway", "/-/plugins", "/-/docs")
WIDTHS = (360, 768, 1280, 1920, 3840)
FIRST_LOAD_BYTES_MAX = 150_000
PROOF_TIMEOUT_MS = 60_000
PROOF_TRIES = 20
NO_REDIS = "redis://127.0.0.1:1"


@pytest.mark.parametrize("path", PAGES)
def test_first_load_is_small(open_page: Open, path: str) -> None:
    visit = open_page(path)
    expect(visit.page.locator(".link-state")).to_have_text("live")
    sizes = {
        request.url: request.sizes()["responseBodySize"]
        for request in visit.requests
        if not request.url.endswith("/events") and request.response() is not None
    }
    assert sum(sizes.values()) < FIRST_LOAD_BYTES_MAX, sizes


@pytest.mark.parametrize("path", PAGES)
def test_page_fits_every_window(open_page: Open, path: str) -> None:
    page = open_page(path).page
    expect(page.locator(".link-state")).to_have_text("live")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_stampede_works_on_a_phone(open_page: Open) -> None:
    page = open_page("/frontrow", width=360, height=740, has_touch=True, is_mobile=True).page
    page.get_by_role("button", name="Fire the gun").tap()
    expect(page.locator("run-result .verdict-line verdict-mark")).to_have_text("Holds")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    targets = page.locator("main button:visible, main .preset").all()
    assert min((box or {"height": 0})["height"] for box in (each.bounding_box() for each in targets)) >= 44


def test_theme_follows_the_system_until_one_is_chosen(open_page: Open) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    grounds = {scheme: open_page("/", color_scheme=scheme).page.evaluate(background) for scheme in ("light", "dark")}
    assert grounds["light"] != grounds["dark"]
    page = open_page("/", color_scheme="dark").page
    page.get_by_role("button", name="Theme: system").click()
    assert page.evaluate(background) == grounds["light"]
    page.reload()
    assert page.evaluate(background) == grounds["light"]
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == grounds["dark"]


PROOFS = {
    "frontrow": r"^1 booked, 999 rejected, 0 oversold, in .* from the gun to the last verdict\.$",
    "raft": r"^n\d took over from n\d in .*, in term \d+\. 0 of [\d,]+ acknowledged writes? lost\.$",
    "liveboard": r"^50 of 50 networks converged, with [\d,]+ operations saved",
    "gateway": r"^\d+ of 600 requests answered, 0 failed",
}


def prove(card: Locator) -> None:
    """Press a card's button until there is a verdict: a cluster without a leader, say, asks to be asked again."""
    mark = card.locator("verdict-mark")
    for _ in range(PROOF_TRIES):
        card.get_by_role("button").click()
        expect(mark).to_have_text(re.compile("Holds|Broke|Unknown"), timeout=PROOF_TIMEOUT_MS)
        if "Unknown" not in mark.inner_text():
            break
        expect(card.get_by_role("button")).to_be_enabled()
    expect(mark).to_have_text("Holds")


def test_overview_runs_every_proof_in_place_and_leads_to_the_evidence(open_page: Open) -> None:
    page = open_page("/").page
    for name, outcome in PROOFS.items():
        card = page.locator(f'proof-card[plugin="{name}"]')
        expect(card.locator("live-number").first).to_be_visible()
        prove(card)
        expect(card.locator("[data-outcome]")).to_have_text(re.compile(outcome))
    card = page.locator('proof-card[plugin="frontrow"]')
    card.get_by_role("link", name="See the evidence").click()
    expect(page.locator("run-result [data-count=rejected]")).to_have_text("999")


def test_overview_shows_the_hosts_own_figures(open_page: Open) -> None:
    page = open_page("/").page
    expect(page.locator("[data-host=tasks] .live-value")).to_have_text(re.compile(r"^\d+$"))
    expect(page.locator("[data-host=restarts] .live-value")).to_have_text(re.compile(r"^\d+$"))
    expect(page.locator("host-score li").first).to_contain_text("ready for")
    page.locator("[data-host=tasks]").focus()
    expect(page.locator("[data-host=tasks]").get_by_role("tooltip")).to_contain_text("measured by this host at")


def test_host_page_lists_its_plugins(open_page: Open) -> None:
    page = open_page("/-/plugins").page
    article = page.locator('article[data-plugin="frontrow"]')
    expect(article.locator("[data-state-word]")).to_have_text("ready")
    expect(article.locator("[data-checks]")).to_contain_text("postgres: well")


def test_api_page_lets_an_operation_be_tried(open_page: Open) -> None:
    page = open_page("/-/docs").page
    operation = page.locator("details", has=page.locator("code.path", has_text=re.compile("^/livez$")))
    operation.locator("summary").click()
    operation.get_by_role("button", name="Send GET").click()
    expect(operation.locator(".answer-status")).to_contain_text("200")
    stampede = page.locator("details", has=page.locator("code.path", has_text=re.compile("^/api/frontrow/stampede$")))
    stampede.locator("summary").click()
    stampede.get_by_role("button", name="Send POST").click()
    expect(stampede.locator(".answer-status")).to_contain_text("200")
    expect(stampede.locator(".try-it pre")).to_contain_text('"verdict"')


def test_fault_bar_breaks_tells_and_heals(open_page: Open) -> None:
    page = open_page("/", allowed=("status of 404",)).page
    page.evaluate(
        """async () => {
          await import("/assets/components/fault-bar.js");
          const bar = document.createElement("fault-bar");
          document.querySelector("main").prepend(bar);
          const fault = { label: "Kill", effect: "ends it", lasts: "until healed", url: "/api/frontrow/stampede" };
          bar.offer([{ ...fault, body: { buyers: 1 } }], { ...fault, label: "Heal all", url: "/api/frontrow/none" });
        }"""
    )
    bar = page.get_by_role("group", name="Break it")
    bar.get_by_role("button", name="Kill").click()
    expect(bar.get_by_role("status")).to_have_text("Kill: done.")
    bar.get_by_role("button", name="Heal all").click()
    expect(bar.get_by_role("status")).to_contain_text("There is no such thing")


def test_host_page_logs_what_changes(open_page: Open) -> None:
    page = open_page("/-/plugins").page
    expect(page.locator(".link-state")).to_have_text("live")
    expect(page.locator("event-log")).to_contain_text("No plugin has changed its state.")
    page.evaluate("""document.querySelector("event-log").add({ text: "frontrow: ready → backoff" })""")
    expect(page.get_by_role("log")).to_contain_text("ready → backoff")


def test_unknown_run_gets_a_page_for_a_person(open_page: Open) -> None:
    page = open_page("/frontrow/runs/none", allowed=("status of 404",)).page
    expect(page.locator("h1")).to_have_text("There is no such page.")
    expect(page.get_by_role("link", name="The overview")).to_be_visible()


def test_landmarks_and_names_are_there_for_those_who_listen(open_page: Open) -> None:
    for path in PAGES:
        page = open_page(path).page
        expect(page.locator(".link-state")).to_have_text("live")
        assert page.locator("h1").count() == 1
        for role in ("banner", "main", "contentinfo"):
            assert page.get_by_role(role).count() <= 1
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a[href], input, textarea")]
              .filter((each) => each.checkVisibility())
              .filter((each) => !(each.textContent.trim() || each.getAttribute("aria-label") || each.labels?.length))
              .map((each) => each.outerHTML)"""
        )
        assert nameless == []


def test_open_page_survives_a_host_that_goes_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    sets = (f"server.port={port}",)
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    visit = Visit(context.new_page())
    watch(visit)
    visit.page.clock.install()
    with host_process({}, data_dir=tmp_path, sets=sets) as host:
        visit.page.goto(f"{host.url}/")
        expect(visit.page.locator(".link-state")).to_have_text("live")
    banner = visit.page.get_by_role("alert")
    expect(banner).to_contain_text("The host does not answer")
    # From here on the page does not come back by itself, so that it is the button that brings it back.
    visit.page.clock.pause_at(visit.page.evaluate("Date.now()") / 1000 + 1)
    with host_process({}, data_dir=tmp_path, sets=sets):
        banner.get_by_role("button", name="Try now").click()
        visit.page.clock.resume()
        expect(visit.page.locator(".link-state")).to_have_text("live")
        expect(banner).to_be_hidden()
        context.close()


def test_plugin_that_is_off_or_down_says_so_and_how_to_turn_it_on(browser: Browser, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nowhere = f"postgresql://nobody@127.0.0.1:{nobody.getsockname()[1]}/none?connect_timeout=1"
    with host_process({"frontrow": {}}, postgres_url=nowhere, redis_url=NO_REDIS, data_dir=tmp_path) as host:
        context = browser.new_context(base_url=host.url)
        page = context.new_page()
        page.goto("/")
        off = page.locator('proof-card[plugin="raft"]')
        expect(off).to_contain_text("not enabled")
        expect(off).to_contain_text("[plugins.raft]")
        expect(off.get_by_role("button")).to_have_count(0)
        down = page.locator('proof-card[plugin="frontrow"]')
        expect(down.locator("[data-down]")).to_contain_text("It is not running now")
        expect(down.locator("[data-down-reason]")).to_contain_text("postgres")
        expect(down.get_by_role("button")).to_be_disabled()
        page.goto("/-/plugins")
        expect(page.locator('article[data-plugin="raft"]')).to_contain_text("enabled = true")
        context.close()
