"""A request as handlers see it: a thin, lazy view of the ASGI scope."""

from collections.abc import Mapping
from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from host.asgi.body import JSON_BYTES_MAX, invalid, parse_json, read_body
from host.descriptors import Receive, Scope, Send
from host.errors import HttpProblem

Model = TypeVar("Model", bound=BaseModel)

# More parameters than this in one query are an attack on the parser, not a question.
QUERY_FIELDS_MAX = 100


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of the first header of that name (lower case), or None."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


class Request:
    """One request. Parts that cost something (headers as text, the query, the body) are made when asked for.

    `params` holds the values of the path template; `headers` has lower-case names, repeated ones joined by ", "
    (RFC 9110 §5.3). `send` is there for handlers that stream; such a handler returns None.
    """

    __slots__ = ("_body", "_headers", "_query", "params", "receive", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, params: Mapping[str, str] | None = None) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.params: Mapping[str, str] = params or {}
        self._headers: dict[str, str] | None = None
        self._query: dict[str, str] | None = None
        self._body: bytes | None = None

    @property
    def method(self) -> str:
        """The method, upper case; "WEBSOCKET" for the handshake of a WebSocket."""
        return "WEBSOCKET" if self.scope["type"] == "websocket" else str(self.scope["method"])

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return str(self.scope["path"])

    @property
    def request_id(self) -> str:
        """The id under which the host logs this request, "" outside a host."""
        return str(self.scope.get("quartet.request_id", ""))

    @property
    def client(self) -> str:
        """The peer's address, "" on a unix socket."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers as text."""
        if self._headers is None:
            headers: dict[str, str] = {}
            for raw_name, raw_value in self.scope["headers"]:
                name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            self._headers = headers
        return self._headers

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of a repeated one the last counts.

        Raises:
            HttpProblem: 400 when there are too many, or they are not UTF-8.
        """
        if self._query is None:
            try:
                pairs = parse_qsl(
                    self.scope["query_string"].decode("ascii"),
                    keep_blank_values=True,
                    errors="strict",
                    max_num_fields=QUERY_FIELDS_MAX,
                )
            except ValueError as error:
                raise HttpProblem(400, f"the query cannot be read: {error}") from None
            self._query = dict(pairs)
        return self._query

    def query_as(self, model: type[Model]) -> Model:
        """The query, validated. Raises `HttpProblem` 422 with every fault."""
        try:
            return model.model_validate(self.query)
        except ValidationError as error:
            raise invalid(error, "query") from None

    async def body(self, bytes_max: int = JSON_BYTES_MAX) -> bytes:
        """The whole body; kept, so that it can be asked for again. Raises like `read_body`."""
        if self._body is None:
            self._body = await read_body(self.receive, bytes_max)
        return self._body

    @overload
    async def json(self, model: type[Model], bytes_max: int = ...) -> Model: ...
    @overload
    async def json(self, model: None = None, bytes_max: int = ...) -> Any: ...
    async def json(self, model: type[BaseModel] | None = None, bytes_max: int = JSON_BYTES_MAX) -> Any:
        """The body as JSON, validated by `model` when given. Raises like `read_json`."""
        return parse_json(await self.body(bytes_max), model)
