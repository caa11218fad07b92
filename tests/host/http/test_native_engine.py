"""What the native engine does beyond what every engine does."""

import contextlib
import functools
import struct
from pathlib import Path

import pytest
import trio
import trio.testing

from host.api import WebSocket, WebSocketFrame, WebSocketPolicy
from host.descriptors import Receive, Scope, Send
from host.http.engine import engine_named
from host.http.hypercorn_engine import HypercornEngine
from host.http.lane import http1
from host.http.lane.request import RequestParser
from host.http.limits import MIB, Limits
from host.http.static import StaticFolder
from tests.host.http.serving import GET, UPGRADE, answer, close_code, hello, serving
from tests.host.http.test_conformance import connected, frame
from tests.host.http.test_hypercorn_engine import CERTIFICATE

native = functools.partial(serving, engine_name="native")


def test_tls_goes_through_hypercorn() -> None:
    assert isinstance(engine_named("native", tls=CERTIFICATE), HypercornEngine)


async def test_a_fault_of_the_engine_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(parser: RequestParser, data: bytes = b"") -> None:
        raise KeyError("a fault")

    async with native(hello) as server:
        with monkeypatch.context() as patched:
            patched.setattr(RequestParser, "advance", advance)
            async with await server.connect() as peer:
                await peer.send(GET % b"")
                assert await peer.to_end() == b""
        assert (await server.until(lambda counts: counts.open_connections == 0)).crashed_connections_total == 1
        assert b" 200 " in await server.ask()


async def test_a_client_that_ends_right_behind_its_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `printf ... | nc` does."""
    monkeypatch.setattr(http1, "LEAVE_S", 60.0)
    async with native(hello) as server, await server.connect() as peer:
        await peer.send(GET % b"" * 3)
        await peer.stream.send_eof()
        assert (await peer.to_end()).count(b"hello") == 3


async def test_a_client_that_leaves_is_noticed_behind_bytes_that_nobody_reads() -> None:
    began, ended = trio.Event(), trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with native(app) as server:
        async with await server.connect() as peer:
            await peer.send(GET % b"" + bytes(1000))
            await began.wait()
        with trio.fail_after(2):
            await ended.wait()


async def test_a_head_that_takes_too_long_is_told_so_and_silence_is_not() -> None:
    async with native(hello, Limits(header_read_s=0.1)) as server:
        async with await server.connect() as peer:
            await peer.send(b"GET / HTTP/1.1\r\nHost: loc")
            assert (await peer.to_end()).startswith(b"HTTP/1.1 408 ")
        async with await server.connect() as peer:
            assert await peer.to_end() == b""
        assert server.engine.statistics().expired_connections_total == 2


async def test_bytes_that_trickle_do_not_renew_the_time_for_a_head() -> None:
    async with native(hello, Limits(header_read_s=0.3)) as server, await server.connect() as peer:
        with trio.fail_after(5):
            with contextlib.suppress(trio.BrokenResourceError):
                for byte in GET % (b"a" * 500):
                    await peer.send(bytes([byte]))
                    await trio.sleep(0.01)
            assert (await peer.to_end()).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_was_expected_and_not_wanted_ends_the_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"no", 403)

    async with native(app) as server, await server.connect() as peer:
        await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        received = await peer.to_end()
        assert b" 403 " in received
        assert b"connection: close\r\n" in received
        assert b" 100 " not in received


async def test_a_bad_chunk_in_the_middle_is_400_unless_the_answer_has_begun() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (message := await receive())["type"] == "http.request":
            assert message["body"] in (b"abc", b"")

    for path, status in ((b"begun", b" 200 "), (b"", b" 400 ")):
        async with native(app) as server, await server.connect() as peer:
            await peer.send(b"POST /%b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" % path)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await peer.send(b"nonsense\r\n")
            received = await peer.to_end()
            assert status in received
            assert not received.endswith(b"0\r\n\r\n")


async def test_an_unfinished_stream_to_an_old_client_is_a_reset() -> None:
    """Its end is all that tells HTTP/1.0 that the body is whole."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if scope["path"] == "/crash":
            raise KeyError
        await send({"type": "http.response.body", "body": b""})

    async with native(app) as server:
        for path in (b"crash", b"fine"):
            async with await server.connect() as peer:
                await peer.send(b"GET /%b HTTP/1.0\r\n\r\n" % path)
                await peer.to_end()
                assert peer.was_reset == (path == b"crash")


# Files


async def test_files_leave_by_the_kernel(tmp_path: Path) -> None:
    content = bytes(range(256)) * 16 * 1024
    (tmp_path / "big.png").write_bytes(content)
    folder = StaticFolder(tmp_path, "/")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await folder(scope, receive, send)

    async with native(app) as server, await server.connect() as peer:
        await peer.send(b"HEAD /big.png HTTP/1.1\r\nHost: a\r\n\r\n" + GET % b"big.png" + GET % b"none.png")
        received = await peer.until(b" 404 ")
        assert received.count(b"content-length: %d\r\n" % len(content)) == 2
        assert content in received
        assert received.count(content[:4096]) == len(content) // 256 // 16


async def test_pathsend_takes_its_length_from_the_file_and_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"8")] if scope["path"] == "/short" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with native(app) as server:
        assert b"content-length: 7\r\n" in await server.ask()
        async with await server.connect() as peer:
            await peer.send(GET % b"short")
            assert (await peer.to_end()).endswith(b"\r\n\r\ncontent")


