"""The helpers for authors of ASGI apps, driven by an in-memory engine."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from pydantic import BaseModel, Field

from host.asgi import (
    ClientDisconnected,
    EventStream,
    Request,
    Response,
    Router,
    empty_response,
    encode_event,
    encode_headers,
    json_response,
    parse_json,
    problem_from,
    read_body,
    read_json,
    send_problem,
)
from host.errors import HttpProblem, OutcomeUnknown, ServiceUnavailable


class Peer:
    """An engine and its client in memory: `chunks` is the request's body, `messages` what the app sent."""

    def __init__(self, *chunks: bytes, leaves_early: bool = False) -> None:
        self.messages: list[dict[str, Any]] = []
        self.left = trio.Event()
        self.sent = trio.Condition()
        self._chunks = list(chunks) or [b""]
        self._leaves_early = leaves_early
        self._is_sending = False

    async def receive(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if self._chunks:
            body = self._chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._chunks) or self._leaves_early}
        if not self._leaves_early:
            await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        assert not self._is_sending, "an app may not send from two tasks at once"
        self._is_sending = True
        await trio.lowlevel.checkpoint()
        self._is_sending = False
        self.messages.append(dict(message))
        async with self.sent:
            self.sent.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.sent:
            while not condition():
                await self.sent.wait()

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def is_complete(self) -> bool:
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)


def http_scope(method: str = "GET", path: str = "/", query: bytes = b"", **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": raw,
        "client": ("10.0.0.9", 5),
    }


class Stampede(BaseModel):
    buyers: int = Field(ge=1, le=100)
    speed: float = 1.0


# Bodies


async def test_read_body_joins_chunks() -> None:
    assert await read_body(Peer(b"one ", b"two ", b"three").receive, 13) == b"one two three"
    assert await read_body(Peer().receive, 0) == b""


async def test_read_body_over_the_limit_is_413_and_reads_no_further() -> None:
    peer = Peer(b"12345", b"67890", b"never asked for")
    with pytest.raises(HttpProblem) as caught:
        await read_body(peer.receive, 9)
    assert caught.value.status == 413
    assert peer._chunks == [b"never asked for"]


async def test_read_body_of_a_client_that_leaves_is_no_body() -> None:
    with pytest.raises(ClientDisconnected):
        await read_body(Peer(b"half", leaves_early=True).receive, 100)


async def test_read_json_validates() -> None:
    stampede = await read_json(http_scope(), Peer(b'{"buyers"', b": 7}").receive, Stampede)
    assert stampede == Stampede(buyers=7)
    assert await read_json(http_scope(), Peer(b"[1, null]").receive) == [1, None]


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"buyers": 1} x', b'{"buyers": "\xff"}', b"[" * 10_000])
@pytest.mark.parametrize("model", [None, Stampede])
def test_parse_json_of_what_is_not_json_is_400(body: bytes, model: type[Stampede] | None) -> None:
    with pytest.raises(HttpProblem) as caught:
        parse_json(body, model)  # type: ignore[call-overload]
    assert caught.value.status == 400


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_parse_json_refuses_numbers_that_json_does_not_have(number: bytes) -> None:
    with pytest.raises(HttpProblem) as caught:
        parse_json(b'{"buyers": 1, "speed": ' + number + b"}", Stampede)
    assert caught.value.status == 400


def test_parse_json_of_invalid_values_is_422_with_every_fault() -> None:
    with pytest.raises(HttpProblem) as caught:
        parse_json(b'{"buyers": 0, "speed": "fast"}', Stampede)
    assert caught.value.status == 422
    assert [fault["pointer"] for fault in caught.value.body()["errors"]] == ["#/buyers", "#/speed"]
    assert "and 1 more" in caught.value.detail


# Answers


def test_encode_headers_refuses_a_forged_header() -> None:
    assert encode_headers({"Location": "/a"}) == [(b"location", b"/a")]
    for bad in ({"Location": "/a\r\nSet-Cookie: x=1"}, {"X\nY": "1"}, {"": "1"}):
        with pytest.raises(ValueError, match="header"):
            encode_headers(bad)


async def test_json_response_writes_models_and_no_nan() -> None:
    peer = Peer()
    await json_response({"a": Stampede(buyers=1), "b": float("nan")}, 201, {"Location": "/x"}).send(peer.send)
    assert peer.status == 201
    assert peer.body == b'{"a":{"buyers":1,"speed":1.0},"b":null}'
    assert peer.headers[b"content-length"] == b"39"
    assert peer.headers[b"location"] == b"/x"


async def test_empty_response_has_no_content_length() -> None:
    peer = Peer()
    await empty_response().send(peer.send)
    assert peer.messages[0] == {"type": "http.response.start", "status": 204, "headers": []}


async def test_send_problem_is_problem_json() -> None:
    peer = Peer()
    await send_problem(peer.send, HttpProblem(409, "taken", type="sold", headers={"Retry-After": "2"}, seat="A1"))
    assert peer.headers[b"content-type"] == b"application/problem+json"
    assert peer.headers[b"retry-after"] == b"2"
    assert json.loads(peer.body) == {
        "type": "sold",
        "title": "Conflict",
        "status": 409,
        "detail": "taken",
        "seat": "A1",
    }


