"""Values of a configuration that must not be seen: `Secret`, by reference, and `ServiceUrl`, the address of a server.

Neither shows its value in `repr`, `str`, a format, JSON, or an error.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from host.units import unusable

# A secret file larger than this is a wrong path, not a secret.
SECRET_FILE_BYTES_MAX: Final = 64 * 1024
REDACTED: Final = "<redacted>"

_EXPECTED_SECRET: Final = 'a secret by reference: { env = "NAME" } or { file = "PATH" }'
_EXPECTED_URL: Final = '"embedded", a URL, or a reference { env = "NAME" } or { file = "PATH" }'
# Of a URL's query: what addresses and tunes a server, and is never a secret.
_OPEN_PARAMETERS: Final = frozenset(
    {"host", "port", "dbname", "db", "sslmode", "application_name", "connect_timeout", "protocol"}
)


class Secret:
    """A value that must not be seen. `reveal()` is the only way to it, so every use can be found by that name.

    In a configuration it is a reference, `{ env = "NAME" }` or `{ file = "PATH" }`, resolved when the configuration is
    read; a literal is refused there. JSON shows the reference, or `<redacted>` for one made in code from text.
    """

    __slots__ = ("_reference", "_value")

    def __init__(self, value: str, *, reference: Mapping[str, str] | None = None) -> None:
        self._value = value
        self._reference = dict(reference) if reference else None

    def reveal(self) -> str:
        """The value itself. Do not log it, and do not keep it longer than the call that needs it."""
        return self._value

    def shown(self) -> Any:
        """What may be shown in its stead: where it comes from, in the form in which a configuration says it."""
        return dict(self._reference) if self._reference else REDACTED

    def __repr__(self) -> str:
        return f"{type(self).__name__}({REDACTED})"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and type(other) is type(self) and other._value == self._value

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be pickled: its value would be in the clear")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    @classmethod
    def _read(cls, value: object, info: core_schema.ValidationInfo) -> "Secret":
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise unusable(_EXPECTED_SECRET, f"{_kind(value)}, not shown")
        return cls(*_resolved(value, (info.context or {}).get("env", os.environ)), reference=value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._read,
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True, when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": _reference_schemas()}


class ServiceUrl(Secret):
    """The address of a server: "embedded", or a URL that may hold a password, written out or by reference.

    A URL that was written out is shown without its password.
    """

    __slots__ = ()

    @property
    def is_embedded(self) -> bool:
        """Whether the host starts a private server of its own instead."""
        return self._value == "embedded"

    def shown(self) -> Any:
        return dict(self._reference) if self._reference else redact_url(self._value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({redact_url(self._value)!r})"

    __str__ = __repr__

    @classmethod
    def _read(cls, value: object, info: core_schema.ValidationInfo) -> "Secret":
        if isinstance(value, cls):
            return value
        reference = value if isinstance(value, Mapping) else None
        if reference is not None:
            value = _resolved(reference, (info.context or {}).get("env", os.environ))[0]
        if not isinstance(value, str) or (value != "embedded" and not re.match(r"[a-z][a-z0-9+]*://.", value)):
            raise unusable(_EXPECTED_URL, f"{_kind(value)}, not shown")
        return cls(value, reference=reference)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "examples": ["embedded"]}, *_reference_schemas()]}


def _dump(secret: Secret, info: core_schema.SerializationInfo) -> Any:
    return secret.reveal() if (info.context or {}).get("reveal") else secret.shown()


def redact_url(url: str) -> str:
    """The URL without what may be secret: the password, and the values of its query that sound like one.

    Everything up to the last "@" counts as credentials, because a password that was not escaped may hold "/" or "@".
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if url == "embedded" else REDACTED
    credentials, at, address = rest.rpartition("@")
    user = credentials.partition(":")[0]
    shown = user if user == credentials else f"{user}:***"
    base, question, query = address.partition("?")
    if question:
        query = "&".join(_redact_parameter(parameter) for parameter in query.split("&"))
    return f"{scheme}://{shown}{at}{base}{question}{query}"


def _redact_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return parameter if name in _OPEN_PARAMETERS or not equals else f"{name}=***"


def _resolved(reference: Mapping[Any, Any], env: Mapping[str, str]) -> tuple[str]:
    """The text that a reference stands for.

    Raises:
        PydanticCustomError: the reference is malformed, or there is nothing behind it.
    """
    match dict(reference):
        case {"env": str(name), **rest} if name and not rest:
            if not env.get(name):
                raise unusable(f"the environment variable {name} to be set", "it unset or empty")
            return (env[name],)
        case {"file": str(name), **rest} if name and not rest:
            return (_read_secret_file(Path(name)),)
    raise unusable(_EXPECTED_SECRET, "another table, not shown")


def _read_secret_file(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(SECRET_FILE_BYTES_MAX + 1)
        text = data.decode().strip()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise unusable(f"a readable file {str(path)!r}", reason.lower()) from None
    except UnicodeDecodeError:
        raise unusable(f"text in UTF-8 in the file {str(path)!r}", "other bytes") from None
    if len(data) > SECRET_FILE_BYTES_MAX:
        raise unusable(f"at most {SECRET_FILE_BYTES_MAX} bytes in the file {str(path)!r}", "more")
    if not text:
        raise unusable(f"a secret in the file {str(path)!r}", "it empty")
    return text


def _reference_schemas() -> list[dict[str, Any]]:
    return [
        {
            "type": "object",
            "properties": {key: {"type": "string"}},
            "required": [key],
            "additionalProperties": False,
        }
        for key in ("env", "file")
    ]


def _kind(value: object) -> str:
    kinds: dict[type, str] = {str: "text", bool: "a boolean", int: "a number", float: "a number", list: "an array"}
    return kinds.get(type(value), "a table" if isinstance(value, Mapping) else "something else")
