"""The box office as customers use it: map to receipt, by mouse, by keyboard, in a crowd, and when it fails."""

import json
import re
import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Open
from tests.browser.tour import ARENA, THEATRE, event

pytestmark = pytest.mark.browser

ROW = 20


def event_path(url: str, name: str) -> str:
    return f"/frontrow/events/{event(url, name)['id']}"


def new_event(url: str, sample: str = "theatre") -> int:
    body = {"name": "A night of its own", "sample": sample}
    return int(httpx.post(f"{url}/api/frontrow/events", json=body).raise_for_status().json()["id"])


def visit(open_page: Open, path: str, **options: Any) -> Page:
    page = open_page(path, **options).page
    ready(page)
    return page


def ready(page: Page) -> None:
    expect(page.locator("#event")).to_have_attribute("data-ready", "yes")


def free_seats(page: Page, count: int) -> list[int]:
    """The positions of free seats beside each other."""
    path = page.url.replace("/frontrow/", "/api/frontrow/") + "/state"
    letters = httpx.get(path).json()["seats"]
    for first in range(0, len(letters) - ROW, ROW):
        for place in range(ROW - count + 1):
            if set(letters[first + place : first + place + count]) == {"f"}:
                return list(range(first + place, first + place + count))
    raise AssertionError("the theatre is sold out")


def click_seat(page: Page, position: int) -> None:
    spot = page.evaluate("position => document.querySelector('seat-map').spotOf(position)", position)
    page.locator("canvas.house").click(position=spot)


def hold(page: Page, count: int = 2) -> list[int]:
    seats = free_seats(page, count)
    for seat in seats:
        click_seat(page, seat)
    page.get_by_role("button", name=re.compile(rf"^Hold {count} seat")).click()
    expect(page.locator("#countdown")).to_be_visible()
    return seats


def pay(page: Page, card: str) -> None:
    page.locator(f'input[name=card][value="{card}"]').check(force=True)
    page.get_by_role("button", name=re.compile("^Pay ")).click()


def said(page: Page) -> Locator:
    return page.locator("#say")


def test_customer_goes_from_the_map_to_a_receipt_that_is_permanent(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE))
    hold(page, 3)
    expect(page.locator("#held-list li")).to_have_count(4)
    page.reload()
    ready(page)
    expect(page.locator("#countdown")).to_be_visible()
    pay(page, "ok")
    expect(said(page)).to_have_text("Paid and confirmed. The seats are yours.")
    page.get_by_role("link", name="Receipt").click()
    page.wait_for_url("**/frontrow/orders/*")
    expect(page.locator("h1")).to_have_text(THEATRE)
    expect(page.locator(".receipt-state")).to_contain_text("Paid and confirmed.")
    expect(page.locator(".order-steps li span")).to_have_text(
        ["held", "authorised", "claimed", "captured", "confirmed"]
    )
    without_script = open_page(page.url, java_script_enabled=False).page
    expect(without_script.locator(".receipt .basket li")).to_have_count(4)


def test_refused_card_leaves_the_seats_and_another_may_be_tried(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE), allowed=("status of 402",))
    hold(page)
    pay(page, "declined")
    expect(said(page)).to_contain_text("nothing was taken")
    expect(page.locator("#countdown")).to_be_visible()
    pay(page, "twice")
    expect(said(page)).to_contain_text("Paid and confirmed.")


def answer_payment(page: Page, status: int, document: dict[str, Any]) -> None:
    """Let the browser get this answer instead of the host's."""

    def fulfil(route: Route) -> None:
        kind = "application/json" if status < 400 else "application/problem+json"
        route.fulfill(status=status, body=json.dumps(document), headers={"content-type": kind})

    page.route("**/payment", fulfil)


def test_undecided_payment_is_asked_for_again_until_it_is_decided(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE))
    hold(page)
    answer_payment(page, 202, {"state": "held"})
    keys = []
    page.on("request", lambda request: keys.append(request.headers.get("idempotency-key")))
    with page.expect_request("**/payment"):
        pay(page, "ok")
    expect(said(page)).to_contain_text("Not decided yet")
    page.unroute("**/payment")
    expect(said(page)).to_contain_text("Paid and confirmed.")
    assert len({key for key in keys if key}) == 2, "one key for the order, one for all tries of its payment"


def test_lost_connection_while_paying_is_not_told_as_a_failure(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE), allowed=("ERR_FAILED",))
    hold(page)
    page.route("**/payment", lambda route: route.abort())
    pay(page, "ok")
    expect(said(page)).to_contain_text("nobody knows whether it was paid")
    page.unroute("**/payment")
    # A reload in the middle asks with the same key.
    page.reload()
    ready(page)
    expect(said(page)).to_contain_text("Paid and confirmed.")


