"""Answers made smaller by gzip, for clients that take it (RFC 9110 §12.5.3).

Only what holds no secret may be compressed by these: beside a text that a stranger chooses, the length of a compressed
answer tells of the rest of it (BREACH). The pages and documents of the site are public and show no cookie and no token.
"""

import gzip
from typing import Final

from host.asgi import Request, Response

# On the loop while somebody waits: a third of the time of level 6, and a tenth larger.
FAST_LEVEL: Final = 1
# Of what is compressed once and sent often.
KEPT_LEVEL: Final = 6
# Less fits into a packet or two either way.
COMPRESSED_BYTES_MIN: Final = 1024

_REFUSED: Final = {"gzip;q=0", "gzip;q=0.0", "gzip;q=0.00", "gzip;q=0.000"}
ENCODED: Final = (b"content-encoding", b"gzip")
VARY: Final = (b"vary", b"accept-encoding")


def accepts_gzip(request: Request) -> bool:
    """Whether the client says so; one that says nothing gets what everybody can read."""
    codings = [coding.strip().replace(" ", "") for coding in request.headers.get("accept-encoding", "").split(",")]
    return any(coding == "gzip" or (coding.startswith("gzip;q=") and coding not in _REFUSED) for coding in codings)


def gzipped(content: bytes, level: int = KEPT_LEVEL) -> bytes:
    """The same bytes for the same content, whenever it is made. About 30 µs a KiB, at `FAST_LEVEL` 10."""
    return gzip.compress(content, compresslevel=level, mtime=0)


def compressed(answer: Response, request: Request) -> Response:
    """The answer, which has no ETag, compressed on the spot for a client that takes that."""
    if len(answer.body) >= COMPRESSED_BYTES_MIN:
        varies = [value for name, value in answer.headers if name == b"vary"]
        answer.headers = [pair for pair in answer.headers if pair[0] != b"vary"]
        answer.headers.append((b"vary", b", ".join([*varies, b"accept-encoding"])))
        if accepts_gzip(request):
            answer.body = gzipped(answer.body, FAST_LEVEL)
            answer.headers.append(ENCODED)
    return answer
