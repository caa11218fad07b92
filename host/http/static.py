"""Files of a folder over HTTP: small ones out of memory, big ones in parts; conditional requests, no way out.

Text goes out compressed to whoever takes that, as a copy that is made once.

A file is served when every segment of its path is a plain name (no dots in front, so neither `..` nor hidden
files), its suffix is in `MEDIA_TYPES`, and what it resolves to, symbolic links followed, is a regular file below the
folder.
"""

import hashlib
import os
import stat
from collections import OrderedDict
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import trio

from host.asgi import RawHeaders, Request, Response, problem_response
from host.descriptors import Receive, Scope, Send
from host.errors import HttpProblem
from host.http.compression import COMPRESSED_BYTES_MIN, accepts_gzip, gzipped
from host.http.kept_document import knows_tag
from host.http.limits import KIB, MIB

# What is not listed is not served: a folder may hold templates, sources and notes beside what the browser needs.
MEDIA_TYPES = {
    ".avif": b"image/avif",
    ".css": b"text/css; charset=utf-8",
    ".gif": b"image/gif",
    ".ico": b"image/x-icon",
    ".jpeg": b"image/jpeg",
    ".jpg": b"image/jpeg",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".map": b"application/json",
    ".mjs": b"text/javascript; charset=utf-8",
    ".mp4": b"video/mp4",
    ".pdf": b"application/pdf",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".wasm": b"application/wasm",
    ".webm": b"video/webm",
    ".webmanifest": b"application/manifest+json",
    ".webp": b"image/webp",
    ".woff2": b"font/woff2",
}
# What gets smaller; pictures, films and fonts are compressed already.
TEXT_SUFFIXES = {".css", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".webmanifest"}
# More would hold the loop for longer than a few milliseconds when it is first asked for.
COMPRESSED_BYTES_MAX = 128 * KIB
# Names are not hashed, so a browser asks each time whether its copy still holds, and mostly hears 304.
CACHE_CONTROL = b"no-cache"
# Beyond, a file is read part by part in a thread. Reading this much from the kernel's cache takes well under 1 ms.
KEPT_FILE_BYTES_MAX = 512 * KIB
KEPT_BYTES_MAX = 32 * MIB
PART_BYTES = 256 * KIB


@dataclass(frozen=True, slots=True)
class _Gzipped:
    """A file's compressed copy: a representation of its own, with a tag of its own (RFC 9110 §8.8.3)."""

    content: bytes
    headers: RawHeaders
    etag: bytes


@dataclass(frozen=True, slots=True)
class _File:
    real_path: str
    mtime_ns: int
    size: int
    headers: RawHeaders
    etag: bytes
    content: bytes | None
    gzipped: _Gzipped | None

    @property
    def kept_bytes(self) -> int:
        """What it takes up."""
        return self.size + (len(self.gzipped.content) if self.gzipped is not None else 0)


