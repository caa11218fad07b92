"""What the API document marks as the administrator's is refused to a stranger, and nothing else asks for the token."""

import re

import httpx

PARAMETER = "0"
STRANGER = {"x-forwarded-for": "203.0.113.7"}
REFUSAL = "admin token"


def test_strangers_are_refused_what_is_marked_and_nothing_else(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    marked, refused = set(), set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "security" in operation:
                marked.add((method, path))
            url = re.sub(r"\{\w+\}", PARAMETER, path)
            body = {} if method == "get" else {"json": {}}
            # Only the head of the answer is read: some are streams without end.
            with http.stream(method, url, headers=STRANGER, **body) as answer:
                if answer.status_code in (401, 403) and REFUSAL in answer.read().decode():
                    refused.add((method, path))
    assert refused == marked
    assert ("post", "/api/frontrow/chaos") in marked
