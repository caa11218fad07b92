"""Who may enter a board and what they may do there, what outlives a page, and the proof that one can take home."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.liveboard import BOARD, choose, draw, enter, expect_revision, picture

pytestmark = pytest.mark.browser


def make_room(host_url: str, **wish: object) -> Any:
    return httpx.post(f"{host_url}/api/liveboard/rooms", json=wish).raise_for_status().json()


def test_view_link_shows_the_board_and_changes_nothing(open_page: Open, host_url: str) -> None:
    room = make_room(host_url, title="Plans")
    author = open_page(room["edit_url"]).page
    draw(author, (300, 300), (400, 350))
    expect_revision(author, 1)
    viewer = open_page(room["view_url"]).page
    expect(viewer.locator("#state")).to_have_text("View only")
    expect(viewer.locator("#title")).to_have_text("Plans")
    expect(viewer.get_by_role("button", name="Pen", exact=True)).to_be_hidden()
    assert picture(viewer) == picture(author)
    for page, links in ((author, 2), (viewer, 1)):
        page.get_by_role("button", name="Share").click()
        expect(page.locator("#sharing-links input")).to_have_count(links)
        page.keyboard.press("Escape")
    expect(author.locator("#sharing-links input").last).to_have_value(re.compile(re.escape(room["view_url"]) + "$"))

    viewer.keyboard.press("p")
    draw(viewer, (500, 300), (600, 350))
    viewer.keyboard.press("Control+a")
    viewer.keyboard.press("Delete")

    draw(author, (300, 400), (400, 450))
    expect_revision(viewer, 2)
    expect(viewer.locator("[data-light=local]")).to_have_text("0")
    assert open_page(f"/liveboard/{room['room']}").page.locator("#trouble").inner_text() != ""


def test_password_is_asked_for_until_it_is_right_and_kept_for_the_tab(open_page: Open, host_url: str) -> None:
    room = make_room(host_url, password="sesame")
    page = open_page(room["edit_url"], allowed=("403",)).page
    for word, answer in (("open", "That was not it."), ("sesame", None)):
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_label("Password", exact=True).fill(word)
        page.get_by_role("button", name="Enter").click()
        if answer:
            expect(page.locator("#password-note")).to_have_text(answer)
    expect(page.locator(BOARD)).to_have_attribute("data-state", "live")
    draw(page, (300, 300), (400, 350))
    expect_revision(page, 1)
    page.reload()
    expect_revision(page, 1)
    page.get_by_role("button", name="Proof").click()
    expect(page.locator("#verdict")).to_have_attribute("data-verdict", "holds")


def test_board_is_made_and_listed(open_page: Open) -> None:
    page = enter(open_page, "front")
    choose(page, "rooms")
    page.get_by_label("Name", exact=True).fill("For everybody")
    page.get_by_label("Anybody: it is listed below").check()
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#title")).to_have_text("For everybody")
    choose(page, "rooms")
    expect(page.locator("#room-list")).to_contain_text("For everybody")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_label("To draw", exact=True)).to_have_value(re.compile(r"/liveboard/[a-z0-9-]+#key="))
    expect(page.get_by_label("To look only")).to_have_value(re.compile(r"/liveboard/[a-z0-9-]+#key="))


def test_what_others_drew_is_theirs_where_the_room_says_so(open_page: Open, host_url: str) -> None:
    room = make_room(host_url, others=False)
    author, other = (open_page(room["edit_url"]).page for _ in range(2))
    draw(author, (300, 300), (400, 350))
    expect_revision(other, 1)
    shown = picture(other)
    other.keyboard.press("e")
    draw(other, (350, 270), (350, 380))
    expect(other.locator("#say")).to_have_text("In this room nobody changes what others drew.")
    assert picture(other) == shown
    author.keyboard.press("e")
    draw(author, (350, 270), (350, 380))
    expect_revision(other, 2)
    assert picture(other) != shown


def test_what_was_drawn_offline_is_there_after_a_reload_and_is_sent(open_page: Open) -> None:
    page, other = enter(open_page, "offline"), enter(open_page, "offline")
    page.get_by_role("button", name="Proof").click()
    page.get_by_role("button", name=re.compile("^Cut off")).click()
    page.get_by_role("button", name="Close").click()
    draw(page, (300, 300), (400, 350))
    draw(page, (300, 400), (400, 450))
    expect(page.locator("[data-light=local]")).to_have_text("2")
    expect(page.locator("#trouble")).to_contain_text("Cut off by you")
    drawn = picture(page)

    page.reload()

    expect_revision(page, 2)
    expect_revision(other, 2)
    assert picture(page) == picture(other) == drawn


def test_what_a_closed_tab_left_unsent_is_sent_by_the_one_beside_it(open_page: Open) -> None:
    page = enter(open_page, "tabs")
    beside = page.context.new_page()
    beside.goto("/liveboard/tabs")
    expect(beside.locator(BOARD)).to_have_attribute("data-state", "live")
    beside.get_by_role("button", name="Proof").click()
    beside.get_by_role("button", name=re.compile("^Cut off")).click()
    beside.get_by_role("button", name="Close").click()
    draw(beside, (300, 300), (400, 350))
    drawn = picture(beside)
    draw(page, (500, 500), (560, 520))
    expect_revision(page, 1)
    assert picture(page) != drawn

    beside.close()

    expect_revision(page, 2)
    expect(page.locator("[data-light=saved]")).to_have_text("2")


def test_reload_in_the_middle_of_a_stroke_keeps_what_was_drawn_of_it(open_page: Open) -> None:
    page, other = enter(open_page, "middle"), enter(open_page, "middle")
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(420, 330, steps=5)
    page.reload()
    expect_revision(page, 1)
    expect_revision(other, 1)
    assert picture(page) == picture(other)


def test_board_is_listed_in_words_and_what_others_do_is_said(open_page: Open) -> None:
    page, other = enter(open_page, "listed"), enter(open_page, "listed")
    choose(page, "listing")
    expect(page.locator("#listing-count")).to_have_text("Nothing is on the board.")
    other.keyboard.press("r")
    draw(other, (300, 300), (400, 350))
    expect(page.locator("#listing-items button")).to_have_text(re.compile("^black rectangleGuest"))
    expect(page.locator("#news")).to_have_text(re.compile(r"^Guest \d+: black rectangle\.$"))
    page.locator("#listing-items button").click()
    expect(page.locator("#selected-count")).to_have_text("One selected")


def test_both_sides_draw_through_a_break_and_meet_again(open_page: Open) -> None:
    # A connection that is cut while it is made says so in the console.
    page = open_page("/liveboard/both?seed=7", allowed=("WebSocket is closed before",)).page
    expect(page.locator(BOARD)).to_have_attribute("data-state", "live")
    page.get_by_role("button", name="Proof").click()
    expect(page.get_by_label("Seed")).to_have_value("7")
    page.get_by_role("button", name=re.compile("^Cut off")).click()
    page.get_by_role("button", name=re.compile("^Draw on both sides")).click()
    expect(page.locator("[data-light=local]")).to_have_text("20")
    page.get_by_role("button", name="Try again").dispatch_event("click")
    expect_revision(page, 40)
    expect(page.locator("#verdict")).to_have_attribute("data-verdict", "holds")


def test_killed_server_loses_nothing_and_the_page_comes_back(open_page: Open, host_url: str) -> None:
    page = enter(open_page, "kill", allowed=("503", "WebSocket"))
    draw(page, (300, 300), (400, 350))
    digest = expect_revision(page, 1)
    page.get_by_role("button", name="Proof").click()
    note = page.locator("#break-note")
    page.get_by_role("button", name=re.compile("^Kill the server")).click()
    expect(note).to_have_text(re.compile("^Killed"))
    expect(page.locator(BOARD)).not_to_have_attribute("data-state", "live")
    expect(page.locator(BOARD)).to_have_attribute("data-state", "live")
    assert expect_revision(page, 1) == digest
    draw(page, (300, 400), (400, 450))
    expect_revision(page, 2)


def test_certificate_is_checked_here_and_a_forged_one_is_not_taken(open_page: Open, tmp_path: Path) -> None:
    page = enter(open_page, "certificate")
    draw(page, (300, 300), (400, 350))
    expect_revision(page, 1)
    page.get_by_role("button", name="Proof").click()
    page.get_by_role("button", name="Check it here").click()
    note = page.locator("#certificate-note")
    expect(note).to_have_text(re.compile("^It holds: 1 revisions? by 1 sites?.*this page’s"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    certificate = json.loads(download.value.path().read_text())
    certificate["digest"] = "0" * 64
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(certificate))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Check a file").click()
    chooser.value.set_files(forged)
    expect(note).to_have_text(re.compile("^It does not hold"))


def test_keys_are_on_a_sheet_and_letters_in_fields_are_letters(open_page: Open) -> None:
    page = enter(open_page, "keys")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Highlighter")
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    expect(page.locator(BOARD)).to_have_attribute("data-tool", "pen")
    page.get_by_role("button", name="Menu").click()
    page.get_by_label("Your name on this board").fill("Eve")
    page.get_by_role("button", name="Use it").first.click()
    expect(page.locator(BOARD)).to_have_attribute("data-tool", "pen")
    expect(page.get_by_role("button", name="Eve (you)")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("main :is(button, a[href], input, textarea, [role])")]
          .filter((each) => each.checkVisibility() && each.role !== "status" && each.role !== "alert")
          .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.title || each.labels?.length))
          .map((each) => each.outerHTML)"""
    )
    assert nameless == []

    page.locator("#above").focus()
    for key in ("r", "Enter", "ArrowRight", "n", "Enter"):
        page.keyboard.press(key)
    page.keyboard.type("by keys alone")
    page.keyboard.press("Escape")
    expect_revision(page, 3)
    choose(page, "listing")
    expect(page.locator("#listing-items button span:first-child")).to_have_text(
        ["note “by keys alone”", "black rectangle"]
    )
