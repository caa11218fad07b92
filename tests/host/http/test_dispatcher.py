"""The dispatcher over an engine in memory: routing, isolation, the house's rules, and the counts."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.lowlevel
import trio.testing

from host.asgi import ClientDisconnected, EventStream, Request, Response, Router, json_response
from host.descriptors import ASGIApp, Mount, Page, Receive, Scope, Send
from host.errors import HostError, HttpProblem, ServiceUnavailable
from host.http.dispatcher import CLOCK_S, Dispatcher
from host.http.engine import AnswerAborted
from host.http.limits import Limits
from host.http.mounts import _FOUND_CHARS_MAX, _FOUND_MAX, MountTable
from host.http.pages import Pages
from host.http.security import Policy
from tests.host.http.memory import Exchange, ask, exchange
from tests.host.http.serving import GET, every_engine, serving

JSON = (b"content-type", b"application/json")
FOREIGN = (b"origin", b"https://evil.example")
OWN = (b"origin", b"http://localhost:8000")


def named(name: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await json_response({"app": name, "owner": scope["quartet.owner"]}).send(send)

    return app


async def reader(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all, and answers with the count of bytes."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await json_response(size).send(send)


def raising(error: BaseException, *, begun: bool = False, complete: bool = False) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if complete:
            await send({"type": "http.response.body", "body": b"all"})
        raise error

    return app


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await trio.sleep_forever()


class Crashes(list[tuple[str, BaseException]]):
    """Takes what the dispatcher reports."""

    def note(self, owner: str, error: BaseException) -> None:
        self.append((owner, error))


def dispatcher(*mounts: Mount, **options: Any) -> Dispatcher:
    made = Dispatcher(**options)
    made.mount("shop", mounts)
    return made


# Routing


@pytest.mark.parametrize(
    ("path", "app"),
    [
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/other", "api"),
        ("/apiary", None),
        ("/api/shop", "shop"),
        ("/api/shop/seats/7", "shop"),
        ("/api/shopping", "api"),
        ("/", None),
        ("/other", None),
    ],
)
async def test_the_longest_prefix_of_whole_segments_wins(path: str, app: str | None) -> None:
    got = await ask(dispatcher(Mount("/api", named("api")), Mount("/api/shop", named("shop"))), "GET", path)
    if app is None:
        assert (got.status, got.headers[b"content-type"]) == (404, b"application/problem+json")
    else:
        assert json.loads(got.body) == {"app": app, "owner": "shop"}


async def test_a_mount_at_the_root_gets_the_rest() -> None:
    made = dispatcher(Mount("/", named("root")), Mount("/api", named("api")))
    assert json.loads((await ask(made, "GET", "/any/thing")).body)["app"] == "root"


@pytest.mark.parametrize("path", ["", "api", "/api/", "//", "/a//b", "/a/../b", "/a/{b}", "/a?b", "/a b", "/%41"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(HostError, match="cannot be mounted"):
        dispatcher(Mount(path, named("x")))


def test_a_clash_is_refused_and_changes_nothing() -> None:
    made = dispatcher(Mount("/api", named("api")))
    with pytest.raises(HostError, match=r"belongs to shop"):
        made.mount("other", [Mount("/mine", named("x")), Mount("/api", named("x"))])
    with pytest.raises(HostError, match="twice"):
        made.mount("other", [Mount("/mine", named("x")), Mount("/mine", named("x"))])
    with pytest.raises(HostError, match="folder of pages"):
        made.mount("other", [Page("/page", "Page", Path())])
    assert made._table.find("/mine") is None


async def test_a_new_mount_replaces_the_owners_old_ones() -> None:
    made = dispatcher(Mount("/old", named("old")))
    assert (await ask(made, "GET", "/old")).status == 200
    made.mount("shop", [Mount("/new", named("new"))])
    assert (await ask(made, "GET", "/old")).status == 404
    assert (await ask(made, "GET", "/new")).status == 200


def test_paths_that_were_looked_up_are_remembered_within_a_bound() -> None:
    table = MountTable(Limits(), None)
    table.mount("shop", [Mount("/api", named("api"))])
    for number in range(3 * _FOUND_MAX):
        found = table.find(f"/api/{number}")
        assert found is not None
        assert found.path == "/api"
        assert table.find("/api/" + "x" * _FOUND_CHARS_MAX + str(number)) is found
        assert table.find(f"/nowhere/{number}") is None
    assert len(table._found) <= _FOUND_MAX
    assert max(map(len, table._found)) <= _FOUND_CHARS_MAX


async def test_pages_and_mounts_live_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "page.js").write_text("let a")
    made = Dispatcher(pages=Pages(tmp_path))
    made.mount("shop", [Page("/shop", "Shop", tmp_path), Mount("/shop/api", named("api"))])
    assert (await ask(made, "GET", "/shop")).body == b"page"
    assert (await ask(made, "GET", "/shop/page.js")).status == 200
    assert (await ask(made, "GET", "/shop/api/x")).headers[b"content-type"] == b"application/json"
    with pytest.raises(HostError, match="a mount and a page"):
        made.mount("shop", [Page("/shop", "Shop", tmp_path), Mount("/shop", named("api"))])


async def test_an_unmounted_owner_answers_503_and_a_removed_one_404() -> None:
    made = dispatcher(Mount("/api", named("api")))
    made.mount("other", [Mount("/other", named("other"))])
    made.unmount("shop", retry_after_s=2.5)
    got = await ask(made, "GET", "/api/x")
    assert (got.status, got.headers[b"retry-after"]) == (503, b"3")
    assert json.loads(got.body)["plugin"] == "shop"
    assert (await ask(made, "GET", "/other")).status == 200
    made.mount("shop", [Mount("/api", named("api"))])
    assert (await ask(made, "GET", "/api/x")).status == 200
    made.remove("shop")
    assert (await ask(made, "GET", "/api/x")).status == 404


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost:8000/api/x", 200),
        ("HTTP://LOCALHOST:8000/api/x", 200),
        ("http://evil.example/api/x", 400),
        ("ftp://localhost:8000/api/x", 400),
        ("api/x", 400),
        ("*", 400),
    ],
)
async def test_a_target_in_absolute_form_is_its_path(target: str, status: int) -> None:
    got = await ask(dispatcher(Mount("/api", named("api"))), "GET", target)
    assert got.status == status
    if status == 200:
        assert (got.scope["path"], got.scope["raw_path"]) == ("/api/x", b"/api/x")


async def test_a_lifespan_is_not_served() -> None:
    with pytest.raises(NotImplementedError):
        await dispatcher()({"type": "lifespan"}, endless, endless)  # type: ignore[arg-type]


# Crashes


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        ExceptionGroup("", [ValueError("a"), ExceptionGroup("", [OSError("b")])]),
        SystemExit(3),
        BaseExceptionGroup("", [SystemExit(3), ValueError("a")]),
    ],
)
async def test_a_crash_is_500_logged_once_and_reported(error: BaseException) -> None:
    crashes = Crashes()
    made = dispatcher(Mount("/api", raising(error)), on_crash=crashes.note)
    with structlog.testing.capture_logs() as logs:
        got = await ask(made, "GET", "/api", (b"x-request-id", b"abc"))
    problem = json.loads(got.body)
    assert (got.status, problem["status"], problem["request_id"]) == (500, 500, "abc")
    assert "x" not in problem["detail"].split(), "the fault itself is nobody else's business"
    assert [owner for owner, _ in crashes] == ["shop"]
    [entry] = logs
    assert (entry["log_level"], entry["plugin"], entry["request_id"]) == ("error", "shop", "abc")
    assert made.statistics()["shop"].crashes == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HttpProblem(409, "taken"), 409),
        (ServiceUnavailable("redis is away"), 503),
        (ExceptionGroup("", [HttpProblem(418)]), 418),
    ],
)
async def test_an_error_on_purpose_is_its_answer_and_no_crash(error: Exception, status: int) -> None:
    crashes = Crashes()
    got = await ask(dispatcher(Mount("/api", raising(error)), on_crash=crashes.note), "GET", "/api")
    assert got.status == status
    assert crashes == []


async def test_a_crash_in_a_begun_answer_ends_it_unfinished() -> None:
    crashes = Crashes()
    for error in (KeyError("x"), HttpProblem(409)):
        made = dispatcher(Mount("/api", raising(error, begun=True)), on_crash=crashes.note)
        sent = exchange("GET", "/api")
        with pytest.raises(AnswerAborted):
            await made(sent.scope, sent.receive, sent.send)
        assert [message["type"] for message in sent.messages] == ["http.response.start"]
    assert len(crashes) == 2


async def test_a_crash_after_the_answer_is_reported_and_spoils_nothing() -> None:
    crashes = Crashes()
    made = dispatcher(Mount("/api", raising(KeyError("x"), begun=True, complete=True)), on_crash=crashes.note)
    assert (await ask(made, "GET", "/api")).body == b"all"
    assert len(crashes) == 1


async def test_an_app_without_an_answer_or_without_its_end_has_crashed_or_is_cut() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    made = dispatcher(Mount("/silent", silent), Mount("/half", half))
    assert (await ask(made, "GET", "/silent")).status == 500
    with pytest.raises(AnswerAborted):
        await ask(made, "GET", "/half")


@pytest.mark.parametrize("error", [ClientDisconnected("left"), ExceptionGroup("", [ClientDisconnected("left")])])
async def test_a_client_that_left_is_no_crash(error: Exception) -> None:
    crashes = Crashes()
    made = dispatcher(Mount("/api", raising(error)), on_crash=crashes.note)
    with pytest.raises(AnswerAborted), structlog.testing.capture_logs() as logs:
        await ask(made, "GET", "/api")
    assert (crashes, logs) == ([], [])


async def test_a_cancellation_is_never_swallowed() -> None:
    """Not even one that comes in a group with a crash."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("while being cancelled")

    crashes = Crashes()
    for served in (endless, app):
        made = dispatcher(Mount("/api", served), on_crash=crashes.note)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, made, "GET", "/api")
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        assert made.statistics()["shop"].in_flight == 0
    assert len(crashes) == 1


