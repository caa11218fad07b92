"""The deep dives in a real browser: no error on any of them, small, and their demonstrations work in place."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser


def test_a_claim_leads_to_the_line_that_proves_it(open_page: Open) -> None:
    page = open_page("/writing/frontrow-no-double-booking").page
    name = "test_rivals_for_one_seat_at_once_exactly_one_wins"
    page.locator(f'a.cite[href$="#{name}"]').click()
    expect(page.locator(f"li#{name}")).to_be_in_viewport()
    expect(page.locator(f"li#{name}")).to_contain_text(f"def {name}")


def demonstration(open_page: Open, slug: str, demo: str) -> Page:
    """The article, at one of its demonstrations: that is set up once somebody is about to look."""
    page = open_page(f"/writing/{slug}").page
    page.locator(f'[data-demo="{demo}"] h2').scroll_into_view_if_needed()
    return page


def test_demonstrations_run_in_place(open_page: Open) -> None:
    page = demonstration(open_page, "liveboard-realtime-crdt", "shuffle")
    page.get_by_role("button", name="Draw two orders").click()
    expect(page.locator('[data-demo="shuffle"] [data-said]')).to_contain_text("what shows are the same")
    page = demonstration(open_page, "llm-gateway", "cache")
    page.get_by_role("button", name="Ask", exact=True).click()
    rows = page.locator('[data-demo="cache"] tbody tr')
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("miss")
    expect(rows.nth(1)).to_contain_text("hit")
    page = demonstration(open_page, "raft-from-scratch", "rules")
    rule = page.locator("#rules tr", has_text=re.compile("fsync before reply"))
    rule.get_by_role("button").click()
    expect(rule.get_by_role("status")).to_contain_text("is broken")
    page = demonstration(open_page, "frontrow-no-double-booking", "comparison")
    expect(page.locator('[data-demo="comparison"]')).to_have_attribute("data-is", "ready")
    card = page.locator('proof-card[plugin="frontrow"]')
    card.locator("[data-prove]").click()
    expect(card.locator("verdict-mark")).to_have_text("Holds")
    expect(card.locator("[data-outcome]")).to_contain_text("1 booked, 999 rejected, 0 oversold")


def test_a_plugin_killed_from_an_article_comes_back_alone(open_page: Open) -> None:
    page = demonstration(open_page, "trio-host", "crash")
    page.get_by_role("button", name="Kill the board").click()
    said = page.locator('[data-demo="crash"] [data-said]')
    expect(said).to_contain_text("liveboard was back after", timeout=60_000)
    expect(said).to_contain_text("None of the 3 other plugins was restarted.")
