"""Chunks that are known by their bytes go out as they came, wherever reads are cut, and only when they came alone."""

import json
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plugins.gateway.calls import AnswerBroken
from plugins.gateway.core.chat_stream import ChatReader
from plugins.gateway.core.reading import Seed
from plugins.gateway.core.sse import EventDecoder
from plugins.gateway.upstream import Opened

SEED = Seed("chatcmpl-seed", 1, "seeded")


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: %s\n\n" % json.dumps(head | {"choices": [choice]} | more, ensure_ascii=False).encode()


STREAM = [
    event({"role": "assistant", "content": ""}),
    *(event({"content": text}) for text in ("eins", " zwei", " drei", " –", " vier")),
    b": a comment\n\n",
    event({"content": " named"}),
    b"event: named\n" + event({"content": " also"}),
    *(event({"content": text}) for text in (" fünf", 'a "quote"', " sechs", " sieben")),
    event({}, "stop"),
    event({"content": " too late"}),
    b"data: [DONE]\n\n",
]


class Reply:
    """A body in parts, as far as an answer that is being read looks at it."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = iter(parts)

    def decoded(self) -> "Reply":
        return self

    def __aiter__(self) -> "Reply":
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


class Anyone:
    """A target with a name."""

    provider = SimpleNamespace(name="anyone")


async def relayed(parts: list[bytes]) -> tuple[bytes, int]:
    """What goes out of a stream that comes in these parts, and how much was said in it."""
    reader = ChatReader(SEED)
    opened = Opened(cast(Any, None), cast(Any, Reply(parts)), 0, reader=reader)
    # As `open_stream` leaves it.
    opened._decoder, opened._parts = EventDecoder(10_000), opened.reply.decoded()
    sent = b""
    while frames := await opened.more():
        sent += b"".join(frames)
    assert reader.is_done
    return sent, reader.output_bytes


async def test_a_stream_is_relayed_the_same_wherever_it_is_cut() -> None:
    wire = b"".join(STREAM)
    whole = await relayed([wire])
    assert b"too late" not in whole[0]
    assert await relayed(STREAM) == whole
    for at in range(len(wire)):
        assert await relayed([part for part in (wire[:at], wire[at:]) if part]) == whole
    random.seed(7)
    for _ in range(100):
        cuts = sorted(random.sample(range(1, len(wire)), 12))
        assert await relayed([wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]) == whole


async def test_a_known_chunk_that_came_alone_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [event({"role": "assistant", "content": ""}), *(event({"content": f" {number}"}) for number in range(5))]
    opened = Opened(cast(Any, None), cast(Any, Reply(parts)), 0, reader=ChatReader(SEED))
    opened._decoder, opened._parts = EventDecoder(10_000), opened.reply.decoded()
    for part in parts[:2]:
        assert await opened.more() == [part]
    monkeypatch.setattr(EventDecoder, "feed", None)
    for part in parts[2:]:
        assert await opened.more() == [part]


async def test_a_known_chunk_behind_the_beginning_of_an_event_is_a_part_of_that() -> None:
    said = [event({"role": "assistant", "content": ""}), event({"content": "one"})]
    # One event of two lines of data, which is no JSON.
    parts = [*said, b"data: [\n", event({"content": " two"})]
    opened = Opened(cast(Any, Anyone()), cast(Any, Reply(parts)), 0, reader=ChatReader(SEED))
    opened._decoder, opened._parts = EventDecoder(10_000), opened.reply.decoded()
    for part in said:
        assert await opened.more() == [part]
    with pytest.raises(AnswerBroken):
        await opened.more()
