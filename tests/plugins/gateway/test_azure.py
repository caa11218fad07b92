"""Azure OpenAI: its addresses, its key, and what its content filter puts into answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from tests.plugins.gateway.kit import House, events_of, open_house, text_of
from tests.plugins.gateway.recorded import Recorded, open_recorded

SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
ID = "chatcmpl-CECImr5TLfMFiZN3FUlfVdBLr51Fs"


def chunk(**choice: Any) -> dict[str, Any]:
    made = {"index": 0, "finish_reason": None, "logprobs": None, "content_filter_results": {}} | choice
    head = {"id": ID, "created": 1757499916, "model": "gpt-4o-mini-2024-07-18", "object": "chat.completion.chunk"}
    return head | {"choices": [made], "system_fingerprint": "fp_efad92c60b"}


STREAM = [
    {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
    },
    chunk(delta={"content": "", "refusal": None, "role": "assistant"}),
    chunk(delta={"content": "The"}, content_filter_results=SAFE),
    chunk(delta={"content": " capital"}, content_filter_results=SAFE),
    chunk(delta={}, finish_reason="stop"),
    # Of the asynchronous filter: about what was said already, and without a delta.
    {
        "id": "",
        "created": 0,
        "model": "",
        "object": "",
        "choices": [
            {
                "index": 0,
                "finish_reason": None,
                "content_filter_results": SAFE,
                "content_filter_offsets": {"check_offset": 44, "start_offset": 44, "end_offset": 198},
            }
        ],
    },
    chunk() | {"choices": [], "usage": {"prompt_tokens": 15, "completion_tokens": 2, "total_tokens": 17}},
]
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": SAFE},
    }
}


def stream_of(events: list[Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % to_json(event) for event in events) + b"data: [DONE]\n\n"


@pytest.fixture
async def azure() -> AsyncIterator[Recorded]:
    async with open_recorded() as recorded:
        yield recorded


@pytest.fixture
async def house(tmp_path: Path, azure: Recorded) -> AsyncIterator[House]:
    (tmp_path / "key").write_text("an-azure-key")
    base_url = f"http://127.0.0.1:{azure.port}"
    provider = {"kind": "azure", "base_url": base_url, "api_key": {"file": str(tmp_path / "key")}}
    async with open_house(tmp_path, providers={"work": provider}, retries={"rounds": 1}) as opened:
        yield opened


async def test_a_deployment_is_asked_at_its_address_with_its_key(house: House, azure: Recorded) -> None:
    whole = chunk(message={"role": "assistant", "content": "Paris"}, finish_reason="stop") | {
        "object": "chat.completion",
        "usage": {"prompt_tokens": 15, "completion_tokens": 1, "total_tokens": 16},
    }
    azure.answer = 200, "application/json", to_json(whole)
    answer = await house.chat("What is the capital?", "work/my-deployment")
    assert answer.json() == whole
    [asked] = azure.asked
    assert asked.target == "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    assert asked.headers["api-key"] == "an-azure-key"
    assert "authorization" not in asked.headers
    assert asked.headers["host"] == f"127.0.0.1:{azure.port}"


async def test_filter_results_do_not_disturb_a_stream(house: House, azure: Recorded) -> None:
    azure.answer = 200, "text/event-stream", stream_of(STREAM)
    answer = await house.chat("x", "work/my-deployment", stream=True, stream_options={"include_usage": True})
    *chunks, usage, done = events_of(answer.text)
    assert done == "[DONE]"
    assert text_of(chunks) == "The capital"
    assert {(event["id"], event["model"]) for event in chunks} == {(ID, "gpt-4o-mini-2024-07-18")}
    assert [event["choices"][0]["finish_reason"] for event in chunks if event["choices"][0]["finish_reason"]] == [
        "stop"
    ]
    assert all("delta" in event["choices"][0] for event in chunks)
    assert chunks[1]["choices"][0]["content_filter_results"] == SAFE
    assert usage["usage"]["total_tokens"] == 17


async def test_a_stream_that_the_filter_ends_says_so_and_is_not_kept(house: House, azure: Recorded) -> None:
    azure.answer = 200, "text/event-stream", stream_of([*STREAM[:3], chunk(delta={}, finish_reason="content_filter")])
    for _ in range(2):
        answer = await house.chat("x", "work/my-deployment", stream=True, store=True)
        assert events_of(answer.text)[-2]["choices"][0]["finish_reason"] == "content_filter"
        assert answer.headers["x-quartet-cache"] == "miss"


async def test_a_prompt_that_is_filtered_is_refused_as_azure_said(house: House, azure: Recorded) -> None:
    azure.answer = 400, "application/json", to_json(FILTERED)
    answer = await house.chat("x", "work/my-deployment")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "content_filter", "prompt")
    assert "content management policy" in error["message"]
    assert len(azure.asked) == 1


async def test_responses_have_an_address_without_the_deployment(house: House, azure: Recorded) -> None:
    done = {"id": "resp_1", "object": "response", "status": "completed", "output": [], "model": "gpt-4o"}
    azure.answer = 200, "application/json", to_json(done)
    answer = await house.http.post("/v1/responses", json={"model": "work/my-deployment", "input": "hi"})
    assert answer.status_code == 200
    assert azure.asked[0].target == "/openai/v1/responses"
    assert azure.asked[0].body["model"] == "my-deployment"
    refused = await house.http.post("/v1/moderations", json={"model": "work/my-deployment", "input": "hi"})
    assert refused.json()["error"]["code"] == "unsupported_endpoint"
