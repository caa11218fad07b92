"""The access log, sampled and full."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from host.descriptors import Receive, Scope, Send
from host.http.access_log import SAMPLED_ONE_IN, AccessLog, AccessMode
from tests.host.http.memory import ask, exchange
from tests.host.http.serving import answer


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/crash":
        raise KeyError
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await answer(send, b"", 503 if scope["path"] == "/busy" else 200)


@pytest.mark.parametrize(("mode", "expected"), [("full", 2 * SAMPLED_ONE_IN), ("sampled", 2)])
async def test_full_logs_all_and_sampled_few(mode: AccessMode, expected: int) -> None:
    logged = AccessLog(app, mode)
    with capture_logs() as lines:
        for _ in range(2 * SAMPLED_ONE_IN):
            await ask(logged, "GET", "/a", query=b"secret=1")
    assert len(lines) == expected
    line: Any = lines[0]
    assert (line["method"], line["path"], line["status"], line["client"]) == ("GET", "/a", 200, "127.0.0.1")
    assert "secret" not in str(line)


async def test_sampled_logs_every_answer_that_is_the_servers_fault() -> None:
    logged = AccessLog(app, "sampled")
    with capture_logs() as lines:
        for _ in range(3):
            await ask(logged, "GET", "/busy")
    assert [line["status"] for line in lines] == [503] * 3


async def test_a_crash_and_a_websocket_have_their_line() -> None:
    logged = AccessLog(app, "full")
    with capture_logs() as lines:
        with pytest.raises(KeyError):
            await ask(logged, "GET", "/crash")
        socket = exchange("WEBSOCKET", "/ws")
        await logged(socket.scope, socket.receive, socket.send)
    assert [(line["method"], line["status"]) for line in lines] == [("GET", 0), ("WEBSOCKET", 101)]