def test_seats_that_are_gone_are_told_with_what_becomes_of_the_money(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE), allowed=("status of 409",))
    hold(page)
    answer_payment(page, 409, {"type": "seats-gone", "status": 409, "title": "Seats gone", "detail": "gone"})
    pay(page, "ok")
    expect(said(page)).to_contain_text("Your money goes back.")
    page.get_by_role("link", name="What became of the order").click()
    page.wait_for_url("**/frontrow/orders/*")


def test_countdown_that_ends_gives_the_seats_back(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE))

    def shorten(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "ttl_ms": 400})

    page.route("**/api/frontrow/holds", shorten)
    for seat in free_seats(page, 2):
        click_seat(page, seat)
    page.get_by_role("button", name=re.compile("^Hold 2 seats")).click()
    expect(said(page)).to_contain_text("Your time is over")
    expect(page.locator("#countdown")).to_be_hidden()
    expect(page.get_by_role("button", name="Best together")).to_be_visible()


def test_what_one_browser_holds_another_sees_held_and_then_free(open_page: Open, host_url: str) -> None:
    path = event_path(host_url, THEATRE)
    page = visit(open_page, path)
    other = visit(open_page, path)
    other.get_by_text("The same seats as a list").click()
    [seat, _] = hold(page, 2)
    cell = other.locator(f'[data-position="{seat}"]')
    expect(cell).to_have_attribute("data-state", "h")
    # It says that it is disabled, and can be asked all the same.
    cell.click(force=True)
    expect(said(other)).to_contain_text("held by somebody")
    expect(other.locator("#basket li")).to_have_count(0)
    page.get_by_role("button", name="Give back").click()
    expect(said(page)).to_contain_text("Given back")
    expect(cell).to_have_attribute("data-state", "f")


def test_seat_that_somebody_takes_first_leaves_the_choice(open_page: Open, host_url: str) -> None:
    path = event_path(host_url, THEATRE)
    page = visit(open_page, path)
    other = visit(open_page, path)
    [seat] = free_seats(page, 1)
    click_seat(other, seat)
    expect(other.locator("#basket li")).to_have_count(1)
    click_seat(page, seat)
    page.get_by_role("button", name=re.compile("^Hold 1 seat")).click()
    expect(page.locator("#countdown")).to_be_visible()
    expect(said(other)).to_contain_text("Somebody was faster")
    expect(other.locator("#basket li")).to_have_count(0)
    page.get_by_role("button", name="Give back").click()


def test_best_seats_come_together_and_are_shown(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, ARENA))
    expect(page.locator("seat-map")).to_have_attribute("data-level", "sections")
    page.locator("#best [name=count]").fill("3")
    page.locator("#best [name=tier]").select_option("lower")
    page.get_by_role("button", name="Best together").click()
    names = page.locator("#held-list li .basket-name > span")
    expect(names).to_have_count(3)
    places = [re.match(r"(Section \d+, row \d+), seat (\d+)", text) for text in names.all_text_contents()]
    assert len({place[1] for place in places if place}) == 1
    numbers = sorted(int(place[2]) for place in places if place)
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    expect(page.locator("seat-map")).to_have_attribute("data-level", "seats")
    page.get_by_role("button", name="Give back").click()
    expect(page.locator("#hold")).to_be_visible()


def test_places_without_seats_are_held_and_paid(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, ARENA))
    page.locator(".area-form [name=quantity]").fill("4")
    page.get_by_role("button", name="Hold places").click()
    expect(page.locator("#held-list")).to_contain_text("4 × Floor")
    pay(page, "ok")
    expect(said(page)).to_contain_text("Paid and confirmed.")
    page.get_by_role("link", name="Receipt").click()
    expect(page.locator(".receipt .basket")).to_contain_text("4 × Floor")


