"""What one does on the board: each tool, selecting, moving, restyling, words, images, files, and looking around."""

import base64
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.liveboard import BOARD, choose, draw, enter, expect_revision, other_picture, picture

pytestmark = pytest.mark.browser

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg=="
)


def paste(page: Page, name: str, data: bytes, kind: str) -> None:
    """A file comes out of the clipboard."""
    page.evaluate(
        """([name, data, type]) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], name, { type }));
          dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
        }""",
        [name, base64.b64encode(data).decode(), kind],
    )


def listed(page: Page) -> list[str]:
    """The board in words, the latest first."""
    choose(page, "listing")
    expect(page.locator("#listing")).to_be_visible()
    items = page.locator("#listing-items button span:first-child").all_inner_texts()
    page.locator("#listing [data-close]").click()
    return items


def test_every_tool_leaves_its_mark_and_others_see_the_same(open_page: Open) -> None:
    page, other = enter(open_page, "tools"), enter(open_page, "tools")
    for at, key in enumerate("pmlaro"):
        page.keyboard.press(key)
        draw(page, (300, 150 + 60 * at), (380, 190 + 60 * at))
    page.keyboard.press("n")
    page.mouse.click(700, 300)
    page.keyboard.type("two\nlines")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.mouse.click(600, 600)
    page.keyboard.type("words")
    page.keyboard.press("Control+Enter")

    digest = expect_revision(page, 8)

    assert expect_revision(other, 8) == digest
    assert picture(other) == picture(page)
    assert [re.sub(r"^(black|orange) ", "", words) for words in listed(other)] == [
        "text “words”",
        "note “two lines”",
        "ellipse",
        "rectangle",
        "arrow",
        "line",
        "highlighter stroke",
        "pen stroke",
    ]


def test_what_is_selected_is_moved_restyled_doubled_and_deleted_and_each_step_undone(open_page: Open) -> None:
    page, late = enter(open_page, "select"), None
    page.keyboard.press("r")
    draw(page, (300, 300), (400, 380))
    draw(page, (360, 300), (460, 340))
    expect_revision(page, 2)
    drawn = [picture(page)]
    page.keyboard.press("7")
    for revision, key in ((3, ""), (4, "Control+d"), (5, "Delete")):
        if key:
            page.keyboard.press(key)
        expect_revision(page, revision)
        drawn.append(picture(page))
    assert len(set(drawn)) == 4 - 1
    late = enter(open_page, "select")
    assert picture(late) == picture(page)

    for revision, before in ((6, drawn[2]), (7, drawn[1]), (8, drawn[0])):
        page.keyboard.press("Control+z")
        expect_revision(page, revision)
        assert picture(page) == before
    for revision, after in ((9, drawn[1]), (10, drawn[2])):
        page.keyboard.press("Control+Shift+z")
        expect_revision(page, revision)
        assert picture(page) == after


def test_box_selects_many_and_they_move_together(open_page: Open) -> None:
    page = enter(open_page, "box")
    page.keyboard.press("l")
    draw(page, (300, 300), (360, 300))
    page.keyboard.press("l")
    draw(page, (300, 340), (360, 340))
    expect_revision(page, 2)
    page.keyboard.press("Escape")
    draw(page, (280, 280), (400, 360))
    expect(page.locator("#selected-count")).to_have_text("2 selected")
    before = picture(page)

    draw(page, (330, 300), (430, 350))

    expect_revision(page, 3)
    assert picture(page) != before
    page.keyboard.press("ArrowRight")
    expect_revision(page, 4)
    page.keyboard.down("Alt")
    draw(page, (430, 350), (500, 450))
    page.keyboard.up("Alt")
    expect_revision(page, 6)
    assert len(listed(page)) == 4


def test_a_corner_makes_it_larger_as_one_step(open_page: Open) -> None:
    page = enter(open_page, "corner")
    page.keyboard.press("r")
    draw(page, (300, 300), (400, 380))
    expect_revision(page, 1)
    small = picture(page)
    draw(page, (407, 387), (487, 467))
    expect_revision(page, 3)
    assert picture(page) != small
    assert listed(page) == ["black rectangle"]
    page.keyboard.press("Control+z")
    expect_revision(page, 4)
    assert picture(page) == small


