"""The stranger over aiohttp, on asyncio: URL STROKES UNTIL."""

import asyncio
import sys

import aiohttp

from tests.plugins.liveboard.foreign.stranger import Stranger


async def main() -> None:
    stranger = Stranger(int(sys.argv[2]), int(sys.argv[3]))
    async with aiohttp.ClientSession() as session, session.ws_connect(sys.argv[1]) as socket:
        await socket.send_bytes(stranger.hello())
        while not stranger.is_done:
            for frame in stranger.take(await socket.receive_bytes()):
                await socket.send_bytes(frame)
    print(stranger.digest.hex(), stranger.root.hex())


asyncio.run(main())
