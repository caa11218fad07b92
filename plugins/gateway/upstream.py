"""One attempt at one target: the request out, and the answer up to the point of no return.

For a stream that point is the first token: everything before it can still be thrown away and asked elsewhere. For any
other answer it is the last byte. What goes wrong before is an `AttemptFailed`, with all the next decision needs.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import httpx
import trio

from host.api import Clocks, Reply, Timer, TrioTransport, clock_of
from plugins.gateway.calls import AnswerBroken, Call, Meta, Outcome, Sink
from plugins.gateway.core.chat_stream import ChatReader
from plugins.gateway.core.dialects.bedrock_errors import error_of_answer
from plugins.gateway.core.dialects.openai import error_of
from plugins.gateway.core.dialects.relayed import PATHS, NoDecoder, stream_of
from plugins.gateway.core.dialects.table import codec_of
from plugins.gateway.core.errors import (
    Failure,
    failure_of_answer,
    failure_of_clock,
    failure_of_connection,
    failure_of_status,
)
from plugins.gateway.core.eventstream import EventStreamDecoder
from plugins.gateway.core.reading import (
    Malformed,
    Outgoing,
    Reader,
    Seed,
    UpstreamSaid,
    Whole,
    make_request,
    read_end,
    read_event,
    read_whole,
)
from plugins.gateway.core.retry import parse_retry_after
from plugins.gateway.core.sse import EventDecoder, EventTooLarge
from plugins.gateway.core.usage import Usage, estimate_tokens
from plugins.gateway.settings import ClockSettings
from plugins.gateway.targets import Target

ANSWER_BYTES_MAX: Final = 64 * 2**20
"""One answer, or one event of a stream: images come as base64 in one piece."""
ERROR_BYTES_MAX: Final = 64 * 1024
FRAMES_BEFORE_TOKEN_MAX: Final = 1000
"""Events held back while no token has come; an upstream that sends more is not going to."""
_PASSED_ON: Final = (b"openai-processing-ms", b"openai-version", b"openai-organization")
_PASSED_ON_PREFIX: Final = b"x-ratelimit-"
CLOSE_S: Final = 1.0
RELAYED: Final = frozenset(path[1:] for path in PATHS)
"""Endpoints whose answers are of any type."""


class AttemptFailed(Exception):
    """The target gave no answer; another may be asked."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


@dataclass(slots=True)
class Opened:
    """An answer that has begun: `whole` when it is complete, else `frames` so far and where more come from."""

    target: Target
    reply: Reply
    began_ns: int
    first_token_us: float = 0.0
    whole: Whole | None = None
    reader: Reader | None = None
    frames: list[bytes] = field(default_factory=list)
    content_type: bytes = b"text/event-stream"
    _decoder: EventDecoder | EventStreamDecoder | NoDecoder | None = None
    _parts: AsyncIterator[bytes] | None = None

    def passed_on(self) -> tuple[tuple[bytes, bytes], ...]:
        """Headers of the upstream that clients may see."""
        return tuple(
            (name, value)
            for name, value in ((name.lower(), value) for name, value in self.reply.headers)
            if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIX)
        )

    async def aclose(self) -> None:
        """Let go of the connection: it serves again when the answer was read to its end, else it is closed."""
        self.reply.close()
        if self._parts is not None:
            await _forget(self._parts)

    async def more(self) -> list[bytes]:
        """The next frames, [] once the stream is over.

        Raises:
            AnswerBroken: it broke off, fell silent, or said that it failed.
        """
        assert self.reader is not None
        try:
            while not self.reader.is_done:
                frames = await self._read_on()
                if frames is None:
                    return read_end(self.reader)
                if frames:
                    return frames
            return []
        except (Malformed, UpstreamSaid, EventTooLarge, httpx.HTTPError) as error:
            raise AnswerBroken(_failure_of(self.target.provider.name, error)) from None

    async def open_stream(self, event_bytes_max: int) -> None:
        """Read up to the first token. Raises like `more`, unwrapped."""
        assert self.reader is not None
        if self.target.provider.dialect == "bedrock":
            self._decoder = EventStreamDecoder(event_bytes_max)
        else:
            is_events = self.content_type.startswith(b"text/event-stream")
            self._decoder = EventDecoder(event_bytes_max) if is_events else NoDecoder()
        self._parts = self.reply.decoded()
        while not self.reader.has_started:
            frames = await self._read_on()
            if frames is None:
                self.frames += read_end(self.reader)
                break
            self.frames += frames
            if self.reader.is_done:
                break
            if len(self.frames) > FRAMES_BEFORE_TOKEN_MAX:
                raise Malformed("its stream says nothing")
        if not self.frames:
            raise Malformed("its stream ended before it said anything")
        self.first_token_us = (time.perf_counter_ns() - self.began_ns) / 1e3

    async def drain(self) -> None:
        """Read what comes after the end of the answer, for a moment, so that the connection can serve again."""
        if self._parts is None:
            return
        timer = self.reply.timer
        timer.total_at = min(timer.total_at, trio.current_time() + CLOSE_S)
        with suppress(httpx.HTTPError):
            async for _ in self._parts:
                pass

    async def _read_on(self) -> list[bytes] | None:
        """Frames out of one read, None at the end of the stream."""
        assert self._decoder is not None
        assert self._parts is not None
        assert self.reader is not None
        try:
            data = await self._parts.__anext__()
        except StopAsyncIteration:
            events = self._decoder.end()
            if not events:
                return None
        else:
            if self._is_known(data):
                return [data]
            events = self._decoder.feed(data)
        frames: list[bytes] = []
        for name, payload in events:
            frames += read_event(self.reader, name, payload)
        return frames

    def _is_known(self, data: bytes) -> bool:
        """Whether a read brought one chunk and nothing else, of a kind that needs no look inside."""
        reader, decoder = self.reader, self._decoder
        return (
            isinstance(reader, ChatReader)
            and isinstance(decoder, EventDecoder)
            and decoder.is_between_events
            and reader.knows(data)
        )