class StaticFolder:
    """Serves the files of `folder` below the path `prefix`. An ASGI app; `serve` is for use inside another.

    Contents up to `KEPT_BYTES_MAX` in all are kept, the least used dropped first; a changed file is seen at once.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = os.path.realpath(folder)
        self._prefix = prefix.rstrip("/") + "/"
        self._kept: OrderedDict[str, _File] = OrderedDict()
        self._kept_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        relative = scope["path"].removeprefix(self._prefix) if scope["path"].startswith(self._prefix) else ""
        try:
            answer = await self.serve(Request(scope, receive, send), relative)
        except HttpProblem as problem:
            answer = problem_response(problem)
        if answer is not None:
            await answer.send(send, head=scope["method"] == "HEAD")

    async def serve(self, request: Request, relative: str) -> Response | None:
        """The answer with the file at `relative`; None when it was big and has been sent already.

        Raises:
            HttpProblem: 404 when there is no such file to be had, 405 for methods that do not read.
        """
        if request.method not in ("GET", "HEAD"):
            raise HttpProblem(405, f"{request.path} is a file", headers={"Allow": "GET, HEAD"})
        file = self._find(relative)
        if file is None:
            raise HttpProblem(404, f"there is nothing at {request.path}")
        copy = file.gzipped if file.gzipped is not None and accepts_gzip(request) else None
        if _is_current(request, file, copy.etag if copy is not None else file.etag):
            return Response(304, b"", copy.headers if copy is not None else file.headers)
        if copy is not None:
            return Response(200, copy.content, copy.headers)
        if file.content is not None:
            return Response(200, file.content, file.headers)
        await self._stream(request, file)
        return None

    def _find(self, relative: str) -> _File | None:
        kept = self._kept.get(relative)
        # Looked at on the loop: the kernel has it in memory, and a thread would cost fifty times as much.
        if kept is not None and _stamp(kept.real_path) == (kept.mtime_ns, kept.size):
            self._kept.move_to_end(relative)
            return kept
        if kept is not None:
            self._forget(relative)
        return self._load(relative)

    def _load(self, relative: str) -> _File | None:
        segments = relative.split("/")
        suffix = os.path.splitext(segments[-1])[1].lower()
        media_type = MEDIA_TYPES.get(suffix)
        if media_type is None or not all(map(_is_plain, segments)):
            return None
        real_path = os.path.realpath(os.path.join(self.folder, *segments))
        if not real_path.startswith(self.folder + os.sep):
            return None
        stamp = _stamp(real_path)
        if stamp is None:
            return None
        mtime_ns, size = stamp
        content = None
        tag = f"{mtime_ns:x}-{size:x}"
        if size <= KEPT_FILE_BYTES_MAX:
            try:
                content = Path(real_path).read_bytes()
            except OSError:
                return None
            size, tag = len(content), hashlib.sha256(content).hexdigest()[:32]
        etag = f'"{tag}"'.encode()
        headers = [
            (b"content-type", media_type),
            (b"cache-control", CACHE_CONTROL),
            (b"last-modified", formatdate(mtime_ns // 10**9, usegmt=True).encode()),
        ]
        copy = None
        if content is not None and suffix in TEXT_SUFFIXES and COMPRESSED_BYTES_MIN <= size <= COMPRESSED_BYTES_MAX:
            headers.append((b"vary", b"accept-encoding"))
            gzip_etag = f'"{tag}-gzip"'.encode()
            copy = _Gzipped(
                gzipped(content), [*headers, (b"content-encoding", b"gzip"), (b"etag", gzip_etag)], gzip_etag
            )
        file = _File(real_path, mtime_ns, size, [*headers, (b"etag", etag)], etag, content, copy)
        if content is not None:
            self._keep(relative, file)
        return file

    def _keep(self, relative: str, file: _File) -> None:
        self._kept[relative] = file
        self._kept_bytes += file.kept_bytes
        while self._kept_bytes > KEPT_BYTES_MAX:
            self._forget(next(iter(self._kept)))

    def _forget(self, relative: str) -> None:
        self._kept_bytes -= self._kept.pop(relative).kept_bytes

    async def _stream(self, request: Request, file: _File) -> None:
        headers = [*file.headers, (b"content-length", b"%d" % file.size)]
        if "http.response.pathsend" in (request.scope.get("extensions") or {}):
            await request.send({"type": "http.response.start", "status": 200, "headers": headers})
            await request.send({"type": "http.response.pathsend", "path": file.real_path})
            return
        async with await trio.open_file(file.real_path, "rb") as opened:
            await request.send({"type": "http.response.start", "status": 200, "headers": headers})
            left = file.size if request.method == "GET" else 0
            while left:
                part = await opened.read(min(left, PART_BYTES))
                if not part:
                    # It shrank after the length was promised: the answer stays unfinished, and the host says so.
                    return
                left -= len(part)
                await request.send({"type": "http.response.body", "body": part, "more_body": left > 0})
        if request.method == "HEAD":
            await request.send({"type": "http.response.body", "body": b""})


def _is_plain(segment: str) -> bool:
    return bool(segment) and segment[0] != "." and not any(mark in segment for mark in "\\\0:")


def _stamp(path: str) -> tuple[int, int] | None:
    """When the file changed last (nanoseconds) and its size, None unless it is a regular file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None


def _is_current(request: Request, file: _File, etag: bytes) -> bool:
    """Whether the client's copy still holds (RFC 9110 §13.2.2: the tag decides when there is one)."""
    if "if-none-match" in request.headers:
        return knows_tag(request, etag.decode())
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return file.mtime_ns // 10**9 <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False
