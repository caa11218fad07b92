"""Both engines under fuzz on real sockets: whatever is sent, split anywhere, they do not crash, hang or lose step.

The parsers alone, where every split is exact, are in `test_request_fuzz` and `test_frames`.
"""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from host.api import WebSocket, WebSocketPolicy
from host.asgi import Response
from host.descriptors import Receive, Scope, Send
from host.http.lane.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from host.http.limits import Limits
from tests.host.http.serving import ENGINES, UPGRADE, Peer, Server, frames_in, serving
from tests.host.http.test_frames import client_frame, deflate, payloads
from tests.host.http.test_request_fuzz import CORPUS, cut, requests

places = st.lists(st.integers(0, 10_000), max_size=12)
FUZZ = settings(max_examples=30, deadline=None)
engines = pytest.mark.parametrize("engine_name", ENGINES)


class App:
    """Notes the requests that it gets; echoes WebSocket messages, compressed where the client offers it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scope["quartet.websocket"] = WebSocketPolicy(deflate=True)
            async with WebSocket(scope, receive, send) as socket:
                async for text in socket:
                    await socket.send(text)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.requests.append((scope["method"], scope["path"], body))
        await Response(200, b"seen").send(send)


async def trickle(peer: Peer, data: bytes, places: list[int]) -> None:
    """Send it in pieces; a server that closes meanwhile has its reasons."""
    try:
        for piece in cut(data, places):
            await peer.send(piece)
            await trio.lowlevel.checkpoint()
    except trio.BrokenResourceError:
        pass


async def check_still_serving(server: Server) -> None:
    """Nothing is left of the connections that ended, and the next one is served."""
    await server.until(lambda counts: counts.open_connections == 0)
    assert b" 200 " in await server.ask()
    assert server.engine.statistics().crashed_connections_total == 0


@st.composite
def tricky_requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A correct POST and its body, which looks like another request, or is a piece of a malformed one."""
    body = draw(st.one_of(requests(), st.sampled_from(CORPUS), st.binary(max_size=50)))
    head = b"POST /real HTTP/1.1\r\nHost: localhost\r\n"
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    parts = [part for part in cut(body, draw(st.lists(st.integers(0, 500), max_size=3))) if part]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body


@engines
@given(sent=st.lists(tricky_requests(), min_size=1, max_size=4), places=places)
@FUZZ
async def test_a_body_is_never_taken_for_a_request(
    engine_name: str, sent: list[tuple[bytes, bytes]], places: list[int]
) -> None:
    app = App()
    last = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await trickle(peer, b"".join(request for request, _ in sent) + last, places)
        received = await peer.to_end()
    assert app.requests == [*(("POST", "/real", body) for _, body in sent), ("GET", "/last", b"")]
    assert received.count(b"HTTP/1.1 200 ") == len(sent) + 1


@engines
@given(data=st.sampled_from(CORPUS), garbage=st.binary(max_size=100), at=st.integers(0, 1000), places=places)
@FUZZ
async def test_garbage_in_requests_harms_one_connection_at_most(
    engine_name: str, data: bytes, garbage: bytes, at: int, places: list[int]
) -> None:
    at %= len(data) + 1
    async with serving(App(), engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await trickle(peer, data[:at] + garbage + data[at:], places)
        await check_still_serving(server)


@st.composite
def conversations(draw: st.DrawFn, *, is_compressed: bool) -> tuple[bytes, list[Any]]:
    """A client's frames, a ping in the middle of each message, and the messages in them."""
    messages = draw(st.lists(payloads, max_size=4))
    sent, compress = b"", [deflate()] if is_compressed else []
    for opcode, payload in messages:
        data = payload.encode() if isinstance(payload, str) else payload
        middle = draw(st.integers(0, len(data)))
        first = Frame(Opcode(opcode), data[:middle], fin=False).serialize(mask=True, extensions=compress)
        rest = Frame(Opcode(CONTINUATION), data[middle:]).serialize(mask=True, extensions=compress)
        sent += first + client_frame(PING, b"between") + rest
    return sent, messages


@asynccontextmanager
async def opened(server: Server, *, compresses: bool) -> AsyncIterator[Peer]:
    """A WebSocket; nothing but its frames is in what was received."""
    async with await server.connect() as peer:
        await peer.send(UPGRADE % (b"", b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compresses else b""))
        _, _, peer.received = (await peer.until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        yield peer


@pytest.mark.parametrize(("engine_name", "is_compressed"), [("native", False), ("native", True), ("hypercorn", False)])
@given(data=st.data(), places=places)
@FUZZ
async def test_messages_come_back_whatever_their_fragments_and_splits(
    engine_name: str, is_compressed: bool, data: st.DataObject, places: list[int]
) -> None:
    sent, messages = data.draw(conversations(is_compressed=is_compressed))
    echoes: list[bytes] = []
    extension = PerMessageDeflate(False, False, 12, 12) if is_compressed else None
    async with serving(App(), engine_name=engine_name) as server, opened(server, compresses=is_compressed) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle, peer, sent, places)
            with trio.fail_after(30):
                while len(echoes) < len(messages):
                    peer.received += await peer.stream.receive_some()
                    echoes = [payload for opcode, payload in frames_in(peer.received) if opcode in (TEXT, BINARY)]
        await peer.send(client_frame(CLOSE, struct.pack("!H", 1000)))
        frames = frames_in(await peer.to_end())
    assert frames[-1] == (CLOSE, struct.pack("!H", 1000))
    assert [payload for opcode, payload in frames if opcode == PONG] == [b"between"] * len(messages)
    for opcode, message in messages:
        payload = echoes.pop(0)
        if extension is not None:
            payload = bytes(extension.decode(Frame(Opcode(opcode), payload, True, True)).data)
        assert payload == (message.encode() if opcode == TEXT else message)


@engines
@given(data=st.data(), garbage=st.binary(max_size=100), at=st.integers(0, 100_000), places=places)
@FUZZ
async def test_garbage_in_frames_harms_one_connection_at_most(
    engine_name: str, data: st.DataObject, garbage: bytes, at: int, places: list[int]
) -> None:
    is_compressed = data.draw(st.booleans())
    sent, _ = data.draw(conversations(is_compressed=is_compressed))
    at %= len(sent) + 1
    async with serving(App(), Limits(websocket_message_bytes_max=100_000), engine_name=engine_name) as server:
        async with opened(server, compresses=is_compressed) as peer, trio.open_nursery() as nursery:
            # Echoes that nobody took would have the server wait, and us with it.
            nursery.start_soon(peer.to_end)
            await trickle(peer, sent[:at] + garbage + sent[at:], places)
            nursery.cancel_scope.cancel()
        await check_still_serving(server)