class Upstreams:
    """Makes attempts over one transport.

    Two of the four clocks span several steps of an attempt. They are the transport's total: up to the first token it
    ends with that clock, from then on with the call.
    """

    def __init__(self, transport: TrioTransport, clocks: ClockSettings) -> None:
        self._transport = transport
        self._first_token_s = clocks.first_token
        self._clocks = Clocks(connect_s=clocks.connect, between_chunks_s=clocks.between_chunks)

    async def attempt(self, call: Call, target: Target) -> Opened:
        """Ask the target.

        Raises:
            AttemptFailed: there is no answer, or none that can be used.
            ApiError: the request cannot be put to this target at all, or is wrong.

        A cancellation closes the connection at once.
        """
        codec = codec_of(target.provider.dialect, call.surface)
        assert codec is not None, "targets that do not speak for the endpoint are not planned"
        is_stream = call.stream and codec.streams
        outgoing = make_request(codec, call.body, call.raw, target.model, stream=is_stream)
        seed = Seed(f"chatcmpl-{call.request_id}", int(time.time()), target.model)
        reader = codec.reader(seed) if is_stream else None
        timer = Timer(self._clocks, call.deadline_s)
        if is_stream:
            timer.total_at = min(call.deadline_s, trio.current_time() + self._first_token_s)
        opened: Opened | None = None
        try:
            began_ns = time.perf_counter_ns()
            template = target.template(outgoing.path)
            headers = _headers_of(call, target, outgoing)
            if target.provider.signer is not None:
                headers = (*headers, *target.signature(outgoing.path, outgoing.content))
            reply = await self._transport.call(template, outgoing.content, timer, headers)
            opened = Opened(target, reply, began_ns, reader=reader)
            if not 200 <= reply.status < 300:
                raise AttemptFailed(await self._read_failure(target, reply))
            if is_stream:
                await opened.open_stream(ANSWER_BYTES_MAX)
                timer.total_at = call.deadline_s
            elif call.surface in RELAYED and (relayed := stream_of(reply.header(b"content-type") or b"")) is not None:
                opened.reader, opened.content_type = relayed, relayed.content_type
                await opened.open_stream(ANSWER_BYTES_MAX)
            else:
                opened.whole = read_whole(codec, await _read_body(reply, ANSWER_BYTES_MAX), seed)
                if call.surface in RELAYED:
                    kind = reply.header(b"content-type") or b"application/octet-stream"
                    opened.whole = replace(opened.whole, content_type=kind)
            return opened
        except BaseException as error:
            if opened is not None:
                await opened.aclose()
            if not isinstance(error, Malformed | UpstreamSaid | EventTooLarge | httpx.HTTPError):
                raise
            if clock_of(error) == "total" and timer.total_at < call.deadline_s:
                raise AttemptFailed(failure_of_clock(target.provider.name, "first_token")) from None
            raise AttemptFailed(_failure_of(target.provider.name, error)) from None

    async def _read_failure(self, target: Target, reply: Reply) -> Failure:
        try:
            content = await _read_body(reply, ERROR_BYTES_MAX)
        except (Malformed, httpx.HTTPError):
            content = b""
        status = reply.status
        code, message, kind, param = error_of(content)
        if target.provider.dialect == "bedrock":
            said = error_of_answer(status, reply.header(b"x-amzn-errortype") or b"", content)
            status, code, message = said.status, said.code, said.message
        retry_after_s = parse_retry_after(reply.headers, time.time()) if status in (429, 503, 529) else None
        return failure_of_status(
            target.provider.name,
            status,
            code=code,
            message=message or f"{target.provider.name} answered {status}",
            kind=kind,
            param=param,
            retry_after_s=retry_after_s,
        )


