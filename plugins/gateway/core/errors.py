"""Errors as OpenAI's clients expect them, and how a failure of an upstream is to be taken.

Body: `{"error": {"message", "type", "param", "code"}}`, all four keys there, `param` and `code` text or null. What the
official SDKs do with an answer follows from its status and headers: they retry 408, 409, 429 and 5xx twice, unless
`x-should-retry` says otherwise (openai-python `_base_client.py`, openai-node `client.ts`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "api_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
_ANTHROPIC_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class ApiError(Exception):
    """An answer with an error in it. `retry_after_s` becomes Retry-After, `should_retry` x-should-retry."""

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        *,
        type: str = "",
        param: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.type = type or _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        self.param = param
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry

    def document(self) -> dict[str, Any]:
        """The body in OpenAI's shape."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def anthropic_document(self, request_id: str) -> dict[str, Any]:
        """The body in Anthropic's shape."""
        kind = _ANTHROPIC_TYPES.get(self.status, "api_error" if self.status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": self.message}, "request_id": request_id}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What tells a client whether and when to come back."""
        headers: list[tuple[bytes, bytes]] = []
        if self.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
            headers.append((b"retry-after-ms", b"%d" % max(1, round(self.retry_after_s * 1000))))
        if self.should_retry is not None:
            headers.append((b"x-should-retry", b"true" if self.should_retry else b"false"))
        return headers


Verdict = Literal["retry", "fallback", "final"]
"""`retry`: the same request may succeed here later. `fallback`: it may elsewhere, not here. `final`: nowhere."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that failed, with all that the next decision needs.

    `error` is what the client is told when nothing else is tried. `counts` says that it speaks against the health of
    the upstream. `cause` is a short label from a bounded set, for metrics.
    """

    error: ApiError
    verdict: Verdict
    counts: bool
    cause: str


_CONTEXT_CODES: Final = ("context_length_exceeded", "string_above_max_length")
_CONTEXT_WORDS: Final = ("prompt is too long", "maximum context length", "exceeds the maximum number of tokens")


def failure_of_status(
    provider: str,
    status: int,
    *,
    code: str | None,
    message: str,
    kind: str,
    param: str | None,
    retry_after_s: float | None,
) -> Failure:
    """What an upstream's answer other than 2xx means. `code`, `message`, `kind` and `param` are its own words."""
    if status in (401, 403):
        # The client's key was good; the gateway's was not. Its words may quote that key, so they stay here.
        text = f"{provider} did not accept the gateway's credentials"
        return Failure(ApiError(502, "upstream_authentication", text), "fallback", True, "auth")
    if status == 404:
        return Failure(ApiError(404, code or "model_not_found", message, param=param), "fallback", False, "not_found")
    if status == 429:
        error = ApiError(429, code or "rate_limit_exceeded", message, type=kind, retry_after_s=retry_after_s)
        if code in ("insufficient_quota", "credit_balance_exhausted"):
            return Failure(error, "fallback", False, "quota")
        return Failure(error, "retry", False, "rate_limit")
    if status == 408 or status == 409 or status >= 500:
        error = ApiError(
            503 if status in (503, 529) else 502 if status not in (500, 504) else status,
            code or ("server_is_overloaded" if status in (503, 529) else "upstream_error"),
            message,
            retry_after_s=retry_after_s,
        )
        return Failure(error, "retry", True, "overloaded" if status in (503, 529) else "server_error")
    error = ApiError(status if 400 <= status < 500 else 502, code, message, type=kind, param=param)
    lowered = message.lower()
    if code in _CONTEXT_CODES or any(words in lowered for words in _CONTEXT_WORDS):
        error.code = "context_length_exceeded"
        return Failure(error, "fallback", False, "context_length")
    return Failure(error, "final", False, "client_error")


_CLOCKS: Final[Mapping[str, tuple[str, str]]] = {
    "connect": ("connect_timeout", "could not be connected to in time"),
    "write": ("write_timeout", "stopped taking the request"),
    "first_byte": ("first_token_timeout", "did not begin to answer in time"),
    "first_token": ("first_token_timeout", "did not send a first token in time"),
    "between_chunks": ("idle_timeout", "fell silent in the middle of its answer"),
    "pool": ("pool_timeout", "has all its connections in use"),
    "total": ("total_timeout", "took longer than the whole request may"),
}


def failure_of_clock(provider: str, clock: str) -> Failure:
    """A clock ran out; each has a code of its own. The total leaves no time for another attempt, and says as little of
    the target as a full pool does: a good answer may be long."""
    code, words = _CLOCKS[clock]
    error = ApiError(504, code, f"{provider} {words}")
    return Failure(error, "final" if clock == "total" else "retry", clock not in ("pool", "total"), code)


def failure_of_connection(provider: str, *, refused: bool) -> Failure:
    """The connection could not be made, or was lost before the answer was whole."""
    if refused:
        error = ApiError(502, "upstream_unreachable", f"{provider} cannot be reached")
        return Failure(error, "retry", True, "unreachable")
    error = ApiError(502, "upstream_disconnected", f"{provider} broke off before its answer was complete")
    return Failure(error, "retry", True, "disconnected")


def failure_of_answer(provider: str, reason: str) -> Failure:
    """The upstream said 200 and something that is no answer."""
    error = ApiError(502, "upstream_malformed", f"{provider} sent an answer that cannot be used: {reason}")
    return Failure(error, "retry", True, "malformed")
