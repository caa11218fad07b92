"""Bedrock on the wire: simulated and recorded upstreams on loopback, Amazon's own client and OpenAI's as the judges."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import botocore.session
import openai
import pytest
import trio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from pydantic import ValidationError
from pydantic_core import to_json

from plugins.gateway.core.eventstream import encode_event
from plugins.gateway.settings import ProviderSettings, Settings, access_to_bedrock, known_environment
from plugins.gateway.simulated.faults import Fault, FaultKind
from tests.plugins.gateway.kit import House, open_house
from tests.plugins.gateway.recorded import Recorded, open_recorded
from tests.plugins.gateway.test_lifetimes import leave_after, until

T = TypeVar("T")
REGION = "eu-central-1"
KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "very-secret/key+", "very-secret-token=="
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-v1:0"
CLAUDE = "eu.anthropic.claude-echo"
EVENTSTREAM = "application/vnd.amazon.eventstream"
ASK: Any = [{"role": "user", "content": "hi"}]
ANSWER = to_json(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
        "metrics": {"latencyMs": 5},
    }
)
BEGIN = encode_event("messageStart", {"role": "assistant"})
SAID = encode_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}})
END = encode_event("messageStop", {"stopReason": "end_turn"})
THROTTLED = encode_event("throttlingException", {"message": "Too many tokens"}, message_type="exception")


@pytest.fixture(autouse=True)
def _nothing_of_amazon_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


@pytest.fixture
async def upstream() -> AsyncIterator[Recorded]:
    async with open_recorded() as recorded:
        yield recorded


@pytest.fixture
async def house(tmp_path: Path, upstream: Recorded) -> AsyncIterator[House]:
    """With `recorded`, which is asked with a signature, and groups that fall back from it and from a simulated one."""
    for name, value in (("id", KEY_ID), ("secret", SECRET), ("token", TOKEN)):
        (tmp_path / name).write_text(value)
    aws = {
        "region": REGION,
        "access_key_id": {"file": str(tmp_path / "id")},
        "secret_access_key": {"file": str(tmp_path / "secret")},
        "session_token": {"file": str(tmp_path / "token")},
    }
    provider = {"kind": "bedrock", "base_url": f"http://127.0.0.1:{upstream.port}", "aws": aws}
    groups = {
        "recorded_first": [f"recorded/{ARN}", "simulated/echo"],
        "simulated_first": ["simulated-d/echo", "simulated/echo"],
    }
    config: dict[str, Any] = {
        "providers": {"recorded": provider},
        "models": groups,
        "retries": {"rounds": 1},
        # One house sees many failures in a row here.
        "breaker": {"failures": 1000, "window": 1000},
    }
    async with open_house(tmp_path, **config) as opened:
        yield opened


async def with_client(house: House, use: Callable[[openai.OpenAI], T]) -> T:
    """What OpenAI's client gets, in a thread of its own and not from the cache."""

    def run() -> T:
        headers = {"cache-control": "no-store"}
        url = f"{house.url}/v1"
        with openai.OpenAI(base_url=url, api_key="any", max_retries=0, default_headers=headers) as client:
            return use(client)

    return await trio.to_thread.run_sync(run)


async def test_a_request_is_signed_as_botocore_signs_it(house: House, upstream: Recorded) -> None:
    upstream.answer = 200, "application/json", ANSWER
    answer = await house.chat("what?", f"recorded/{ARN}", max_tokens=9)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert answer.json()["usage"]["total_tokens"] == 4
    [asked] = upstream.asked
    assert asked.target == (
        "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Ainference-profile%2Feu.anthropic.claude-v1%3A0"
        "/converse"
    )
    assert asked.headers["x-amz-security-token"] == TOKEN
    moment = asked.headers["x-amz-date"]
    made = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 300
    body = to_json(
        {"messages": [{"role": "user", "content": [{"text": "what?"}]}], "inferenceConfig": {"maxTokens": 9}}
    )
    request = AWSRequest(
        method="POST",
        url=f"http://127.0.0.1:{upstream.port}{asked.target}",
        data=body,
        headers={name: asked.headers[name] for name in ("host", "x-amz-date", "x-amz-security-token")},
    )
    request.context["timestamp"] = moment
    auth = SigV4Auth(Credentials(KEY_ID, SECRET, TOKEN), "bedrock", REGION)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert asked.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{moment[:8]}/{REGION}/bedrock/aws4_request, "
        f"SignedHeaders=host;x-amz-date;x-amz-security-token, Signature={signature}"
    )


KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({"AWS_BEARER_TOKEN_BEDROCK": "key", "AWS_REGION": REGION}, True),
        ({"AWS_BEARER_TOKEN_BEDROCK": "key", "AWS_DEFAULT_REGION": REGION}, True),
        ({**KEYS, "AWS_REGION": REGION}, True),
        ({"AWS_BEARER_TOKEN_BEDROCK": "key"}, False),
        (KEYS, False),
        ({"AWS_ACCESS_KEY_ID": "id", "AWS_REGION": REGION}, False),
        ({"AWS_REGION": REGION}, False),
    ],
)
def test_it_is_on_with_a_region_and_a_right_to_ask(environment: dict[str, str], is_on: bool) -> None:
    assert ("bedrock" in known_environment(environment)) == is_on


@pytest.mark.parametrize("variables", [{"AWS_BEARER_TOKEN_BEDROCK": "a-key", **KEYS}, KEYS], ids=["key", "signed"])
async def test_the_environment_is_all_it_needs_and_a_key_comes_before_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: Recorded, variables: dict[str, str]
) -> None:
    for name, value in {**variables, "AWS_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    upstream.answer = 200, "application/json", ANSWER
    given = {"bedrock": {"base_url": f"http://127.0.0.1:{upstream.port}"}}
    async with open_house(tmp_path, providers=given, providers_from_environment=True) as house:
        assert (await house.chat("hi", "eu.anthropic.claude-sonnet-4-6")).status_code == 200
    assert access_to_bedrock(ProviderSettings(), os.environ).base_url == (
        "https://bedrock-runtime.eu-central-1.amazonaws.com"
    )
    [asked] = upstream.asked
    assert asked.headers["authorization"].startswith("Bearer a-key" if len(variables) > 2 else "AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize("provider", [{}, {"aws": {"region": REGION}}, {"api_key": {"env": "KEY"}}])
def test_a_provider_that_could_never_ask_is_told_what_it_lacks(provider: dict[str, Any]) -> None:
    section = {"providers": {"work": {"kind": "bedrock", **provider}}}
    with pytest.raises(ValidationError, match=r"aws\.region"):
        Settings.model_validate(section, context={"env": {"KEY": "k"}})
    whole = {"api_key": {"env": "KEY"}, "aws": {"region": REGION}}
    Settings.model_validate({"providers": {"work": {"kind": "bedrock", **whole}}}, context={"env": {"KEY": "k"}})


async def test_amazons_own_client_takes_the_simulated_provider_for_bedrock(house: House) -> None:
    provider = house.gateway.simulated["simulated-d"]

    def use() -> tuple[Any, list[Any], str]:
        settings = Config(retries={"total_max_attempts": 1})
        client = botocore.session.get_session().create_client(
            "bedrock-runtime",
            region_name=REGION,
            endpoint_url=provider.base_url,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=settings,
        )
        turn = {"modelId": "echo", "messages": [{"role": "user", "content": [{"text": "one two"}]}]}
        whole = client.converse(**turn)
        events = list(client.converse_stream(**turn)["stream"])
        provider.fault, provider.fault_until = Fault(kind="rate_limit"), float("inf")
        with pytest.raises(ClientError) as raised:
            client.converse(**turn)
        client.close()
        return whole, events, raised.value.response["Error"]["Code"]

    whole, events, code = await trio.to_thread.run_sync(use)
    assert whole["output"]["message"]["content"] == [{"text": "one two"}]
    told = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert "".join(told) == "one two"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == len(told)
    assert code == "ThrottlingException"


async def test_anthropics_own_client_takes_it_for_bedrock_too(house: House) -> None:
    def use() -> tuple[Any, Any]:
        url = house.gateway.simulated["simulated-d"].base_url
        with anthropic.AnthropicBedrock(base_url=url, api_key="any", aws_region=REGION, max_retries=0) as client:
            return messages_of(client, CLAUDE)

    assert await trio.to_thread.run_sync(use) == ("hi", "hi")


async def test_messages_reach_claude_at_bedrock_as_they_are(house: House, upstream: Recorded) -> None:
    def use() -> tuple[Any, Any]:
        with anthropic.Anthropic(base_url=house.url, api_key="any", max_retries=0) as client:
            return messages_of(client, f"simulated-d/{CLAUDE}")

    assert await trio.to_thread.run_sync(use) == ("hi", "hi")
    assert set(house.gateway.simulated["simulated-d"].tally.paths) == {
        f"/model/{CLAUDE}/invoke",
        f"/model/{CLAUDE}/invoke-with-response-stream",
    }
    upstream.answer = 400, "application/json", b"{}"
    body = {"model": f"recorded/{CLAUDE}", "max_tokens": 9, "messages": ASK, "metadata": {"user_id": "u"}}
    await house.http.post("/v1/messages", json=body, headers={"anthropic-beta": "context-1m-2025-08-07"})
    [asked] = upstream.asked
    del body["model"]
    assert asked.body == body | {"anthropic_version": "bedrock-2023-05-31"}
    assert "anthropic-beta" not in asked.headers


def messages_of(client: anthropic.Anthropic | anthropic.AnthropicBedrock, model: str) -> tuple[Any, Any]:
    """What a client of Messages gets, whole and streamed."""
    whole: Any = client.messages.create(model=model, max_tokens=9, messages=ASK)
    with client.messages.stream(model=model, max_tokens=9, messages=ASK) as events:
        return whole.content[0].text, events.get_final_text()


async def test_embeddings_are_asked_for_by_invoke(house: House) -> None:
    def use(client: openai.OpenAI) -> Any:
        return client.embeddings.create(model="simulated-d/amazon.titan-embed-text-v2:0", input="hi", dimensions=8)

    made = await with_client(house, use)
    assert len(made.data[0].embedding) == 8
    assert made.usage.prompt_tokens == 1


FAULTS: tuple[FaultKind, ...] = ("error", "overloaded", "unauthorized", "bad_json", "cut", "rate_limit", "refuse")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failing_bedrock_is_fallen_back_from(house: House, stream: bool) -> None:
    for kind in FAULTS:
        fault = Fault(kind=kind, after_tokens=0, retry_after=0, duration=600)
        house.gateway.simulated["simulated-d"].break_with(fault)
        answer = await house.chat("hi", "simulated_first", stream=stream)
        assert answer.status_code == 200, kind
        assert (answer.headers["x-quartet-provider"], answer.headers["x-quartet-attempts"]) == ("simulated", "2"), kind


FAILING = (THROTTLED, BEGIN + THROTTLED, BEGIN, b"", b"<html>what?</html>", BEGIN + SAID[:-1] + b"x")


async def test_before_the_first_token_a_stream_that_fails_is_anothers(house: House, upstream: Recorded) -> None:
    def use(client: openai.OpenAI) -> str:
        events = client.chat.completions.create(model="recorded_first", messages=ASK, stream=True)
        return "".join(event.choices[0].delta.content or "" for event in events)

    for body in FAILING:
        upstream.answer = 200, EVENTSTREAM, body
        assert await with_client(house, use) == "hi", body
    assert len(upstream.asked) == len(FAILING)


BROKEN = {
    "an exception": (THROTTLED, "rate_limit_exceeded"),
    "a checksum": (SAID[:-1] + bytes([SAID[-1] ^ 1]), "upstream_malformed"),
    "an end within a message": (SAID[:-1], "upstream_malformed"),
    "an end without a stop": (b"", "upstream_malformed"),
    "an unusable stop": (encode_event("messageStop", {"stopReason": "malformed_tool_use"}), "upstream_malformed"),
}


async def test_after_the_first_token_it_is_an_error_and_never_looks_whole(house: House, upstream: Recorded) -> None:
    # More than one read takes, so that the first token is on its way when the rest is looked at.
    more = encode_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x" * 1000}}) * 200
    for name, (rest, code) in BROKEN.items():
        upstream.answer = 200, EVENTSTREAM, BEGIN + SAID + more + rest
        seen: list[Any] = []

        def use(client: openai.OpenAI, seen: list[Any] = seen) -> None:
            seen.extend(client.chat.completions.create(model=f"recorded/{ARN}", messages=ASK, stream=True))

        with pytest.raises(openai.APIError) as raised:
            await with_client(house, use)
        assert raised.value.code == code, name
        assert seen[0].choices[0].delta.role == "assistant"
        assert all(event.choices[0].finish_reason is None for event in seen)
    await house.settled()


async def test_a_stream_goes_on_to_its_end_and_its_usage(house: House, upstream: Recorded) -> None:
    usage = {"inputTokens": 3, "outputTokens": 1, "totalTokens": 104, "cacheReadInputTokens": 100}
    metadata = encode_event("metadata", {"usage": usage, "metrics": {"latencyMs": 5}})
    upstream.answer = 200, EVENTSTREAM, BEGIN + SAID + END + metadata

    def use(client: openai.OpenAI) -> Any:
        options: Any = {"include_usage": True}
        return list(
            client.chat.completions.create(model=f"recorded/{ARN}", messages=ASK, stream=True, stream_options=options)
        )

    *chunks, last = await with_client(house, use)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "Hel", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert (last.usage.prompt_tokens, last.usage.prompt_tokens_details.cached_tokens) == (103, 100)
    assert upstream.asked[0].target.endswith("/converse-stream")


@pytest.mark.parametrize("fault", ["hang", "stall"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_the_call_at_bedrock(house: House, stream: bool, fault: FaultKind) -> None:
    provider = house.gateway.simulated["simulated-d"]
    provider.break_with(Fault(kind=fault, duration=600))

    async def is_asked() -> None:
        await until(lambda: provider.tally.open_requests == 1)

    body = {"model": "simulated-d/story", "messages": ASK, "stream": stream}
    await leave_after(house, "/v1/chat/completions", body, is_asked)
    await until(lambda: provider.tally.left == 1)
    await house.settled()


ERRORS: list[tuple[int, str, str, int, str | None]] = [
    (429, "ThrottlingException", "Too many requests", 429, "rate_limit_exceeded"),
    (424, "ModelErrorException", "the model failed", 502, "model_error"),
    (400, "ValidationException", "messages: bad", 400, None),
    (400, "ValidationException", "Input is too long for requested model.", 400, "context_length_exceeded"),
    (403, "InvalidSignatureException", f"x-amz-security-token:{TOKEN}", 502, "upstream_authentication"),
    (400, "IncompleteSignatureException", f"Credential={KEY_ID}", 502, "upstream_authentication"),
]


async def test_errors_reach_openais_client_in_its_own_shape_and_without_secrets(
    house: House, upstream: Recorded, capfd: pytest.CaptureFixture[str]
) -> None:
    def use(client: openai.OpenAI) -> Any:
        return client.chat.completions.create(model=f"recorded/{ARN}", messages=ASK)

    shown: list[str] = []
    for status, name, message, told, code in ERRORS:
        upstream.answer = status, "application/json", to_json({"__type": name, "message": message})
        with pytest.raises(openai.APIStatusError) as raised:
            await with_client(house, use)
        assert (raised.value.status_code, raised.value.code) == (told, code), message
        shown += [str(raised.value), raised.value.response.text]
    captured = capfd.readouterr()
    shown += [(await house.http.get("/api/gateway/stats")).text, captured.out, captured.err]
    assert not [text for text in shown if KEY_ID in text or "very-secret" in text]
