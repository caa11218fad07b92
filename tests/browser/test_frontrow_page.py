"""The stampede as a visitor sees it: the button, the verdict, the permanent page, and what is shown when it fails."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

FIRE = "Fire the gun"


def fire(page: Page) -> None:
    page.get_by_role("button", name=FIRE).click()


def choose(page: Page, preset: str) -> None:
    page.locator(f'[name=preset][value="{preset}"]').check()


def field(page: Page, name: str) -> Locator:
    return page.locator("#stampede").get_by_role("spinbutton", name=name)


def expect_result(page: Page, booked: int, rejected: int, oversold: int = 0) -> None:
    result = page.locator("run-result")
    expect(result.locator("[data-count=booked]")).to_have_text(str(booked))
    expect(result.locator("[data-count=rejected]")).to_have_text(str(rejected))
    expect(result.locator("[data-count=oversold]")).to_have_text(str(oversold))


def main_verdict(page: Page) -> Locator:
    return page.locator("run-result .verdict-line verdict-mark")


def test_pressing_the_button_shows_that_the_promise_holds(open_page: Open) -> None:
    page = open_page("/frontrow").page
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    expect_result(page, booked=1, rejected=999)
    expect(page.locator("run-result [data-count=undersold]")).to_have_text("0")
    invariants = page.locator("[data-invariants] li")
    expect(invariants.last).to_have_attribute("data-holds", "true")
    assert {item.get_attribute("data-holds") for item in invariants.all()} == {"true"}
    expect(page.locator("#phase")).to_contain_text("1 booked, 999 rejected, 0 oversold")


def test_replay_says_how_much_slower_it_is_and_ends_where_the_run_ended(open_page: Open) -> None:
    page = open_page("/frontrow").page
    fire(page)
    expect(page.locator(".pace")).to_have_text(re.compile(r"shown [\d,]+× slower|as fast as it happened"))
    clock = page.locator("[data-moment=rejected]")
    expect(clock).to_have_text("999")
    page.get_by_label("Moment of the run").fill("0")
    expect(clock).to_have_text("0")
    expect(page.locator("[data-moment=waiting]")).to_have_text("1,000")
    page.get_by_role("button", name="Replay").click()
    expect(clock).to_have_text("999")


def test_five_seats_go_to_five_of_five_hundred(open_page: Open) -> None:
    page = open_page("/frontrow").page
    choose(page, "500x5")
    expect(page.locator("#curl pre")).to_contain_text('"buyers":500,"seats":5')
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    expect_result(page, booked=5, rejected=495)


def test_the_page_of_a_run_is_permanent(open_page: Open) -> None:
    page = open_page("/frontrow").page
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    took = page.locator("run-result [data-span]").text_content()
    page.get_by_role("link", name="Permanent page of this run").click()
    page.wait_for_url("**/frontrow/runs/*")
    for _ in range(2):
        expect(main_verdict(page)).to_have_text("Holds")
        expect_result(page, booked=1, rejected=999)
        expect(page.locator("run-result [data-span]")).to_have_text(str(took))
        page.reload()
    without_script = open_page(page.url, java_script_enabled=False).page
    expect(without_script.locator("run-result .verdict-line")).to_contain_text("holds")
    expect_result(without_script, booked=1, rejected=999)
    expect(without_script.locator("[data-invariants] li")).not_to_have_count(0)


def test_earlier_runs_lead_to_their_pages(open_page: Open) -> None:
    page = open_page("/frontrow").page
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    link = page.locator("#run-list a").first
    address = link.get_attribute("href")
    page.reload()
    expect(page.locator(f'#run-list a[href="{address}"]')).to_be_visible()
    page.locator("#run-list a").first.click()
    expect(page.locator("h1")).to_have_text("1,000 buyers, 1 seat")
    page.go_back()
    expect(page.locator("h1")).to_have_text("The stampede")


def test_keyboard_alone_is_enough(open_page: Open) -> None:
    page = open_page("/frontrow").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="500")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=FIRE)).to_be_focused()
    page.keyboard.press("Enter")
    expect(main_verdict(page)).to_have_text("Holds")
    expect_result(page, booked=5, rejected=495)


def test_own_values_are_checked_before_they_are_sent(open_page: Open) -> None:
    visit = open_page("/frontrow")
    page = visit.page
    choose(page, "own")
    field(page, "Buyers").fill("0")
    field(page, "Seats").fill("1001")
    fire(page)
    expect(field(page, "Buyers")).to_be_focused()
    expect(page.locator("#buyers-error")).to_have_text("At least 1.")
    expect(page.locator("#seats-error")).to_have_text("At most 1,000.")
    assert [request.url for request in visit.requests if request.method == "POST"] == []
    field(page, "Buyers").fill("20")
    field(page, "Seats").fill("30")
    field(page, "Seed").fill("7")
    field(page, "Seed").press("Enter")
    expect(main_verdict(page)).to_have_text("Holds")
    expect_result(page, booked=20, rejected=0)
    expect(page.locator("[data-facts]")).to_contain_text("Seed7")


def test_values_of_a_run_come_along_with_its_link(open_page: Open) -> None:
    page = open_page("/frontrow?buyers=30&seats=2&seed=5").page
    expect(field(page, "Buyers")).to_have_value("30")
    expect(field(page, "Seed")).to_have_value("5")


def test_reduced_motion_shows_the_end_at_once(open_page: Open) -> None:
    page = open_page("/frontrow", reduced_motion="reduce").page
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    expect(page.locator("[data-moment=rejected]")).to_have_text("999", timeout=500)


def answer_stampede(page: Page, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """Let the browser get this answer instead of the host's."""

    def fulfil(route: Route) -> None:
        content_type = "application/json" if status < 400 else "application/problem+json"
        route.fulfill(status=status, body=json.dumps(body), headers={"content-type": content_type, **(headers or {})})

    page.route("**/api/frontrow/stampede", fulfil)


