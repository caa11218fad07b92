"""The official SDKs, unmodified, through a real socket: they are the judges of the wire format."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from pydantic import BaseModel

MODELS = ["simulated/echo", "simulated-b/echo", "simulated-c/echo", "simulated-d/echo"]
"""OpenAI's wire format, Anthropic's and Gemini's."""
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-anything", max_retries=0) as client:
        yield client


def ask(text: str) -> Any:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


@pytest.mark.parametrize("model", MODELS)
def test_chat_answers(client: openai.OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=ask("one two three"))
    assert completion.choices[0].message.content == "one two three"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3
    assert completion._request_id


@pytest.mark.parametrize("model", MODELS)
def test_chat_streams_and_the_accumulator_agrees(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.stream(
        model=model, messages=ask("alpha beta gamma"), stream_options={"include_usage": True}
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert final.choices[0].message.content == "alpha beta gamma"
    assert final.choices[0].message.role == "assistant"
    assert final.usage is not None
    assert final.usage.total_tokens > 3


def test_stream_without_being_asked_has_no_usage_and_no_chunk_without_choices(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="simulated/echo", messages=ask("a b"), stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


def test_usage_comes_last_and_alone(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="simulated/echo", messages=ask("a b"), stream=True, stream_options=options)
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.choices and chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_tools_are_called_and_their_results_taken(client: openai.OpenAI, model: str, stream: bool) -> None:
    messages = ask("Paris")
    if stream:
        with client.chat.completions.stream(model=model, messages=messages, tools=[TOOL]) as events:
            events.until_done()
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=model, messages=messages, tools=[TOOL]).choices[0].message
    assert message.tool_calls is not None
    call: Any = message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"place": "Paris"}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump(exclude={"index", "parsed_arguments"})]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answer = client.chat.completions.create(model=model, messages=messages, tools=[TOOL])
    assert answer.choices[0].finish_reason == "stop"


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("model", MODELS)
def test_structured_output_is_parsed(client: openai.OpenAI, model: str) -> None:
    completion = client.chat.completions.parse(model=model, messages=ask("Ada"), response_format=Person)
    assert completion.choices[0].message.parsed == Person(name="Ada", age=1)


def test_embeddings_are_the_same_in_both_encodings(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="simulated/embed", input=["a", "b"])
    plain = client.embeddings.create(model="simulated/embed", input=["a", "b"], encoding_format="float")
    assert [pytest.approx(each.embedding, abs=1e-6) for each in plain.data] == [each.embedding for each in packed.data]


def test_models_are_listed_and_found_with_slashes(client: openai.OpenAI) -> None:
    assert "simulated/echo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("simulated/echo").owned_by == "simulated"


def test_completions_and_moderations(client: openai.OpenAI) -> None:
    completion = client.completions.create(model="simulated/echo", prompt="old school")
    assert completion.choices[0].text == "old school"
    chunks = list(client.completions.create(model="simulated/echo", prompt="old stream", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "old stream"
    assert client.moderations.create(model="simulated/mod", input="fine").results[0].flagged is False


def test_images_and_audio_are_relayed_with_the_model_renamed(client: openai.OpenAI) -> None:
    image = client.images.generate(model="simulated/paint", prompt="a pixel")
    assert image.data is not None
    assert base64.b64decode(image.data[0].b64_json or "").startswith(b"\x89PNG")
    heard = client.audio.transcriptions.create(model="simulated/ears", file=("a.wav", b"\0\r\n" * 1000))
    assert heard.text.endswith("bytes for ears")
    spoken = client.audio.speech.create(model="simulated/mouth", voice="alloy", input="hello")
    assert spoken.content.startswith(b"RIFF")
    assert spoken.response.headers["content-type"] == "audio/wav"
    with pytest.raises(openai.BadRequestError, match="cannot be asked"):
        client.images.generate(model="simulated-b/paint", prompt="not Anthropic's")


def test_responses_whole_and_streamed(client: openai.OpenAI) -> None:
    assert client.responses.create(model="simulated/echo", input="hello there").output_text == "hello there"
    with client.responses.stream(model="simulated/echo", input="hello again") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "hello again"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


@pytest.mark.parametrize("model", MODELS)
def test_anthropics_client_reaches_every_provider(url: str, model: str) -> None:
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        message: Any = client.messages.create(
            model=model, max_tokens=50, system="Be brief.", messages=[{"role": "user", "content": "bonjour monde"}]
        )
        assert message.content[0].text == "bonjour monde"
        assert message.stop_reason == "end_turn"
        with client.messages.stream(
            model=model, max_tokens=50, messages=[{"role": "user", "content": "un deux trois"}]
        ) as stream:
            assert "".join(stream.text_stream) == "un deux trois"
            assert stream.get_final_message().usage.output_tokens == 3
        tool: Any = {"name": "look", "input_schema": TOOL["function"]["parameters"]}
        with client.messages.stream(
            model=model, max_tokens=50, tools=[tool], messages=[{"role": "user", "content": "Oslo"}]
        ) as stream:
            final: Any = stream.get_final_message()
        assert final.stop_reason == "tool_use"
        assert final.content[0].input == {"place": "Oslo"}


def test_errors_have_the_types_and_codes_that_the_client_knows(client: openai.OpenAI, fault: Any) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody/nothing", messages=ask("x"))
    assert unknown.value.code == "model_not_found"
    assert unknown.value.request_id
    with pytest.raises(openai.BadRequestError) as missing:
        client.post("/chat/completions", body={"model": "simulated/echo"}, cast_to=object)
    assert missing.value.param == "messages"
    fault("rate_limit", retry_after=7)
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="simulated/limited", messages=ask("limited"))
    assert limited.value.code == "rate_limit_exceeded"
    assert limited.value.response.headers["retry-after"] == "7"


def test_client_does_not_repeat_what_the_gateway_has_repeated(url: str, fault: Any) -> None:
    fault("error")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=5) as client:
        before = httpx.get(f"{url}/api/gateway/stats").json()["requests"]["total"]
        with pytest.raises(openai.InternalServerError) as failed:
            client.chat.completions.create(model="simulated/failing", messages=ask("fails"))
        assert failed.value.response.headers["x-should-retry"] == "false"
        assert httpx.get(f"{url}/api/gateway/stats").json()["requests"]["total"] == before + 1


@pytest.mark.parametrize("model", ["simulated/echo", "simulated-b/echo"])
def test_a_stream_cut_upstream_raises_in_the_client(client: openai.OpenAI, fault: Any, model: str) -> None:
    fault("cut", model.partition("/")[0], after_tokens=2)
    stream = client.chat.completions.create(model=model, messages=ask(f"one two three {model}"), stream=True)
    said: list[str] = []

    def read() -> None:
        for chunk in stream:
            said.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="broke off") as broken:
        read()
    assert "".join(said) == "one two"
    assert broken.value.code == "upstream_disconnected"


def test_langchain_chats_streams_and_calls_tools(url: str) -> None:
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    options: Any = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0}
    chat = ChatOpenAI(model="simulated/echo", **options)
    assert chat.invoke("from langchain").content == "from langchain"
    merged = None
    for chunk in chat.stream("token by token"):
        merged = chunk if merged is None else merged + chunk
    assert merged is not None
    assert merged.content == "token by token"
    assert chat.bind_tools([TOOL]).invoke("Rome").tool_calls[0]["args"] == {"place": "Rome"}
    assert chat.with_structured_output(Person).invoke("Grace") == Person(name="Grace", age=1)
    embeddings = OpenAIEmbeddings(model="simulated/embed", check_embedding_ctx_length=False, **options)
    assert len(embeddings.embed_query("x")) == 64
