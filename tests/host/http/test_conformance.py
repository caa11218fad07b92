"""What ASGI and HTTP ask of an engine, on real sockets, the same for every engine."""

import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from host.api import WebSocket, WebSocketFrame, WebSocketPolicy
from host.asgi import EventStream
from host.descriptors import Receive, Scope, Send
from host.http.limits import MIB, Limits
from tests.host.http.serving import GET, UPGRADE, Peer, Server, answer, close_code, every_engine, serving

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
# For peers that do not consent to a close: what comes of it is the same sooner.
SOON_CLOSED = Limits(websocket_close_s=0.2)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends each part of the body back as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


# Bodies


@every_engine
async def test_a_body_streams_both_ways_at_once(engine_name: str) -> None:
    async with serving(echo, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for part in (b"one", b"two", b"three"):
            await peer.send(b"%x\r\n%b\r\n" % (len(part), part))
            await peer.until(b"%x\r\n%b\r\n" % (len(part), part))
        await peer.send(b"0\r\n\r\n")
        assert (await peer.until(b"0\r\n\r\n")).endswith(b"\r\n0\r\n\r\n")


@every_engine
async def test_a_large_body_comes_whole(engine_name: str) -> None:
    size = 3 * MIB

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        total, more = 0, True
        while more:
            message = await receive()
            total += len(message["body"])
            assert len(message["body"]) <= 128 * 1024
            more = message["more_body"]
        await answer(send, b"%d bytes" % total)

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        for _ in range(2):
            peer.received = b""
            await peer.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
            await peer.send(bytes(size))
            await peer.until(b"%d bytes" % size)


@every_engine
async def test_a_client_waits_while_the_app_does_not_read(engine_name: str) -> None:
    read_on, sent = trio.Event(), 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_on.wait()
        while (await receive())["more_body"]:
            pass
        await answer(send, b"at last")

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(HEAD + b"Content-Length: %d\r\n\r\n" % (32 * MIB))

        async def upload() -> None:
            nonlocal sent
            for _ in range(512):
                await peer.send(bytes(64 * 1024))
                sent += 64 * 1024

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload)
            before = -1
            while before != sent:
                before = sent
                await trio.sleep(0.05)
            assert sent < 16 * MIB
            read_on.set()
        await peer.until(b"at last")


