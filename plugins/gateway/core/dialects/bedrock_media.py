"""Images, documents and sound of a chat as blocks of Converse, which takes bytes or objects in S3, no other URL."""

import re
from collections.abc import Mapping
from typing import Any, Final

from plugins.gateway.core.dialects.translating import split_data_url
from plugins.gateway.core.errors import ApiError

_IMAGES: Final = ("png", "jpeg", "gif", "webp")
_DOCUMENTS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_EXTENSIONS: Final[Mapping[str, str]] = {
    **{kind: kind for kind in _DOCUMENTS.values()},
    "htm": "html",
    "jpg": "jpeg",
    "markdown": "md",
}
_NOT_OF_NAMES: Final = re.compile(r"[^A-Za-z0-9()\[\]-]+")
NAME_LENGTH_MAX: Final = 190


class MediaBlocks:
    """Makes the blocks of one request, in which no two documents have the same name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def block(self, part: dict[str, Any]) -> dict[str, Any]:
        """The block of a part that is not text. Raises `ApiError` 400 when there is none for it."""
        kind = part.get("type")
        if kind == "image_url":
            return {"image": _image(str(part["image_url"]["url"]))}
        if kind == "input_audio":
            audio = part["input_audio"]
            return {"audio": {"format": audio.get("format", "wav"), "source": {"bytes": audio["data"]}}}
        if kind == "file" and (part.get("file") or {}).get("file_data"):
            return {"document": self._document(part["file"])}
        raise _unsupported(f"a part of type {kind!r} cannot be sent to Bedrock")

    def _document(self, file: dict[str, Any]) -> dict[str, Any]:
        filename, url = str(file.get("filename") or "document"), str(file["file_data"])
        stem, _, extension = filename.rpartition(".")
        media_type, _ = split_data_url(url)
        written = (extension if stem else url.rpartition(".")[2]).lower()
        format_ = _DOCUMENTS.get(media_type) or _EXTENSIONS.get(
            written, "txt" if media_type.startswith("text/") else ""
        )
        if format_ not in _DOCUMENTS.values():
            raise _unsupported(f"a file of type {media_type or written[:20]!r} is no document that Bedrock reads")
        return {"format": format_, "name": self._name(stem or filename), "source": _source(url)}

    def _name(self, given: str) -> str:
        stem = _NOT_OF_NAMES.sub(" ", given).strip()[:NAME_LENGTH_MAX] or "document"
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem} {number}"
        self._names.add(name)
        return name


def _image(url: str) -> dict[str, Any]:
    media_type, _ = split_data_url(url)
    extension = (media_type.removeprefix("image/") if media_type else url.rpartition(".")[2]).lower()
    format_ = _EXTENSIONS.get(extension, extension)
    source = _source(url)
    if format_ not in _IMAGES:
        raise _unsupported(f"Bedrock takes images as {', '.join(_IMAGES)}")
    return {"format": format_, "source": source}


def _source(url: str) -> dict[str, Any]:
    media_type, data = split_data_url(url)
    if media_type:
        return {"bytes": data}
    if url.startswith("s3://"):
        return {"s3Location": {"uri": url}}
    raise _unsupported("Bedrock fetches nothing: send images and files as data: URLs, or as s3:// ones")


def _unsupported(message: str) -> ApiError:
    return ApiError(400, "unsupported_content", message, param="messages")
