"""Images and sound of the simulated providers: as little as is a picture or a recording at all."""

import struct
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json, to_json

from plugins.gateway.core.sse import frame

_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SPEECH_PARTS: Final = 4


def media_whole(path: str, body: dict[str, Any], created: int) -> bytes:
    """An image of one pixel, or the words of a recording: how large the form was, and which model it asked for."""
    if "/images/" in path:
        return to_json({"created": created, "data": [{"b64_json": _PIXEL}]})
    form = body.get("form") or b""
    model = form.partition(b'name="model"')[2].strip().partition(b"\r\n")[0].decode("utf-8", "replace")
    return to_json({"text": f"a form of {len(form)} bytes for {model}"})


def media_events(path: str, body: dict[str, Any], created: int) -> Iterator[tuple[bytes, bool]]:
    """The same as a stream: a partial image and the image, or the words of the recording."""
    if "/images/" in path:
        name = "image_edit" if path.endswith("/edits") else "image_generation"
        image = {"b64_json": _PIXEL, "created_at": created, "size": "1x1", "output_format": "png"}
        yield _event({"type": f"{name}.partial_image", "partial_image_index": 0, **image}), True
        usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
        yield _event({"type": f"{name}.completed", "usage": usage, **image}), True
        return
    text = from_json(media_whole(path, body, created))["text"]
    for word in text.split(" "):
        yield _event({"type": "transcript.text.delta", "delta": f"{word} "}), True
    yield _event({"type": "transcript.text.done", "text": text}), False


def is_streamed_form(form: bytes) -> bool:
    """Whether a form asks for a stream."""
    return form.partition(b'name="stream"')[2].strip().startswith(b"true")


def speech_parts() -> Iterator[tuple[bytes, bool]]:
    """A recording of silence: the head of a WAV file, then parts of a tenth of a second."""
    silence = bytes([128]) * 800
    size = len(silence) * SPEECH_PARTS
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", size)
    yield head, True
    for _ in range(SPEECH_PARTS):
        yield silence, True


def _event(event: dict[str, Any]) -> bytes:
    return frame(to_json(event), event["type"].encode())