@every_engine
async def test_continue_comes_once_the_app_wants_the_body(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/refuse":
            await answer(send, b"no", 403)
            return
        await answer(send, b"got " + (await receive())["body"])

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await peer.send(b"abc")
        await peer.until(b"got abc")


@every_engine
async def test_receive_says_disconnect_after_the_answer(engine_name: str) -> None:
    after: list[str] = []
    done = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await answer(send, b"hello")
        with trio.move_on_after(5):
            after.append((await receive())["type"])
        done.set()

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        await peer.until(b"hello")
        await peer.stream.send_eof()
        with trio.fail_after(5):
            await done.wait()
    assert after in (["http.disconnect"], [])


@every_engine
async def test_disconnect_may_be_waited_for_again_after_a_wait_that_was_cancelled(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for _ in range(2):
            with trio.move_on_after(0.01):
                await receive()
        await answer(send, b"still here")

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        await peer.until(b"still here")


# Answers


@every_engine
async def test_events_leave_at_once(engine_name: str) -> None:
    go_on = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with EventStream(scope, receive, send, trio.Event()) as stream:
            await stream.send("first")
            await go_on.wait()
            await stream.send("second")

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        await peer.until(b"data: first\n\n")
        go_on.set()
        await peer.until(b"data: second\n\n")
        await peer.until(b"0\r\n\r\n")


@every_engine
@pytest.mark.parametrize(
    "headers",
    [[(b"x-test", b"a\r\nx-evil: b")], [(b"x-test", b"a\nb")], [(b"x\r\n", b"a")], [(b"content-length", b"abc")]],
)
async def test_a_header_that_would_forge_another_is_never_sent(engine_name: str, headers: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        with trio.move_on_after(2):
            await peer.to_end()
        assert b"evil" not in peer.received
        assert engine_name != "native" or b" 500 " in peer.received


@every_engine
@pytest.mark.parametrize("length", [3, 30])
async def test_a_body_of_another_length_than_promised_is_never_taken_for_whole(engine_name: str, length: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        received = await peer.to_end()
        assert len(received.partition(b"\r\n\r\n")[2]) != length or b" 500 " in received


@every_engine
async def test_head_is_answered_without_the_body(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"hello")

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % b"")
        received = await peer.until(b"hello")
        assert received.count(b"content-length: 5\r\n") == 2
        assert received.count(b"hello") == 1


@every_engine
async def test_a_client_that_leaves_a_stream_is_noticed(engine_name: str) -> None:
    ended = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(10), "more_body": True})
                await trio.sleep(10)
        finally:
            ended.set()

    async with serving(app, engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await peer.send(GET % b"")
            await peer.until(bytes(10))
        with trio.fail_after(2):
            await ended.wait()


@every_engine
async def test_connections_of_one_peer_are_limited(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"hello")

    limits = Limits(connections_per_peer_max=2)
    async with serving(app, limits, engine_name=engine_name) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            peer = await stack.enter_async_context(await server.connect())
            await peer.send(GET % b"")
            await peer.until(b"hello")
        third = await stack.enter_async_context(await server.connect())
        assert b" 503 " in await third.to_end()


# WebSockets


def frame(payload: bytes, opcode: int = 0x82) -> bytes:
    """A client's frame with a mask of zeros."""
    if len(payload) < 126:
        return bytes((opcode, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((opcode, 0xFE)) + struct.pack("!H", len(payload)) + bytes(4) + payload


@asynccontextmanager
async def connected(server: Server, path: bytes = b"", headers: bytes = b"") -> AsyncIterator[Peer]:
    async with await server.connect() as peer:
        await peer.send(UPGRADE % (path, headers))
        assert b" 101 " in await peer.until(b"\r\n\r\n")
        yield peer


async def websocket_echo(scope: Scope, receive: Receive, send: Send) -> None:
    async with WebSocket(scope, receive, send) as socket:
        async for message in socket:
            await socket.send(message)


@every_engine
async def test_messages_come_back(engine_name: str) -> None:
    async with serving(websocket_echo, engine_name=engine_name) as server, connected(server) as peer:
        await peer.send(frame(b"one") + frame(b"two", 0x81))
        await peer.until(b"\x82\x03one")
        await peer.until(b"\x81\x03two")
        await peer.send(frame(b"a", 0x02) + frame(b"b", 0x00) + frame(b"c", 0x80))
        await peer.until(b"\x82\x03abc")


@every_engine
async def test_a_ping_is_answered_while_the_app_sleeps(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send):
            await trio.sleep_forever()

    async with serving(app, engine_name=engine_name) as server, connected(server) as peer:
        await peer.send(frame(b"mark", 0x89))
        await peer.until(b"\x8a\x04mark")


@every_engine
async def test_a_peer_that_answers_no_ping_is_cut(engine_name: str) -> None:
    ended = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            async for _ in socket:
                pass
        ended.set()

    limits = Limits(websocket_ping_s=0.05, websocket_pong_s=0.1)
    async with serving(app, limits, engine_name=engine_name) as server, connected(server) as peer:
        await peer.until(b"\x89\x00")
        await peer.to_end()
        with trio.fail_after(30):
            await ended.wait()
        assert server.engine.statistics().silent_connections_total == 1


@every_engine
async def test_a_peer_that_answers_pings_is_not_cut(engine_name: str) -> None:
    limits = Limits(websocket_ping_s=0.05, websocket_pong_s=60)
    async with serving(websocket_echo, limits, engine_name=engine_name) as server, connected(server) as peer:
        for _ in range(4):
            peer.received = b""
            await peer.until(b"\x89\x00")
            await peer.send(frame(b"", 0x8A))
        await peer.send(frame(b"one"))
        await peer.until(b"\x82\x03one")
        assert server.engine.statistics().open_connections == 1


@every_engine
async def test_the_close_handshake_from_either_side(engine_name: str) -> None:
    codes: list[int | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            async for _ in socket:
                await socket.close(4001, "enough")
        codes.append(socket.close_code)

    async with serving(app, engine_name=engine_name) as server:
        async with connected(server) as peer:
            await peer.send(frame(struct.pack("!H", 3000), 0x88))
            assert close_code(await peer.to_end()) == 3000
        async with connected(server) as peer:
            await peer.send(frame(b"close"))
            await peer.until(b"enough")
            await peer.send(frame(struct.pack("!H", 4001), 0x88))
            assert close_code(await peer.to_end()) == 4001
        await server.until(lambda counts: counts.open_connections == 0)
    assert codes == [3000, 4001]


@every_engine
async def test_a_handshake_may_be_refused_with_an_answer(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/close":
            await send({"type": "websocket.close"})
            return
        start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"4")]}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"nope"})

    async with serving(app, engine_name=engine_name) as server:
        for path, status in ((b"close", b" 403 "), (b"answer", b" 401 ")):
            async with await server.connect() as peer:
                await peer.send(UPGRADE % (path, b""))
                assert status in await peer.to_end()


@every_engine
async def test_subprotocols_are_offered_and_chosen(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["subprotocols"] == ["a", "b"]
        assert scope["scheme"] == "ws"
        async with WebSocket(scope, receive, send, subprotocol="b", headers=[(b"x-test", b"v")]):
            pass

    async with serving(app, SOON_CLOSED, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(UPGRADE % (b"", b"Sec-WebSocket-Protocol: a, b\r\n"))
        received = (await peer.to_end()).lower()
        assert b"sec-websocket-protocol: b\r\n" in received
        assert b"x-test: v\r\n" in received


@every_engine
async def test_a_crash_closes_with_1011(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            await socket.receive()
            raise KeyError("x")

    async with serving(app, SOON_CLOSED, engine_name=engine_name) as server, connected(server) as peer:
        await peer.send(frame(b"go"))
        assert close_code(await peer.to_end()) == 1011


@every_engine
async def test_a_broadcast_reaches_all_in_order(engine_name: str) -> None:
    sockets: set[WebSocket] = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            sockets.add(socket)
            async for message in socket:
                built = WebSocketFrame.binary(bytes(message))  # type: ignore[arg-type]
                for other in sockets:
                    assert other.send_nowait(built)

    async with serving(app, engine_name=engine_name) as server, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connected(server)) for _ in range(5)]
        sent = [b"%04d" % number for number in range(200)]
        for payload in sent:
            await peers[0].send(frame(payload))
        for peer in peers:
            received = (await peer.until(b"\x82\x040199")).partition(b"\r\n\r\n")[2]
            assert received.replace(b"\x89\x00", b"") == b"".join(b"\x82\x04" + payload for payload in sent)
        sockets.clear()


class Flood:
    """Sends to a peer that does not read, until the policy says something."""

    def __init__(self, policy: WebSocketPolicy) -> None:
        self.policy = policy
        self.outcome = ""
        self.ended = trio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The dispatcher's part.
        scope["quartet.websocket"] = self.policy
        async with WebSocket(scope, receive, send) as socket:
            self.outcome = await self._flood(socket)
            self.ended.set()
            async for _ in socket:
                pass

    async def _flood(self, socket: WebSocket) -> str:
        for number in range(20_000):
            kind = "cursor" if number >= 2000 else ""
            try:
                if not socket.send_nowait(WebSocketFrame.binary(b"%06d" % number + bytes(994), kind)):
                    return "closed"
            except trio.WouldBlock:
                return "would block"
            if number % 100 == 0:
                await trio.lowlevel.checkpoint()
        return "all sent"


@every_engine
@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        (WebSocketPolicy(when_full="wait", high_water_bytes=MIB), "would block"),
        (WebSocketPolicy(when_full="close", high_water_bytes=MIB, close_code=4008), "closed"),
        (
            WebSocketPolicy(when_full="drop_oldest", high_water_bytes=4 * MIB, droppable=frozenset({"cursor"})),
            "all sent",
        ),
        (WebSocketPolicy(when_full="drop_oldest", high_water_bytes=MIB), "closed"),
    ],
)
async def test_full_means_what_the_mount_says(engine_name: str, policy: WebSocketPolicy, outcome: str) -> None:
    app = Flood(policy)
    async with serving(app, engine_name=engine_name) as server, connected(server) as peer:
        with trio.fail_after(20):
            await app.ended.wait()
        assert app.outcome == outcome
        if outcome == "all sent":
            received = await peer.until(b"019999" + bytes(994))
            frames = received.partition(b"\r\n\r\n")[2].replace(b"\x89\x00", b"")
            numbers = [int(frames[start + 4 : start + 10]) for start in range(0, len(frames), 1004)]
            assert numbers == sorted(numbers)
            assert numbers[:2000] == list(range(2000)), "what may not be dropped is there"
            assert len(numbers) < 20_000
        elif outcome == "closed":
            received = await peer.until(bytes((0x88, 10)) + struct.pack("!H", policy.close_code) + b"too slow")
            await peer.send(frame(struct.pack("!H", policy.close_code), 0x88))
            await peer.to_end()
