"""What kind of image a file is, by its first bytes: what somebody says of a file is no reason to believe it."""

from typing import Final

_BEGINNINGS: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def image_type(data: bytes) -> str | None:
    """The media type of an image that boards may show; None for anything else."""
    for beginning, kind in _BEGINNINGS.items():
        if data.startswith(beginning):
            return kind
    # RIFF, four bytes of length, and what is inside.
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
