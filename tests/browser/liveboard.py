"""What the tests of the board's page share: coming in, drawing, and waiting for what shows."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open

BOARD = ".board"


def enter(open_page: Open, room: str, **options: object) -> Page:
    page = open_page(f"/liveboard/{room}", **options).page
    expect(page.locator(BOARD)).to_have_attribute("data-state", "live")
    return page


def draw(page: Page, *points: tuple[int, int]) -> None:
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def expect_revision(page: Page, revision: int) -> str:
    """The digest of the page, once it stands at that revision."""
    expect(page.locator(BOARD)).to_have_attribute("data-rev", str(revision))
    return page.locator(BOARD).get_attribute("data-digest") or ""


def picture(page: Page) -> str:
    """The pixels of the board, once they show all of it."""
    page.wait_for_function(
        "() => (({ painted, digest }) => painted === digest)(document.querySelector('.board').dataset)"
    )
    return str(page.evaluate("document.getElementById('marks').toDataURL()"))


def other_picture(page: Page, before: str) -> str:
    """The pixels once they are others than before: what a wheel or a finger does comes when the browser sends it."""
    page.wait_for_function("(before) => document.getElementById('marks').toDataURL() !== before", arg=before)
    return picture(page)


def choose(page: Page, command: str) -> None:
    """A command of the menu."""
    page.get_by_role("button", name="Menu").click()
    page.locator(f".menu [data-command={command}]").click()