async def test_a_keyboard_interrupt_is_the_hosts() -> None:
    with pytest.raises(KeyboardInterrupt):
        await ask(dispatcher(Mount("/api", raising(KeyboardInterrupt()))), "GET", "/api")


# Limits


async def test_sizes_beyond_their_limits_are_refused() -> None:
    limits = Limits(header_count_max=5, target_bytes_max=20, body_bytes_max=10)
    made = dispatcher(
        Mount("/api", reader),
        Mount("/small", reader, body_bytes_max=5),
        Mount("/none", reader, body_bytes_max=0),
        limits=limits,
    )
    many = [(b"x-%d" % number, b"") for number in range(5)]
    assert (await ask(made, "GET", "/api", *many)).status == 431
    assert (await ask(made, "GET", "/api", *many[:4])).status == 200
    assert (await ask(made, "GET", "/api/" + "x" * 16)).status == 414
    assert (await ask(made, "GET", "/api", query=b"x" * 17)).status == 414
    for path, size, status in [
        ("/api", b"10", 200),
        ("/api", b"11", 413),
        ("/small", b"6", 413),
        ("/none", b"1", 413),
        ("/api", b"1" * 19, 413),
        ("/api", b"-1", 400),
        ("/api", b"x", 400),
    ]:
        assert (await ask(made, "POST", path, JSON, (b"content-length", size))).status == status, (path, size)


