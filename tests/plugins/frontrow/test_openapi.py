"""FrontRow's API against its own OpenAPI document: whatever is sent, the answer is one that the document tells of.

Requests are drawn from the document by a fixed seed: values that fit a schema, values at its edges, and values that do
not fit. None may be answered 5xx, with a status that is not documented, or with another body than is documented.
"""

import random
import re
import uuid
from urllib.parse import quote

import httpx
import pytest

from host.api import Mount
from plugins import frontrow
from tests.plugins.frontrow.test_checkout import opened

EXAMPLES = 40
"""Requests of each operation."""
STREAMS_AND_RACES = re.compile(r"/(changes|events|stampede|chaos.*|compare|comparisons)$")
"""What does not end by itself, or takes seconds: tested by its own suite."""
INTEGERS = (0, 1, -1, 2**31, 2**63 - 1, 2**63)
TEXTS = ("", "a", "x" * 300, "\u0000", "é", "../x", "nan")
WRONG = (None, True, "x", 1.5, [], {}, [[]])


class Draw:
    """Values for schemas, by lot. `ids` are real ids, drawn now and then for what is named so."""

    def __init__(self, seed, document, ids):
        self.lot = random.Random(seed)
        self.schemas = document["components"]["schemas"]
        self.ids = ids

    def value(self, schema, name=""):
        if self.lot.random() < 0.06:
            return self.lot.choice(WRONG)
        if name in self.ids and self.lot.random() < 0.7:
            return self.lot.choice(self.ids[name])
        if reference := schema.get("$ref"):
            return self.value(self.schemas[reference.rpartition("/")[2]], name)
        for options in ("anyOf", "oneOf"):
            if options in schema:
                return self.value(self.lot.choice(schema[options]), name)
        if "enum" in schema:
            return self.lot.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        return getattr(self, f"_{schema.get('type', 'null')}")(schema)

    def _null(self, schema):
        return None

    def _boolean(self, schema):
        return self.lot.random() < 0.5

    def _integer(self, schema):
        low, high = schema.get("minimum", 0), schema.get("maximum", 1000)
        return self.lot.choice((low, high, self.lot.randint(low, max(low, high)), *INTEGERS))

    def _number(self, schema):
        return self.lot.choice((schema.get("minimum", 0), schema.get("maximum", 10), self.lot.random(), 1e308))

    def _string(self, schema):
        return self.lot.choice((schema.get("default", "guest"), str(uuid.UUID(int=1)), "a-1", *TEXTS))

    def _array(self, schema):
        return [self.value(schema.get("items", {})) for _ in range(self.lot.choice((0, 1, 1, 2, 12)))]

    def _object(self, schema):
        required = schema.get("required", ())
        known = schema.get("properties", {})
        taken = [name for name in known if (name in required and self.lot.random() < 0.95) or self.lot.random() < 0.4]
        body = {name: self.value(known[name], name) for name in taken}
        return body | ({"unknown": 1} if self.lot.random() < 0.05 else {})


@pytest.fixture
async def shop(front_row):
    return await opened(front_row)


async def test_every_answer_is_one_that_the_document_tells_of(shop, front_row):
    mounts = [each for each in frontrow.quartet_routes(front_row.ctx, front_row) if isinstance(each, Mount)]
    document = document_of(mounts)
    order = await shop.order(0)
    token = await shop.hold(1)
    ids = {
        "event_id": [shop.event_id],
        "order_id": [order["id"]],
        "seats": [[shop.seats[2]], [shop.seats[3], shop.seats[4]]],
        "area": [shop.area],
        "token": [token],
    }
    draw = Draw(20, document, ids)
    operations = [each for mount in mounts for each in mount.operations if not STREAMS_AND_RACES.search(each.path)]
    assert len(operations) > 35
    documented = {
        (method, path): each["responses"] for path, item in document["paths"].items() for method, each in item.items()
    }
    heard = set()
    for operation in operations:
        for _ in range(EXAMPLES):
            answer = await send(shop.client, draw, operation)
            heard.add(answer.status_code)
            check(operation, documented[operation.method.lower(), operation.path], answer)
    assert {200, 201, 204, 400, 402, 404, 409, 422} <= heard, f"the lot reaches {heard}"


def document_of(mounts):
    from host.http.openapi import openapi_document

    return openapi_document("test", {"frontrow": mounts})


async def send(client, draw, operation):
    def segment(match):
        known = draw.ids.get(match[1], ["1"])
        value = draw.lot.choice((*known, *known, "0", "x", "é", "\x00", "9" * 30, str(uuid.UUID(int=2))))
        return quote(str(value), safe="")

    path = re.sub(r"\{(\w+)\}", segment, operation.path)
    headers = {"idempotency-key": draw.lot.choice(("", "k" * 300, "key"))} if draw.lot.random() < 0.2 else {}
    query = {each["name"]: str(draw.value(each["schema"])) for each in operation.parameters if each["in"] == "query"}
    content = None
    if operation.request is not None:
        reference = {"$ref": f"/{operation.request.__name__}"}
        content = httpx.Request("POST", "http://x", json=draw.value(reference)).content
        content = draw.lot.choice((content,) * 12 + (b"{", b"\xff"))
        headers["content-type"] = draw.lot.choice(("application/json",) * 12 + ("text/plain",))
    try:
        return await client.request(operation.method, path, params=query or None, headers=headers, content=content)
    except Exception as error:
        raise AssertionError(f"{operation.method} {path} {query} {content[:300] if content else b''!r}") from error


def check(operation, documented, answer):
    request = answer.request
    told = f"{request.method} {request.url}: {request.content[:300]!r} → {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500, told
    assert str(answer.status_code) in documented, f"not documented: {told}"
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", told
        problem = answer.json()
        assert problem["status"] == answer.status_code, told
        assert {"type", "title"} <= problem.keys(), told
        return
    model = operation.responses[answer.status_code]
    if not isinstance(model, str):
        model.model_validate_json(answer.content)
