"""Bodies that stream up: framing, backpressure, and servers that answer before they have heard everything."""

from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from host.http.client import TrioTransport, open_client
from tests.host.http.client_peers import OK, Listening, answering, serving

EARLY = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"


class Body:
    """A body of `count` parts that remembers how many were asked for; waits for `gate` before each but the first."""

    def __init__(self, part: bytes, count: int, gate: trio.Event | None = None) -> None:
        self.part = part
        self.count = count
        self.gate = gate
        self.given = 0
        self.closed = False

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        if self.given and self.gate is not None:
            await self.gate.wait()
        if self.given == self.count:
            raise StopAsyncIteration
        self.given += 1
        return self.part


async def generated(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_stream_without_length_goes_out_chunked_and_the_connection_is_kept() -> None:
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        response = await client.post(peer.url, content=generated(b"ab", b"", b"cde"))
        assert response.content == b"ok"
        assert bytes(peer.received[0]).endswith(b"\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
        assert transport.statistics().idle == 1


async def test_stream_with_length_goes_out_as_it_is() -> None:
    async with serving(answering(OK)) as peer, open_client() as client:
        await client.post(peer.url, content=generated(b"ab", b"cde"), headers={"Content-Length": "5"})
        assert bytes(peer.received[0]).endswith(b"\r\n\r\nabcde")


async def test_files_are_sent_as_multipart() -> None:
    async with serving(answering(OK)) as peer, open_client() as client:
        await client.post(peer.url, files={"f": ("name", b"x" * 300_000)})
        assert peer.received[0].count(b"x" * 300_000) == 1


@pytest.mark.parametrize("size", [65536, 65537, 3_000_000])
async def test_large_body_in_memory_arrives_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        for _ in range(2):
            assert (await client.post(peer.url, content=body[:size])).content == b"ok"
        assert bytes(peer.received[0]).count(body[:size]) == 2
        assert peer.connections == 1


@pytest.mark.parametrize(("parts", "declared"), [((b"abc",), "2"), ((b"ab", b"c"), "2"), ((b"a",), "2"), ((), "1")])
async def test_body_that_breaks_its_declared_length_closes_the_connection(
    parts: tuple[bytes, ...], declared: str
) -> None:
    class Parts:
        def __aiter__(self) -> AsyncIterator[bytes]:
            self.left = list(parts)
            return self  # type: ignore[return-value]

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        client = httpx.AsyncClient(transport=transport)
        with pytest.raises(httpx.LocalProtocolError, match="body"):
            await client.post(peer.url, content=Parts(), headers={"Content-Length": declared})
        assert transport.statistics().open == 0
        assert not bytes(peer.received[0]).endswith(b"abc")


@pytest.mark.parametrize("error", [OSError("disk"), trio.BrokenResourceError("mine"), KeyError("x"), SystemExit(3)])
async def test_error_of_the_body_reaches_the_caller_as_it_is(error: BaseException) -> None:
    class Failing(Body):
        async def __anext__(self) -> bytes:
            if self.given:
                raise error
            return await super().__anext__()

    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        with pytest.raises(type(error)) as caught:
            await httpx.AsyncClient(transport=transport).post(peer.url, content=Failing(b"x", 9))
        assert caught.value is error
        assert transport.statistics().open == 0


async def test_slow_server_slows_the_body_down() -> None:
    go = trio.Event()

    async def handler(stream: Listening, number: int) -> None:
        await go.wait()
        while not stream.copy.endswith(b"0\r\n\r\n"):
            await stream.receive_some(1 << 20)
        await stream.send_all(OK)

    body = Body(b"x" * 65536, 512)
    async with serving(handler) as peer, open_client() as client, trio.open_nursery() as nursery:

        async def upload() -> None:
            assert (await client.post(peer.url, content=body)).content == b"ok"

        nursery.start_soon(upload)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert 0 < body.given < 400
        go.set()
    assert body.given == 512


async def test_body_that_is_always_ready_lets_other_tasks_run() -> None:
    turns = 0

    class Counting(Body):
        async def __anext__(self) -> bytes:
            seen.append(turns)
            return await super().__anext__()

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    seen: list[int] = []
    async with serving(answering(OK)) as peer, open_client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await client.post(peer.url, content=Counting(b"x", 100))
        nursery.cancel_scope.cancel()
    assert seen[-1] - seen[0] >= 99


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_early_refusal_ends_an_upload_that_waits_for_its_source(hangs_up: bool) -> None:
    async def handler(stream: Listening, number: int) -> None:
        await stream.receive_some(65536)
        await stream.send_all(EARLY)
        if not hangs_up:
            await trio.sleep_forever()

    body = Body(b"x", 1000, gate=trio.Event())
    async with serving(handler) as peer, TrioTransport() as transport:
        response = await httpx.AsyncClient(transport=transport).post(peer.url, content=body)
        assert (response.status_code, response.content) == (413, b"big")
        assert body.given == 1
        assert transport.statistics().open == 0  # half a request has been sent: not to be used again


@pytest.mark.parametrize("source", ["memory", "stream"])
async def test_early_refusal_ends_an_upload_that_the_server_does_not_read(source: str) -> None:
    async def handler(stream: Listening, number: int) -> None:
        await stream.receive_some(1024)
        await stream.send_all(EARLY)
        await trio.sleep_forever()

    content: object = b"x" * (1 << 25) if source == "memory" else Body(b"x" * 65536, 512)
    async with serving(handler) as peer, TrioTransport() as transport:
        response = await httpx.AsyncClient(transport=transport).post(peer.url, content=content)  # type: ignore[arg-type]
        assert (response.status_code, response.content) == (413, b"big")
        assert transport.statistics().open == 0


async def test_early_success_does_not_end_the_upload() -> None:
    async def handler(stream: Listening, number: int) -> None:
        while b"\r\n\r\n" not in stream.copy:
            await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        gate.set()
        while not stream.copy.endswith(b"0\r\n\r\n"):
            await stream.receive_some(65536)
        await stream.send_all(b"ok")
        await stream.receive_some(1)

    gate = trio.Event()
    body = Body(b"x" * 1000, 20, gate)
    async with serving(handler) as peer, TrioTransport() as transport:
        response = await httpx.AsyncClient(transport=transport).post(peer.url, content=body)
        assert response.content == b"ok"
        assert body.given == 20
        assert transport.statistics().idle == 1


async def test_continue_before_the_body_has_gone_is_no_answer() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        gate.set()
        while not stream.copy.endswith(b"0\r\n\r\n"):
            await stream.receive_some(65536)
        await stream.send_all(OK)

    gate = trio.Event()
    body = Body(b"x", 5, gate)
    async with serving(handler) as peer, open_client() as client:
        response = await client.post(peer.url, content=body, headers={"Expect": "100-continue"})
        assert (response.content, body.given) == (b"ok", 5)


async def test_server_that_hangs_up_during_the_upload_is_an_error_at_once() -> None:
    async def handler(stream: Listening, number: int) -> None:
        await stream.receive_some(65536)

    body = Body(b"x", 1000, gate=trio.Event())
    async with serving(handler) as peer, TrioTransport() as transport:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
            await httpx.AsyncClient(transport=transport).post(peer.url, content=body)
        assert body.given == 1
        assert transport.statistics().open == 0


async def test_refusal_is_delivered_though_sending_has_failed() -> None:
    """The server answers and resets: what it said before counts."""

    async def handler(stream: Listening, number: int) -> None:
        await stream.receive_some(16)
        await stream.send_all(EARLY)
        answered.set()

    class Late(Body):
        async def __anext__(self) -> bytes:
            with trio.CancelScope(shield=True):  # a source that does not notice that nobody wants it any more
                await answered.wait()
                await trio.testing.wait_all_tasks_blocked(0.01)
            return await super().__anext__()

    answered = trio.Event()
    async with serving(handler) as peer, TrioTransport() as transport:
        response = await httpx.AsyncClient(transport=transport).post(peer.url, content=Late(b"x" * 65536, 50))
        assert (response.status_code, response.content) == (413, b"big")
        assert transport.statistics().open == 0


async def test_upload_cancelled_by_the_caller_closes_the_generator_of_httpx() -> None:
    class Waiting(Body):
        async def __anext__(self) -> bytes:
            if self.given:
                try:
                    await trio.sleep_forever()
                finally:
                    self.closed = True
            return await super().__anext__()

    body = Waiting(b"x", 3)
    async with serving(answering(OK)) as peer, TrioTransport() as transport:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def upload() -> None:
                    await httpx.AsyncClient(transport=transport).post(peer.url, content=body)

                nursery.start_soon(upload)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert body.closed
        assert transport.statistics().open == 0
