import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { delay_ms, FIRST_DELAY_MS, LONGEST_DELAY_MS, retryAfter_ms } from "../../web/assets/backoff.js";
import { explain, Problem, problemFrom } from "../../web/assets/fetch.js";
import { EventParser } from "../../web/assets/sse.js";
import { Stream } from "../../web/assets/stream.js";

test("the wait doubles up to its bound, and half of it is drawn by lot", () => {
  const least = [1, 2, 3, 4, 5, 6, 7, 99].map((attempt) => delay_ms(attempt, { random: () => 0 }));
  const most = [1, 2, 3, 4, 5, 6, 7, 99].map((attempt) => delay_ms(attempt, { random: () => 1 }));
  assert.deepEqual(most, [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  assert.deepEqual(least, most.map((wait) => wait / 2));
  assert.equal(most[0], FIRST_DELAY_MS);
  assert.equal(most.at(-1), LONGEST_DELAY_MS);
});

test("the wait is at least what the server asked for", () => {
  assert.equal(delay_ms(1, { random: () => 0, atLeast_ms: 7000 }), 7000);
});

test("Retry-After is read as seconds or as a date, and bounded", () => {
  assert.equal(retryAfter_ms("3", 0), 3000);
  assert.equal(retryAfter_ms("Thu, 01 Jan 1970 00:00:09 GMT", 4000), 5000);
  assert.equal(retryAfter_ms("Thu, 01 Jan 1970 00:00:09 GMT", 40_000), 0);
  assert.equal(retryAfter_ms("99999999", 0), 600_000);
  assert.equal(retryAfter_ms(null, 0), null);
  assert.equal(retryAfter_ms("soon", 0), null);
});

test("an event stream gives the same events wherever it is cut", () => {
  const text = ': hello\n\nevent: progress\ndata: {"a":1}\nid: 7\n\r\ndata: one\r\ndata:two\r\n\r\nretry: 5\ndata\n\n';
  const whole = new EventParser().push(text);
  assert.deepEqual(whole, [
    { type: "progress", data: '{"a":1}', id: "7" },
    { type: "message", data: "one\ntwo", id: "7" },
    { type: "message", data: "", id: "7" },
  ]);
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    const events = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    assert.deepEqual(events, whole, `cut at ${cut}`);
  }
});

test("an event that never ends is refused", () => {
  const parser = new EventParser();
  assert.throws(() => {
    for (let piece = 0; piece < 50; piece += 1) parser.push(`data: ${"x".repeat(100_000)}\n`);
  }, RangeError);
});

test("a problem's faults are read, and told with what to do next", () => {
  const response = { status: 422, statusText: "Unprocessable", headers: new Headers() };
  const problem = problemFrom(
    response,
    JSON.stringify({ title: "Invalid body", detail: "#/buyers: too many", errors: [{ pointer: "#/buyers", detail: "too many" }] }),
  );
  assert.deepEqual(problem.errors, [{ field: "buyers", message: "too many" }]);
  assert.equal(explain(problem).headline, "The host refused this");
});

test("an answer that is no problem document is explained by its status", () => {
  const headers = new Headers({ "retry-after": "2", "x-request-id": "abc" });
  const busy = problemFrom({ status: 503, statusText: "Service Unavailable", headers }, "<html>");
  assert.equal(busy.retryAfter_ms, 2000);
  assert.match(explain(busy).next, /in 2 s/);
  const broken = problemFrom({ status: 500, statusText: "Internal Server Error", headers }, "null");
  assert.match(explain(broken).next, /abc/);
  assert.equal(explain(new Problem({ kind: "offline" })).headline, "The host does not answer");
  assert.equal(explain(new TypeError("x is not a function")).headline, "The page itself failed");
});

/** @type {{url: string, headers: Record<string, string>, signal: AbortSignal}[]} */
let requests = [];
/** @type {(() => Response | Promise<Response>)[]} */
let answers = [];
const realFetch = globalThis.fetch;

beforeEach(() => {
  requests = [];
  answers = [];
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  globalThis.fetch = /** @type {any} */ (
    async (/** @type {string} */ url, /** @type {any} */ { headers, signal }) => {
      requests.push({ url, headers, signal });
      const answer = answers.shift();
      if (answer === undefined) throw new TypeError("no route to host");
      return answer();
    }
  );
});

afterEach(() => {
  globalThis.fetch = realFetch;
  mock.timers.reset();
});

/** Lets everything run that waits for nothing but promises. */
async function settle() {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** @param {string[]} pieces what the server sends before it closes */
function closing(pieces) {
  return new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
        controller.close();
      },
    }),
  );
}

test("a lost stream comes back by itself and resumes behind the last event it has", async () => {
  answers = [() => closing(["id: 41\ndata: a\n\n"]), () => closing(["data: b\n\n"])];
  /** @type {string[]} */
  const heard = [];
  const stream = new Stream("/events", { onEvent: ({ data }) => heard.push(data) });
  await settle();
  assert.equal(stream.state.name, "waiting");
  mock.timers.tick(FIRST_DELAY_MS);
  await settle();
  assert.deepEqual(heard, ["a", "b"]);
  assert.equal(requests[1]?.headers["last-event-id"], "41");
  stream.close();
  assert.equal(stream.state.name, "closed");
});

test("a server that hangs up at once is asked less and less often", async () => {
  answers = Array.from({ length: 5 }, () => () => closing([": hi\n\n"]));
  const stream = new Stream("/events", { onEvent: () => {} });
  for (const wait of [500, 1000, 2000, 4000]) {
    await settle();
    mock.timers.tick(wait);
  }
  await settle();
  assert.equal(stream.state.failures, 5);
  assert.ok((stream.state.retryAt ?? 0) - Date.now() >= 4000);
  stream.close();
});

test("a refusal is kept for the reader, and its Retry-After obeyed", async () => {
  answers = [() => new Response("{}", { status: 503, headers: { "retry-after": "30" } })];
  const stream = new Stream("/events", { onEvent: () => {} });
  await settle();
  assert.equal(stream.state.problem?.status, 503);
  assert.equal((stream.state.retryAt ?? 0) - Date.now(), 30_000);
  mock.timers.tick(29_999);
  await settle();
  assert.equal(requests.length, 1);
  stream.close();
});

test("silence makes a stream stale, and longer silence ends it", async () => {
  answers = [() => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(": hi\n\n")) }))];
  /** @type {string[]} */
  const names = [];
  const stream = new Stream("/events", { onEvent: () => {}, staleAfter_ms: 2000, onState: ({ name }) => names.push(name) });
  await settle();
  mock.timers.tick(3000);
  assert.equal(stream.state.name, "stale");
  mock.timers.tick(4000);
  await settle();
  assert.equal(requests[0]?.signal.aborted, true);
  assert.deepEqual(names.slice(0, 4), ["connecting", "live", "stale", "waiting"]);
  stream.close();
});

test("a closed stream asks no more", async () => {
  const stream = new Stream("/events", { onEvent: () => {} });
  await settle();
  stream.close();
  mock.timers.tick(60_000);
  await settle();
  assert.equal(requests.length, 1);
});
