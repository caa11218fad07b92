"""What all pages have in common: size, themes, phones, nothing from elsewhere, and a host that goes and comes back."""

import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from host.testing import host_process
from tests.browser.conftest import Open, Visit, watch
from tests.browser.killed_host import CUT_OFF, KilledHost
from tests.browser.tour import STOPS, prove, ready

pytestmark = pytest.mark.browser

NO_REDIS = "redis://127.0.0.1:1"
PATIENCE_MS = 60_000
ALIVE = {
    "overview",
    "frontrow",
    "frontrow-theatre",
    "raft-lab",
    "liveboard-room",
    "gateway",
    "writing-trio-host",
    "host",
}
"""Stops of the tour that follow their host in different ways."""


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


def test_proof_on_the_overview_leads_to_its_evidence(open_page: Open) -> None:
    page = open_page("/").page
    card = page.locator('proof-card[plugin="frontrow"]')
    prove(card)
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


def test_open_pages_survive_a_host_that_is_killed_and_comes_back(
    browser: Browser, postgres_url: str, redis_server_url: str, tmp_path: Path
) -> None:
    servers = {"postgres_url": postgres_url, "redis_url": redis_server_url}
    host = KilledHost(lambda sets: host_process(**servers, data_dir=tmp_path, sets=sets))
    try:
        stops = [stop for stop in STOPS if stop.name in ALIVE]
        visits = [Visit(browser.new_context(base_url=host.host.url).new_page()) for _ in stops]
        told = visits[0].page
        told.clock.install()
        for stop, visit in zip(stops, visits, strict=True):
            watch(visit)
            visit.page.goto(stop.at(host.host.url))
            ready(visit.page)
        host.kill()
        banners = [visit.page.locator(".gone-banner") for visit in visits]
        for banner in banners:
            expect(banner).to_contain_text("The host does not answer")
        # The first does not come back by itself from here on, so that it is the button that brings it back.
        told.clock.pause_at(told.evaluate("Date.now()") / 1000 + 1)
        host.start_again()
        banners[0].get_by_role("button", name="Try now").click()
        told.clock.resume()
        for visit, banner in zip(visits, banners, strict=True):
            expect(visit.page.locator(".link-state")).to_have_text("live", timeout=PATIENCE_MS)
            expect(banner).to_be_hidden()
            assert [fault for fault in visit.faults if not any(part in fault for part in (*CUT_OFF, "503"))] == []
            visit.page.context.close()
    finally:
        host.stop()


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
