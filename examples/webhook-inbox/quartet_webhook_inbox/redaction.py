"""What must not be stored is replaced: pure functions from what arrived to what is kept.

By name alone: the values of headers, of query and form fields, and of members of JSON objects at any depth. A secret
under another name, in a path, or in a body of another type is kept as it came.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

REDACTED = "[redacted]"


def redact_headers(headers: Iterable[tuple[str, str]], names: Collection[str]) -> list[tuple[str, str]]:
    """The headers with the values of `names` (lower case) replaced, order and repetitions kept."""
    return [(name, REDACTED if name.lower() in names else value) for name, value in headers]


def redact_query(query: str, names: Collection[str]) -> str:
    """The query or form with the values of `names` replaced; unchanged, to the byte, when none is in it."""
    fields = parse_qsl(query, keep_blank_values=True)
    if not any(name.lower() in names for name, _ in fields):
        return query
    return urlencode([(name, REDACTED if name.lower() in names else value) for name, value in fields])


def redact_body(body: bytes, content_type: str, names: Collection[str]) -> bytes:
    """The body with the values of `names` replaced where its type is JSON or a form; else, or with none, as it came."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return redact_query(body.decode("latin-1"), names).encode("latin-1")
    if kind == "application/json" or kind.endswith("+json"):
        try:
            document = json.loads(body)
            redacted = _redact_json(document, names)
        except (ValueError, RecursionError):
            # Not JSON after all, or nested beyond reason: what cannot be read cannot be redacted, so it is not kept.
            return REDACTED.encode()
        return body if redacted == document else json.dumps(redacted, ensure_ascii=False).encode()
    return body


def _redact_json(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: REDACTED if name.lower() in names else _redact_json(member, names) for name, member in value.items()
        }
    if isinstance(value, list):
        return [_redact_json(item, names) for item in value]
    return value
