"""Request bodies: read within a limit, and turned into validated values or a problem that says what is wrong."""

from typing import Any, TypeVar, overload

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from host.descriptors import Receive, Scope
from host.errors import HostError, HttpProblem

# A JSON body is parsed in one go on the event loop; 1 MiB takes some milliseconds.
JSON_BYTES_MAX = 1024 * 1024

Model = TypeVar("Model", bound=BaseModel)


class ClientDisconnected(HostError):
    """The client left before its request was complete; there is nobody to answer."""


async def read_body(receive: Receive, bytes_max: int) -> bytes:
    """Read the whole body of a request.

    A cancellation, and any error, leaves the rest of the body unread; the server drops it with the answer.

    Raises:
        HttpProblem: 413 once more than `bytes_max` bytes have arrived; no more than one further chunk is held.
        ClientDisconnected: the client left in the middle.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    size = len(body)
    chunks = [body]
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client left before its request was complete")
        if size > bytes_max:
            raise HttpProblem(413, f"the body is larger than {bytes_max} bytes")
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else body
        message = await receive()
        chunk: bytes = message.get("body", b"")
        if chunk:
            size += len(chunk)
            chunks.append(chunk)


@overload
async def read_json(scope: Scope, receive: Receive, model: type[Model], bytes_max: int = ...) -> Model: ...
@overload
async def read_json(scope: Scope, receive: Receive, model: None = None, bytes_max: int = ...) -> Any: ...
async def read_json(
    scope: Scope, receive: Receive, model: type[BaseModel] | None = None, bytes_max: int = JSON_BYTES_MAX
) -> Any:
    """Read a JSON body, and validate it when a `model` is given.

    Raises:
        HttpProblem: 400 when it is not JSON, 422 when it is not what the model asks for (`errors` lists every
            fault, each with a JSON pointer), 413 when it is larger than `bytes_max`.
        ClientDisconnected: the client left in the middle.
    """
    return parse_json(await read_body(receive, bytes_max), model)


@overload
def parse_json(body: bytes, model: type[Model]) -> Model: ...
@overload
def parse_json(body: bytes, model: None = None) -> Any: ...
def parse_json(body: bytes, model: type[BaseModel] | None = None) -> Any:
    """Parse JSON (RFC 8259: no NaN, no infinity) and validate it. Raises `HttpProblem` like `read_json`."""
    # pydantic reads NaN and infinities out of JSON; a look for their names is cheaper than parsing everything twice.
    if model is None or b"NaN" in body or b"Infinity" in body:
        try:
            document = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise _malformed(str(error)) from None
        if model is None:
            return document
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise _malformed(first["ctx"]["error"]) from None
        raise invalid(error, "body") from None


def _malformed(reason: str) -> HttpProblem:
    return HttpProblem(400, f"the body is not JSON: {reason}", title="Malformed JSON")


def invalid(error: ValidationError, where: str) -> HttpProblem:
    """The 422 problem that lists everything a model found wrong.

    `where` is "body" (faults carry a JSON pointer, RFC 6901) or "query" (faults carry the parameter's name).
    """
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        location = fault["loc"]
        if where == "body":
            pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)
            faults.append({"pointer": f"#{pointer}", "detail": fault["msg"], "code": fault["type"]})
        else:
            name = ".".join(str(part) for part in location)
            faults.append({"parameter": name, "detail": fault["msg"], "code": fault["type"]})
    first = faults[0]
    detail = f"{first.get('pointer') or first.get('parameter')}: {first['detail']}"
    if len(faults) > 1:
        detail += f" (and {len(faults) - 1} more)"
    return HttpProblem(422, detail, title=f"Invalid {where}", errors=faults)