def test_keyboard_finds_and_chooses_a_seat_by_its_row(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, THEATRE))
    [first, second] = free_seats(page, 2)
    page.get_by_text("The same seats as a list").focus()
    page.keyboard.press("Enter")
    cell = page.get_by_role("gridcell", name=re.compile("^Row A, seat 1,"))
    expect(cell).to_be_visible()
    page.keyboard.press("Tab")
    expect(cell).to_be_focused()
    for _ in range(first // ROW):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    for _ in range(first % ROW):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    for seat in (first, second):
        expect(page.locator(f'[data-position="{seat}"]')).to_have_attribute("aria-selected", "true")
    expect(said(page)).to_contain_text("chosen.")
    expect(page.locator('.seat-grid [tabindex="0"]')).to_have_count(1)
    expect(page.get_by_role("button", name=re.compile("^Hold 2 seats"))).to_be_enabled()


def test_map_zooms_by_buttons_wheel_and_keys_and_finds_home_again(open_page: Open, host_url: str) -> None:
    page = visit(open_page, event_path(host_url, ARENA), reduced_motion="reduce")
    seat_map = page.locator("seat-map")
    canvas = page.locator("canvas.house")
    expect(seat_map).to_have_attribute("data-home", "")
    for zoom in (
        lambda: [page.get_by_role("button", name="Zoom in").click() for _ in range(6)],
        lambda: [canvas.press("+") for _ in range(6)],
        lambda: (canvas.hover(), [page.mouse.wheel(0, -400) for _ in range(4)]),
    ):
        zoom()
        expect(seat_map).to_have_attribute("data-level", "seats")
        canvas.press("0")
        expect(seat_map).to_have_attribute("data-home", "")
        expect(seat_map).to_have_attribute("data-level", "sections")


@pytest.mark.parametrize("name", [THEATRE, ARENA])
def test_box_office_fits_a_phone(open_page: Open, host_url: str, name: str) -> None:
    page = visit(open_page, event_path(host_url, name), width=360, height=740, has_touch=True, is_mobile=True)
    page.get_by_text("The same seats as a list").click()
    page.locator("#best [name=count]").fill("2")
    page.get_by_role("button", name="Best together").click()
    expect(page.locator("#countdown")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Give back").click()
    expect(said(page)).to_contain_text("Given back")


def make_room(url: str, event_id: int, **room: float) -> None:
    httpx.put(f"{url}/api/frontrow/events/{event_id}/queue", json=room).raise_for_status()


def test_waiting_room_keeps_a_place_over_a_reload_and_lets_in_when_it_is_ones_turn(
    open_page: Open, host_url: str
) -> None:
    event_id = new_event(host_url)
    make_room(host_url, event_id, opens_at=time.time() - 5, at_once=0, per_s=0)
    queue = f"{host_url}/api/frontrow/events/{event_id}/queue"
    first = httpx.post(queue, json={"buyer": "early"}).raise_for_status().json()
    assert first["place"] == 1
    page = visit(open_page, f"/frontrow/events/{event_id}")
    expect(page.locator("#hold")).to_be_hidden()
    page.get_by_role("button", name="Take a place").click()
    expect(page.locator(".room-place")).to_have_text("1 before you")
    page.reload()
    ready(page)
    expect(page.locator(".room-place")).to_have_text("1 before you")
    httpx.patch(queue, json={"per_s": 1000}).raise_for_status()
    expect(page.locator(".room-place")).to_have_text("Your turn")
    hold(page)
    pay(page, "ok")
    expect(said(page)).to_contain_text("Paid and confirmed.")


def test_lottery_is_checked_by_the_browser_itself(open_page: Open, host_url: str) -> None:
    event_id = new_event(host_url)
    make_room(host_url, event_id, opens_at=time.time() + 3, at_once=100, per_s=10)
    queue = f"{host_url}/api/frontrow/events/{event_id}/queue"
    for buyer in ("a", "b", "c"):
        httpx.post(queue, json={"buyer": buyer}).raise_for_status()
    page = visit(open_page, f"/frontrow/events/{event_id}")
    page.get_by_role("button", name="Take a place").click()
    expect(page.locator(".room-place")).to_have_text("Your turn")
    page.get_by_text("How the lottery is kept honest").click()
    page.get_by_role("button", name="Check the lottery").click()
    expect(page.locator(".room-findings verdict-mark")).to_have_text(["Holds", "Holds", "Holds"])


def test_event_without_prices_is_booked_without_paying(open_page: Open, host_url: str) -> None:
    path = event_path(host_url, "Opening night")
    page = visit(open_page, path)
    click_seat(page, 0)
    page.get_by_role("button", name=re.compile("^Hold 1 seat")).click()
    page.get_by_role("button", name="Book").click()
    expect(said(page)).to_contain_text("confirmed")


def test_unknown_event_and_order_are_told_as_such(open_page: Open, host_url: str) -> None:
    page = open_page("/frontrow/events/999999", allowed=("status of 404",)).page
    expect(page.locator("h1")).to_have_text("There is no such page.")
    page.goto("/frontrow/orders/none")
    expect(page.locator("h1")).to_have_text("There is no such page.")