@every_engine
async def test_a_body_with_two_lengths_is_refused_and_ends_its_connection(engine_name: str) -> None:
    """RFC 9112 §6.1: "the server MUST close the connection after responding to such a request"."""
    request = (
        b"POST /%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    async with serving(dispatcher(Mount("/api", reader)), engine_name=engine_name) as server:
        for path in (b"api", b"nowhere"):
            async with await server.connect() as peer:
                await peer.send(request % path + GET % b"api")
                received = await peer.to_end()
                assert received.startswith(b"HTTP/1.1 400")
                assert received.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("headers", "http_version"), [([(b"transfer-encoding", b"chunked")], "1.1"), ([], "2")], ids=["chunked", "HTTP/2"]
)
@pytest.mark.parametrize(("chunks", "status"), [([b"12345", b"67890"], 200), ([b"12345", b"67890", b"1"], 413)])
async def test_a_body_without_a_length_is_limited_as_it_comes(
    headers: list[tuple[bytes, bytes]], http_version: str, chunks: list[bytes], status: int
) -> None:
    made = dispatcher(Mount("/api", reader), limits=Limits(body_bytes_max=10))
    got = await ask(made, "POST", "/api", JSON, *headers, chunks=list(chunks), http_version=http_version)
    assert got.status == status


@contextlib.asynccontextmanager
async def clock_of(made: Dispatcher, *, runs: bool) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        if runs:
            nursery.start_soon(made.run_clock)
            await trio.lowlevel.checkpoint()
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("clock_runs", [True, False])
async def test_a_request_that_takes_too_long_is_503(clock_runs: bool, autojump_clock: trio.testing.MockClock) -> None:
    made = dispatcher(Mount("/a", endless), Mount("/b", endless, request_timeout_s=2), limits=Limits(request_s=5))
    async with clock_of(made, runs=clock_runs):
        for path, seconds in (("/a", 5), ("/b", 2)):
            began_s = trio.current_time()
            assert (await ask(made, "GET", path)).status == 503
            late_s = trio.current_time() - began_s - seconds
            assert -1e-9 <= late_s <= (2 * CLOCK_S if clock_runs else 1e-9)
    assert made.statistics()["shop"].timeouts == 2


