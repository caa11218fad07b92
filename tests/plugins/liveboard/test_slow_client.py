"""A client that takes nothing, over a real socket: it holds nobody up, waits behind a short line, and is cut."""

import socket
from urllib.parse import urlsplit

import trio

from benchmarks.liveboard_load import masked
from host.testing import running_host
from plugins.liveboard.core import frames as f
from plugins.liveboard.core import operations as o
from tests.plugins.liveboard.conftest import STYLE, Client

HANDSHAKE = (
    b"GET /api/liveboard/rooms/room/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXTS = 1500
LONG = o.Text("text", STYLE, 0, 0, 0, 0, "a" * 4096)
# The engine has a patience of its own, which would cut it, too.
PATIENT_ENGINE = ("server.limits.write_stall_s=600", "server.limits.websocket_pong_s=600")


async def test_client_that_takes_nothing_holds_nobody_up_and_is_cut(postgres_url, redis_url, tmp_path) -> None:
    settings = {"send_stall": "1s", "send_bytes_max": "16KiB", "silence_max": "10m"}
    async with running_host(
        {"liveboard": settings},
        postgres_url=postgres_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        sets=PATIENT_ENGINE,
    ) as host:
        writer, stalled = Client("writer"), Client("stalled")
        with trio.socket.socket() as raw:
            # As little as the system allows, so that the kernel takes little in its place.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await raw.connect(("127.0.0.1", urlsplit(host.url).port))
            await raw.send(HANDSHAKE)
            assert (await raw.recv(4096)).startswith(b"HTTP/1.1 101")
            await raw.send(masked(f.encode_frame(stalled.hello())))

            async def clients() -> int:
                return (await host.http.get("/api/liveboard/figures")).json()["clients"]

            async def until_there_are(count: int) -> None:
                with trio.fail_after(60):
                    while await clients() != count:  # noqa: ASYNC110
                        await trio.sleep(0.02)

            await until_there_are(1)
            async with writer.connected(host.url, "room"):
                for _ in range(TEXTS // 20):
                    await writer.draw(*[LONG] * 20)
                await writer.until(lambda: not writer.unsaved, 100)
                await until_there_are(1)
                assert not writer.is_gone()