async def relay(opened: Opened, meta: Meta, call: Call, sink: Sink) -> Outcome:
    """Hand an answer on to its end. Raises `AnswerBroken` when it does not end well; `sink.end` is not called then."""
    reader, whole = opened.reader, opened.whole
    await sink.begin(meta)
    if whole is not None:
        await sink.whole(whole)
        outcome = Outcome(meta, *_billed(opened, call), is_final=whole.is_final)
        await sink.end(None, outcome)
        return outcome
    assert reader is not None
    frames = opened.frames
    while frames:
        await sink.frames(frames)
        frames = await opened.more()
    outcome = Outcome(meta, *_billed(opened, call), is_final=reader.is_final)
    await sink.end(reader, outcome)
    await opened.drain()
    return outcome


def _billed(opened: Opened, call: Call) -> tuple[Usage, int]:
    usage = usage_of(opened, call)
    return usage, opened.target.price.nano_usd(usage)


def usage_of(opened: Opened, call: Call) -> Usage:
    """What the upstream reported, or else an estimate from what went through, also of a stream that was broken off."""
    if opened.whole is not None:
        reported = opened.whole.usage
        is_text = call.surface != "embeddings" and call.surface not in RELAYED
        output_bytes = len(opened.whole.body) if is_text else 0
    else:
        assert opened.reader is not None
        reported = opened.reader.usage if opened.reader.is_done else None
        output_bytes = opened.reader.output_bytes
    if reported is not None:
        return reported
    return Usage(call.prompt_tokens, estimate_tokens(output_bytes), is_estimated=True)


async def _read_body(reply: Reply, bytes_max: int) -> bytes:
    """All of it. Raises `Malformed` when it is too long; whoever has the reply closes it."""
    parts: list[bytes] = []
    size = 0
    source = reply.decoded()
    try:
        async for part in source:
            size += len(part)
            if size > bytes_max:
                raise Malformed(f"it is larger than {bytes_max} bytes")
            parts.append(part)
    finally:
        await _forget(source)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _forget(parts: AsyncIterator[bytes]) -> None:
    """Close what unpacked a body. Left to the collector it would be reported as forgotten; it waits for nothing."""
    if isinstance(parts, AsyncGenerator):
        await parts.aclose()


def _headers_of(call: Call, target: Target, outgoing: Outgoing) -> tuple[tuple[bytes, bytes], ...]:
    """What a request carries beside its target's headers: the dialect's, and the client's where nobody else says."""
    if not call.forwarded or target.provider.dialect == "bedrock":
        # Betas are members of the body there, and others than at their makers': unknown ones are errors.
        return outgoing.headers
    taken = {name for name, _ in (*outgoing.headers, *target.provider.headers)}
    return (*(pair for pair in call.forwarded if pair[0] not in taken), *outgoing.headers)


def _failure_of(provider: str, error: BaseException) -> Failure:
    if isinstance(error, UpstreamSaid):
        return failure_of_status(
            provider,
            error.status,
            code=error.code,
            message=error.message,
            kind=error.type,
            param=None,
            retry_after_s=None,
        )
    if isinstance(error, httpx.TimeoutException):
        return failure_of_clock(provider, clock_of(error) or "first_byte")
    if isinstance(error, httpx.HTTPError):
        return failure_of_connection(provider, refused=isinstance(error, httpx.ConnectError))
    return failure_of_answer(provider, str(error))
