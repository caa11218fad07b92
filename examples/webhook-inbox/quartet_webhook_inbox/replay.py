"""Sending a kept call on again, to a target that the operator named."""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio
from host.api import HttpProblem

from quartet_webhook_inbox.redaction import REDACTED
from quartet_webhook_inbox.store import Call

ANSWER_BYTES_MAX = 64 * 1024
# They belong to the connection that the call came by (RFC 9110 §7.6.1), or are made anew.
_NOT_SENT = frozenset(
    (
        *("host", "content-length", "accept-encoding", "expect", "connection", "keep-alive", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "via"),
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
    )
)


def check_target(target: str, allowed: tuple[str, ...]) -> None:
    """Let a URL pass whose origin the operator named; or this host would ask whatever it can reach for anybody.

    Raises:
        HttpProblem: 403, the origin is not among `allowed`; 422, it is no URL.
    """
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError:
        raise HttpProblem(422, f"this is no URL: {target!r}") from None
    if "@" in parts.netloc or not parts.hostname:
        raise HttpProblem(422, "a target is a URL with a host, and without a user")
    wanted = _origin(parts.scheme, parts.hostname, port)
    for origin in allowed:
        known = urlsplit(origin)
        if _origin(known.scheme, known.hostname, known.port) == wanted:
            return
    raise HttpProblem(403, f"{parts.scheme}://{parts.netloc} is not in replay_targets of [plugins.webhook_inbox]")


async def replay(http: httpx.AsyncClient, call: Call, target: str, timeout_s: float) -> dict[str, Any]:
    """Send the call to `target` and return what came back: status, the body's beginning as text, milliseconds.

    Redirects are not followed: they could lead out of what the operator named. Values that were redacted are left out.
    Cancelled, the call may or may not have arrived.

    Raises:
        HttpProblem: 502, the target did not answer; 504, not in time.
    """
    headers = [(name, value) for name, value in call.headers if name not in _NOT_SENT and value != REDACTED]
    began = time.perf_counter()
    answer = bytearray()
    try:
        with trio.fail_after(timeout_s):
            async with http.stream(
                call.method, target, headers=headers, content=call.body, follow_redirects=False
            ) as response:
                async for part in response.aiter_bytes():
                    answer += part[: ANSWER_BYTES_MAX - len(answer)]
                    if len(answer) >= ANSWER_BYTES_MAX:
                        break
                status = response.status_code
    except (trio.TooSlowError, httpx.TimeoutException):
        raise HttpProblem(504, f"the target did not answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HttpProblem(502, f"the target did not answer: {error or type(error).__name__}") from None
    elapsed_ms = round((time.perf_counter() - began) * 1000, 1)
    return {"status": status, "body": answer.decode("utf-8", "replace"), "elapsed_ms": elapsed_ms}


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str, int | None]:
    return scheme, (host or "").lower(), port or {"http": 80, "https": 443}.get(scheme)
