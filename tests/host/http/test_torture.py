"""The torture table against both engines."""

import contextlib
import re

import pytest
import trio

from host.descriptors import Receive, Scope, Send
from tests.host.http.serving import every_engine, serving
from tests.host.http.torture_cases import CASES, HYPERCORN, Case

OTHERWISE = {name: answers for (answers, _), names in HYPERCORN.items() for name in names}
NEXT = b"GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it saw."""
    path = scope["path"]
    body = b""
    if path == "/crash":
        raise KeyError(path)
    while path != "/unread":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    status = int(path[1:]) if path in ("/204", "/304") else 200
    headers = b";".join(name + b"=" + value for name, value in scope["headers"])
    seen = b"%b %b ? %b body=%b ;%b;" % (scope["method"].encode(), path.encode(), scope["query_string"], body, headers)
    if not scope["query_string"]:
        seen = seen.replace(b" ?  body", b" body") + b" " + seen
    start = {"type": "http.response.start", "status": status, "headers": []}
    if path == "/stream":
        await send(start)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if status == 200:
        start["headers"] = [(b"content-length", b"%d" % len(seen))]
    await send(start)
    await send({"type": "http.response.body", "body": seen if status == 200 else b""})


def answers_in(received: bytes) -> str:
    """The statuses in what the server sent, in the table's words."""
    statuses = [status.decode() for status in _STATUS.findall(received)]
    if b"GET /next" in received:
        assert statuses[-1] == "200"
        statuses[-1] = "next"
    return " ".join(statuses) or "silent"


def test_the_table_is_as_long_as_promised_and_says_each_thing_once() -> None:
    assert len(CASES) >= 150
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert OTHERWISE.keys() <= set(names)


@every_engine
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause} {case.name}")
async def test_request(engine_name: str, case: Case) -> None:
    expected = OTHERWISE.get(case.name, case.answers) if engine_name == "hypercorn" else case.answers
    async with serving(app, engine_name=engine_name) as server, await server.connect() as peer:
        with contextlib.suppress(trio.BrokenResourceError):
            await peer.send(case.sent + (NEXT if case.followed else b""))
        if expected == "silent":
            return
        received = await peer.to_end()
        assert answers_in(received) == expected.strip()
        assert case.seen in received or expected != case.answers
        assert server.engine.statistics().crashed_connections_total == 0