# WebSockets


async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
    async with WebSocket(scope, receive, send) as socket:
        async for _ in socket:
            pass


async def test_a_ping_behind_what_a_slow_peer_has_to_read_is_waited_for() -> None:
    """The clocks are asked at times far ahead."""
    sent = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            await socket.receive()
            socket.send_nowait(WebSocketFrame.binary(bytes(MIB)))
            sent.set()
            await trio.sleep_forever()

    limits = Limits(websocket_ping_s=1000, websocket_pong_s=1000, write_stall_s=1_000_000)
    async with native(app, limits) as server, await server.connect(receive_buffer_bytes=16 * 1024) as peer:
        await peer.send(UPGRADE % (b"", b"") + frame(b"go"))
        await sent.wait()
        await trio.testing.wait_all_tasks_blocked(0.01)
        [connection] = server.engine._shared.connections.values()  # type: ignore[attr-defined]
        now_s = trio.current_time()
        for passed_s in (1500, 3000, 4500, 6000):
            connection.tick(now_s + passed_s)
        assert server.engine.statistics().silent_connections_total == 0
        await peer.until(bytes(MIB) + b"\x89\x00")
        with trio.fail_after(60):
            while connection.wire.holds_bytes:  # noqa: ASYNC110  The kernel has no event.
                await trio.sleep(0.005)
        connection.tick(now_s + 8000)
        assert server.engine.statistics().silent_connections_total == 1


async def test_a_peer_that_does_not_consent_to_a_close_is_not_waited_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send):
            pass

    async with native(app, Limits(websocket_close_s=0.1)) as server, connected(server) as peer:
        assert close_code(await peer.to_end()) == 1000
    await server.until(lambda counts: counts.open_connections == 0)


async def test_an_app_that_ignores_its_peers_leaving_is_cancelled() -> None:
    cancelled = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with native(app) as server:
        async with connected(server):
            pass
        with trio.fail_after(30):
            await cancelled.wait()


async def test_messages_before_a_leave_are_received_before_it() -> None:
    read_on, got = trio.Event(), list[object]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            await read_on.wait()
            async for message in socket:
                got.append(message)
            got.append(socket.close_code)

    async with native(app, Limits(receive_queue_messages=4)) as server, connected(server) as peer:
        await peer.send(b"".join(frame(b"%d" % number) for number in range(20)) + frame(b"", 0x88))
        await trio.testing.wait_all_tasks_blocked(0.01)
        read_on.set()
        await server.until(lambda counts: len(got) == 21)
    assert got == [*(b"%d" % number for number in range(20)), 1005]


async def test_compression_is_the_mounts_choice() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["quartet.websocket"] = WebSocketPolicy(deflate=scope["path"] == "/deflate")
        async with WebSocket(scope, receive, send) as socket:
            await socket.send("plain" * 20)
            await socket.send(WebSocketFrame.text("built" * 20))

    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, nonsense\r\n"
    async with native(app, Limits(websocket_close_s=0.1)) as server:
        for path in (b"deflate", b"no"):
            async with await server.connect() as peer:
                await peer.send(UPGRADE % (path, offer))
                received = await peer.to_end()
                assert (b"sec-websocket-extensions: permessage-deflate" in received) == (path == b"deflate")
                assert (b"plain" * 20 in received) == (path == b"no")
                assert b"built" * 20 in received, "what is built once is sent as it is"


async def test_dropped_frames_are_counted() -> None:
    policy = WebSocketPolicy(when_full="drop_oldest", high_water_bytes=100_000, droppable=frozenset({"cursor"}))
    done = trio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["quartet.websocket"] = policy
        async with WebSocket(scope, receive, send) as socket:
            for _ in range(500):
                assert socket.send_nowait(WebSocketFrame.binary(bytes(1000), "cursor"))
            done.set()
            await trio.sleep_forever()

    async with native(app) as server, connected(server):
        await done.wait()
        assert server.engine.statistics().dropped_frames_total > 300


async def test_a_frame_is_sent_whole_whatever_is_cancelled() -> None:
    big = bytes(8 * MIB)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with WebSocket(scope, receive, send) as socket:
            for _ in range(3):
                with trio.move_on_after(0.02):
                    await socket.send(big)
            await socket.send("end")
            await socket.receive()

    async with native(app) as server, connected(server) as peer:
        await trio.sleep(0.2)
        received = (await peer.until(b"\x81\x03end")).partition(b"\r\n\r\n")[2]
        head = bytes((0x82, 127)) + struct.pack("!Q", len(big))
        whole, rest = divmod(len(received) - 5, len(head) + len(big))
        assert rest == 0
        assert received == (head + big) * whole + b"\x81\x03end"


# Many at once


async def test_slow_readers_and_writers_hold_up_nobody() -> None:
    """The soak in small; `python -m benchmarks.soak_http` is the large one."""
    big = bytes(4 * MIB)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await answer(send, big if scope["path"] == "/big" else b"hello")

    async with native(app) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            reader = await stack.enter_async_context(await server.connect(receive_buffer_bytes=4096))
            await reader.send(GET % b"big")
            writer = await stack.enter_async_context(await server.connect())
            await writer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nonly this")
        for _ in range(20):
            assert b" 200 " in await server.ask()
        assert server.engine.statistics().open_connections >= 40
        await stack.aclose()
        await server.until(lambda counts: counts.open_connections == 0)
        assert server.engine.statistics().crashed_connections_total == 0
