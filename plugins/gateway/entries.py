"""Complete answers, in either form: what the cache keeps, and how it is served again."""

from dataclasses import dataclass, field
from typing import Final

from pydantic_core import from_json, to_json

from plugins.gateway.core.chat_forms import frames_of_whole, whole_of_frames, with_null_usage
from plugins.gateway.core.sse import DONE
from plugins.gateway.core.usage import Usage

_CONVERTIBLE: Final = ("chat", "completions")
ENTRY_OVERHEAD_BYTES: Final = 1024
"""What Python needs around the bytes of an entry, roughly."""


@dataclass(slots=True)
class Entry:
    """One answer. It was given either as `frames` of a stream, or as a `body`; the other form is made when asked for.

    `frames` hold neither the frame of the usage nor the trailer.
    """

    surface: str
    provider: str
    model: str
    usage: Usage
    cost_nano_usd: int
    frames: list[bytes] | None = None
    body: bytes | None = None
    usage_frame: bytes = b""
    trailer: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What is said of it when it comes out of the cache, once it did."""
    _streams: dict[bool, bytes] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Its weight in the cache, with all forms that were made so far."""
        size = sum(map(len, self.frames or ())) + len(self.body or b"") + len(self.usage_frame)
        return size + sum(map(len, self._streams.values())) + ENTRY_OVERHEAD_BYTES

    def can_be(self, *, stream: bool) -> bool:
        """Whether the answer can be served in this form."""
        if stream:
            return self.frames is not None or self.surface in _CONVERTIBLE
        return self.body is not None or self.surface in (*_CONVERTIBLE, "responses")

    def as_body(self) -> bytes:
        """The whole answer."""
        if self.body is None:
            assert self.frames is not None
            if self.surface == "responses":
                last = self.frames[-1].partition(b"data: ")[2]
                self.body = to_json(from_json(last)["response"])
            else:
                self.body = whole_of_frames(self.frames, self.usage, self.usage_frame)
        return self.body

    def as_stream(self, *, include_usage: bool) -> bytes:
        """All of its stream, with the chunks that it came in."""
        made = self._streams.get(include_usage)
        if made is None:
            self._frames()
            made = b"".join(self.stream_parts(include_usage=include_usage))
            if len(self._streams) < 1 or len(made) < ENTRY_OVERHEAD_BYTES:
                self._streams[include_usage] = made
        return made

    def stream_parts(self, *, include_usage: bool) -> list[bytes]:
        """The same in frames."""
        frames = self._frames()
        if include_usage and self.surface in _CONVERTIBLE:
            return [*map(with_null_usage, frames), self.usage_frame, self.trailer]
        return [*frames, self.trailer]

    def pack(self) -> bytes:
        """All of it in bytes, for another host."""
        head = {
            "surface": self.surface,
            "provider": self.provider,
            "model": self.model,
            "usage": [self.usage.input_tokens, self.usage.output_tokens, self.usage.cached_tokens],
            "cost": self.cost_nano_usd,
            "frames": None if self.frames is None else [len(frame) for frame in self.frames],
            "sizes": [len(self.usage_frame), len(self.trailer)],
        }
        tail = b"".join([self.usage_frame, self.trailer, *(self.frames or ()), self.body or b""])
        return to_json(head) + b"\n" + tail

    @classmethod
    def unpack(cls, data: bytes) -> "Entry":
        """What `pack` made. Raises `ValueError` for anything else."""
        line, _, tail = data.partition(b"\n")
        try:
            head = from_json(line)
            position = 0

            def take(size: int) -> bytes:
                nonlocal position
                position += size
                return tail[position - size : position]

            usage_frame, trailer = (take(size) for size in head["sizes"])
            frames = None if head["frames"] is None else [take(size) for size in head["frames"]]
            tokens = Usage(*head["usage"])
            body = tail[position:] or None
            return cls(
                head["surface"],
                head["provider"],
                head["model"],
                tokens,
                head["cost"],
                frames,
                body,
                usage_frame,
                trailer,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an entry of the cache: {error!r}") from error

    def _frames(self) -> list[bytes]:
        if self.frames is None:
            assert self.body is not None
            self.frames, self.usage_frame = frames_of_whole(self.body)
            self.trailer = DONE
        return self.frames
