"""The same bytes to both engines, with the dispatcher above them as in the host: the same answers must come back.

`h11` as a client reads the answers, so that framing is judged by somebody else. `torture_cases` has the malformed
requests, of which the engines refuse some in different ways.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

import h11
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from host.api import WebSocket
from host.asgi import Request, Response
from host.descriptors import ASGIApp, Mount, Receive, Scope, Send
from host.errors import HttpProblem
from host.http.dispatcher import Dispatcher
from host.http.lane.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT
from host.http.limits import KIB, Limits
from host.http.security import Policy
from tests.host.http.serving import ENGINES, Peer, frames_in, read_all, serving
from tests.host.http.test_frames import client_frame
from tests.host.http.test_request_fuzz import requests

LIMITS = Limits(
    header_bytes_max=8 * KIB,
    header_count_max=20,
    target_bytes_max=2 * KIB,
    websocket_message_bytes_max=1000,
    # After a crash the peer of these tests does not consent to the close.
    websocket_close_s=0.2,
)
# Not compared: the date, and the framing, which h11 has judged (native knows the length of what comes in one part).
UNCOMPARED = {b"date", b"transfer-encoding"}
# What engines refuse by themselves. Of these answers only the status and the connection's fate are compared:
# hypercorn's have no body, and native refuses earlier what else the dispatcher would.
REFUSED = {400, 414, 431}
_METHOD = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r\n")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends each part of the body back as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was asked, of a known length."""
    body = await Request(scope, receive, send).body()
    text = b"%b %b?%b %b" % (scope["method"].encode(), scope["path"].encode(), scope["query_string"], body)
    status = int(scope["path"].rpartition("/")[2]) if scope["path"][-3:].isdigit() else 200
    if status in (204, 304):
        text = b""
    await Response(status, text, [(b"etag", b'"x"'), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]).send(
        send, head=scope["method"] == "HEAD"
    )


async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without a look at the body."""
    await Response(403, b"no", []).send(send)


async def streamed(scope: Scope, receive: Receive, send: Send) -> None:
    """Three parts, one of them empty."""
    await read_all(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"one", b"", b"three"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    await read_all(receive)
    if scope["path"].endswith("/late"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise KeyError("x")


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes; or refuses, as its path says."""
    path = scope["path"]
    if path.endswith("/close"):
        await send({"type": "websocket.close"})
    elif path.endswith("/refuse"):
        headers = [(b"content-length", b"4"), (b"www-authenticate", b"Bearer")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"nope"})
    elif path.endswith("/problem"):
        raise HttpProblem(429, "too many", headers={"Retry-After": "3"})
    elif path.endswith("/crash"):
        raise KeyError("x")
    else:
        chosen = next(iter(scope["subprotocols"]), None)
        async with WebSocket(scope, receive, send, subprotocol=chosen) as socket:
            async for message in socket:
                if message == "crash":
                    raise KeyError(message)
                if message == "close":
                    await socket.close(4001, "enough")
                await socket.send(message)


def site() -> ASGIApp:
    dispatcher = Dispatcher(limits=LIMITS, policy=Policy(cors_origins=["https://app.example"]))
    apps = {"echo": echo, "whole": whole, "unread": unread, "streamed": streamed, "crash": crash, "ws": websocket}
    mounts = [Mount(f"/{name}", app, body_bytes_max=5000, content_types=()) for name, app in apps.items()]
    dispatcher.mount("plugin", mounts)
    return dispatcher


H = b"Host: localhost\r\nX-Request-Id: same\r\n"


def ask(method: str, path: str, *headers: bytes, body: bytes = b"", version: str = "1.1", last: bool = False) -> bytes:
    """A request; the last of a case asks for the close."""
    lines = b"".join(header + b"\r\n" for header in ((*headers, b"Connection: close") if last else headers))
    return f"{method} {path} HTTP/{version}\r\n".encode() + H + lines + b"\r\n" + body


def end(path: str = "/whole/end") -> bytes:
    return ask("GET", path, last=True)


