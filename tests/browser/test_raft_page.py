"""The raft lab as a visitor sees it: the ring goes live, the leader is killed, the network is cut, a key is written."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from host.testing import host_process
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def host_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host with the raft lab alone."""
    with host_process({"raft": {}}, data_dir=tmp_path_factory.mktemp("host")) as host:
        yield host.url


def live(open_page: Open, **options: object) -> Page:
    page = open_page("/raft-lab", **options).page
    expect(page.locator("#phase")).to_have_text("Live.")
    expect(page.locator("#f-leader .live-value")).to_have_text(re.compile(r"^n\d$"))
    return page


def term(page: Page) -> int:
    return int(page.locator("#f-term .live-value").inner_text())


def press(page: Page, bar: str, label: str) -> None:
    group = page.get_by_role("group", name=bar)
    group.get_by_role("button", name=re.compile(f"^{re.escape(label)}")).click()
    expect(group.get_by_role("status")).to_have_text(f"{label}: done.")


def test_the_page_is_useful_before_its_script_runs(open_page: Open) -> None:
    page = open_page("/raft-lab", java_script_enabled=False).page

    expect(page.locator("#nodes tr")).to_have_count(5)
    expect(page.locator("#topologies li")).to_have_count(6)
    expect(page.locator("#invariants li")).to_have_count(9)


def test_another_leads_on_a_higher_term_after_the_leader_was_killed(open_page: Open) -> None:
    page = live(open_page)
    before = term(page)

    page.get_by_role("button", name="Kill the leader").click()

    expect(page.locator("[data-outcome] verdict-mark")).to_have_attribute("verdict", "holds")
    expect(page.locator("[data-sentence]")).to_have_text(re.compile(r"n\d took over from n\d in .* 0 of \d+ acknow"))
    expect(page.locator("#nodes tr[data-state=up][data-role=leader]")).to_have_count(1)
    assert term(page) > before
    expect(page.get_by_role("log", name="What happened")).to_contain_text("was killed")
    expect(page.locator("#logs td.entry").first).to_be_visible()


def test_a_dead_node_and_a_cut_network_are_shown_and_healed(open_page: Open) -> None:
    page = live(open_page)
    expect(page.locator("#links")).to_have_text("All links pass.")

    page.locator("#targets label", has_text="n2").click()
    press(page, "Break a node", "Kill")
    expect(page.locator("#nodes tr").nth(1)).to_have_attribute("data-state", "down")
    expect(page.locator(".ring-node").nth(1)).to_have_attribute("data-state", "down")

    press(page, "Break the network", "Split 1 2 | 3 4 5")
    expect(page.locator("#links")).to_contain_text("1–3 cut")
    expect(page.locator(".ring-lines .link-cut")).to_have_count(6)

    press(page, "Break the network", "Heal all")
    expect(page.locator("#links")).to_have_text("All links pass.")
    expect(page.locator("#nodes tr").nth(1)).to_have_attribute("data-state", "up")


def test_a_key_is_written_and_read_by_the_keyboard_alone(open_page: Open) -> None:
    page = live(open_page)
    expect(page.get_by_role("button", name="Set")).to_be_enabled()

    page.get_by_label("Key").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("alone")
    page.keyboard.press("Enter")

    expect(page.locator("#kv")).to_contain_text("alone")
    expect(page.get_by_role("button", name="Set")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#kv-said")).to_contain_text("alone")


def test_the_last_seconds_are_exported_after_a_replay(open_page: Open) -> None:
    page = live(open_page)

    page.get_by_role("button", name="Export the last 30 s").click()

    expect(page.locator("#exported")).to_contain_text("The replay came to the same hash")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the recording").click()
    assert download.value.path().stat().st_size > 0

    page.get_by_role("link", name="watch it here").click()
    expect(page.locator("#phase")).to_have_text("A recording.")
    expect(page.locator("#replay-where")).to_have_text(re.compile(r"^0\.00 of "))
    page.get_by_role("slider").press("End")
    expect(page.locator("#replay-where")).to_have_text(re.compile(r"step (\d+) of \1$"))
    expect(page.locator("#nodes tr")).to_have_count(5)


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_it_fits_without_scrolling_sideways(open_page: Open, width: int) -> None:
    page = live(open_page, width=width, reduced_motion="reduce")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator(".flight")).to_have_count(0)
