"""The gateway as a visitor sees it: the proof, the stream that survives a kill, the playground, the code to copy."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from host.testing import host_process
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

PROVE = "Kill the primary under load"
STEADY = "Send a steady stream"
PROOF_TIMEOUT_MS = 60_000
CODE_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def host_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host with the gateway alone, on its simulated providers."""
    with host_process({"gateway": {}}, data_dir=tmp_path_factory.mktemp("host")) as host:
        yield host.url


@pytest.fixture
def page(open_page: Open) -> Iterator[Page]:
    page = live(open_page)
    yield page
    heal(page)


def live(open_page: Open, **options: Any) -> Page:
    page = open_page("/gateway", **options).page
    expect(page.locator("#phase")).to_have_text("Live: every spark is a request.")
    # What stands below the lanes is loaded when somebody gets near to it.
    page.locator(".break").scroll_into_view_if_needed()
    expect(page.get_by_role("button", name=STEADY)).to_be_enabled()
    return page


def heal(page: Page) -> None:
    bar = page.get_by_role("group", name="Break it")
    bar.get_by_role("button", name="Heal all").click()
    expect(bar.get_by_role("status")).to_have_text("Heal all: done.")


def break_primary(page: Page, fault: str) -> None:
    bar = page.get_by_role("group", name="Break it")
    bar.get_by_role("button", name=re.compile(f"^{fault}")).click()
    expect(bar.get_by_role("status")).to_have_text(f"{fault}: done.")


def counted(page: Page, name: str) -> int:
    return int((page.locator(f"steady-stream [data-count={name}]").text_content() or "0").replace(",", ""))


def expect_count(page: Page, name: str, at_least: int) -> None:
    page.wait_for_function(
        """([name, least]) => Number(document.querySelector(`steady-stream [data-count=${name}]`)
             .textContent.replaceAll(",", "")) >= least""",
        arg=[name, at_least],
    )


def primary(page: Page) -> Locator:
    return page.locator(".target").first


def ask(page: Page, question: str, model: str = "demo") -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_label("Model").fill(model)
    page.get_by_role("button", name="Ask", exact=True).click()


def answer_state(page: Page) -> Locator:
    return page.locator("gateway-playground .answer")


def fact(page: Page, name: str) -> Locator:
    return page.locator(
        "gateway-playground .facts div", has=page.locator("dt", has_text=re.compile(f"^{name}$"))
    ).locator("dd")


def test_proof_kills_the_primary_and_no_client_notices(page: Page) -> None:
    page.get_by_role("button", name=PROVE).click()
    mark = page.locator("gateway-proof verdict-mark")
    expect(mark).to_have_text("Running")
    expect(mark).to_have_text("Holds", timeout=PROOF_TIMEOUT_MS)
    expect(page.locator("gateway-proof [data-sentence]")).to_contain_text(" 0 failed.")
    expect(page.get_by_role("button", name=PROVE)).to_be_enabled()


def test_stream_of_requests_goes_on_while_the_primary_dies_and_comes_back(page: Page) -> None:
    page.get_by_role("button", name=STEADY).click()
    expect_count(page, "answered", 5)
    break_primary(page, "Kill")
    expect(primary(page)).to_have_attribute("data-breaker", "open")
    expect(primary(page)).to_contain_text("told to fail: refuse")
    expect_count(page, "fellBack", 3)
    heal(page)
    expect(primary(page)).to_have_attribute("data-breaker", "closed")
    expect(page.get_by_role("log")).to_contain_text("closed → open")
    page.get_by_role("button", name="Stop the stream").click()
    expect(page.locator("steady-stream [data-note]")).to_contain_text("0 failed")
    assert counted(page, "failed") == 0
    assert counted(page, "cached") > 0
    expect(page.locator("steady-stream verdict-mark")).to_have_text("Holds")


def test_latest_requests_say_who_answered(page: Page) -> None:
    page.get_by_role("button", name=STEADY).click()
    rows = page.locator("#request-list tr")
    expect(rows.filter(has_text="cache").first).to_be_visible()
    expect(rows.filter(has_text="simulated").first).to_contain_text("200")
    expect(page.locator("#hit-rate .live-value")).to_have_text(re.compile(r"^[\d.]+$"))
    expect(page.locator("#tokens-saved .live-value")).to_have_text(re.compile(r"^[1-9][\d,]*$"))
    page.get_by_role("button", name="Stop the stream").click()


def test_failure_at_the_client_breaks_the_claim(open_page: Open) -> None:
    page = live(open_page, allowed=("status of 502",))
    problem = (
        '{"error": {"message": "nobody could answer", "type": "api_error", "param": null, "code": "upstream_error"}}'
    )
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(status=502, body=problem, content_type="application/json"),
    )
    page.get_by_role("button", name=STEADY).click()
    expect(page.locator("steady-stream verdict-mark")).to_have_text("Broke")
    expect(page.locator("steady-stream [data-note]")).to_contain_text("failed")
    page.get_by_role("button", name="Stop the stream").click()


def test_playground_streams_and_the_cache_answers_the_second_time(page: Page) -> None:
    question = "A sentence that nobody has said before this test, and that comes back in pieces."
    ask(page, question)
    expect(answer_state(page)).to_have_attribute("data-state", "done")
    expect(answer_state(page)).to_have_text(question)
    expect(fact(page, "Cache")).to_have_text("miss")
    assert int(fact(page, "Chunks").text_content() or "0") > 3
    ask(page, question)
    expect(fact(page, "Cache")).to_have_text("hit")
    page.get_by_role("checkbox", name="Past the cache").check()
    ask(page, question)
    expect(answer_state(page)).to_have_attribute("data-state", "done")
    expect(fact(page, "Cache")).not_to_have_text("hit")
    page.get_by_role("checkbox", name="As a stream").uncheck()
    ask(page, question)
    expect(fact(page, "Chunks")).to_have_text("0")
    expect(answer_state(page)).to_have_text(question)


