"""Clients of the gateway: each answer is whole, or says that it is not; never cut short as if it were whole."""

import json
from random import Random

import httpx
import trio

from tests.soak.house import House
from tests.soak.visitors import AWAY, Tally, Visitor

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty", "knoll", "lagoon")
FAMILIAR = 20
"""So many prompts are asked again and again, and kept answers given."""
LOUD = {429, 500, 502, 504}


class Chatter(Visitor):
    """One question a visit. The simulated model answers with the question, so a wrong answer shows."""

    def __init__(self, house: House, tally: Tally, lot: Random, number: int) -> None:
        super().__init__(house, tally, lot)
        self._number = number
        self._asked = 0

    async def visit(self) -> None:
        self._asked += 1
        if self.lot.random() < 0.2:
            text = f"familiar {self.lot.randrange(FAMILIAR)}"
        else:
            words = self.lot.choices(WORDS, k=self.lot.randint(5, 60))
            text = f"{self._number}.{self._asked} {' '.join(words)}"
        is_stream = self.lot.random() < 0.7
        body = {"model": "demo", "stream": is_stream, "messages": [{"role": "user", "content": text}]}
        headers = {} if text.startswith("familiar") else {"cache-control": "no-store"}
        if is_stream:
            await self._stream(body, headers, text)
        else:
            await self._ask(body, headers, text)
        await self.pause(0.3)

    async def _ask(self, body: dict[str, object], headers: dict[str, str], text: str) -> None:
        answer = await self.http.post("/v1/chat/completions", json=body, headers=headers)
        if self._is_refused(answer.status_code, answer.content):
            return
        if answer.json()["choices"][0]["message"]["content"] == text:
            self.tally.note("answers whole")
        else:
            self.tally.breach(f"gateway: a wrong answer to {text[:60]!r}: {answer.text[:200]}")

    async def _stream(self, body: dict[str, object], headers: dict[str, str], text: str) -> None:
        leaves_after = self.lot.randint(1, 20) if self.lot.random() < 0.15 else None
        received, lines = b"", 0
        try:
            async with self.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
                async for part in answer.aiter_bytes():
                    received += part
                    lines += part.count(b"\n\n")
                    if leaves_after is not None and lines >= leaves_after:
                        self.tally.note("streams left by the client")
                        return
        except AWAY:
            # An unfinished body: no client takes that for a whole answer.
            told = b'"error"' in received
            self.tally.note("streams ended with an error event" if told else "streams whose connection broke")
            return
        if not self._is_refused(answer.status_code, received):
            self._judge(received, text)

    def _judge(self, received: bytes, text: str) -> None:
        """A body that is complete must hold a whole answer."""
        events = [line.removeprefix("data: ") for line in received.decode().splitlines() if line.startswith("data: ")]
        if not events or events[-1] != "[DONE]":
            self.tally.breach(f"gateway: a stream was cut silently after {received[-200:]!r}")
            return
        choices = [choice for event in events[:-1] for choice in json.loads(event).get("choices", ())]
        if "".join(choice["delta"].get("content") or "" for choice in choices) != text:
            self.tally.breach(f"gateway: a stream that ended as whole lacks a part of {text[:60]!r}")
        else:
            self.tally.note("streams whole")

    def _is_refused(self, status: int, body: bytes) -> bool:
        if status == 200:
            return False
        if status == 503 or (status in LOUD and b'"error"' in body):
            self.tally.note(f"gateway: {status}")
        else:
            self.tally.breach(f"gateway: {status} {body[:200]!r}")
        return True


class Watcher(Visitor):
    """Looks at a page or follows a stream of events for a while, and leaves without a word."""

    PAGES = ("/", "/frontrow", "/raft-lab", "/liveboard", "/gateway", "/-/plugins", "/metrics", "/openapi.json")
    STREAMS = ("/-/events", "/api/raft/events", "/api/gateway/events", "/api/frontrow/events/1/changes")

    async def visit(self) -> None:
        if self.lot.random() < 0.5:
            answer = await self.http.get(self.lot.choice(self.PAGES), follow_redirects=True)
            self.tally.check("watchers", answer, 200)
            self.tally.note("pages")
            return await self.pause(0.5)
        self.tally.note("event streams")
        with trio.move_on_after(self.lot.random() * 5):
            async with self.http.stream("GET", self.lot.choice(self.STREAMS), timeout=None) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    self.tally.check("watchers", answer, 200)
                    return None
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._leave_when_closing, nursery)
                    async for _ in answer.aiter_bytes():
                        pass
                    nursery.cancel_scope.cancel()
        return None

    async def _leave_when_closing(self, nursery: trio.Nursery) -> None:
        await self.house.is_closing.wait()
        nursery.cancel_scope.cancel()


class Rude(Visitor):
    """Says half of something and goes: half a request, half a frame, garbage, a body that never comes."""

    BYTES = (
        b"GET / HT",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/liveboard/rooms/rude/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket"
        b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82\xfe\xff",
        b"GET /-/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"",
    )

    async def visit(self) -> None:
        url = httpx.URL(self.house.url)
        assert url.port is not None
        stream = await trio.open_tcp_stream(url.host, url.port)
        try:
            await stream.send_all(self.lot.choice(self.BYTES))
            await self.pause(1)
        finally:
            await trio.aclose_forcefully(stream)
        self.tally.note("rude connections")
        await self.pause(0.5)