LENGTH_3, CHUNKED = b"Content-Length: 3", b"Transfer-Encoding: chunked"
ABC = b"1\r\na\r\n2;ext=1\r\nbc\r\n0\r\n\r\n"
PLAIN = b"Content-Type: text/plain"

# By name: what is sent, and between it as text what is waited for.
CASES: dict[str, list[bytes | str]] = {
    "known length": [ask("GET", "/whole"), end()],
    "query": [ask("GET", "/whole?a=b&c"), end()],
    "streamed": [ask("GET", "/streamed"), end()],
    "streamed in 1.0": [ask("GET", "/streamed", version="1.0")],
    "known length in 1.0": [ask("GET", "/whole", version="1.0")],
    "close": [ask("GET", "/streamed", last=True)],
    "head of a known length": [ask("HEAD", "/whole"), end()],
    "head of a stream": [ask("HEAD", "/streamed"), end()],
    "head pipelined": [ask("HEAD", "/whole") + ask("GET", "/whole") + ask("HEAD", "/streamed") + end()],
    "204": [ask("GET", "/whole/204") + end()],
    "304": [ask("GET", "/whole/304") + end()],
    "body by length": [ask("POST", "/echo", LENGTH_3, body=b"abc"), end()],
    "body by length, byte by byte": [ask("POST", "/whole", LENGTH_3), b"a", b"b", b"c", end()],
    "body in chunks": [ask("POST", "/echo", CHUNKED, body=ABC), end()],
    "body in chunks to one who wants it whole": [ask("PUT", "/whole", CHUNKED, body=ABC), end()],
    "body in chunks with trailers": [ask("POST", "/echo", CHUNKED, body=ABC[:-2] + b"X-T: 1\r\n\r\n"), end()],
    "empty body in chunks": [ask("POST", "/echo", CHUNKED, body=b"0\r\n\r\n"), end()],
    "both ways at once": [
        ask("POST", "/echo", CHUNKED),
        b"3\r\none\r\n",
        "3\r\none\r\n",
        b"3\r\ntwo\r\n",
        "3\r\ntwo\r\n",
        b"0\r\n\r\n",
        end(),
    ],
    "continue": [ask("POST", "/whole", LENGTH_3, b"Expect: 100-continue"), "HTTP/1.1 100", b"abc", end()],
    "continue, for chunks": [ask("POST", "/whole", CHUNKED, b"Expect: 100-continue"), "HTTP/1.1 100", ABC, end()],
    "unread": [ask("POST", "/unread", LENGTH_3, body=b"abc") + end()],
    "unread chunks": [ask("POST", "/unread", CHUNKED, body=ABC) + end()],
    "too large by length": [ask("POST", "/whole", b"Content-Length: 5001", body=bytes(5001)), end()],
    "too large and expected": [ask("POST", "/whole", b"Content-Length: 5001", b"Expect: 100-continue", last=True)],
    "far too large by length": [ask("POST", "/whole", b"Content-Length: 99999999999", last=True)],
    "too large in chunks": [ask("POST", "/whole", CHUNKED, body=b"2000\r\n" + bytes(8192) + b"\r\n", last=True)],
    "21 headers": [ask("GET", "/whole", *[b"X-%d: 1" % number for number in range(19)], last=True)],
    "a long target": [ask("GET", "/whole?" + "a" * 2048, last=True)],
    "a head without end": [b"GET /whole HTTP/1.1\r\n" + H + b"X: " + b"a" * 20_000],
    "pipelined": [
        b"".join(ask("POST", f"/echo?{n}", b"Content-Length: %d" % n, body=b"x" * n) for n in range(8)) + end()
    ],
    "pipelined around a refusal": [ask("GET", "/nothing") + ask("GET", "/whole") + ask("DELETE", "/nothing") + end()],
    "absolute target": [ask("GET", "http://localhost/whole/abs?x"), end()],
    "another site's target": [ask("GET", "http://evil.example/whole", last=True)],
    "asterisk": [ask("OPTIONS", "*"), end()],
    "another site's name": [end().replace(b"localhost", b"evil.example")],
    "foreign page": [ask("POST", "/whole", b"Origin: https://evil.example", LENGTH_3, body=b"abc"), end()],
    "friendly page": [ask("POST", "/whole", b"Origin: https://app.example", PLAIN, LENGTH_3, body=b"abc"), end()],
    "two lengths": [ask("POST", "/whole", LENGTH_3, b"Content-Length: 4", body=b"abcd")],
    "length and chunked": [ask("POST", "/whole", LENGTH_3, CHUNKED, body=ABC, last=True)],
    "a bad chunk": [ask("POST", "/whole", CHUNKED, body=b"zz\r\n")],
    "crash before the answer": [ask("POST", "/crash", LENGTH_3, body=b"abc") + end()],
    "crash amid the answer": [ask("GET", "/crash/late") + end()],
}


