"""`/v1/models`: what can be asked for."""

from typing import Any

from pydantic_core import to_json

from plugins.gateway.targets import Targets


def models_document(targets: Targets) -> bytes:
    """The list."""
    data = [_model(name, owner) for name, owner in targets.model_names()]
    return to_json({"object": "list", "data": data})


def model_document(targets: Targets, name: str) -> bytes:
    """One model. Raises `ApiError` 404 when nobody serves it."""
    owner = dict(targets.model_names()).get(name)
    if owner is None:
        owner = targets.resolve(name).members[0].target.provider.name
    return to_json(_model(name, owner))


def _model(name: str, owner: str) -> dict[str, Any]:
    # The creation of a model behind a gateway is nobody's knowledge; the member must be there all the same.
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
