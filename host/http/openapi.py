"""The OpenAPI 3.1 document of the whole site, from the `Operation`s that mounts declare."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from host.descriptors import Answer, Mount, Operation
from host.http.security import SAFE_METHODS

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")

PROBLEM_SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details; a problem may have further members.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}

HOST = "host"
"""Whose operations are the host's own."""

_TOO_MANY = "Too many requests from this address; Retry-After says when to try again"
_RATE_LIMIT_HEADERS: Mapping[str, Any] = {
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}},
    "RateLimit": {"description": "What is left, and when all of it is back", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The limit: requests in a number of seconds", "schema": {"type": "string"}},
}


def openapi_document(version: str, mounts: Mapping[str, Sequence[Mount]]) -> dict[str, Any]:
    """The document for `mounts`, by the plugin that owns them."""
    operations = [(owner, mount, op) for owner, owned in mounts.items() for mount in owned for op in mount.operations]
    schemas = _schemas([op for _, _, op in operations])
    paths: dict[str, dict[str, Any]] = {}
    for owner, mount, operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        document = _operation(owner, operation, schemas)
        responses: dict[str, Any] = document["responses"]
        for status, answer in _answers_before(owner, mount, operation).items():
            responses.setdefault(str(status), _response(status, answer, {}))
        if mount.rate_limit != "none" and operation.method not in SAFE_METHODS:
            responses["429"]["headers"] = _RATE_LIMIT_HEADERS
        document["responses"] = dict(sorted(responses.items()))
        paths.setdefault(path, {})[operation.method.lower()] = document
    return {
        "openapi": "3.1.0",
        "info": {"title": "Quartet", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Problem": PROBLEM_SCHEMA, **schemas["definitions"]},
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
        },
    }


def _answers_before(owner: str, mount: Mount, operation: Operation) -> dict[int, str]:
    """The refusals that need no word of the plugin's: by the house's rules, and by `Request.json`."""
    answers: dict[int, str] = {}
    if owner != HOST:
        answers[503] = "The plugin is not running now (Retry-After)"
    if operation.admin:
        answers |= {401: "Off loopback, without the admin token", 403: "Not the admin token"}
    if operation.method in SAFE_METHODS:
        return answers
    answers[413] = "The body is too large"
    if not mount.cross_origin:
        answers.setdefault(403, "Pages of other sites may not do this")
    if mount.content_types:
        answers[415] = f"The body is not {' or '.join(mount.content_types)}"
    if mount.rate_limit != "none":
        answers[429] = _TOO_MANY
    if operation.request is not None:
        answers |= {400: "Malformed JSON", 422: "Not such a document; `errors` lists every fault"}
    return answers


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    """The JSON schemas of all models: `references` by model and mode, `definitions` by name."""
    inputs: set[type[BaseModel]] = {op.request for op in operations if op.request is not None}
    outputs: set[type[BaseModel]] = {
        model for op in operations for _, model in map(_parts, op.responses.values()) if model is not None
    }
    wanted = [(model, "validation") for model in inputs] + [(model, "serialization") for model in outputs]
    wanted.sort(key=lambda pair: (pair[0].__module__, pair[0].__qualname__, pair[1]))
    references, document = models_json_schema(
        wanted,  # type: ignore[arg-type]  # the mode is a Literal, which the list display widens to str
        ref_template="#/components/schemas/{model}",
    )
    return {"references": references, "definitions": document.get("$defs", {})}


def _operation(owner: str, operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    references = schemas["references"]
    document: dict[str, Any] = {
        "tags": [owner],
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', operation.path).rstrip('_')}",
        "responses": {},
    }
    declared = {parameter["name"] for parameter in operation.parameters}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
        if name not in declared
    ]
    if parameters or operation.parameters:
        document["parameters"] = [*parameters, *operation.parameters]
    if operation.request is not None:
        schema = references[operation.request, "validation"]
        document["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    for status, answer in operation.responses.items():
        document["responses"][str(status)] = _response(status, answer, references)
    if operation.admin:
        document["security"] = [{}, {"admin": []}]
    return document


def _response(status: int, answer: Answer, references: Mapping[Any, Any]) -> dict[str, Any]:
    description, model = _parts(answer)
    response: dict[str, Any] = {"description": description}
    if model is not None:
        response["content"] = {"application/json": {"schema": references[model, "serialization"]}}
    elif status >= 400:
        reference = {"$ref": "#/components/schemas/Problem"}
        response["content"] = {"application/problem+json": {"schema": reference}}
    return response


def _parts(answer: Answer) -> tuple[str, type[BaseModel] | None]:
    """The description and the model, if there is one."""
    if isinstance(answer, tuple):
        return answer
    return (answer, None) if isinstance(answer, str) else (answer.__name__, answer)