@dataclass
class Answers:
    """What a client understood: status, headers and body of each answer, but for the 100 that only hypercorn may send.

    `rest` are bytes that belong to no whole answer.
    """

    seen: list[Any]
    rest: str = ""


def understood(received: bytes, methods: list[bytes]) -> Answers:
    """The answers to requests of these methods, in the bytes of a whole connection."""
    found = Answers([])
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(received)
        client.receive_data(b"")
        answer, body = None, b""
        while not isinstance(event := _event_of(client), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif event is None:
                found.rest = f"{answer and answer.status_code} {body!r}"
                return found
        assert answer is not None
        found.seen.append(_comparable(answer, body))
        received = client.trailing_data[0]
    found.rest = received.decode("latin-1")
    return found


def _event_of(client: h11.Connection) -> Any:
    """The next event; None when the connection ended or broke before the answer was whole."""
    try:
        event = client.next_event()
    except h11.RemoteProtocolError:
        return None
    return None if isinstance(event, h11.ConnectionClosed) else event


def _comparable(answer: h11.Response, body: bytes) -> Any:
    if answer.status_code in REFUSED:
        return answer.status_code, dict(answer.headers).get(b"connection")
    redundant = (b"content-length", b"%d" % len(body))
    headers = [pair for pair in answer.headers if pair[0] not in UNCOMPARED and pair != redundant]
    assert len(set(headers)) == len(headers)
    return answer.status_code, frozenset(headers), body


async def converse(peer: Peer, steps: list[bytes | str]) -> bytes:
    for step in steps:
        if isinstance(step, str):
            await peer.until(step.encode())
            continue
        try:
            await peer.send(step)
        except trio.BrokenResourceError:
            break
    return await peer.to_end()


async def answers_of(engine_name: str, steps: list[bytes | str]) -> Answers:
    sent = b"".join(step for step in steps if isinstance(step, bytes))
    methods = [b"HEAD" if method.endswith(b"HEAD") else b"GET" for method in _METHOD.findall(sent)]
    async with serving(site(), LIMITS, engine_name=engine_name) as server, await server.connect() as peer:
        found = understood(await converse(peer, steps), methods)
        assert server.engine.statistics().crashed_connections_total == 0
    return found


@pytest.mark.parametrize("name", CASES)
async def test_answers_are_the_same(name: str) -> None:
    hypercorn, native = [await answers_of(engine_name, CASES[name]) for engine_name in ENGINES]
    assert native.seen or native.rest, "somebody answers"
    assert native == hypercorn


@given(st.lists(requests(), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
async def test_answers_to_any_correct_requests_are_the_same(sent: list[bytes]) -> None:
    steps: list[bytes | str] = [b"".join(sent).replace(b"Host: localhost\r\n", H) + end()]
    hypercorn, native = [await answers_of(engine_name, steps) for engine_name in ENGINES]
    assert len(native.seen) == len(sent) + 1
    assert native == hypercorn


# WebSockets


def handshake(path: str = "/ws", *headers: bytes, version: bytes = b"13") -> bytes:
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    wants = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: " + version, key)
    return ask("GET", path, *wants, *headers)


OPEN: list[bytes | str] = [handshake(), "\r\n\r\n"]
# Both close after a refusal; only native says so each time.
CLOSES = {(b"connection", b"close")}
BYE = client_frame(CLOSE, struct.pack("!H", 1000))
EVIL = b"Origin: https://evil.example"

WEBSOCKETS: dict[str, list[bytes | str]] = {
    "closed instead of accepted": [handshake("/ws/close")],
    "refused with an answer": [handshake("/ws/refuse")],
    "refused with a problem": [handshake("/ws/problem")],
    "crashed before it was accepted": [handshake("/ws/crash")],
    "nothing there": [handshake("/nothing")],
    "foreign page": [handshake("/ws", EVIL)],
    "another site's name": [handshake().replace(b"localhost", b"evil.example")],
    "subprotocols": [handshake("/ws", b"Sec-WebSocket-Protocol: a, b"), "\r\n\r\n", BYE],
    "compression is not agreed upon": [
        handshake("/ws", b"Sec-WebSocket-Extensions: permessage-deflate"),
        "\r\n\r\n",
        BYE,
    ],
    "messages": [
        *OPEN,
        client_frame(TEXT, "zwölf".encode()) + client_frame(BINARY, bytes(500)),
        bytes(500).decode(),
        BYE,
    ],
    "fragments around a ping": [
        *OPEN,
        client_frame(TEXT, b"a", fin=False) + client_frame(PING, b"p") + client_frame(CONTINUATION, b"b"),
        "\x02ab",
        BYE,
    ],
    "close with a code": [*OPEN, client_frame(CLOSE, struct.pack("!H", 3000) + b"why")],
    "close without a code": [*OPEN, client_frame(CLOSE, b"")],
    "close with half a code": [*OPEN, client_frame(CLOSE, b"\x03")],
    "close with a code that may not be": [*OPEN, client_frame(CLOSE, struct.pack("!H", 1005))],
    "closed by the app": [*OPEN, client_frame(TEXT, b"close"), "enough", BYE],
    "crash": [*OPEN, client_frame(TEXT, b"crash")],
    "too big": [*OPEN, client_frame(BINARY, bytes(1001))],
    "too big in fragments": [
        *OPEN,
        client_frame(BINARY, bytes(600), fin=False) + client_frame(CONTINUATION, bytes(600)),
    ],
    "not UTF-8": [*OPEN, client_frame(TEXT, b"\xff")],
    "not masked": [*OPEN, b"\x81\x01a"],
    "a reserved bit": [*OPEN, client_frame(TEXT, b"a", first=0x40)],
    "a reserved opcode": [*OPEN, b"\x83\x80" + bytes(4)],
    "a long ping": [*OPEN, b"\x89\xfe\x00\x7e" + bytes(4 + 126)],
    "a continuation of nothing": [*OPEN, client_frame(CONTINUATION, b"a")],
    "a message inside a message": [*OPEN, client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b")],
}


def told(data: bytes) -> list[Any]:
    """The frames of a server but for its pings. Of a close, the code alone: its reason is for people."""
    frames = frames_in(data)
    return [(kind, payload[:2] if kind == CLOSE else payload) for kind, payload in frames if kind != PING]


@pytest.mark.parametrize("name", WEBSOCKETS)
async def test_websockets_are_the_same(name: str) -> None:
    found: list[Any] = []
    for engine_name in ENGINES:
        async with serving(site(), LIMITS, engine_name=engine_name) as server, await server.connect() as peer:
            head, _, rest = (await converse(peer, WEBSOCKETS[name])).partition(b"\r\n\r\n")
            if b" 101 " in head.partition(b"\r\n")[0]:
                lines = sorted(line for line in head.lower().split(b"\r\n")[1:] if not line.startswith(b"date:"))
                found.append((lines, told(rest)))
            else:
                refusal = understood(peer.received, [b"GET"])
                refusal.seen = [(status, headers - CLOSES, body) for status, headers, body in refusal.seen]
                found.append(refusal)
            assert server.engine.statistics().crashed_connections_total == 0
    assert found[0] == found[1]
