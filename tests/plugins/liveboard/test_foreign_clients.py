"""Clients that know the protocol's document and nothing else, on five WebSocket stacks that nobody here wrote.

The stacks: `websockets`, trio-websocket (wsproto), aiohttp, undici (Node's own) and `ws`.
"""

import sys
from pathlib import Path

import trio
from trio_websocket import open_websocket_url

from benchmarks.fanout import PEERS, install_ws
from host.testing import running_host
from tests.needs import missing, needed
from tests.plugins.liveboard.foreign.stranger import Stranger

FOREIGN = Path(__file__).with_name("foreign")
ROOT = Path(__file__).parents[3]
STROKES = 20


async def test_strangers_on_five_stacks_end_with_one_digest_and_one_root(postgres_url, redis_url, tmp_path) -> None:
    needed("node", "apt install nodejs")
    reason = await trio.to_thread.run_sync(install_ws)
    if reason:
        missing(reason)
    node = ["node", "--experimental-websocket", "--no-warnings", str(FOREIGN / "stranger.mjs")]
    python = [sys.executable, "-m"]
    commands = [
        ([*python, "tests.plugins.liveboard.foreign.with_websockets"], []),
        ([*python, "tests.plugins.liveboard.foreign.with_aiohttp"], []),
        (node, []),
        (node, [str(PEERS)]),
    ]
    until = STROKES * (len(commands) + 1)
    ends: list[tuple[str, str]] = []
    # They do not ping, and one may wait long for the others to be started.
    async with running_host(
        {"liveboard": {"silence_max": "2m"}}, postgres_url=postgres_url, redis_url=redis_url, data_dir=tmp_path
    ) as host:
        url = f"{host.url.replace('http', 'ws')}/api/liveboard/rooms/strangers/socket"

        async def process(command: list[str], more: list[str]) -> None:
            done = await trio.run_process(
                [*command, url, str(STROKES), str(until), *more],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=ROOT,
            )
            assert done.returncode == 0, done.stderr.decode()
            digest, root = done.stdout.decode().split()
            ends.append((digest, root))

        async def over_trio_websocket() -> None:
            stranger = Stranger(STROKES, until)
            async with open_websocket_url(url) as socket:
                await socket.send_message(stranger.hello())
                while not stranger.is_done:
                    for frame in stranger.take(await socket.get_message()):
                        await socket.send_message(frame)
            ends.append((stranger.digest.hex(), stranger.root.hex()))

        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(over_trio_websocket)
                for command, more in commands:
                    nursery.start_soon(process, command, more)
        board = (await host.http.get("/api/liveboard/rooms/strangers")).json()

    assert board["rev"] == until
    assert ends == [(board["digest"], board["root"])] * (len(commands) + 1)