async def test_requests_are_held_to_their_limits_after_the_clock_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    made = dispatcher(Mount("/a", endless), limits=Limits(request_s=5))
    with trio.fail_after(100):
        async with clock_of(made, runs=True):
            assert (await ask(made, "GET", "/a")).status == 503
        assert (await ask(made, "GET", "/a")).status == 503


@pytest.mark.parametrize("clock_runs", [True, False])
async def test_a_stream_lasts_beyond_the_request_timeout(
    clock_runs: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with EventStream(scope, receive, send, trio.Event()) as stream:
            await trio.sleep(1000)
            await stream.send("late")

    made = dispatcher(Mount("/api", app))
    async with clock_of(made, runs=clock_runs):
        got = await ask(made, "GET", "/api")
    assert b"data: late" in got.body
    assert got.status == 200


# The house's rules


async def test_every_answer_carries_security_headers_and_the_request_id(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")
    made = Dispatcher(pages=Pages(tmp_path))
    made.mount("shop", [Page("/page", "Page", tmp_path), Mount("/api", named("api")), Mount("/x", raising(KeyError()))])
    for path in ("/page", "/api", "/x", "/nowhere"):
        got = await ask(made, "GET", path)
        policy = got.headers[b"content-security-policy"].decode()
        assert "frame-ancestors 'none'" in policy
        assert got.headers[b"x-content-type-options"] == b"nosniff"
        assert got.headers[b"referrer-policy"] == b"same-origin"
        assert got.headers[b"x-request-id"] == got.scope["quartet.request_id"].encode()
        if path == "/page":
            for rule in ("default-src 'self'", "base-uri 'none'", "form-action 'self'", "object-src 'none'"):
                assert rule in policy
            assert got.headers[b"cross-origin-opener-policy"] == b"same-origin"
            assert b"camera=()" in got.headers[b"permissions-policy"]
        else:
            assert "default-src 'none'" in policy


async def test_an_apps_own_security_header_stands_alone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(200, b"", [(b"content-security-policy", b"sandbox")]).send(send)

    got = await ask(dispatcher(Mount("/api", app)), "GET", "/api")
    assert got.headers[b"content-security-policy"] == b"sandbox"
    assert got.headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [(b"abc-1.2_X", True), (b"x" * 64, True), (b"x" * 65, False), (b"a b", False), (b"a\nb", False), (b"", False)],
)
async def test_a_request_id_is_kept_when_it_is_a_plain_word(given: bytes, is_kept: bool) -> None:
    made = dispatcher(Mount("/api", named("api")))
    got = await ask(made, "GET", "/api", (b"x-request-id", given))
    assert (got.headers[b"x-request-id"] == given) is is_kept
    assert (await ask(made, "GET", "/api")).headers[b"x-request-id"] != got.headers[b"x-request-id"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "ANYTHING"])
