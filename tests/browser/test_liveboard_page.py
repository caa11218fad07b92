"""The board as visitors see it: two draw and come to one digest, a reload keeps it, faults do no lasting harm."""

import re

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Open
from tests.browser.liveboard import BOARD, draw, enter, expect_revision, picture

pytestmark = pytest.mark.browser


def test_two_draw_and_both_show_one_digest(open_page: Open) -> None:
    one, other = enter(open_page, "two"), enter(open_page, "two")
    draw(one, (300, 300), (400, 350))
    draw(other, (500, 500), (560, 420), (600, 520))

    digests = {expect_revision(page, 2) for page in (one, other)}

    assert len(digests) == 1
    expect(one.locator("[data-light=saved]")).to_have_text("1")
    assert picture(one) == picture(other)
    one.get_by_role("button", name="Proof").click()
    expect(one.locator("#verdict")).to_have_attribute("data-verdict", "holds")
    expect(one.locator("#digests [data-match=same]")).to_have_count(2)


def test_reload_keeps_the_picture(open_page: Open) -> None:
    page = enter(open_page, "kept")
    empty = picture(page)
    draw(page, (300, 300), (400, 350))
    digest = expect_revision(page, 1)
    drawn = picture(page)
    assert drawn != empty

    page.reload()

    assert expect_revision(page, 1) == digest
    assert picture(page) == drawn


def test_undo_and_redo_are_ones_own(open_page: Open) -> None:
    page, other = enter(open_page, "undo"), enter(open_page, "undo")
    empty = picture(page)
    draw(page, (300, 300), (400, 350))
    expect_revision(page, 1)
    drawn = picture(page)
    expect(other.get_by_role("button", name="Undo")).to_be_disabled()

    page.keyboard.press("Control+z")
    expect_revision(page, 2)
    assert picture(page) == empty
    page.get_by_role("button", name="Redo").click()
    expect_revision(page, 3)
    assert picture(page) == drawn

    other.get_by_role("button", name="Eraser").click()
    draw(other, (320, 340), (360, 300))
    expect_revision(page, 4)
    assert picture(page) == empty


def test_cut_off_one_draws_on_and_comes_back_to_the_same_digest(open_page: Open) -> None:
    page, other = enter(open_page, "cut"), enter(open_page, "cut")
    page.get_by_role("button", name="Proof").click()
    page.get_by_role("button", name=re.compile("^Cut off")).click()
    expect(page.locator(BOARD)).to_have_attribute("data-state", "offline")
    draw(page, (300, 300), (400, 350))
    draw(other, (500, 500), (560, 420))
    expect_revision(other, 1)
    expect(page.locator("[data-light=local]")).to_have_text("1")
    expect_revision(page, 0)

    page.get_by_role("button", name="Heal all").click()

    assert expect_revision(page, 2) == expect_revision(other, 2)


def test_shuffled_repeated_and_late_arrivals_come_to_the_same_digest(open_page: Open) -> None:
    page, other = enter(open_page, "shuffle"), enter(open_page, "shuffle")
    page.get_by_role("button", name="Proof").click()
    for fault in ("Shuffle", "Duplicate"):
        page.get_by_role("button", name=re.compile(f"^{fault}")).click()
    for at in range(4):
        draw(other, (300, 200 + 50 * at), (420, 220 + 50 * at))
    digest = expect_revision(other, 4)

    assert expect_revision(page, 4) == digest
    assert picture(page) == picture(other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_tools(open_page: Open, scheme: str) -> None:
    page = enter(open_page, "phone", width=360, height=740, color_scheme=scheme, reduced_motion="reduce")
    for opener, names in (
        (None, ("Select", "Pen", "Eraser", "Text", "Sticky note", "Undo", "Redo", "Menu", "Share", "Proof")),
        ("More tools", ("Move the board", "Highlighter", "Arrow", "Line", "Ellipse", "Image", "Laser pointer")),
        ("Colour and width", ("Blue", "Pink", "Broad")),
    ):
        if opener:
            page.get_by_role("button", name=opener).click()
        for name in names:
            expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_plugin_that_is_off_is_said_so_and_comes_back(open_page: Open) -> None:
    page = open_page("/-/plugins", allowed=("503",)).page
    is_off = True

    def socket(route: WebSocketRoute) -> None:
        if is_off:
            route.close()
        else:
            route.connect_to_server()

    page.route_web_socket(re.compile("/socket$"), socket)
    page.route("**/api/liveboard/figures", lambda route: route.fulfill(status=503, body="{}"))
    page.goto("/liveboard/off")
    expect(page.locator(BOARD)).to_have_attribute("data-state", "off")
    expect(page.get_by_role("alert")).to_contain_text("Liveboard is not running on this host just now.")

    is_off = False
    page.get_by_role("button", name="Try again").click()

    expect(page.locator(BOARD)).to_have_attribute("data-state", "live")
    expect(page.get_by_role("alert")).to_be_hidden()
