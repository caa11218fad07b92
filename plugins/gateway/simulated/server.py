"""The HTTP server of one simulated provider: Trio and llhttp, HTTP/1.1 on a port of loopback, keep-alive.

It checks little, because only the gateway talks to it; what it does exactly is fail. It also sees when a client leaves
in the middle of an answer, and when: what the gateway promises about cancellation is measured here.
"""

import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httptools
import trio
from pydantic_core import from_json, to_json

from plugins.gateway.core.dialects.table import Dialect
from plugins.gateway.core.eventstream import CONTENT_TYPE
from plugins.gateway.simulated import converse, media, wire
from plugins.gateway.simulated.answers import Prompt, Reply, reply_to
from plugins.gateway.simulated.faults import HEALTHY, Fault
from plugins.gateway.simulated.http1 import Answer, Cut, Request, listen

RECEIVE_BYTES: Final = 65536
LEFT_KEPT: Final = 1024
"""How many of the moments at which clients left are remembered."""
DRIP_S: Final = 1.0

Events = Iterator[tuple[bytes, bool]]


@dataclass(slots=True)
class Tally:
    """What a provider has seen. `left_at` are moments on Trio's clock at which clients left unanswered."""

    requests: int = 0
    open_requests: int = 0
    open_connections: int = 0
    left: int = 0
    left_at: deque[float] = field(default_factory=lambda: deque(maxlen=LEFT_KEPT))
    paths: deque[str] = field(default_factory=lambda: deque(maxlen=16))


