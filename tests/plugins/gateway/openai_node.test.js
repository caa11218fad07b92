/** The official client of Node, unmodified, through a real socket; test_openai_node.py has the host and runs this. */
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const url = process.env.GATEWAY_URL;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "anything", maxRetries: 0 });
/** OpenAI's wire format, Anthropic's and Gemini's. */
const MODELS = ["simulated/echo", "simulated-b/echo", "simulated-c/echo", "simulated-d/echo"];
const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a place",
      parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
    },
  },
];

const ask = (text) => [{ role: "user", content: text }];

async function setFault(name, fault) {
  const answer = await fetch(`${url}/api/gateway/simulated/${name}/fault`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fault),
  });
  assert.equal(answer.status, 200);
}

async function raised(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("it did not raise");
}

for (const model of MODELS) {
  test(`${model}: chat`, async () => {
    const completion = await client.chat.completions.create({ model, messages: ask("one two three") });
    assert.equal(completion.choices[0].message.content, "one two three");
    assert.equal(completion.choices[0].finish_reason, "stop");
    assert.equal(completion.usage.completion_tokens, 3);
    assert.ok(completion._request_id);
  });

  test(`${model}: a stream, which its accumulator takes`, async () => {
    const stream = client.chat.completions.stream({
      model,
      messages: ask("alpha beta gamma"),
      stream_options: { include_usage: true },
    });
    let said = "";
    stream.on("content", (delta) => (said += delta));
    const final = await stream.finalChatCompletion();
    assert.equal(said, "alpha beta gamma");
    assert.equal(final.choices[0].message.content, "alpha beta gamma");
    assert.ok(final.usage.total_tokens > 3);
  });

  test(`${model}: a tool is called, streamed or not, and its result taken`, async () => {
    const messages = ask("Paris");
    const whole = await client.chat.completions.create({ model, messages, tools: TOOLS });
    const streamed = await client.chat.completions.stream({ model, messages, tools: TOOLS }).finalChatCompletion();
    for (const completion of [whole, streamed]) {
      const message = completion.choices[0].message;
      const call = message.tool_calls[0];
      assert.equal(completion.choices[0].finish_reason, "tool_calls");
      assert.equal(call.function.name, "get_weather");
      assert.deepEqual(JSON.parse(call.function.arguments), { place: "Paris" });
      const answer = await client.chat.completions.create({
        model,
        messages: [...messages, message, { role: "tool", tool_call_id: call.id, content: "sunny" }],
        tools: TOOLS,
      });
      assert.equal(answer.choices[0].finish_reason, "stop");
    }
  });
}

test("responses, whole and streamed", async () => {
  const whole = await client.responses.create({ model: "simulated/echo", input: "hello there" });
  assert.equal(whole.output_text, "hello there");
  const kinds = [];
  const stream = client.responses.stream({ model: "simulated/echo", input: "hello again" });
  for await (const event of stream) kinds.push(event.type);
  assert.equal((await stream.finalResponse()).output_text, "hello again");
  assert.deepEqual([kinds[0], kinds.at(-1)], ["response.created", "response.completed"]);
});

test("embeddings, models, images", async () => {
  const { data } = await client.embeddings.create({ model: "simulated/embed", input: ["a", "b"] });
  assert.equal(data.length, 2);
  assert.equal(data[0].embedding.length, 64);
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  assert.ok(listed.includes("simulated/echo"));
  const image = await client.images.generate({ model: "simulated/paint", prompt: "a pixel" });
  assert.ok(Buffer.from(image.data[0].b64_json, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
});

test("errors are the classes that the client has for them", async () => {
  const unknown = await raised(client.chat.completions.create({ model: "nobody/nothing", messages: ask("x") }));
  assert.ok(unknown instanceof OpenAI.NotFoundError);
  assert.equal(unknown.code, "model_not_found");
  assert.ok(unknown.requestID);
  const missing = await raised(client.post("/chat/completions", { body: { model: "simulated/echo" } }));
  assert.ok(missing instanceof OpenAI.BadRequestError);
  assert.equal(missing.param, "messages");
  await setFault("simulated", { kind: "rate_limit", retry_after: 7 });
  const limited = await raised(client.chat.completions.create({ model: "simulated/node-limited", messages: ask("x") }));
  assert.ok(limited instanceof OpenAI.RateLimitError);
  assert.equal(limited.headers.get("retry-after"), "7");
});

test("the client does not repeat what the gateway has repeated", async () => {
  await setFault("simulated", { kind: "error" });
  const eager = new OpenAI({ baseURL: `${url}/v1`, apiKey: "anything", maxRetries: 5 });
  let requests = 0;
  const counting = eager.withOptions({ fetch: (...given) => (requests++, fetch(...given)) });
  const failed = await raised(counting.chat.completions.create({ model: "simulated/node-failing", messages: ask("x") }));
  assert.ok(failed instanceof OpenAI.InternalServerError);
  assert.equal(requests, 1);
});

for (const name of ["simulated", "simulated-b"]) {
  test(`${name}: a stream cut upstream raises`, async () => {
    await setFault(name, { kind: "cut", after_tokens: 2 });
    const stream = await client.chat.completions.create({
      model: `${name}/node`,
      messages: ask("one two three"),
      stream: true,
    });
    let said = "";
    const broken = await raised(
      (async () => {
        for await (const chunk of stream) said += chunk.choices[0].delta.content ?? "";
      })(),
    );
    assert.equal(said, "one two");
    assert.ok(broken instanceof OpenAI.APIError);
    assert.equal(broken.code, "upstream_disconnected");
  });
}

test("a client that aborts is let go", async () => {
  await setFault("simulated", { kind: "stall", after_tokens: 1 });
  const stream = await client.chat.completions.create({
    model: "simulated/node-left",
    messages: ask("one two three"),
    stream: true,
  });
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
  assert.ok(stream.controller.signal.aborted);
});
