"""What `/openapi.json` says of the gateway's routes."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from host.api import Operation
from plugins.gateway.core.dialects.relayed import PATHS


class ErrorAnswer(BaseModel):
    """An error in the shape of the API that was asked: OpenAI's, or Anthropic's."""

    model_config = ConfigDict(extra="allow")

    error: dict[str, Any]


_TEXTS: Final[Mapping[int, str]] = {
    400: "Not a request",
    401: "No key, or not a good one",
    404: "No such model",
    415: "Neither JSON nor, where files are sent, a form",
    429: "A limit or a budget is used up",
    502: "The upstream failed, and so did all others that were tried",
    503: "No upstream takes requests now: Retry-After says when",
    504: "A clock ran out; `code` says which",
}
_ERRORS: Final = {status: (text, ErrorAnswer) for status, text in _TEXTS.items()}


def _post(path: str, summary: str) -> Operation:
    return Operation("POST", path, summary, responses={200: "The answer, or a stream of events", **_ERRORS})


V1: Final = (
    _post("/v1/chat/completions", "Chat Completions"),
    _post("/v1/completions", "Completions"),
    _post("/v1/embeddings", "Embeddings"),
    _post("/v1/responses", "Responses"),
    _post("/v1/messages", "Anthropic's Messages"),
    _post("/v1/moderations", "Moderations"),
    *(_post(f"/v1{path}", f"{path[1:].replace('/', ', ').capitalize()}: relayed") for path in PATHS),
    Operation("GET", "/v1/models", "The models that can be asked for", responses={200: "A list", 401: _ERRORS[401]}),
    Operation(
        "GET",
        "/v1/models/{model}",
        "One model",
        responses={200: "The model", 401: _ERRORS[401], 404: _ERRORS[404]},
    ),
)
