"""What makes two requests the same: the key of the exact-match cache and of requests in flight.

Two requests are the same when they come from the same tenant to the same endpoint, mean the same route, and their
bodies are equal as JSON values, whatever the order of members and the white space. Whether the answer is streamed does
not count, since either form is served from one entry; nor does what only labels the caller.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

_FORM_ONLY: Final = frozenset({"stream", "stream_options", "user", "safety_identifier"})
VERSION: Final = b"2"
"""Changes with the meaning of keys or of what is stored under them, so that hosts of two versions share nothing."""


def cache_key(
    *, tenant: str, surface: str, route: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> bytes:
    """32 bytes that are equal for equal requests. `headers` are those that change what an upstream answers."""
    meant = {name: value for name, value in body.items() if name not in _FORM_ONLY}
    meant["model"] = route
    parts = [tenant, surface, headers or {}, meant]
    return hashlib.sha256(VERSION + orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()


def digest_of_body(tenant: str, surface: str, variant: bytes, body: bytes) -> bytes:
    """A digest of the very bytes of a request: what it stood for once, it stands for again without being parsed."""
    state = hashlib.sha256(b"%b\0%b\0" % (f"{tenant}\0{surface}".encode(), variant))
    state.update(body)
    return state.digest()
