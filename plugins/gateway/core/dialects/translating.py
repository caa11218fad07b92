"""What the translations of Chat Completions into other dialects have in common."""

from typing import Any, Final

from pydantic_core import from_json

from plugins.gateway.core.errors import ApiError

REFUSED: Final = ("logprobs", "top_logprobs", "logit_bias", "audio", "prediction", "functions", "web_search_options")
"""What changes the answer and has no equivalent."""


def refuse_parameters(body: dict[str, Any], dialect: str) -> None:
    """Raise `ApiError` 400 for the first parameter that a translated upstream cannot honour."""
    for name in REFUSED:
        if body.get(name):
            raise unsupported(name, dialect)
    if (body.get("n") or 1) != 1:
        raise unsupported("n", dialect)
    if "audio" in (body.get("modalities") or ()):
        raise unsupported("modalities", dialect)


def unsupported(param: str, dialect: str) -> ApiError:
    """The error for a parameter that has no equivalent."""
    return ApiError(400, "unsupported_parameter", f"{param} has no equivalent in the API of {dialect}", param=param)


def text_of(content: Any) -> str:
    """The text of a content that is text, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or () if isinstance(part, dict))


def split_data_url(url: str) -> tuple[str, str]:
    """Media type and base64 text of a `data:` URL; ("", "") for any other URL."""
    if not url.startswith("data:"):
        return "", ""
    kind, _, data = url[5:].partition(",")
    return kind.partition(";")[0] or "application/octet-stream", data


def arguments_of(function: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call as an object. Raises `ApiError` 400 when they are none."""
    text = function.get("arguments") or "{}"
    try:
        arguments = from_json(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise ApiError(400, None, "the arguments of a tool call are not a JSON object", param="messages")
    return arguments


def function_of(tool: dict[str, Any]) -> dict[str, Any]:
    """The function that a tool is. Raises `ApiError` 400 when it is another kind of tool."""
    function = tool.get("function")
    if not isinstance(function, dict):
        raise ApiError(400, "unsupported_parameter", f"a tool of type {tool.get('type')!r} is not there", param="tools")
    return function


def add_turn(turns: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]], member: str = "content") -> None:
    """Append a message of blocks, if any. Those of one role after another are joined: roles must alternate."""
    if blocks and turns and turns[-1]["role"] == role:
        turns[-1][member] += blocks
    elif blocks:
        turns.append({"role": role, member: blocks})


def texts_to_embed(body: dict[str, Any], dialect: str) -> list[str]:
    """The input of a request for embeddings, whose answer is lists of floats: the SDKs take them also for base64.

    Raises:
        ApiError: 400, it is not text, or another form is asked for.
    """
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise unsupported("input", dialect)
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise unsupported("encoding_format", dialect)
    return texts