async def test_a_change_by_a_foreign_page_is_403(method: str) -> None:
    made = dispatcher(Mount("/api", named("api")), Mount("/v1", named("v1"), cross_origin=True))
    assert (await ask(made, method, "/api", FOREIGN)).status == 403
    assert (await ask(made, method, "/api", (b"origin", b"null"))).status == 403
    assert (await ask(made, method, "/api", OWN)).status == 200
    assert (await ask(made, method, "/api")).status == 200
    assert (await ask(made, method, "/v1", FOREIGN)).status == 200


async def test_a_read_by_a_foreign_page_is_answered_but_not_readable() -> None:
    got = await ask(dispatcher(Mount("/api", named("api"))), "GET", "/api", FOREIGN)
    assert got.status == 200
    assert b"access-control-allow-origin" not in got.headers


async def test_a_friend_may_read_and_change_and_ask_before() -> None:
    friend = (b"origin", b"https://app.example")
    made = dispatcher(Mount("/api", named("api")), policy=Policy(cors_origins=["https://app.example"]))
    for method in ("GET", "POST"):
        got = await ask(made, method, "/api", friend)
        assert (got.status, got.headers[b"access-control-allow-origin"]) == (200, friend[1])
        assert got.headers[b"vary"] == b"origin"
    asking = (b"access-control-request-method", b"POST")
    before = await ask(made, "OPTIONS", "/api", friend, asking)
    assert (before.status, before.headers[b"access-control-allow-origin"]) == (204, friend[1])
    assert (await ask(made, "OPTIONS", "/api", FOREIGN, asking)).status == 403
    assert (await ask(made, "GET", "/api")).headers[b"vary"] == b"origin"
    # A refusal can be read by a friend's page too.
    made.unmount("shop")
    assert (await ask(made, "GET", "/api", friend)).headers[b"access-control-allow-origin"] == friend[1]


async def test_a_wrong_content_type_is_415_unless_the_mount_takes_it() -> None:
    made = dispatcher(
        Mount("/api", reader),
        Mount("/text", reader, content_types=("text/plain",)),
        Mount("/any", reader, content_types=()),
    )
    form = (b"content-type", b"application/x-www-form-urlencoded")
    text = (b"content-type", b"text/plain;charset=UTF-8")
    for path, header, status in [
        ("/api", form, 415),
        ("/api", text, 415),
        ("/api", JSON, 200),
        ("/text", text, 200),
        ("/text", JSON, 415),
        ("/any", form, 200),
    ]:
        assert (await ask(made, "POST", path, header)).status == status, (path, header)
    assert (await ask(made, "GET", "/api", form)).status == 200


async def test_a_foreign_name_is_421() -> None:
    made = dispatcher(Mount("/api", named("api")))
    assert (await ask(made, "GET", "/api", host=(b"host", b"evil.example"))).status == 421
    assert (await ask(made, "GET", "/api", host=None)).status == 200


# WebSockets


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await receive()


async def test_a_websocket_checks_origin_host_and_mount() -> None:
    made = dispatcher(Mount("/ws", echo), Mount("/v1", echo, cross_origin=True))
    for path, headers, status in [
        ("/ws", [FOREIGN], 403),
        ("/ws", [(b"origin", b"null")], 403),
        ("/nowhere", [], 404),
    ]:
        refused = await ask(made, "WEBSOCKET", path, *headers)
        assert refused.messages[0]["type"] == "websocket.http.response.start"
        assert refused.status == status
        assert refused.headers[b"content-type"] == b"application/problem+json"
    assert (await ask(made, "WEBSOCKET", "/ws", host=(b"host", b"evil.example"))).status == 421
    made.unmount("shop")
    assert (await ask(made, "WEBSOCKET", "/ws")).status == 503


@pytest.mark.parametrize(("path", "headers"), [("/ws", []), ("/ws", [OWN]), ("/v1", [FOREIGN])])
async def test_a_websocket_of_our_own_page_or_no_browser_is_let_in(path: str, headers: list[Any]) -> None:
    made = dispatcher(Mount("/ws", echo), Mount("/v1", echo, cross_origin=True))
    asked = exchange("WEBSOCKET", path, *headers)
    asked.left.set()
    await made(asked.scope, asked.receive, asked.send)
    assert [message["type"] for message in asked.messages] == ["websocket.accept"]


