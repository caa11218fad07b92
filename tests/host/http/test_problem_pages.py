"""Problems as pages: for whom, whoever answers with them, and what stays as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from host.descriptors import Mount, Page
from host.errors import HttpProblem, ServiceUnavailable
from host.http.dispatcher import Dispatcher
from host.http.pages import Pages
from host.http.problem_pages import prefers_html
from tests.host.http.memory import ask

WEB = Path(__file__).parents[3] / "web"
BROWSER = (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8")
FETCH = (b"accept", b"*/*")


async def missing(params: Any) -> Any:
    raise HttpProblem(404, "there is no run 7 <b>")


async def away(params: Any) -> Any:
    raise ServiceUnavailable("Postgres does not answer")


async def crash(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("secret")


async def own_problem(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"x-own", b"1"), (b"content-length", b"29")]
    await send({"type": "http.response.start", "status": 409, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"detail":"the seat is gone"}'})


async def begun(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": 409, "headers": headers})
    raise RuntimeError("before the body")


async def in_parts(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": 409, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"detail":', "more_body": True})
    await send({"type": "http.response.body", "body": b'"gone"}'})


@pytest.fixture
def made() -> Dispatcher:
    site = {"name": "Quartet", "version": "1", "pages": [], "plugins": []}
    made = Dispatcher(pages=Pages(WEB, lambda: site))
    made.mount("host", [Page("/", "Home", WEB / "docs"), Mount("/crash", crash), Mount("/own", own_problem)])
    made.mount("host2", [Mount("/begun", begun), Mount("/parts", in_parts)])
    made.mount("shop", [Page("/runs/{run_id}", "Run", WEB / "docs", context=missing)])
    made.mount("desk", [Page("/desk", "Desk", WEB / "docs", context=away)])
    return made


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nowhere", 404, "There is no such page."),
        ("/runs/7", 404, "There is no run 7 &lt;b&gt;."),
        ("/crash", 500, "Try again."),
        ("/desk", 503, "There is no answer now."),
        ("/own", 409, "The seat is gone."),
        ("/begun", 500, "Try again."),
        ("/" + "x" * 9000, 414, "URI"),
    ],
)
async def test_a_browser_is_shown_a_page_and_a_program_the_document(
    made: Dispatcher, path: str, status: int, says: str
) -> None:
    page = await ask(made, "GET", path, BROWSER)
    assert (page.status, page.headers[b"content-type"]) == (status, b"text/html; charset=utf-8")
    assert says in page.body.decode()
    assert int(page.headers[b"content-length"]) == len(page.body)
    assert page.headers[b"vary"] == b"accept"
    assert page.headers[b"content-security-policy"].startswith(b"default-src 'self'")
    if path != "/begun":
        document = await ask(made, "GET", path, FETCH)
        assert (document.status, document.headers[b"content-type"]) == (status, b"application/problem+json")


async def test_a_stopped_plugins_page_says_so_and_when_to_come_back(made: Dispatcher) -> None:
    made.unmount("shop", retry_after_s=3)
    page = await ask(made, "GET", "/runs/7", BROWSER)
    assert (page.status, page.headers[b"retry-after"]) == (503, b"3")
    assert "This part is not running." in page.body.decode()
    assert '<a class="button" href="/runs/7">' in page.body.decode()


async def test_what_the_plugin_said_beside_the_document_is_kept(made: Dispatcher) -> None:
    assert (await ask(made, "GET", "/own", BROWSER)).headers[b"x-own"] == b"1"


async def test_other_methods_get_the_document_whatever_they_accept(made: Dispatcher) -> None:
    got = await ask(made, "DELETE", "/nowhere", BROWSER)
    assert got.headers[b"content-type"] == b"application/problem+json"


async def test_a_head_request_gets_the_pages_headers_and_no_body(made: Dispatcher) -> None:
    got = await ask(made, "HEAD", "/nowhere", BROWSER)
    assert (got.status, got.body) == (404, b"")
    assert got.headers[b"content-type"] == b"text/html; charset=utf-8"


async def test_a_document_in_parts_goes_through_as_it_is(made: Dispatcher) -> None:
    got = await ask(made, "GET", "/parts", BROWSER)
    assert got.headers[b"content-type"] == b"application/problem+json"
    assert json.loads(got.body) == {"detail": "gone"}


async def test_a_page_that_is_well_is_not_touched(made: Dispatcher) -> None:
    got = await ask(made, "GET", "/", BROWSER)
    assert (got.status, b"Quartet" in got.body) == (200, True)


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example/x"])
async def test_the_button_never_leads_to_another_site(made: Dispatcher, path: str) -> None:
    made.unmount("host")
    assert b'href="/evil.example/x"' in (await ask(made, "GET", path, BROWSER)).body


@pytest.mark.parametrize("template", [None, "{{ nothing.at.all }}"])
async def test_a_site_that_cannot_draw_the_page_sends_the_document(
    tmp_path: Path, template: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if template is not None:
        (tmp_path / "problem.html").write_text(template)
    got = await ask(Dispatcher(pages=Pages(tmp_path)), "GET", "/nowhere", BROWSER)
    assert (got.status, json.loads(got.body)["status"]) == (404, 404)


@pytest.mark.parametrize(
    ("accept", "verdict"),
    [
        (BROWSER[1], True),
        (b"text/html", True),
        (b"text/html;q=0.9, application/json;q=0.5", True),
        (b"TEXT/HTML", True),
        (b"text/html, application/json", False),
        (b"application/json, text/html;q=0.9", False),
        (b"text/html;q=0", False),
        (b"text/html;q=x", False),
        (b"*/*", False),
        (b"text/event-stream", False),
        (b"application/problem+json, text/html;q=0.9, */*;q=0.1", False),
        (b"", False),
        (b";;,,q=1", False),
    ],
)
def test_a_page_is_preferred_only_when_it_ranks_above_json(accept: bytes, verdict: bool) -> None:
    assert prefers_html(accept) is verdict