def test_problem_from_knows_the_errors_of_the_host() -> None:
    unavailable = problem_from(ServiceUnavailable("redis is away"))
    assert unavailable is not None
    assert (unavailable.status, unavailable.headers) == (503, {"Retry-After": "1"})
    unknown = problem_from(OutcomeUnknown("sent"))
    assert unknown is not None
    assert (unknown.status, unknown.type) == (503, "unknown")
    nested = problem_from(ExceptionGroup("", [ExceptionGroup("", [HttpProblem(404)])]))
    assert nested is not None
    assert nested.status == 404
    assert problem_from(ExceptionGroup("", [HttpProblem(404), KeyError("x")])) is None
    assert problem_from(KeyError("x")) is None


# Requests


async def test_request_shows_headers_query_and_body() -> None:
    scope = http_scope(query=b"q=a%20b&q=c&empty=", prefer="respond-async")
    scope["headers"].append((b"prefer", b"wait=1"))
    request = Request(scope, Peer(b"body").receive, Peer().send, {"id": "7"})
    assert request.headers == {"prefer": "respond-async, wait=1"}
    assert request.query == {"q": "c", "empty": ""}
    assert (request.params["id"], request.client, request.request_id) == ("7", "10.0.0.9", "")
    assert [await request.body(), await request.body()] == [b"body", b"body"]


@pytest.mark.parametrize("query", [b"&".join([b"a=1"] * 101), b"a=%ff"])
def test_request_query_that_cannot_be_read_is_400(query: bytes) -> None:
    with pytest.raises(HttpProblem) as caught:
        Request(http_scope(query=query), Peer().receive, Peer().send).query  # noqa: B018
    assert caught.value.status == 400


def test_request_query_as_model_is_422() -> None:
    request = Request(http_scope(query=b"buyers=many"), Peer().receive, Peer().send)
    with pytest.raises(HttpProblem) as caught:
        request.query_as(Stampede)
    assert caught.value.extra["errors"][0]["parameter"] == "buyers"


# Routes


@pytest.fixture
def router() -> Router:
    router = Router()

    async def echo(request: Request) -> Response:
        return json_response(dict(request.params) | {"method": request.method})

    for method, template in [
        ("GET", "/runs"),
        ("POST", "/runs"),
        ("GET", "/runs/{run_id}"),
        ("GET", "/runs/latest"),
        ("GET", "/runs/{run_id}/events"),
        ("GET", "/files/{rest:path}"),
        ("DELETE", "/a/{x}/b/{y}"),
    ]:
        router.add(method, template, echo)
    return router


async def ask(app: Router, method: str, path: str) -> Peer:
    peer = Peer()
    await app(http_scope(method, path), peer.receive, peer.send)
    return peer


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/runs", {}),
        ("GET", "/runs/17", {"run_id": "17"}),
        ("GET", "/runs/latest", {}),
        ("GET", "/runs/latest/events", {"run_id": "latest"}),
        ("GET", "/files/a/b.css", {"rest": "a/b.css"}),
        ("DELETE", "/a/1/b/2", {"x": "1", "y": "2"}),
    ],
)
async def test_router_finds_the_route(router: Router, method: str, path: str, params: dict[str, str]) -> None:
    peer = await ask(router, method, path)
    assert json.loads(peer.body) == params | {"method": method}


@pytest.mark.parametrize("path", ["/", "/run", "/runs/", "/runs/1/", "/runs/1/x", "/runs//events", "/a/1/b"])
async def test_router_unknown_path_is_404(router: Router, path: str) -> None:
    assert (await ask(router, "GET", path)).status == 404


async def test_router_wrong_method_is_405_with_allow(router: Router) -> None:
    peer = await ask(router, "PUT", "/runs")
    assert peer.status == 405
    assert peer.headers[b"allow"] == b"GET, HEAD, OPTIONS, POST"
    assert (await ask(router, "OPTIONS", "/runs")).status == 204


async def test_router_answers_head_like_get_without_the_body(router: Router) -> None:
    get, head = await ask(router, "GET", "/runs/latest"), await ask(router, "HEAD", "/runs/latest")
    assert (head.status, head.body) == (200, b"")
    assert len(head.headers[b"content-length"]) == len(get.headers[b"content-length"])


@pytest.mark.parametrize("template", ["runs", "/a/{}", "/a/{x", "/{x:path}/b", "/{x:int}", "/a{b}", "/{other}/b"])
def test_router_refuses_a_malformed_template(router: Router, template: str) -> None:
    router.add("GET", "/{name}", lambda request: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="/"):
        router.add("GET", template, lambda request: None)  # type: ignore[arg-type, return-value]