def canned(verdict: str, **figures: Any) -> dict[str, Any]:
    holds = {"holds": True, "broke": False, "unknown": None}[verdict]
    invariant = {"name": "one_sale_per_seat", "statement": "No seat has more than one live sale.", "expected": 0}
    spread = {"p50_ms": None, "p90_ms": None, "p99_ms": None, "max_ms": None}
    run = {"run_id": "0", "seed": 1, "buyers": 10, "seats": 1, "state": "done", "elapsed_ms": 1.0, "timeline": []}
    counts = {"booked": 1, "rejected": 9, "oversold": 0, "undersold": 0, "unknown": 0}
    found = {"holds": holds, "found": None if holds is None else int(not holds), "checked_at": 1.0}
    evidence = {"invariants": [invariant | found], "winners": spread, "losers": spread}
    return run | counts | evidence | {"verdict": verdict} | figures


@pytest.mark.parametrize(
    ("verdict", "word", "token"),
    [("holds", "Holds", "--holds"), ("broke", "Broke", "--broke"), ("unknown", "Unknown", "--ink-soft")],
)
def test_verdict_wears_the_colour_that_is_its_own(open_page: Open, verdict: str, word: str, token: str) -> None:
    page = open_page("/frontrow").page
    answer_stampede(page, 200, canned(verdict))
    fire(page)
    expect(main_verdict(page)).to_have_text(word)
    expect(page.locator("[data-invariants] verdict-mark")).to_have_text(word)
    colours = page.evaluate(
        """token => {
          const probe = document.body.appendChild(document.createElement("i"));
          probe.style.color = `var(${token})`;
          const mark = document.querySelector("run-result .verdict-line verdict-mark");
          return [getComputedStyle(mark).color, getComputedStyle(probe).color];
        }""",
        token,
    )
    assert colours[0] == colours[1]


def test_largest_result_fits_a_phone(open_page: Open) -> None:
    page = open_page("/frontrow", width=360, height=740).page
    slow = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "max_ms"), 99_999.9)
    figures = {"booked": 1000, "rejected": 99_000, "elapsed_ms": 99_999.9, "winners": slow, "losers": slow}
    answer_stampede(page, 200, canned("holds", buyers=100_000, seats=1000, seed=2**53 - 1, **figures))
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_run_whose_host_died_is_told_without_made_up_figures(open_page: Open) -> None:
    page = open_page("/frontrow").page
    lost = {"booked": None, "rejected": None, "oversold": 0, "undersold": None, "elapsed_ms": None, "unknown": 10}
    answer_stampede(page, 200, canned("unknown", state="unknown", **lost))
    fire(page)
    expect(main_verdict(page)).to_have_text("Unknown")
    expect(page.locator("run-result [data-count=booked]")).to_have_text("–")
    expect(page.locator("run-result [data-count=unknown]")).to_have_text("10")


@pytest.mark.parametrize(
    ("status", "headline", "following"),
    [(503, "This part is not running", "Try again in 2 s"), (429, "Too much at once", "Try again in 2 s")],
)
def test_refusal_is_told_with_what_to_do_next(open_page: Open, status: int, headline: str, following: str) -> None:
    page = open_page("/frontrow", allowed=(f"status of {status}",)).page
    problem = {"type": "about:blank", "title": "No", "status": status, "detail": "not now"}
    answer_stampede(page, status, problem, {"retry-after": "2"})
    fire(page)
    note = page.get_by_role("alert")
    expect(note).to_contain_text(headline)
    expect(note).to_contain_text(following)
    page.unroute("**/api/frontrow/stampede")
    fire(page)
    expect(main_verdict(page)).to_have_text("Holds")
    expect(page.locator(".opening problem-note")).to_be_hidden()


def test_what_the_host_refuses_is_marked_at_its_field(open_page: Open) -> None:
    page = open_page("/frontrow", allowed=("status of 422",)).page
    fault = {"pointer": "#/buyers", "detail": "at most 50 here", "code": "x"}
    answer_stampede(page, 422, {"title": "Invalid body", "status": 422, "detail": "no", "errors": [fault]})
    choose(page, "own")
    fire(page)
    expect(page.locator("#buyers-error")).to_have_text("at most 50 here")
    expect(field(page, "Buyers")).to_be_focused()


def test_lost_answer_is_told_as_a_host_that_does_not_answer(open_page: Open) -> None:
    page = open_page("/frontrow", allowed=("ERR_FAILED",)).page
    page.route("**/api/frontrow/stampede", lambda route: route.abort())
    fire(page)
    expect(page.get_by_role("alert")).to_contain_text("The host does not answer")
