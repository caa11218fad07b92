"""The engine on real sockets. Where hypercorn itself has a fault, a test shows it there first."""

import contextlib
import logging
import math
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import hypercorn.trio
import pytest
import trio
import trio.testing
from hypercorn.config import Config

from host.asgi import EventStream
from host.descriptors import Receive, Scope, Send
from host.http.engine import TLS, AnswerAborted
from host.http.limits import MIB, Limits
from tests.host.http.serving import (
    GET,
    UPGRADE,
    Peer,
    Server,
    answer,
    close_code,
    every_engine,
    hello,
    read_all,
    serving,
)

BIG = bytes(8 * MIB)


# Nobody can crash the server


def h2_request(*headers: tuple[str, str]) -> bytes:
    """A connection preface and one request, whatever its headers."""
    client = h2.connection.H2Connection(
        h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    )
    client.initiate_connection()
    client.send_headers(1, list(headers), end_stream=True)
    return client.data_to_send()


CRASHING_REQUESTS = {
    # UnicodeDecodeError in the WebSocket handshake.
    "client over HTTP/1.1": UPGRADE % (b"", b"Sec-WebSocket-Protocol: \xff\r\n"),
    # UnboundLocalError for a CONNECT, which has no path.
    "client over HTTP/2": h2_request((":method", "CONNECT"), (":authority", "localhost")),
    # LocalProtocolError out of h11, which refuses to go on after the app's answer.
    "app": GET % b"invalid-answer",
}


async def crashing_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await answer(send, b"hello", 101 if scope["path"] == "/invalid-answer" else 200)


@pytest.mark.parametrize("request_bytes", CRASHING_REQUESTS.values(), ids=CRASHING_REQUESTS)
async def test_plain_hypercorn_ends_when_one_connection_raises(request_bytes: bytes) -> None:
    """hypercorn#225. When this fails, hypercorn has mended it, and our guard may become simpler."""
    with pytest.raises(BaseExceptionGroup) as caught, trio.fail_after(10):  # noqa: PT012
        async with plain_hypercorn(crashing_app) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with Peer(stream) as peer:
                await peer.send(request_bytes)
                await trio.sleep_forever()
    assert not caught.group_contains(trio.TooSlowError)