def test_words_are_edited_in_place(open_page: Open) -> None:
    page = enter(open_page, "words")
    page.keyboard.press("n")
    page.mouse.click(600, 300)
    page.keyboard.type("first")
    page.keyboard.press("Escape")
    expect_revision(page, 1)

    page.mouse.dblclick(560, 240)
    page.keyboard.press("End")
    page.keyboard.type(" <b>&")
    page.keyboard.press("Escape")

    expect_revision(page, 3)
    assert listed(page) == ["note “first <b>&”"]
    page.keyboard.press("Control+z")
    expect_revision(page, 4)
    assert listed(page) == ["note “first”"]


def test_eraser_takes_parts_of_a_stroke_and_two_add_up(open_page: Open) -> None:
    page, other = enter(open_page, "rub"), enter(open_page, "rub")
    draw(page, (300, 300), (500, 300))
    expect_revision(other, 1)
    whole = picture(other)
    for each, left in ((page, 360), (other, 440)):
        each.keyboard.press("e")
        each.get_by_role("button", name="Parts").click()
        draw(each, (left, 270), (left, 330))

    expect_revision(page, 3)
    expect_revision(other, 3)
    assert picture(page) == picture(other) != whole
    assert len(listed(page)) == 1


def test_clear_is_causal_and_undone_by_its_author(open_page: Open) -> None:
    page = enter(open_page, "clear")
    empty = picture(page)
    draw(page, (300, 300), (400, 350))
    expect_revision(page, 1)
    drawn = picture(page)
    choose(page, "clear")
    expect_revision(page, 2)
    assert picture(page) == empty
    page.keyboard.press("Control+z")
    expect_revision(page, 3)
    assert picture(page) == drawn


def test_pasted_image_is_kept_by_its_hash_and_shows_for_those_who_come_later(open_page: Open) -> None:
    page = enter(open_page, "image")
    empty = picture(page)
    paste(page, "two.png", PNG, "image/png")
    expect_revision(page, 1)
    expect(page.locator("#selected-count")).to_have_text("One selected")
    shown = picture(page)
    assert shown != empty
    late = enter(open_page, "image")
    expect_revision(late, 1)
    assert picture(late) == shown
    paste(page, "none.png", b"no image", "image/png")
    expect(page.locator("#say")).to_have_text("This is no image that the browser can read.")


def test_board_saved_as_json_opens_as_the_same_picture(open_page: Open, tmp_path: Path) -> None:
    page = enter(open_page, "saved")
    draw(page, (300, 300), (400, 350))
    page.keyboard.press("r")
    draw(page, (450, 300), (520, 380))
    expect_revision(page, 2)
    files = {}
    for kind in ("json", "svg", "png"):
        page.keyboard.press("Escape")
        with page.expect_download() as download:
            choose(page, f"save-{kind}")
        files[kind] = tmp_path / f"board.{kind}"
        download.value.save_as(files[kind])
    assert len(json.loads(files["json"].read_text())["marks"]) == 2
    assert files["svg"].read_text().count("<path") == 2
    assert files["png"].read_bytes().startswith(b"\x89PNG")

    other = enter(open_page, "opened")
    with other.expect_file_chooser() as chooser:
        other.keyboard.press("Control+o")
    chooser.value.set_files(files["json"])

    expect_revision(other, 2)
    for each in (page, other):
        each.keyboard.press("Escape")
        each.keyboard.press("Shift+Digit1")
    assert picture(other) == picture(page)


def test_excalidraw_freehand_opens(open_page: Open, tmp_path: Path) -> None:
    page = enter(open_page, "excalidraw")
    free = {"type": "freedraw", "x": 10, "y": 20, "points": [[0, 0], [30, 10], [60, 0]], "strokeColor": "#e03131"}
    file = tmp_path / "drawing.excalidraw"
    file.write_text(json.dumps({"type": "excalidraw", "version": 2, "elements": [{**free, "strokeWidth": 2}]}))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Control+o")
    chooser.value.set_files(file)
    expect_revision(page, 1)
    assert listed(page) == ["red pen stroke"]
    (tmp_path / "other.json").write_text("{}")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Control+o")
    chooser.value.set_files(tmp_path / "other.json")
    expect(page.locator("#say")).to_contain_text("neither an exported board nor an .excalidraw file")