class SimulatedProvider:
    """One provider. `run` serves until cancelled; `break_with` and `heal` may be called at any time meanwhile."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        *,
        first_token_s: float = 0.0,
        token_interval_s: float = 0.0,
        now_unix_s: Callable[[], float],
    ) -> None:
        self.name = name
        self.dialect = dialect
        self.first_token_s = first_token_s
        self.token_interval_s = token_interval_s
        self.fault = HEALTHY
        self.fault_until = 0.0
        self.tally = Tally()
        self.port = 0
        self._now_unix_s = now_unix_s
        self._changed = trio.Event()
        self._hastened = trio.Event()
        self._serving = trio.CancelScope()
        self._answers = 0

    @property
    def base_url(self) -> str:
        """Where the gateway finds it; "" before `run` is ready."""
        path = {"gemini": "/v1beta", "bedrock": ""}.get(self.dialect, "/v1")
        return f"http://127.0.0.1:{self.port}{path}" if self.port else ""

    def break_with(self, fault: Fault) -> None:
        """Have this fault from now on, until its time is over."""
        self.fault = fault
        self.fault_until = trio.current_time() + fault.duration
        self._changed.set()
        if fault.kind == "refuse":
            self._serving.cancel("the simulated provider is gone")

    def heal(self) -> None:
        """Be healthy again."""
        self.fault = HEALTHY
        self._changed.set()

    def hasten(self) -> None:
        """Have every answer that waits for its next token go on now."""
        self._hastened.set()
        self._hastened = trio.Event()

    def present_fault(self) -> Fault:
        """The fault that holds now."""
        if self.fault is not HEALTHY and trio.current_time() >= self.fault_until:
            self.fault = HEALTHY
        return self.fault

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever. While the fault is "refuse" nobody listens; afterwards the port is the same."""
        status: trio.TaskStatus[None] | None = task_status
        while True:
            while self.present_fault().kind == "refuse":
                self._changed = trio.Event()
                with trio.move_on_at(self.fault_until):
                    await self._changed.wait()
            with trio.CancelScope() as self._serving, listen(self.port) as listener:
                self.port = listener.getsockname()[1]
                if status is not None:
                    status.started()
                    status = None
                await self._accept(trio.socket.from_stdlib_socket(listener))

    async def _accept(self, listener: trio.socket.SocketType) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                connection, _ = await listener.accept()
                nursery.start_soon(self._guard, connection)

    async def _guard(self, connection: trio.socket.SocketType) -> None:
        self.tally.open_connections += 1
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection:
                try:
                    await self._serve(connection)
                except (Cut, trio.Cancelled):
                    # A reset, as from a process that was killed.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    raise
        except (OSError, Cut, httptools.HttpParserError):
            pass
        finally:
            self.tally.open_connections -= 1

    async def _serve(self, connection: trio.socket.SocketType) -> None:
        request = Request()
        early = b""
        while True:
            data = early or await connection.recv(RECEIVE_BYTES)
            if not data:
                return
            request.feed(data)
            early = b""
            if request.is_complete:
                is_whole, early = await self._answer_watched(connection, request)
                if not is_whole:
                    return
                request = Request()

    async def _answer_watched(self, connection: trio.socket.SocketType, request: Request) -> tuple[bool, bytes]:
        """Answer, and stop at once when the client leaves meanwhile. Whether the connection goes on, and what has come
        of its next request: a client that has our last byte may be faster than the task that sent it."""
        self.tally.requests += 1
        self.tally.open_requests += 1
        self.tally.paths.append(request.path)
        answer = Answer(connection)
        early = b""
        try:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal early
                    try:
                        while len(early) < RECEIVE_BYTES and (data := await connection.recv(RECEIVE_BYTES)):
                            early += data
                    except OSError:
                        pass
                    if not answer.is_complete:
                        self.tally.left += 1
                        self.tally.left_at.append(trio.current_time())
                    nursery.cancel_scope.cancel("the client has left")

                nursery.start_soon(watch)
                await self._answer(request, answer)
                nursery.cancel_scope.cancel("answered")
        except* Cut:
            answer.is_cut = True
        finally:
            self.tally.open_requests -= 1
        if answer.is_cut:
            raise Cut
        return answer.is_complete, early

    async def _answer(self, request: Request, answer: Answer) -> None:
        fault = self.present_fault()
        if fault.share < 1 and random.random() >= fault.share:
            fault = HEALTHY
        if fault.kind == "hang":
            await trio.sleep(fault.duration)
            raise Cut
        if await self._fail(fault, answer):
            return
        self._answers += 1
        answer_id = f"chatcmpl-sim{self.name.replace('-', '')}{self._answers:06d}"
        if request.path.endswith("/models"):
            await answer.whole(to_json({"object": "list", "data": [{"id": "echo", "object": "model"}]}))
            return
        if request.path.endswith("/audio/speech"):
            await self._stream(media.speech_parts(), fault, answer, kind=b"audio/wav")
            return
        try:
            body = from_json(request.body) if request.body.startswith(b"{") else {"form": request.body}
            whole, events = self._made(request.path, body, answer_id)
        except (TypeError, ValueError, LookupError, AttributeError):
            # What a schema refuses elsewhere.
            await self._refuse(answer, 400, ("invalid_request_error", None, "the request is not one of this API"))
            return
        if events is None:
            await self._think(self.first_token_s)
            if fault.kind == "drip":
                await trio.sleep(DRIP_S)
            if fault.kind in ("cut", "stall"):
                await answer.part_of(whole, fault.cut_bytes)
                await self._break_off(fault)
            await answer.whole(whole)
            return
        kind = CONTENT_TYPE if self.dialect == "bedrock" else b"text/event-stream"
        await self._stream(events, fault, answer, kind=kind)

    async def _fail(self, fault: Fault, answer: Answer) -> bool:
        """Answer with the fault, when it is one of those that concern the whole answer."""
        retry = [(b"retry-after", b"%d" % max(1, round(fault.retry_after)))]
        if fault.kind == "rate_limit":
            retry.append((b"retry-after-ms", b"%d" % round(fault.retry_after * 1000)))
            await self._refuse(answer, 429, ("rate_limit_error", "rate_limit_exceeded", "slow down"), retry)
        elif fault.kind == "error":
            await self._refuse(answer, 500, ("api_error", None, "the simulated provider failed on command"))
        elif fault.kind == "overloaded":
            status = 529 if self.dialect == "anthropic" else 503
            await self._refuse(answer, status, ("overloaded_error", "server_is_overloaded", "overloaded"))
        elif fault.kind == "unauthorized":
            await self._refuse(answer, 401, ("authentication_error", "invalid_api_key", "bad key sk-…abcd"))
        elif fault.kind == "bad_json":
            await answer.whole(b"<html>502 Bad Gateway</html>")
        elif fault.kind == "empty":
            await answer.begin_stream()
            await answer.end()
        else:
            return False
        return True

    async def _refuse(
        self,
        answer: Answer,
        status: int,
        error: tuple[str, str | None, str],
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """Answer with an error: its type, code and message."""
        if self.dialect == "bedrock":
            headers = [*(headers or ()), (b"x-amzn-errortype", converse.ERRORS[error[0]])]
        await answer.whole(self._error(*error), status, headers)

    def _error(self, kind: str, code: str | None, message: str) -> bytes:
        if self.dialect == "bedrock":
            return to_json({"message": message})
        if self.dialect == "anthropic":
            return to_json({"type": "error", "error": {"type": kind, "message": message}})
        if self.dialect == "gemini":
            return to_json({"error": {"code": 0, "message": message, "status": kind.upper()}})
        return to_json({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def _made(self, path: str, body: dict[str, Any], answer_id: str) -> tuple[bytes, Events | None]:
        """The whole answer, or else the events of its stream."""
        created = int(self._now_unix_s())
        if self.dialect == "anthropic":
            prompt = wire.prompt_of_anthropic(body)
            reply = reply_to(prompt)
            if body.get("stream"):
                return b"", wire.message_events(prompt, reply, answer_id)
            return wire.message_whole(prompt, reply, answer_id), None
        if self.dialect == "bedrock":
            return converse.answer_to(path, body, answer_id)
        if self.dialect == "gemini":
            model, _, method = path.partition("/models/")[2].partition(":")
            if method.startswith("batchEmbed"):
                return wire.gemini_embeddings(body), None
            prompt = wire.prompt_of_gemini(body, model)
            reply = reply_to(prompt)
            if method.startswith("stream"):
                return b"", wire.gemini_events(prompt, reply, answer_id)
            return wire.gemini_whole(prompt, reply, answer_id), None
        return _openai(path, body, answer_id, created)

    async def _stream(self, events: Events, fault: Fault, answer: Answer, kind: bytes = b"text/event-stream") -> None:
        await answer.begin_stream(kind)
        tokens = 0
        breaks = fault.kind in ("cut", "stall")
        for data, is_token in events:
            if is_token:
                if breaks and fault.cut_bytes is None and tokens >= fault.after_tokens:
                    await self._break_off(fault)
                usual_s = self.token_interval_s if tokens else self.first_token_s
                delay_s = DRIP_S if fault.kind == "drip" and tokens else usual_s
                if delay_s:
                    await self._think(delay_s)
                tokens += 1
            if breaks and fault.cut_bytes is not None and answer.sent_bytes + len(data) > fault.cut_bytes:
                await answer.chunk(data[: fault.cut_bytes - answer.sent_bytes])
                await self._break_off(fault)
            await answer.chunk(data)
        await answer.end()

    async def _think(self, seconds: float) -> None:
        """Wait so long, or until told to hasten."""
        with trio.move_on_after(seconds):
            await self._hastened.wait()

    async def _break_off(self, fault: Fault) -> None:
        if fault.kind == "stall":
            await trio.sleep(fault.duration)
        raise Cut


def _openai(path: str, body: dict[str, Any], answer_id: str, created: int) -> tuple[bytes, Events | None]:
    is_stream = bool(body.get("stream"))
    include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    if path.endswith("/embeddings"):
        return wire.embeddings_whole(body, model=str(body.get("model"))), None
    if "/images/" in path or "/audio/" in path:
        if is_stream or media.is_streamed_form(body.get("form") or b""):
            return b"", media.media_events(path, body, created)
        return media.media_whole(path, body, created), None
    if path.endswith("/moderations"):
        return wire.moderations_whole(body, answer_id), None
    surface = "responses" if path.endswith("/responses") else "chat" if path.endswith("/chat/completions") else ""
    prompt: Prompt = wire.prompt_of_openai(body, surface or "completions")
    reply: Reply = reply_to(prompt)
    if surface == "responses":
        if is_stream:
            return b"", wire.response_events(prompt, reply, answer_id, created)
        return wire.response_whole(prompt, reply, answer_id, created), None
    if surface == "chat":
        if is_stream:
            return b"", wire.chat_events(prompt, reply, answer_id, created, include_usage=include_usage)
        return wire.chat_whole(prompt, reply, answer_id, created), None
    if is_stream:
        return b"", wire.completion_events(prompt, reply, answer_id, created, include_usage=include_usage)
    return wire.completion_whole(prompt, reply, answer_id, created), None
