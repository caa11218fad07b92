"""The OpenAPI 3.1 document of the whole site, from the `Operation`s that mounts declare."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from host.descriptors import Mount, Operation
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
        if mount.rate_limit != "none" and operation.method not in SAFE_METHODS:
            too_many = document["responses"].setdefault("429", _response(429, _TOO_MANY, {}))
            too_many["headers"] = _RATE_LIMIT_HEADERS
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


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    """The JSON schemas of all models: `references` by model and mode, `definitions` by name."""
    inputs: set[type[BaseModel]] = {op.request for op in operations if op.request is not None}
    outputs: set[type[BaseModel]] = {
        answer for op in operations for answer in op.responses.values() if not isinstance(answer, str)
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


def _response(status: int, answer: "str | type[BaseModel]", references: Mapping[Any, Any]) -> dict[str, Any]:
    if not isinstance(answer, str):
        schema = references[answer, "serialization"]
        return {"description": answer.__name__, "content": {"application/json": {"schema": schema}}}
    response: dict[str, Any] = {"description": answer}
    if status >= 400:
        reference = {"$ref": "#/components/schemas/Problem"}
        response["content"] = {"application/problem+json": {"schema": reference}}
    return response
