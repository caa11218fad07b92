"""What stands below the stampede: strategies side by side, faults in a live run, invariants, what is on sale."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

LONG_MS = 120_000
STRATEGIES = 8


def open_lab(open_page: Open, tab: str, **options: object) -> Page:
    page = open_page("/frontrow", **options).page
    page.locator("#lab").scroll_into_view_if_needed()
    page.get_by_role("tab", name=tab).click()
    # The lab's script has come when the faults are there.
    expect(page.locator("#faults [data-fault=redis-kill]")).to_be_attached()
    return page


def test_strategies_are_compared_and_the_newest_comparison_stands_without_script(open_page: Open) -> None:
    page = open_lab(open_page, "Strategies side by side")
    form = page.locator("#compare")
    form.get_by_label("Buyers").fill("80")
    form.get_by_label("Seats", exact=True).fill("6")
    form.get_by_role("button").click()
    expect(page.locator("#compared a")).to_be_visible(timeout=LONG_MS)
    rows = page.locator("#strategies tbody tr")
    expect(rows).to_have_count(STRATEGIES)
    for row in rows.all():
        [sold_twice, left_over] = [row.locator(f'[data-label="{name}"]') for name in ("Sold twice", "Left over")]
        is_broken = {sold_twice.text_content(), left_over.text_content()} != {"0"}
        expect(row.locator("verdict-mark")).to_have_text("Broke" if is_broken else "Holds")
        for cell in (sold_twice, left_over):
            assert (cell.get_attribute("data-bad") == "broke") == (cell.text_content() != "0")
    for name in ("two_layers", "two_layers_flushed"):
        expect(page.locator(f'[data-strategy="{name}"] verdict-mark')).to_have_text("Holds")
    without_script = open_page("/frontrow", java_script_enabled=False).page
    expect(without_script.locator("#strategies tbody tr")).to_have_count(STRATEGIES)
    expect(without_script.locator("#compared")).to_contain_text("80 buyers for 6 seats")


def test_bad_figures_are_marked_by_shape_word_and_colour(open_page: Open) -> None:
    page = open_lab(open_page, "Strategies side by side")
    figures = {"p50_ms": 1.0, "p90_ms": 1.0, "p99_ms": 1.0, "max_ms": 1.0}
    strategy = {"name": "naive", "title": "Read, then write", "idea": "x", "winners": figures, "losers": figures}
    counts = {"oversold": 7, "undersold": 0, "payments_wasted": 3, "deadlocks": 0, "statements_per_sale": 2.5}
    terms = {"comparison_id": "c", "buyers": 5, "seats": 1, "party": 1, "payment_ms": 1, "seed": 1}
    document = {**terms, "state": "done", "strategies": [strategy | counts]}
    page.route("**/api/frontrow/comparisons", lambda route: route.fulfill(status=202, json=document))
    body = f"event: comparison\ndata: {json.dumps(document)}\n\n"
    headers = {"content-type": "text/event-stream"}
    page.route("**/comparisons/c/events", lambda route: route.fulfill(status=200, headers=headers, body=body))
    page.locator("#compare").get_by_role("button").click()
    row = page.locator('[data-strategy="naive"]')
    expect(row.locator("verdict-mark")).to_have_text("Broke")
    expect(row.locator('[data-label="Sold twice"]')).to_have_attribute("data-bad", "broke")
    expect(row.locator('[data-label="Paid in vain"]')).to_have_attribute("data-bad", "costs")
    shape = row.locator('[data-label="Sold twice"]').evaluate("cell => getComputedStyle(cell, '::before').content")
    assert "✕" in shape


def smaller(route: Route) -> None:
    """The same fault in a stampede that takes no time."""
    body = route.request.post_data_json | {"buyers": 400, "seats": 40}
    route.continue_(post_data=json.dumps(body))


def test_fault_strikes_a_live_stampede_and_everything_is_counted_after(open_page: Open) -> None:
    page = open_lab(open_page, "Break something")
    page.route("**/api/frontrow/chaos", lambda route: smaller(route) if route.request.method == "POST" else None)
    page.locator("[data-fault=clients-leave]").click()
    result = page.locator("#chaos-result")
    expect(result).to_be_visible(timeout=LONG_MS)
    expect(result.locator(".verdict-line verdict-mark")).to_have_text("Holds")
    expect(result.locator(".judged verdict-mark")).to_have_text(["Holds", "Holds"])
    figures = dict(zip(result.locator("dt").all_text_contents(), result.locator("dd").all_text_contents(), strict=True))
    assert (figures["sold twice"], figures["left over"]) == ("0", "0")
    expect(page.locator("#chaos-timeline .course-label")).to_contain_text("clients-leave at")
    result.get_by_role("link", name="its page").click()
    page.wait_for_url("**/frontrow/runs/*")
    expect(page.locator("run-timeline .course-label")).to_contain_text("clients-leave at")
    expect(page.locator(".struck figcaption")).to_contain_text("clients-leave struck")


def test_servers_that_the_host_did_not_start_are_left_alone_and_that_is_told(open_page: Open) -> None:
    page = open_lab(open_page, "Break something", allowed=("status of 409",))
    page.locator("[data-fault=redis-kill]").click()
    expect(page.locator("#chaos-phase")).to_contain_text("did not start these servers")
    expect(page.locator("[data-fault=redis-kill]")).to_be_enabled()
    expect(page.locator("#chaos-result")).to_be_hidden()


def test_invariants_are_counted_now_and_say_when(open_page: Open) -> None:
    page = open_lab(open_page, "invariants")
    page.get_by_role("button", name="Count now").click()
    expect(page.locator("#audit-words")).to_contain_text("(request)")
    expect(page.locator("#audit-verdict")).to_have_text("Holds")
    marks = page.locator("#audit-list verdict-mark")
    expect(marks.first).to_have_text("Holds")
    assert set(marks.all_text_contents()) == {"Holds"}
    without_script = open_page("/frontrow", java_script_enabled=False).page
    expect(without_script.locator("#audit-list li")).not_to_have_count(0)


def test_link_leads_to_a_tab(open_page: Open) -> None:
    page = open_page("/frontrow#invariants").page
    page.locator("#lab").scroll_into_view_if_needed()
    expect(page.get_by_role("tab", name="invariants")).to_have_attribute("aria-selected", "true")


def test_what_is_on_sale_leads_to_its_box_office(open_page: Open) -> None:
    page = open_page("/frontrow").page
    page.get_by_role("link", name="Opening night").click()
    page.wait_for_url("**/frontrow/events/*")
    expect(page.locator("h1")).to_have_text("Opening night")


def test_lab_fits_a_phone(open_page: Open) -> None:
    page = open_lab(open_page, "Strategies side by side", width=360, height=740)
    for tab in ("Break something", "invariants", "Strategies side by side"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