async def test_a_websocket_is_refused_by_a_close_where_the_engine_knows_no_better() -> None:
    asked = exchange("WEBSOCKET", "/ws", FOREIGN)
    del asked.scope["extensions"]
    await dispatcher(Mount("/ws", echo))(asked.scope, asked.receive, asked.send)
    assert asked.messages == [{"type": "websocket.close", "code": 1000}]


async def test_a_websocket_that_crashes_is_closed_with_1011_or_refused() -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise KeyError("x")

    crashes = Crashes()
    made = dispatcher(
        Mount("/late", late),
        Mount("/early", raising(KeyError("x"))),
        Mount("/no", raising(HttpProblem(409))),
        on_crash=crashes.note,
    )
    assert (await ask(made, "WEBSOCKET", "/late")).messages[-1]["code"] == 1011
    assert (await ask(made, "WEBSOCKET", "/early")).status == 500
    assert (await ask(made, "WEBSOCKET", "/no")).status == 409
    assert len(crashes) == 2
    assert made.statistics()["shop"].websockets == 0


# Drain and counts


async def test_drain_waits_for_requests_under_way(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await trio.sleep(3)
        await json_response({}).send(send)

    made = dispatcher(Mount("/api", slow))
    async with trio.open_nursery() as nursery:
        asked = exchange("GET", "/api")
        nursery.start_soon(made, asked.scope, asked.receive, asked.send)
        await trio.testing.wait_all_tasks_blocked()
        assert made.statistics()["shop"].in_flight == 1
        made.unmount("shop")
        await made.drain("shop", 10)
        assert trio.current_time() == pytest.approx(3)
        assert asked.status == 200
    await made.drain("shop", 10)
    assert trio.current_time() == pytest.approx(3)


async def test_drain_cancels_what_does_not_end(autojump_clock: trio.testing.MockClock) -> None:
    async def begun(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await trio.sleep_forever()

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await trio.sleep_forever()

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        await json_response({}).send(send)

    made = dispatcher(
        Mount("/endless", endless), Mount("/begun", begun), Mount("/socket", socket), Mount("/stubborn", stubborn)
    )
    made.mount("other", [Mount("/other", endless)])
    asked = {
        path: exchange(method, path)
        for method, path in [
            ("GET", "/endless"),
            ("GET", "/begun"),
            ("WEBSOCKET", "/socket"),
            ("GET", "/stubborn"),
            ("GET", "/other"),
        ]
    }
    aborted: list[str] = []

    async def run(path: str, one: Exchange) -> None:
        try:
            await made(one.scope, one.receive, one.send)
        except AnswerAborted:
            aborted.append(path)

    async with trio.open_nursery() as nursery:
        for path, one in asked.items():
            nursery.start_soon(run, path, one)
        await trio.testing.wait_all_tasks_blocked()
        made.unmount("shop")
        await made.drain("shop", 5)
        assert trio.current_time() == pytest.approx(6)
        assert asked["/endless"].status == 503
        assert aborted == ["/begun"]
        assert asked["/socket"].messages[-1] == {"type": "websocket.close", "code": 1012, "reason": "restarting"}
        assert made.statistics()["other"].in_flight == 1
        nursery.cancel_scope.cancel()


async def test_statistics_count_by_owner() -> None:
    made = dispatcher(Mount("/api", named("api")), Mount("/bad", raising(HttpProblem(404))))
    for path in ("/api", "/api", "/bad", "/nowhere"):
        await ask(made, "GET", path)
    await ask(made, "POST", "/api", FOREIGN)
    counts = made.statistics()
    assert (counts["shop"].requests, counts["shop"].statuses["2xx"], counts["shop"].statuses["4xx"]) == (4, 2, 2)
    assert (counts[""].requests, counts[""].statuses["4xx"]) == (1, 1)
    assert counts["shop"].in_flight == 0


async def test_the_router_says_405_through_the_dispatcher() -> None:
    router = Router()

    @router.get("/api/x")
    async def show(request: Request) -> Response:
        return json_response({"id": request.request_id})

    made = dispatcher(Mount("/api", router))
    got = await ask(made, "DELETE", "/api/x")
    assert (got.status, got.headers[b"allow"]) == (405, b"GET, HEAD, OPTIONS")
    assert json.loads((await ask(made, "GET", "/api/x", (b"x-request-id", b"me"))).body) == {"id": "me"}