@every_engine
@pytest.mark.parametrize("request_bytes", CRASHING_REQUESTS.values(), ids=CRASHING_REQUESTS)
async def test_no_connection_and_no_app_can_end_the_server(engine_name: str, request_bytes: bytes) -> None:
    async with serving(crashing_app, engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await peer.send(request_bytes)
            await peer.to_end()
        await server.until(lambda counts: counts.open_connections == 0)
        assert b" 200 " in await server.ask()


@every_engine
@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        ExceptionGroup("", [ValueError("a"), OSError("b")]),
        trio.BrokenResourceError("the app's own stream"),
        OSError("the app's own file"),
    ],
)
async def test_an_apps_exception_is_500_and_leaves_the_connection_usable_or_closed(
    engine_name: str, error: Exception
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/crash":
            raise error
        await hello(scope, receive, send)

    async with serving(app, engine_name=engine_name) as server:
        assert b" 500 " in await server.ask(b"crash")
        assert b" 200 " in await server.ask()
        assert server.engine.statistics().crashed_connections_total == 0


@every_engine
async def test_an_aborted_answer_is_seen_to_be_incomplete(engine_name: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise AnswerAborted("told elsewhere")

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        received = await peer.to_end()
        assert b"half" in received
        assert not received.endswith(b"0\r\n\r\n")


# No reader can hold a task or the shutdown


class StallingApp:
    """Sends more than any buffer takes; `ended` is set when its send has come back, however."""

    def __init__(self, patience_s: float = math.inf) -> None:
        self.began = trio.Event()
        self.ended = trio.Event()
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        if scope["path"] != "/big":
            await hello(scope, receive, send)
            return
        self.began.set()
        try:
            with trio.move_on_after(self._patience_s):
                await answer(send, BIG)
        finally:
            self.ended.set()


async def test_plain_hypercorn_is_held_by_a_reader_that_stalls() -> None:
    """The app's own time-out does not fire, and the shutdown waits for the peer."""
    app, stop, returned = StallingApp(patience_s=0.1), trio.Event(), trio.Event()
    async with plain_hypercorn(app, stop, returned) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with Peer(stream) as peer:
            await peer.send(GET % b"big")
            await app.began.wait()
            stop.set()
            with trio.move_on_after(1) as waiting:
                await returned.wait()
            assert waiting.cancelled_caught
            assert not app.ended.is_set()
        with trio.fail_after(10):
            await returned.wait()


@every_engine
async def test_a_reader_that_stalls_is_cut(engine_name: str) -> None:
    app = StallingApp()
    async with serving(app, Limits(write_stall_s=0.2), engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await peer.send(GET % b"big")
            with trio.fail_after(60):
                await app.ended.wait()
            counts = await server.until(lambda counts: counts.open_connections == 0)
            assert counts.stalled_connections_total == 1
            await peer.to_end()
            assert len(peer.received) < len(BIG)
        assert b" 200 " in await server.ask()


@every_engine
async def test_an_app_that_gives_up_on_a_send_leaves_no_half_of_it(engine_name: str) -> None:
    gave_up = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % (len(BIG) + 3))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with trio.move_on_after(0.05):
            gave_up.set()
            await send({"type": "http.response.body", "body": BIG, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        await gave_up.wait()
        await trio.sleep(0.2)
        body = (await peer.until(b"\0end")).partition(b"\r\n\r\n")[2]
        assert len(body) == len(BIG) + 3


@every_engine
async def test_a_reader_that_is_slow_but_reads_is_not_cut(engine_name: str) -> None:
    """The clocks are asked at times far ahead; between them the peer reads a little, and at last nothing."""
    patience_s, app = 1000.0, StallingApp()
    async with serving(app, Limits(write_stall_s=patience_s), engine_name=engine_name) as server:
        async with await server.connect(receive_buffer_bytes=16 * 1024) as peer:
            await peer.send(GET % b"big")
            await app.began.wait()
            known: Any = server.engine._shared.connections  # type: ignore[attr-defined]
            [connection] = known.values() if engine_name == "native" else known
            with trio.fail_after(60):
                now_s = trio.current_time() + patience_s
                for _ in range(4):
                    connection.tick(now_s)
                    for _ in range(32):
                        assert await peer.stream.receive_some(4096), "cut"
                        await trio.sleep(0.001)
                    now_s += 0.9 * patience_s
                connection.tick(now_s)
                assert server.engine.statistics().stalled_connections_total == 0
                await trio.testing.wait_all_tasks_blocked(0.05)
                connection.tick(now_s + 0.5 * patience_s)
                connection.tick(now_s + 2 * patience_s)
                await server.until(lambda counts: counts.open_connections == 0)
        assert server.engine.statistics().stalled_connections_total == 1


@every_engine
async def test_the_drain_is_over_in_time_whatever_stalls(engine_name: str) -> None:
    """A stalled reader, an event stream that ignores the drain, a WebSocket that never answers its close."""
    app = StallingApp()

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await trio.sleep_forever()
        elif scope["path"] == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await trio.sleep_forever()
        await app(scope, receive, send)

    limits = Limits(grace_s=0.5, write_stall_s=60)
    async with serving(stubborn, limits, engine_name=engine_name) as server, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(await server.connect()) for _ in range(3)]
        await peers[0].send(GET % b"big")
        await peers[1].send(GET % b"stream")
        await peers[2].send(UPGRADE % (b"socket", b""))
        await app.began.wait()
        await peers[1].until(b"first")
        await peers[2].until(b"\r\n\r\n")
        server.drain.set()
        with trio.fail_after(2):
            await server.drained.wait()
        counts = server.engine.statistics()
        assert counts.open_connections == 0
        assert counts.cut_connections_total >= 2


@every_engine
async def test_cancelling_serve_cuts_even_a_stalled_send(engine_name: str) -> None:
    app = StallingApp()
    limits = Limits(write_stall_s=60)
    async with serving(app, limits, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"big")
        await app.began.wait()
        server.scope.cancel()
        with trio.fail_after(2):
            await server.drained.wait()
        assert app.ended.is_set()


# The drain


@every_engine
async def test_the_drain_closes_idle_connections_and_refuses_new_ones(engine_name: str) -> None:
    async with serving(hello, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        await peer.until(b"hello")
        server.drain.set()
        assert (await peer.to_end()).endswith(b"hello")
        with trio.fail_after(3):
            await server.drained.wait()
        with pytest.raises(OSError, match=r"refused|reset"):
            await server.connect()


@every_engine
async def test_the_drain_lets_an_answer_finish_and_says_that_it_is_the_last(engine_name: str) -> None:
    began, finish = trio.Event(), trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await finish.wait()
        await answer(send, b"at last")

    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(GET % b"")
        await began.wait()
        server.drain.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        finish.set()
        received = await peer.to_end()
        assert received.endswith(b"at last")
        assert b"\r\nconnection: close\r\n" in received.lower()
        with trio.fail_after(3):
            await server.drained.wait()


@every_engine
async def test_the_drain_tells_event_streams_and_websockets(engine_name: str) -> None:
    draining = trio.Event()
    disconnects: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            disconnects.append((await receive())["code"])
            return
        async with EventStream(scope, receive, send, draining) as stream:
            await stream.send("first")
            await trio.sleep_forever()

    async with serving(app, engine_name=engine_name) as server:
        async with await server.connect() as stream_peer, await server.connect() as socket_peer:
            await stream_peer.send(GET % b"")
            await stream_peer.until(b"data: first")
            await socket_peer.send(UPGRADE % (b"", b""))
            await socket_peer.until(b"\r\n\r\n")
            draining.set()
            server.drain.set()
            assert b"event: bye\nretry: " in await stream_peer.to_end()
            assert close_code(await socket_peer.to_end()) == 1012
            with trio.fail_after(5):
                await server.drained.wait()
        assert disconnects == [1012]
        assert server.engine.statistics().cut_connections_total == 0


# Clients that leave, and limits


class Left:
    """Handlers that never end by themselves, whatever they do meanwhile: stream, wait, or read a body."""

    def __init__(self) -> None:
        self.began, self.cancelled = trio.Event(), trio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] == "/stream":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while True:
                    await send({"type": "http.response.body", "body": bytes(64 * 1024), "more_body": True})
                    self.began.set()
            self.began.set()
            while scope["path"] != "/wait" and (await receive())["type"] != "http.disconnect":
                pass
            await trio.sleep_forever()
        finally:
            self.cancelled.set()


@every_engine
@pytest.mark.parametrize("is_begun", [True, False], ids=["meanwhile", "at once"])
@pytest.mark.parametrize(
    "request_bytes",
    [
        GET % b"stream",
        GET % b"wait",
        GET % b"disconnect",
        b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\npart",
    ],
    ids=["streams", "works", "waits for it", "reads"],
)
async def test_a_client_that_leaves_cancels_its_handler(
    engine_name: str, request_bytes: bytes, *, is_begun: bool
) -> None:
    app = Left()
    async with serving(app, engine_name=engine_name) as server:
        # The server has no turn before the close, unless it is given one.
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            peer.sendall(request_bytes)
            if is_begun:
                with trio.fail_after(60):
                    await app.began.wait()
        await server.until(lambda counts: counts.accepted_connections_total == 1 and not counts.open_connections)
        assert app.cancelled.is_set() or not app.began.is_set()


@every_engine
async def test_a_websocket_that_leaves_is_read_as_a_disconnect(engine_name: str) -> None:
    codes: list[int] = []
    ended = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        codes.append((await receive())["code"])
        await trio.sleep(0.05)
        ended.set()

    async with serving(app, engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await peer.send(UPGRADE % (b"", b""))
            await peer.until(b"\r\n\r\n")
        with trio.fail_after(2):
            await ended.wait()
        assert codes == [1006]


@every_engine
async def test_an_early_answer_to_a_long_upload_arrives_and_frees_the_connection(engine_name: str) -> None:
    """The app never reads; the client sends on. Plain hypercorn keeps the task, and may reset the answer away."""

    began, finish = trio.Event(), trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await finish.wait()
        await answer(send, b"too large", 413)

    limits = Limits(receive_queue_messages=1)
    async with serving(app, limits, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        await began.wait()
        async with trio.open_nursery() as nursery:
            # More than the app's queue or the kernel takes: somebody is waiting when the answer comes.
            nursery.start_soon(peer.send, bytes(512 * 1024))
            await trio.testing.wait_all_tasks_blocked(0.01)
            finish.set()
            await peer.until(b"too large")
        # A reset would come with the next bytes; it could destroy an answer that is still on its way.
        for _ in range(4):
            await peer.send(bytes(64 * 1024))
        await peer.to_end()
        assert not peer.was_reset
        await server.until(lambda counts: counts.open_connections == 0)


@every_engine
async def test_one_connection_too_many_is_503(engine_name: str) -> None:
    async with serving(hello, Limits(connections_max=1), engine_name=engine_name) as server:
        async with await server.connect() as first:
            await first.send(GET % b"")
            await first.until(b"hello")
            async with await server.connect() as second:
                received = await second.to_end()
            assert received.startswith(b"HTTP/1.1 503 ")
            head, _, body = received.partition(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(body) in head
        await server.until(lambda counts: counts.open_connections == 0)
        assert b" 200 " in await server.ask()
        assert server.engine.statistics().refused_connections_total == 1


@every_engine
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
async def test_a_request_that_never_comes_ends_its_connection(engine_name: str, sent: bytes) -> None:
    async with serving(hello, Limits(header_read_s=0.1), engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await peer.send(sent)
            await peer.to_end()
        counts = await server.until(lambda counts: counts.open_connections == 0)
        assert counts.expired_connections_total == 1


@every_engine
async def test_an_idle_connection_ends_after_keep_alive(engine_name: str) -> None:
    limits = Limits(keep_alive_s=0.1)
    async with serving(hello, limits, engine_name=engine_name) as server, await server.connect() as peer:
        for count in (1, 2):
            await peer.send(GET % b"")
            while peer.received.count(b"hello") < count:
                peer.received += bytes(await peer.stream.receive_some())
        await peer.to_end()


@every_engine
async def test_headers_beyond_their_limit_are_431(engine_name: str) -> None:
    limits = Limits(header_bytes_max=4096)
    async with serving(hello, limits, engine_name=engine_name) as server, await server.connect() as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 5000)
        assert b" 431 " in (await peer.to_end()).split(b"\r\n")[0]


@every_engine
async def test_a_websocket_message_beyond_its_limit_is_1009_and_the_end(engine_name: str) -> None:
    async with serving(accepting, Limits(websocket_message_bytes_max=1000), engine_name=engine_name) as server:
        async with await server.connect() as peer:
            await peer.send(UPGRADE % (b"", b"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
            assert b"permessage-deflate" not in await peer.until(b"\r\n\r\n")
            # The first fragment of a message that never ends.
            with contextlib.suppress(trio.BrokenResourceError):
                for opcode in (0x02, *[0x00] * 50):
                    await peer.send(bytes([opcode, 0x80 | 126]) + struct.pack(">H", 600) + bytes(4) + bytes(600))
            assert close_code(await peer.to_end()) == 1009
        await server.until(lambda counts: counts.open_connections == 0)


async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


# TLS and HTTP/2

CERTIFICATE = TLS(Path(__file__).with_name("localhost-cert.pem"), Path(__file__).with_name("localhost-key.pem"))


class H2Peer:
    """An HTTP/2 client over one stream, for as much as these tests need."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.body = b""

    async def get(self, path: str) -> None:
        headers = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.connection.send_headers(self.connection.get_next_available_stream_id(), headers, end_stream=True)
        await self.flush()

    async def flush(self) -> None:
        await self.stream.send_all(self.connection.data_to_send())

    async def until(self, kind: type[Any], *, acknowledge: bool = True) -> Any:
        with trio.fail_after(10):
            while True:
                for event in self.connection.receive_data(bytes(await self.stream.receive_some())):
                    if isinstance(event, h2.events.DataReceived):
                        self.body += event.data
                        if acknowledge:
                            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if isinstance(event, kind):
                        return event
                await self.flush()


@asynccontextmanager
async def h2_connected(server: Server) -> AsyncIterator[H2Peer]:
    context = ssl.create_default_context(cafile=CERTIFICATE.certfile)
    context.set_alpn_protocols(["h2"])
    stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", server.port), context, server_hostname="localhost")
    await stream.do_handshake()
    assert stream.selected_alpn_protocol() == "h2"
    try:
        yield H2Peer(stream)
    finally:
        await trio.aclose_forcefully(stream)


async def h2_app(scope: Scope, receive: Receive, send: Send) -> None:
    await read_all(receive)
    if scope["path"] == "/big":
        await answer(send, bytes(512 * 1024))
    elif scope["path"] == "/abort":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise AnswerAborted("told elsewhere")
    else:
        await answer(send, scope["scheme"].encode())


async def test_tls_serves_http2() -> None:
    async with serving(h2_app, tls=CERTIFICATE) as server, h2_connected(server) as peer:
        await peer.get("/")
        await peer.until(h2.events.StreamEnded)
        assert peer.body == b"https"
        peer.body = b""
        await peer.get("/big")
        await peer.until(h2.events.StreamEnded)
        assert len(peer.body) == 512 * 1024


async def test_http2_resets_an_aborted_answer() -> None:
    """Plain hypercorn forgets the stream, and its client waits for ever."""
    async with serving(h2_app, tls=CERTIFICATE) as server, h2_connected(server) as peer:
        await peer.get("/abort")
        await peer.until(h2.events.StreamReset)
        await peer.get("/")
        await peer.until(h2.events.StreamEnded)


async def test_http2_early_answer_to_a_long_upload_spares_the_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and scope["path"] == "/unread":
            await trio.sleep(0.05)
        await answer(send, b"too large", 413)

    async with serving(app, tls=CERTIFICATE) as server, h2_connected(server) as peer:
        for path in ("/unread", "/at-once"):
            stream_id = peer.connection.get_next_available_stream_id()
            headers = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
            peer.connection.send_headers(stream_id, headers)
            for _ in range(40):
                peer.connection.send_data(stream_id, b"x")
            await peer.flush()
            await peer.until(h2.events.StreamEnded)
            peer.connection.send_data(stream_id, b"x" * 100)
            await peer.flush()
        await peer.get("/")
        await peer.until(h2.events.StreamEnded)
        assert server.engine.statistics().crashed_connections_total == 0


async def test_http2_stream_that_grants_no_window_is_reset() -> None:
    async with serving(h2_app, Limits(write_stall_s=0.2), tls=CERTIFICATE) as server:
        async with h2_connected(server) as peer:
            await peer.get("/big")
            await peer.until(h2.events.StreamReset, acknowledge=False)
        assert server.engine.statistics().stalled_connections_total == 1


async def test_tls_handshake_that_never_comes_ends_its_connection() -> None:
    async with serving(hello, Limits(tls_handshake_s=0.1), tls=CERTIFICATE) as server:
        async with await server.connect() as silent, await server.connect() as nonsense:
            await nonsense.send(GET % b"")
            await nonsense.to_end()
            await silent.to_end()
        await server.until(lambda counts: counts.open_connections == 0)
        assert server.engine.statistics().crashed_connections_total == 0


@asynccontextmanager
async def plain_hypercorn(
    app: Any, stop: trio.Event | None = None, returned: trio.Event | None = None
) -> AsyncIterator[int]:
    """Hypercorn as it comes."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = logging.getLogger("hypercorn.plain")
    config.graceful_timeout = 0.1

    async def run(*, task_status: trio.TaskStatus[list[str]]) -> None:
        trigger = stop.wait if stop is not None else trio.sleep_forever
        await hypercorn.trio.serve(app, config, shutdown_trigger=trigger, task_status=task_status)
        if returned is not None:
            returned.set()

    async with trio.open_nursery() as nursery:
        binds = await nursery.start(run)
        yield int(binds[0].rpartition(":")[2])
        nursery.cancel_scope.cancel()
