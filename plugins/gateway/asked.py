"""What a request asks for: its endpoint, its body, its meaning, and what it wants of the cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from plugins.gateway.core.cache_key import cache_key
from plugins.gateway.core.dialects.relayed import PATHS
from plugins.gateway.core.errors import ApiError
from plugins.gateway.settings import CacheSettings
from plugins.gateway.targets import Route
from plugins.gateway.upstream import RELAYED

SURFACES: Final[Mapping[str, str]] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/moderations": "moderations",
    **{f"/v1{path}": path[1:] for path in PATHS},
}
"""The endpoints that are asked for answers, by their paths."""
FORWARDED: Final = (b"anthropic-beta", b"openai-beta")
"""Headers of the client that change the answer: sent on, and part of what makes two requests equal."""
_VARIANTS: Final = (*FORWARDED, b"x-quartet-route")
_VARIANT_NAMES: Final = frozenset(_VARIANTS)
_NO_VARIANT: Final = b"\0" * (len(_VARIANTS) - 1)
_REQUIRED: Final[Mapping[str, str]] = {
    "chat": "messages",
    "completions": "prompt",
    "embeddings": "input",
    "messages": "messages",
    "moderations": "input",
}
_STREAMED: Final = frozenset({"chat", "completions", "responses", "messages"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request turned out to mean. `model` is the name that it used; `key` None: it must not be cached."""

    model: str
    route: Route
    stream: bool
    include_usage: bool
    key: bytes | None


@dataclass(slots=True)
class Controls:
    """What the request's Cache-Control asks for (RFC 9111 §5.2.1)."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    age_ms_max: int | None = None


_NO_CONTROLS: Final = Controls()


def parse_body(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises `ApiError` 400 for anything else."""
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        message = f"We could not parse the JSON body of your request: {str(error)[:200]}"
        raise ApiError(400, None, message) from None
    if not isinstance(body, dict):
        raise ApiError(400, None, "the body of a request is a JSON object")
    return body


def model_asked(surface: str, body: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
    """The model's name, by the header or else by the body.

    Raises:
        ApiError: 400, it is missing, or what the endpoint cannot do without.
    """
    name = headers.get(b"x-quartet-route", b"").decode("latin-1") or body.get("model")
    if not isinstance(name, str) or not name:
        raise ApiError(400, "missing_required_parameter", "you must provide a model parameter", param="model")
    needed = _REQUIRED.get(surface)
    if needed and body.get(needed) is None:
        message = f"Missing required parameter: '{needed}'."
        raise ApiError(400, "missing_required_parameter", message, param=needed)
    return name


def variant_of(headers: Mapping[bytes, bytes]) -> bytes:
    """What of a request's headers changes its meaning."""
    if _VARIANT_NAMES.isdisjoint(headers):
        return _NO_VARIANT
    return b"\0".join(headers.get(name, b"") for name in _VARIANTS)


def understand(
    surface: str,
    tenant: str,
    model: str,
    route: Route,
    body: Mapping[str, Any],
    headers: Mapping[bytes, bytes],
    cache: CacheSettings | None,
) -> Asked:
    """What a request that can be answered means. `cache` None: it is not to be looked up there, nor kept."""
    stream = body.get("stream") is True and surface in _STREAMED
    options = body.get("stream_options")
    include_usage = stream and isinstance(options, dict) and options.get("include_usage") is True
    key: bytes | None = None
    if cache is not None and cache.enabled and route.cache and _is_cacheable(surface, body, cache):
        meant = {name.decode(): headers[name].decode("latin-1") for name in FORWARDED if name in headers}
        key = cache_key(tenant=tenant, surface=surface, route=route.meaning, body=body, headers=meant)
    return Asked(model, route, stream, include_usage, key)


def controls_of(headers: Mapping[bytes, bytes]) -> Controls:
    """The request's Cache-Control."""
    value = headers.get(b"cache-control")
    if value is None:
        return _NO_CONTROLS
    words = [word.strip().lower() for word in value.split(b",")]
    controls = Controls(b"no-store" in words, b"no-cache" in words, b"only-if-cached" in words)
    for word in words:
        name, _, number = word.partition(b"=")
        if name == b"max-age" and number.isdigit():
            controls.age_ms_max = min(int(number), 10**9) * 1000
    return controls


def _is_cacheable(surface: str, body: Mapping[str, Any], cache: CacheSettings) -> bool:
    temperature = body.get("temperature")
    is_cool = not isinstance(temperature, int | float) or temperature <= cache.temperature_max
    is_stored = surface == "responses" and (body.get("background") or body.get("previous_response_id"))
    return is_cool and not is_stored and surface not in RELAYED