def test_wheel_moves_pinch_zooms_and_space_drags(open_page: Open) -> None:
    page = enter(open_page, "look")
    draw(page, (600, 400), (700, 430))
    expect_revision(page, 1)
    looks = [picture(page)]
    page.mouse.wheel(0, 120)
    looks.append(other_picture(page, looks[-1]))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -60)
    page.keyboard.up("Control")
    looks.append(other_picture(page, looks[-1]))
    expect(page.locator("#zoom-reset")).not_to_have_text("100%")
    page.keyboard.down(" ")
    draw(page, (500, 500), (560, 540))
    page.keyboard.up(" ")
    looks.append(other_picture(page, looks[-1]))
    assert len(set(looks)) == 4
    page.keyboard.press("0")
    assert other_picture(page, looks[-1]) == looks[0]
    expect_revision(page, 1)


def test_one_finger_draws_and_two_move(open_page: Open) -> None:
    page = enter(open_page, "touch", width=360, height=740, has_touch=True)
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        where = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    touch("touchStart", (100, 300))
    touch("touchMove", (200, 340))
    touch("touchEnd")
    expect_revision(page, 1)
    touch("touchStart", (100, 300))
    touch("touchStart", (100, 300), (250, 300))
    touch("touchMove", (60, 300), (290, 300))
    touch("touchEnd")
    expect(page.locator("#zoom-reset")).not_to_have_text("100%")
    expect_revision(page, 1)


def test_once_a_pen_was_used_fingers_only_move_the_board(open_page: Open) -> None:
    page = enter(open_page, "pen", has_touch=True)
    device = page.context.new_cdp_session(page)

    def pen(kind: str, x: int, force: float) -> None:
        about = {"type": kind, "x": x, "y": 300 + x // 10, "button": "left", "buttons": 1, "pointerType": "pen"}
        device.send("Input.dispatchMouseEvent", {**about, "force": force})

    pen("mousePressed", 300, 0.2)
    for step in range(1, 9):
        pen("mouseMoved", 300 + 20 * step, 0.2 + 0.1 * step)
    pen("mouseReleased", 460, 0)
    expect_revision(page, 1)
    drawn = picture(page)
    device.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 400, "y": 400}]})
    device.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": 500, "y": 450}]})
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    moved = other_picture(page, drawn)
    page.keyboard.press("0")
    assert other_picture(page, moved) == drawn
    expect_revision(page, 1)


def test_followed_person_is_seen_and_a_move_of_ones_own_ends_it(open_page: Open) -> None:
    page, other = enter(open_page, "follow"), enter(open_page, "follow")
    other.mouse.move(600, 400)
    other.keyboard.press("+")
    page.get_by_role("button", name=re.compile("see what they see")).click()
    expect(page.locator("#follow")).to_be_visible()
    other.keyboard.press("+")
    expect(page.locator("#zoom-reset")).to_have_text("156%")
    page.mouse.move(600, 400)
    page.mouse.wheel(0, 40)
    expect(page.locator("#follow")).to_be_hidden()


def test_history_shows_the_board_as_it_was_with_the_digest_it_had(open_page: Open) -> None:
    page = enter(open_page, "history")
    shown, digests = [picture(page)], ["0" * 64]
    for at in range(3):
        draw(page, (300, 250 + 60 * at), (400, 280 + 60 * at))
        digests.append(expect_revision(page, at + 1))
        shown.append(picture(page))
    choose(page, "travel")
    for revision in (1, 3, 0, 2):
        page.locator("#travel-rev").fill(str(revision))
        expect(page.locator("#travel-at")).to_have_text(str(revision))
        expect(page.locator("#travel-digest")).to_have_attribute("title", digests[revision])
        expect(page.locator("#travel-verdict")).to_have_attribute("verdict", "holds")
    draw(page, (500, 500), (560, 520))
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Back to now").click()
    expect_revision(page, 3)
    page.keyboard.press("0")
    assert picture(page) == shown[3]
    expect(page.locator(BOARD)).not_to_have_attribute("data-travel", "on")