def test_asking_again_leaves_nothing_of_the_answer_before(page: Page) -> None:
    ask(page, "Once upon a time", "simulated/story")
    expect(answer_state(page)).to_contain_text("A request left")
    ask(page, "Only this.")
    expect(answer_state(page)).to_have_attribute("data-state", "done")
    expect(answer_state(page)).to_have_text("Only this.")


def test_stopped_answer_is_told_as_stopped(page: Page) -> None:
    ask(page, "Once upon a time", "simulated/story")
    expect(answer_state(page)).to_contain_text("A request left")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("gateway-playground [role=status]")).to_contain_text("Stopped.")
    expect(answer_state(page)).to_have_attribute("data-state", "failed")


def test_stream_that_is_cut_does_not_look_whole(open_page: Open) -> None:
    page = live(open_page, allowed=("ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR"))
    break_primary(page, "Cut")
    ask(page, "This sentence will not come back whole, because it is cut in its middle.", "simulated/echo")
    expect(answer_state(page)).to_have_attribute("data-state", "failed")
    expect(page.locator("gateway-playground problem-note")).to_be_visible()
    heal(page)


def test_refusal_of_the_proof_is_told(open_page: Open) -> None:
    page = live(open_page, allowed=("status of 503",))

    def refuse(route: Route) -> None:
        body = '{"title": "Unavailable", "status": 503, "detail": "not now"}'
        route.fulfill(status=503, body=body, headers={"content-type": "application/problem+json", "retry-after": "2"})

    page.route("**/api/gateway/proof", refuse)
    page.get_by_role("button", name=PROVE).click()
    expect(page.get_by_role("alert")).to_contain_text("Try again in 2 s")
    expect(page.locator("gateway-proof verdict-mark")).to_have_text("Unknown")
    expect(page.get_by_role("button", name=PROVE)).to_be_enabled()


def test_lost_stream_is_told_and_comes_back(open_page: Open) -> None:
    page = open_page("/gateway", allowed=("ERR_FAILED",)).page
    page.route("**/api/gateway/events", lambda route: route.abort())
    page.reload()
    expect(page.locator("#phase")).to_contain_text("The connection was lost")
    expect(page.locator(".stage")).not_to_have_attribute("data-link", "live")
    page.unroute("**/api/gateway/events")
    expect(page.locator("#phase")).to_have_text("Live: every spark is a request.")


def test_page_says_something_before_its_script_runs(open_page: Open) -> None:
    page = open_page("/gateway", java_script_enabled=False).page
    expect(page.locator(".target").first).to_contain_text("simulated")
    expect(page.locator(".target").first).to_contain_text("closed")
    expect(page.get_by_role("button", name=PROVE)).to_be_disabled()
    expect(page.locator("client-code section")).to_have_count(4)


def test_every_simulated_provider_is_labelled(page: Page) -> None:
    rows = page.locator(".target")
    assert rows.count() > 1
    expect(rows.locator(".chip")).to_have_count(rows.count())
    expect(page.locator("#clients + p")).to_contain_text("simulated")


def test_tabs_work_by_keyboard(page: Page) -> None:
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="LangChain")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_contain_text("ChatOpenAI")
    page.keyboard.press("Home")
    expect(page.get_by_role("tabpanel")).to_contain_text("curl -N")


def test_copied_code_runs_as_it_stands(page: Page, host_url: str) -> None:
    commands = {"Python": [sys.executable, "-c"], "LangChain": [sys.executable, "-c"]}
    if shutil.which("curl") is not None:
        commands["curl"] = ["bash", "-c"]
    runs = {}
    for tab, words in commands.items():
        page.get_by_role("tab", name=tab).click()
        code = page.get_by_role("tabpanel").locator("pre").text_content() or ""
        assert f"{host_url}/v1" in code
        runs[tab] = subprocess.Popen([*words, code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for tab, run in runs.items():
        out, err = run.communicate(timeout=CODE_TIMEOUT_S)
        assert run.returncode == 0, (tab, err)
        assert "Hello!" in out, tab


def test_unknown_model_is_refused_in_the_gateways_own_words(open_page: Open) -> None:
    page = live(open_page, allowed=("status of 404",))
    ask(page, "Hello", "nothing/here")
    note = page.locator("gateway-playground problem-note")
    expect(note).to_contain_text("The gateway refused this")
    expect(note).to_contain_text("'nothing/here' does not exist here")


def test_no_note_of_a_figure_leaves_a_phones_screen(open_page: Open) -> None:
    page = live(open_page, width=360, height=740)
    for number in page.locator(".figure-row live-number").all():
        number.focus()
        expect(number.get_by_role("tooltip")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_reduced_motion_draws_no_travel(open_page: Open) -> None:
    page = live(open_page, reduced_motion="reduce")
    page.get_by_role("button", name=STEADY).click()
    expect_count(page, "answered", 3)
    page.get_by_role("button", name="Stop the stream").click()


def test_page_fits_a_phone_while_it_works(open_page: Open) -> None:
    page = live(open_page, width=360, height=740, has_touch=True, is_mobile=True)
    page.get_by_role("button", name=STEADY).tap()
    expect_count(page, "answered", 3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    targets = page.locator(
        "main button:visible, main .preset, main input:visible:not([type=radio], [type=checkbox])"
    ).all()
    assert min((box or {"height": 0})["height"] for box in (each.bounding_box() for each in targets)) >= 44
    page.get_by_role("button", name="Stop the stream").tap()
