"""Answers of Converse and of ConverseStream, read as completions of a chat.

What a model thought before it calls tools has to come back to it, word by word and with its signature. It travels in
`extra_content.amazon.reasoning` of the first call, which clients return with the conversation.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Final, TypeGuard

from pydantic_core import to_json

from plugins.gateway.core.chat_stream import ChatReader
from plugins.gateway.core.dialects.bedrock_errors import raise_if_exception
from plugins.gateway.core.reading import Malformed, Seed, Whole, parse_object
from plugins.gateway.core.usage import Usage, usage_of_converse

STOP_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def whole_of_converse(content: bytes, seed: Seed) -> Whole:
    """The completion that an answer of Converse amounts to. Raises `Malformed`."""
    document = parse_object(content)
    message = _message(document["output"]["message"]["content"])
    finish = _finish_of(document)
    if finish == "stop" and "tool_calls" in message:
        finish = "tool_calls"
    usage = usage_of_converse(document.get("usage"))
    completion = {
        "id": seed.id,
        "object": "chat.completion",
        "created": seed.created,
        "model": seed.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": (usage or Usage()).as_chat(),
    }
    return Whole(to_json(completion), usage, finish != "content_filter")


def reasoning_of(calls: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of reasoning that came with calls of tools, to be sent back before these."""
    found = [((call.get("extra_content") or {}).get("amazon") or {}).get("reasoning") or () for call in calls]
    return [{"reasoningContent": block} for blocks in found for block in blocks]


class ConverseReader(ChatReader):
    """Reads the events of ConverseStream as chunks of a chat. After `messageStop` only the usage is still to come."""

    __slots__ = ("_calls", "_finish_told", "_reasoning")

    def __init__(self, seed: Seed) -> None:
        super().__init__(seed)
        # The index of a content block to that of the tool call it is, and whether it has had arguments.
        self._calls: dict[Any, tuple[int, bool]] = {}
        # The index of a content block to what it thinks: the pieces of each member.
        self._reasoning: dict[Any, dict[str, list[str]]] = {}
        self._finish_told = ""

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        raise_if_exception(name, data)
        event = parse_object(data)
        if name == "messageStart":
            return self._say({"role": "assistant", "content": ""})
        if name == "contentBlockStart":
            return self._begin_block(event)
        if name == "contentBlockDelta":
            return self._continue_block(event["contentBlockIndex"], event["delta"])
        if name == "contentBlockStop":
            return self._end_block(event["contentBlockIndex"])
        if name == "messageStop":
            self._finish_told = _finish_of(event)
            return self._say({}, self._finish_told)
        if name == "metadata":
            self.usage = usage_of_converse(event.get("usage"))
            if self.usage is not None:
                self._make_usage_frame(self.usage.as_chat())
            return self.end()
        return []

    def end(self) -> list[bytes]:
        """See `Reader`. Without the usage the answer is whole all the same."""
        if self.is_done:
            return []
        if not self._finish_told:
            raise Malformed("its stream ended before messageStop")
        return self._finish()

    def _say(self, delta: dict[str, Any], finish_reason: str | None = None) -> list[bytes]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self.feed_chunk(self._head() | {"choices": [choice]}, None)

    def _begin_block(self, event: dict[str, Any]) -> list[bytes]:
        use = event["start"].get("toolUse")
        if not _is_clients(use):
            return []
        index = len(self._calls)
        self._calls[event["contentBlockIndex"]] = index, False
        call = _call(use, "") | {"index": index}
        if index == 0:
            call |= _carried(_reasoning_block(block) for block in self._reasoning.values())
        return self._say({"tool_calls": [call]})

    def _continue_block(self, block: Any, delta: dict[str, Any]) -> list[bytes]:
        if delta.get("text"):
            return self._say({"content": delta["text"]})
        if thought := delta.get("reasoningContent"):
            known = self._reasoning.setdefault(block, {})
            for member, piece in thought.items():
                known.setdefault(member, []).append(piece)
            return self._say({"reasoning_content": thought["text"]}) if thought.get("text") else []
        if (use := delta.get("toolUse")) and block in self._calls:
            index, has_arguments = self._calls[block]
            self._calls[block] = index, has_arguments or bool(use.get("input"))
            return self._arguments(index, use["input"]) if use.get("input") else []
        return []

    def _end_block(self, block: Any) -> list[bytes]:
        index, has_arguments = self._calls.get(block, (0, True))
        # A call without arguments has no deltas, or empty ones, and clients parse what there is.
        return [] if has_arguments else self._arguments(index, "{}")

    def _arguments(self, index: int, text: str) -> list[bytes]:
        return self._say({"tool_calls": [{"index": index, "function": {"arguments": text}}]})


def _finish_of(document: dict[str, Any]) -> str:
    reason = document["stopReason"]
    if reason.startswith("malformed_"):
        raise Malformed(f"the model stopped with {reason[:60]}")
    return STOP_REASONS.get(reason, "stop")


def _message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    text, thoughts = "", ""
    reasoning: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        text += block.get("text") or ""
        for cited in (block.get("citationsContent") or {}).get("content") or ():
            text += cited.get("text") or ""
        if thought := block.get("reasoningContent"):
            thoughts += (thought.get("reasoningText") or {}).get("text") or ""
            reasoning.append(thought)
        if _is_clients(use := block.get("toolUse")):
            calls.append(_call(use, to_json(use.get("input") or {}).decode()))
    made: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    if thoughts:
        made["reasoning_content"] = thoughts
    if calls:
        calls[0] |= _carried(reasoning)
        made["tool_calls"] = calls
    return made


def _is_clients(use: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
    """Whether a call is for the client: tools of the service's own are run there."""
    return use is not None and use.get("type") != "server_tool_use"


def _call(use: dict[str, Any], arguments: str) -> dict[str, Any]:
    function = {"name": use.get("name") or "", "arguments": arguments}
    return {"id": use.get("toolUseId"), "type": "function", "function": function}


def _reasoning_block(pieces: dict[str, list[str]]) -> dict[str, Any]:
    """The block that the deltas of a stream make."""
    if redacted := pieces.get("redactedContent"):
        # Pieces of bytes, each padded on its own.
        return {"redactedContent": b64encode(b"".join(map(b64decode, redacted))).decode()}
    text = {"text": "".join(pieces.get("text", ()))}
    return {"reasoningText": text | ({"signature": "".join(pieces["signature"])} if "signature" in pieces else {})}


def _carried(reasoning: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the first call carries. Reasoning without a signature is not asked for again."""
    signed = [block for block in reasoning if "redactedContent" in block or "signature" in block["reasoningText"]]
    return {"extra_content": {"amazon": {"reasoning": signed}}} if signed else {}
