"""Streams of Chat Completions made regular, whatever the upstream's quirks.

What comes out satisfies the accumulators of the official SDKs (openai-python `accumulate_delta`, openai-node
`ChatCompletionStream`), which concatenate strings and refuse gaps:

- one `id`, `created` and `model` on all chunks;
- for each choice: `role` once, in its first delta; `finish_reason` exactly once, in its last;
- for each tool call: a dense index from 0; `id`, `type` and `name` once, in its first delta; a string of arguments;
- the usage is in none of these frames: it is a frame of its own, for those who asked for it.

A chunk that is regular already goes out as the bytes that came in, unknown members and all.
"""

from typing import Any, Final

from pydantic_core import to_json

from plugins.gateway.core.chunk_shape import ChunkShape
from plugins.gateway.core.reading import Malformed, Seed, parse_object, raise_if_error
from plugins.gateway.core.sse import DONE, frame
from plugins.gateway.core.usage import Usage, usage_of_openai

FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_FINISH_ALIASES: Final = {"max_tokens": "length", "model_length": "length", "tool_use": "tool_calls"}
_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal")


class _Choice:
    """What has been said of one choice so far."""

    __slots__ = ("calls", "calls_by_id", "current_call", "finish_reason", "has_role")

    def __init__(self) -> None:
        self.has_role = False
        self.finish_reason = ""
        # The upstream's index of a tool call to (our index, its id, its name).
        self.calls: dict[Any, tuple[int, str, str]] = {}
        self.calls_by_id: dict[str, Any] = {}
        self.current_call: Any = None


