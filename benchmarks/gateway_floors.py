"""What the gateway's figures rest on: the smallest apps on the native engine, measured by the same load.

    python -m benchmarks.gateway_floors answer|call UPSTREAM_PORT

`answer` reads a request and answers it from memory: no gateway on this engine can serve a hit for less. `call` sends
the body on to the upstream over the house's transport and answers with what comes back: no gateway on these two can
pass a request on for less. Prints its port on one line and serves until it is killed.
"""

import json
import sys
from typing import Any

import httpx
import trio

from benchmarks.http_peer import BODY
from host.api import TrioTransport, read_body
from host.http.engine import bind, engine_named
from host.http.limits import Limits

KINDS = ("answer", "call")


class Answer:
    """Parses nothing, asks nobody."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive, 2**20)
        await _answer(send, BODY)


class Call:
    """One call of the upstream for each request."""

    def __init__(self, port: int) -> None:
        self._transport = TrioTransport()
        self._url = httpx.URL(f"http://127.0.0.1:{port}/v1/chat/completions")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive, 2**20)
        json.loads(body)
        headers = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % len(body))]
        request = httpx.Request("POST", self._url, headers=headers, content=body)
        response = await self._transport.handle_async_request(request)
        await _answer(send, await response.aread())


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _run(kind: str, upstream_port: int) -> None:
    sockets = bind("127.0.0.1", 0)
    print(sockets[0].getsockname()[1], flush=True)
    app = Answer() if kind == "answer" else Call(upstream_port)
    await engine_named("native").serve(app, sockets, Limits(), drain=trio.Event())


if __name__ == "__main__":
    trio.run(_run, sys.argv[1], int(sys.argv[2]))