def test_router_refuses_the_same_route_twice(router: Router) -> None:
    with pytest.raises(ValueError, match="twice"):
        router.add("GET", "/runs", lambda request: None)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("error", "status"), [(HttpProblem(409), 409), (ServiceUnavailable("x"), 503), (OutcomeUnknown("x"), 503)]
)
async def test_router_answers_what_a_handler_raises_on_purpose(error: Exception, status: int) -> None:
    router = Router()

    @router.post("/x")
    async def fail(request: Request) -> Response:
        raise error

    assert (await ask(router, "POST", "/x")).status == status


async def test_router_passes_on_what_it_does_not_know_or_can_no_longer_answer() -> None:
    router = Router()

    @router.get("/crash")
    async def crash(request: Request) -> Response:
        raise KeyError("x")

    @router.get("/late")
    async def late(request: Request) -> None:
        await request.send({"type": "http.response.start", "status": 200, "headers": []})
        raise HttpProblem(409)

    with pytest.raises(KeyError):
        await ask(router, "GET", "/crash")
    with pytest.raises(HttpProblem):
        await ask(router, "GET", "/late")


async def test_router_refuses_an_unknown_websocket(router: Router) -> None:
    peer = Peer()
    await router({"type": "websocket", "path": "/runs", "headers": []}, peer.receive, peer.send)
    assert peer.messages == [{"type": "websocket.close", "code": 1000}]


# Event streams


def test_encode_event_writes_the_fields_of_the_standard() -> None:
    assert encode_event({"a": 1}, event="progress", id="7", retry_ms=5) == (
        b'event: progress\nid: 7\nretry: 5\ndata: {"a":1}\n\n'
    )
    assert encode_event("two\r\nlines\rand more") == b"data: two\ndata: lines\ndata: and more\n\n"
    assert encode_event(b"") == b"data: \n\n"
    for forged in ({"event": "a\nid: 9"}, {"id": "a\0"}):
        with pytest.raises(ValueError, match="line breaks"):
            encode_event("x", **forged)  # type: ignore[arg-type]


@pytest.fixture
def peer() -> Peer:
    return Peer()


async def test_event_stream_ended_by_the_app_is_complete(peer: Peer) -> None:
    async with EventStream(http_scope(last_event_id="41"), peer.receive, peer.send, trio.Event()) as stream:
        assert stream.last_event_id == "41"
        await stream.send("hello", id="42")
        await stream.comment("a\nb")
    assert stream.ended_by == "app"
    assert peer.headers[b"content-type"] == b"text/event-stream"
    assert peer.body == b"retry: 1000\n\nid: 42\ndata: hello\n\n: a b\n\n"
    assert peer.is_complete


async def test_event_stream_of_a_client_that_leaves_cancels_the_block(peer: Peer) -> None:
    async with EventStream(http_scope(), peer.receive, peer.send, trio.Event()) as stream:
        peer.left.set()
        await trio.sleep_forever()
    assert stream.ended_by == "client"
    assert not peer.is_complete


async def test_event_stream_says_bye_when_draining(peer: Peer) -> None:
    draining = trio.Event()
    async with EventStream(http_scope(), peer.receive, peer.send, draining, retry_ms=250) as stream:
        await stream.send("one")
        draining.set()
        await trio.sleep_forever()
    assert stream.ended_by == "drain"
    assert peer.body.endswith(b'data: one\n\nevent: bye\nretry: 250\ndata: {"reason":"draining"}\n\n')
    assert peer.is_complete


async def test_event_stream_lets_the_apps_error_through_unwrapped(peer: Peer) -> None:
    with pytest.raises(ServiceUnavailable):
        async with EventStream(http_scope(), peer.receive, peer.send, trio.Event()):
            raise ServiceUnavailable("redis is away")
    assert not peer.is_complete


async def test_event_stream_lets_an_outer_cancellation_through(peer: Peer) -> None:
    with trio.CancelScope() as scope:
        async with EventStream(http_scope(), peer.receive, peer.send, trio.Event()):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_event_stream_fills_silence_with_comments(peer: Peer, autojump_clock: trio.testing.MockClock) -> None:
    async with EventStream(http_scope(), peer.receive, peer.send, trio.Event(), heartbeat_s=10) as stream:
        await trio.sleep(9)
        await stream.send("x")
        await trio.sleep(9)
        assert peer.body.count(b":\n\n") == 0
        await trio.sleep(12)
        assert peer.body.count(b":\n\n") == 2


async def test_event_stream_never_mixes_two_writers(peer: Peer) -> None:
    async with (
        EventStream(http_scope(), peer.receive, peer.send, trio.Event()) as stream,
        trio.open_nursery() as nursery,
    ):
        for number in range(20):
            nursery.start_soon(stream.send, {"n": number})
    events = peer.body.split(b"\n\n")[1:-1]
    assert sorted(json.loads(event.removeprefix(b"data: "))["n"] for event in events) == list(range(20))


async def test_request_gives_its_body_as_often_and_in_whichever_form_it_is_asked_for() -> None:
    request = Request(http_scope(), Peer(b'{"a": 1}').receive, Peer().send)
    with trio.fail_after(5):
        assert await request.body() == b'{"a": 1}'
        assert await request.json() == {"a": 1}
        assert await request.json() == {"a": 1}