class ChatReader:
    """Reads chunks in OpenAI's format, more or less."""

    __slots__ = (
        "_choices",
        "_created",
        "_id",
        "_model",
        "_seed",
        "_shape",
        "has_started",
        "is_done",
        "is_final",
        "output_bytes",
        "trailer",
        "usage",
        "usage_frame",
    )

    def __init__(self, seed: Seed) -> None:
        self.has_started = False
        self.is_done = False
        self.is_final = False
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.usage_frame = b""
        self.trailer = DONE
        self._seed = seed
        self._id = ""
        self._created = 0
        self._model = ""
        self._choices: dict[int, _Choice] = {}
        self._shape = ChunkShape()

    def feed(self, name: str, data: bytes) -> list[bytes]:
        """See `Reader`."""
        if self.is_done:
            return []
        if data.startswith(b"[DONE]"):
            return self._finish()
        framed = frame(data)
        if self.knows(framed):
            return [framed]
        self._shape.forget()
        chunk = parse_object(data)
        raise_if_error(chunk)
        frames = self.feed_chunk(chunk, data)
        if frames and frames[0] == framed:
            self._learn(chunk["choices"], framed)
        return frames

    def knows(self, framed: bytes) -> bool:
        """Whether these bytes are one frame that differs from the one before in its text alone. It is read then, and
        goes out as it is; else nothing has happened."""
        text = self._shape.text_of(framed)
        if text is None:
            return False
        self.output_bytes += len(text)
        return True

    def feed_chunk(self, chunk: dict[str, Any], data: bytes | None) -> list[bytes]:
        """The same for a chunk that was parsed, or made, already. `data` None: it has to be written anew."""
        if not chunk.get("id") and not chunk.get("choices") and chunk.get("usage") is None:
            # Azure's first chunk: about the prompt, with an empty id that is not the answer's.
            return []
        is_changed = self._unify(chunk) or data is None or b"\n" in data
        usage = chunk.get("usage")
        if usage is not None:
            # Some repeat it on every chunk: the newest counts.
            self.usage = usage_of_openai(usage) or self.usage
            self._make_usage_frame(usage)
            chunk["usage"] = None
            is_changed = True
        choices = chunk.get("choices")
        if not choices:
            # The chunk of the usage, or Azure's filter results: clients that read choices[0] must not see it.
            return []
        if not isinstance(choices, list):
            raise Malformed("choices is not a list")
        kept = []
        for choice in choices:
            if not isinstance(choice, dict):
                raise Malformed("a choice is not an object")
            changed, keep = self._regulate(choice)
            is_changed = is_changed or changed or not keep
            if keep:
                kept.append(choice)
        if not kept:
            return []
        if is_changed or data is None:
            chunk["choices"] = kept
            data = to_json(chunk)
        return [frame(data)]

    def end(self) -> list[bytes]:
        """See `Reader`: an end without [DONE] is an end when every choice has said why it stopped."""
        if self.is_done:
            return []
        if not self._choices or not all(choice.finish_reason for choice in self._choices.values()):
            raise Malformed("its stream ended without a finish_reason")
        return self._finish()

    def _learn(self, choices: list[dict[str, Any]], framed: bytes) -> None:
        """Remember the shape of a chunk that went out as it came, where the next of that shape needs no look inside."""
        if len(choices) == 1 and choices[0]["finish_reason"] is None and choices[0]["delta"].keys() == {"content"}:
            text = choices[0]["delta"]["content"]
            if text:
                self._shape.learn(framed, text)

    def _finish(self) -> list[bytes]:
        if not self._choices:
            raise Malformed("its stream ended before it said anything")
        frames = []
        for index, choice in self._choices.items():
            if not choice.finish_reason:
                # The upstream says that it is done; clients wait for the reason.
                choice.finish_reason = "tool_calls" if choice.calls else "stop"
                closing = {"index": index, "delta": {}, "finish_reason": choice.finish_reason}
                frames.append(frame(to_json(self._head() | {"choices": [closing]})))
        self.is_done = True
        self.is_final = all(choice.finish_reason != "content_filter" for choice in self._choices.values())
        return frames

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._id or self._seed.id,
            "object": "chat.completion.chunk",
            "created": self._created or self._seed.created,
            "model": self._model or self._seed.model,
        }

    def _make_usage_frame(self, usage: Any) -> None:
        self.usage_frame = frame(to_json(self._head() | {"choices": [], "usage": usage}))

    def _unify(self, chunk: dict[str, Any]) -> bool:
        """Give the chunk the head of the first one. Whether anything in it changed."""
        changed = False
        if not self._id:
            given = chunk.get("id")
            self._id = given if isinstance(given, str) and given else self._seed.id
            created = chunk.get("created")
            self._created = created if type(created) is int else self._seed.created
            model = chunk.get("model")
            self._model = model if isinstance(model, str) and model else self._seed.model
        if chunk.get("id") != self._id:
            chunk["id"] = self._id
            changed = True
        if chunk.get("object") != "chat.completion.chunk":
            chunk["object"] = "chat.completion.chunk"
            changed = True
        if chunk.get("created") != self._created or type(chunk["created"]) is not int:
            chunk["created"] = self._created
            changed = True
        if chunk.get("model") != self._model:
            chunk["model"] = self._model
            changed = True
        return changed

    def _regulate(self, choice: dict[str, Any]) -> tuple[bool, bool]:
        """Mend one choice of a chunk in place. Whether it changed, and whether anything of it is left to send."""
        changed = False
        index = choice.get("index")
        if type(index) is not int or index < 0:
            index = choice["index"] = 0
            changed = True
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _Choice()
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            message = choice.pop("message", None)
            delta = choice["delta"] = message if isinstance(message, dict) else {}
            changed = True
        if state.finish_reason:
            # It was over; only clients that never look back would survive more of it.
            return True, False
        changed |= self._regulate_role(state, delta)
        if (calls := delta.get("tool_calls")) is not None:
            changed |= self._regulate_calls(state, delta, calls)
        for name in _TEXTS:
            text = delta.get(name)
            if text:
                if not isinstance(text, str):
                    raise Malformed(f"{name} of a delta is not text")
                self.output_bytes += len(text)
                self.has_started = True
        changed |= self._regulate_finish(state, choice)
        return changed, True

    def _regulate_role(self, state: _Choice, delta: dict[str, Any]) -> bool:
        if not state.has_role:
            state.has_role = True
            if delta.get("role") != "assistant":
                delta["role"] = "assistant"
                return True
            return False
        if "role" in delta:
            del delta["role"]
            return True
        return False

    def _regulate_finish(self, state: _Choice, choice: dict[str, Any]) -> bool:
        reason = choice.get("finish_reason")
        if reason is None and "finish_reason" in choice:
            return False
        if not reason:
            choice["finish_reason"] = None
            return True
        told = reason if reason in FINISH_REASONS else _FINISH_ALIASES.get(reason, "stop")
        if told == "stop" and state.calls:
            told = "tool_calls"
        state.finish_reason = told
        self.has_started = True
        choice["finish_reason"] = told
        return bool(told != reason)

    def _regulate_calls(self, state: _Choice, delta: dict[str, Any], calls: Any) -> bool:
        if not isinstance(calls, list):
            raise Malformed("tool_calls is not a list")
        if not calls:
            del delta["tool_calls"]
            return True
        changed = False
        for call in calls:
            if not isinstance(call, dict):
                raise Malformed("a tool call is not an object")
            changed |= self._regulate_call(state, call)
            self.has_started = True
        return changed

    def _regulate_call(self, state: _Choice, call: dict[str, Any]) -> bool:
        function = call.get("function")
        changed = not isinstance(function, dict)
        if not isinstance(function, dict):
            function = call["function"] = {}
        call_id, name = call.get("id"), function.get("name")
        key = self._key_of_call(state, call.get("index"), call_id, name)
        known = state.calls.get(key)
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            if arguments is not None or known is None:
                function["arguments"] = "" if arguments is None else to_json(arguments).decode()
                changed = True
            elif "arguments" in function:
                del function["arguments"]
                changed = True
        self.output_bytes += len(function.get("arguments") or "")
        if known is None:
            return self._begin_call(state, key, call, function) or changed
        if call.get("index") != known[0]:
            call["index"] = known[0]
            changed = True
        for holder, member in ((call, "id"), (call, "type"), (function, "name")):
            if member in holder:
                del holder[member]
                changed = True
        return changed

    def _begin_call(self, state: _Choice, key: Any, call: dict[str, Any], function: dict[str, Any]) -> bool:
        index = len(state.calls)
        call_id, name = call.get("id"), function.get("name")
        changed = False
        if not isinstance(call_id, str) or not call_id:
            call_id = call["id"] = f"call_{self._seed.id[-16:]}_{index}"
            changed = True
        if not isinstance(name, str):
            name = function["name"] = ""
            changed = True
        if call.get("index") != index or type(call["index"]) is not int:
            call["index"] = index
            changed = True
        if call.get("type") != "function":
            call["type"] = "function"
            changed = True
        state.calls[key] = (index, call_id, name)
        state.calls_by_id[call_id] = key
        return changed

    def _key_of_call(self, state: _Choice, index: Any, call_id: Any, name: Any) -> Any:
        """Which call a delta belongs to, by its index, its id, or, with neither, by being the one under way."""
        if isinstance(call_id, str) and call_id in state.calls_by_id:
            state.current_call = state.calls_by_id[call_id]
        elif type(index) is int and index not in state.calls:
            state.current_call = index
        elif isinstance(call_id, str) and call_id and name:
            # Another id under an index that is taken: whole calls, each "the first" (Ollama, Gemini).
            state.current_call = ("id", call_id)
        elif type(index) is int:
            latest = state.current_call
            # Fragments that follow such a call carry the shared index only.
            is_shared = isinstance(latest, tuple)
            state.current_call = latest if is_shared else index
        elif state.current_call is None or (name and state.calls.get(state.current_call)):
            state.current_call = ("n", len(state.calls))
        return state.current_call
