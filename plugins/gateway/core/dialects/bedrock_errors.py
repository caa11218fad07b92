"""What Amazon Bedrock's errors mean, as an answer's status or as an event in the middle of a stream.

The name of an error (`ThrottlingException`) says more than its status: a model that failed is 424, which would read as
the client's fault, and a quota that is used up is 400.
"""

from collections.abc import Mapping
from typing import Final

from plugins.gateway.core.eventstream import EXCEPTION
from plugins.gateway.core.reading import Malformed, UpstreamSaid, parse_object

_KINDS: Final[Mapping[str, tuple[int, str | None]]] = {
    "validation": (400, None),
    "serialization": (400, None),
    "accessdenied": (403, None),
    # What is wrong with a signature is told with parts of the request, which are nobody's but the gateway's.
    "incompletesignature": (403, None),
    "invalidsignature": (403, None),
    "unrecognizedclient": (403, None),
    "missingauthenticationtoken": (403, None),
    "expiredtoken": (403, None),
    "resourcenotfound": (404, "model_not_found"),
    "modeltimeout": (408, None),
    "throttling": (429, "rate_limit_exceeded"),
    "toomanyrequests": (429, "rate_limit_exceeded"),
    "servicequotaexceeded": (429, "insufficient_quota"),
    "internalserver": (500, None),
    "modelerror": (502, "model_error"),
    "modelstreamerror": (502, "model_error"),
    "serviceunavailable": (503, None),
    "modelnotready": (503, None),
}
"""By the name without "Exception", in small letters: events begin it with one, answers with a capital."""
_TOO_LONG: Final = ("input is too long", "too many input tokens", "prompt is too long", "maximum context length")
_NO_MODEL: Final = ("model identifier is invalid", "on-demand throughput isn")
"""Said as a ValidationException. Another target may well know its model."""


def error_of_answer(status: int, kind: bytes, content: bytes) -> UpstreamSaid:
    """The error of an answer other than 2xx; `kind` is its header x-amzn-errortype, b"" without one."""
    try:
        document = parse_object(content)
    except Malformed:
        document = {}
    name = kind.decode("latin-1") or str(document.get("__type") or "")
    message = str(document.get("message") or document.get("Message") or "")
    # As headers it may be followed by a URL, in bodies preceded by a namespace.
    return _said(name.partition(":")[0].rpartition("#")[2], message, status)


def raise_if_exception(name: str, data: bytes) -> None:
    """Raise `UpstreamSaid` when an event is an exception."""
    if name.startswith(EXCEPTION):
        document = parse_object(data)
        raise _said(name.removeprefix(EXCEPTION), str(document.get("message") or document.get("Message") or ""), 502)


def _said(name: str, message: str, status: int) -> UpstreamSaid:
    status, code = _KINDS.get(name.lower().removesuffix("exception"), (status, None))
    lowered = message.lower()
    if status == 400 and any(words in lowered for words in _TOO_LONG):
        code = "context_length_exceeded"
    elif status == 400 and any(words in lowered for words in _NO_MODEL):
        status, code = 404, "model_not_found"
    return UpstreamSaid(message[:2000] or f"Bedrock failed: {name[:100] or status}", code=code, status=status)
