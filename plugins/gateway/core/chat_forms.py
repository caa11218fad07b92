"""One answer of Chat Completions (or Completions) in both forms: chunks put together, a whole taken apart.

So that an entry of the cache serves streaming clients and others alike, whichever of them it came from.
"""

from collections.abc import Iterable
from typing import Any, Final

from pydantic_core import from_json, to_json

from plugins.gateway.core.sse import DONE, frame
from plugins.gateway.core.usage import Usage

_NULL_USAGES: Final = (b'"usage":null', b'"usage": null')
_NOT_MERGED: Final = frozenset({"role", "index", "type"})


def whole_of_frames(frames: Iterable[bytes], usage: Usage | None, usage_frame: bytes) -> bytes:
    """The completion that a complete stream amounts to."""
    completion: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for data in _documents(frames):
        chunk = from_json(data)
        for name, value in chunk.items():
            if name not in ("choices", "usage", "obfuscation") and value is not None:
                completion.setdefault(name, value)
        for part in chunk["choices"]:
            _add(choices.setdefault(part["index"], {"index": part["index"]}), part)
    is_chat = str(completion.get("object", "")).startswith("chat")
    completion["object"] = "chat.completion" if is_chat else "text_completion"
    completion["choices"] = [_completed(choices[index], is_chat) for index in sorted(choices)]
    reported = from_json(usage_frame.removeprefix(b"data: "))["usage"] if usage_frame else None
    completion["usage"] = reported or (usage.as_chat() if usage else None)
    if completion["usage"] is None:
        del completion["usage"]
    return to_json(completion)


def frames_of_whole(body: bytes) -> tuple[list[bytes], bytes]:
    """The stream of a completion, and the frame of its usage: each choice in a first chunk and a last one."""
    completion = from_json(body)
    is_chat = completion.get("object") != "text_completion"
    head = {name: value for name, value in completion.items() if name not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk" if is_chat else "text_completion"
    frames = []
    for choice in completion["choices"]:
        rest = {name: value for name, value in choice.items() if name not in ("message", "finish_reason", "text")}
        if is_chat:
            first = rest | {"delta": _delta_of(choice["message"]), "finish_reason": None}
            last: dict[str, Any] = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        else:
            first = rest | {"text": choice["text"], "finish_reason": None}
            last = {"index": choice["index"], "text": "", "logprobs": None, "finish_reason": choice["finish_reason"]}
        frames += [frame(to_json(head | {"choices": [part]})) for part in (first, last)]
    usage = completion.get("usage")
    return frames, frame(to_json(head | {"choices": [], "usage": usage})) if usage else b""


def with_null_usage(data: bytes) -> bytes:
    """A frame for a client that asked for the usage: all chunks before that of the usage say `"usage": null`."""
    if any(mark in data for mark in _NULL_USAGES) or not data.endswith(b"}\n\n"):
        return data
    return data[:-3] + b',"usage":null}\n\n'


def _documents(frames: Iterable[bytes]) -> Iterable[bytes]:
    for data in frames:
        if data != DONE:
            yield data.removeprefix(b"data: ")


def _add(choice: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        if name == "delta":
            _merge(choice.setdefault("message", {}), value)
        elif name == "text":
            choice["text"] = choice.get("text", "") + value
        elif name == "logprobs" and isinstance(value, dict):
            _merge(choice.setdefault("logprobs", {}), value)
        elif value is not None or name not in choice:
            choice[name] = value


def _merge(into: dict[str, Any], delta: dict[str, Any]) -> None:
    """What the SDKs' accumulators do: strings and lists grow, indexed lists merge item by item, objects recurse."""
    for name, value in delta.items():
        known = into.get(name)
        if known is None or name in _NOT_MERGED:
            if value is not None or name not in into:
                into[name] = _fresh(value)
        elif isinstance(known, str) and isinstance(value, str):
            into[name] = known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            _merge_lists(known, value)
        elif value is not None:
            into[name] = value


def _fresh(value: Any) -> Any:
    if isinstance(value, list) and any(_is_indexed(item) for item in value):
        merged: list[Any] = []
        _merge_lists(merged, value)
        return merged
    return value


def _merge_lists(into: list[Any], items: list[Any]) -> None:
    for item in items:
        if not _is_indexed(item):
            into.append(item)
            continue
        known = next((other for other in into if other.get("index") == item["index"]), None)
        if known is None:
            into.append(dict(item))
        else:
            _merge(known, item)


def _is_indexed(item: Any) -> bool:
    return isinstance(item, dict) and type(item.get("index")) is int


def _completed(choice: dict[str, Any], is_chat: bool) -> dict[str, Any]:
    if is_chat:
        message = choice.setdefault("message", {})
        message.setdefault("role", "assistant")
        message.setdefault("content", None)
        for call in message.get("tool_calls") or ():
            call.pop("index", None)
    choice.setdefault("logprobs", None)
    return choice


def _delta_of(message: dict[str, Any]) -> dict[str, Any]:
    delta = {name: value for name, value in message.items() if value is not None or name in ("content", "refusal")}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    return delta
