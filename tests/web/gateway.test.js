// The gateway's page: geometry of the lanes, sparks on their way, honest counts, words, answers as they come together.

import assert from "node:assert/strict";
import { test } from "node:test";

import { problemOf, Reading } from "../../web/gateway/chat.js";
import { layLanes, pointOn, way } from "../../web/gateway/lanes.js";
import { proofWords } from "../../web/gateway/proof-words.js";
import { DELAY_MS, FADE_MS, LEG_MS, Sparks } from "../../web/gateway/sparks.js";
import { breakerWords, linkWords, money, normal, outcomeWords, routeWords, stepsOf } from "../../web/gateway/status.js";
import { questionFor, SteadyClient, UNDER_WAY_MAX, verdictOf } from "../../web/gateway/steady.js";
import { chosen, LANES_MAX } from "../../web/gateway/target-list.js";

const LANES = layLanes(600, 300, [50, 150, 250], 60);

test("a way begins at one station and ends at the next, and never leaps", () => {
  for (const leg of /** @type {const} */ (["in", "back", "out", "fail", "home"])) {
    for (const row of [0, 1, 2]) {
      const pieces = way(LANES, leg, row);
      let before = pointOn(pieces, 0);
      assert.deepEqual(before, pieces[0]?.[0]);
      for (let share = 0; share <= 1; share += 0.01) {
        const now = pointOn(pieces, share);
        assert.ok(Math.hypot(now.x - before.x, now.y - before.y) < 25, `${leg} ${row} ${share}`);
        before = now;
      }
      const end = pointOn(pieces, 2);
      assert.ok(Math.hypot(end.x - (pieces.at(-1)?.[3].x ?? 0), end.y - (pieces.at(-1)?.[3].y ?? 0)) < 1e-6);
    }
  }
  const end = pointOn(way(LANES, "out", 2), 1);
  assert.ok(Math.abs(end.x - LANES.endX) < 1e-6 && Math.abs(end.y - 250) < 1e-6);
});

test("a target without a row of its own leads nowhere off the picture", () => {
  const end = pointOn(way(LANES, "out", 9), 1);
  assert.ok(Math.abs(end.y - LANES.cache.y) < 1e-6);
});

const at = (/** @type {number} */ t_ms, /** @type {string} */ step, more = {}) => ({ id: "1", t_ms, step, ...more });

test("a hit turns back at the cache", () => {
  const sparks = new Sparks();
  sparks.hear([at(0, "arrived"), at(1, "hit"), at(2, "ended", { state: "ok" })], 1000);
  const t0 = 1000 - 2 + DELAY_MS;
  assert.deepEqual(sparks.sights(t0 - 1), []);
  assert.deepEqual(sparks.sights(t0 + 10).map(({ leg }) => leg), ["in"]);
  const [back] = sparks.sights(t0 + LEG_MS.in + 10);
  assert.deepEqual([back?.leg, back?.kind], ["back", "answer"]);
  assert.equal(sparks.sights(t0 + LEG_MS.in + LEG_MS.back + FADE_MS + 5).length, 0);
  assert.equal(sparks.size, 0);
});

test("a failed try comes back from its target, and the next one is tried", () => {
  const sparks = new Sparks();
  sparks.hear([at(0, "arrived"), at(1, "tried", { target: "a/x" }), at(2, "failed", { target: "a/x" }), at(3, "tried", { target: "b/x" })], 1000);
  const t0 = 1000 - 3 + DELAY_MS;
  const seen = [0, LEG_MS.in, LEG_MS.in + LEG_MS.out, LEG_MS.in + LEG_MS.out + LEG_MS.fail].map((ms) => sparks.sights(t0 + ms + 20)[0]);
  assert.deepEqual(seen.map((sight) => [sight?.leg, sight?.target, sight?.kind]), [
    ["in", "", "asking"],
    ["out", "a/x", "asking"],
    ["fail", "a/x", "failed-try"],
    ["out", "b/x", "asking"],
  ]);
  const [waiting] = sparks.sights(t0 + 60_000);
  assert.deepEqual([waiting?.leg, waiting?.share], ["out", 1]);
});

test("a stream flows from its first token until its end", () => {
  const sparks = new Sparks();
  sparks.hear([at(0, "arrived"), at(1, "tried", { target: "a/x" }), at(50, "answered", { target: "a/x" })], 1000);
  assert.equal(sparks.sights(3000)[0]?.isFlowing, true);
  sparks.hear([at(2050, "ended", { state: "ok" })], 3000);
  assert.equal(sparks.sights(3000)[0]?.isFlowing, false);
});

test("what failed at the client goes back as a failure, what the client left goes nowhere", () => {
  const sparks = new Sparks({ isStill: true });
  sparks.hear([at(0, "arrived"), at(1, "tried", { target: "a/x" }), at(2, "failed", { target: "a/x" }), at(3, "ended", { state: "failed" })], 1000);
  sparks.hear([{ ...at(3, "arrived"), id: "2" }, { ...at(4, "cancelled"), id: "2" }], 1001);
  assert.deepEqual(sparks.sights(1000 + DELAY_MS + 1).map(({ kind }) => kind), ["failure", "cancelled"]);
});

test("one who is asked to hold still sees stations, never a way between them", () => {
  const sparks = new Sparks({ isStill: true });
  sparks.hear([at(0, "arrived"), at(100, "tried", { target: "a/x" })], 1000);
  for (let now = 900; now < 1400; now += 7) for (const { share } of sparks.sights(now)) assert.equal(share, 1);
});

test("what is never heard of again is forgotten, and a flood is cut to its newest", () => {
  const sparks = new Sparks();
  sparks.hear(Array.from({ length: 1000 }, (_, each) => ({ id: String(each), t_ms: each, step: "arrived" })), 1000);
  assert.equal(sparks.size, 400);
  sparks.sights(200_000);
  assert.equal(sparks.size, 0);
});

test("the steady client counts each request once, and sends none while too many are under way", async () => {
  /** @type {{resolve: (origin: any) => void, reject: (error: unknown) => void}[]} */
  const open = [];
  const client = new SteadyClient(() => new Promise((resolve, reject) => open.push({ resolve, reject })), () => {});
  for (let turn = 0; turn < UNDER_WAY_MAX + 2; turn += 1) client.turn();
  assert.deepEqual([client.counts.sent, client.counts.heldBack, open.length], [UNDER_WAY_MAX, 2, UNDER_WAY_MAX]);
  open[0]?.resolve({ from: "cache", isFallback: false });
  open[1]?.resolve({ from: "b", isFallback: true });
  open[2]?.reject(new Error("no provider"));
  open[3]?.reject(new DOMException("stopped", "AbortError"));
  await new Promise((resolve) => setImmediate(resolve));
  const { sent, answered, cached, fellBack, failed, running } = client.counts;
  assert.deepEqual({ sent, answered, cached, fellBack, failed, running }, { sent: 4, answered: 2, cached: 1, fellBack: 1, failed: 1, running: 0 });
  assert.deepEqual(client.latest.map(({ state }) => state), ["answered", "answered", "failed", "stopped"]);
  assert.equal(client.latest[2]?.reason, "no provider");
});

test("one failure breaks the promise; none is claimed before there is an answer", () => {
  const counts = { sent: 5, answered: 0, cached: 0, fellBack: 0, failed: 0, running: 5, heldBack: 0 };
  assert.equal(verdictOf({ ...counts, sent: 0, running: 0 }), "none");
  assert.equal(verdictOf(counts), "running");
  assert.equal(verdictOf({ ...counts, answered: 4 }), "holds");
  assert.equal(verdictOf({ ...counts, answered: 4, failed: 1 }), "broke");
});

test("every third question is one asked before, the others are asked once", () => {
  const asked = Array.from({ length: 60 }, (_, each) => questionFor(each + 1, "x"));
  assert.equal(new Set(asked.filter((_, each) => (each + 1) % 3 === 0)).size, 3);
  assert.equal(new Set(asked.filter((_, each) => (each + 1) % 3 !== 0)).size, 40);
});

test("breakers, routes and outcomes are said in words", () => {
  assert.equal(breakerWords({ breaker: "closed", retry_in_ms: null }), "closed");
  assert.equal(breakerWords({ breaker: "open", retry_in_ms: 2900 }), "open, a probe in 3\u202fs");
  assert.equal(breakerWords({ breaker: "open", retry_in_ms: 0 }), "open, a probe is next");
  assert.equal(breakerWords({ breaker: "half_open", retry_in_ms: null }), "half open, one probe under way");
  const attempts = [{ target: "a/x", outcome: "rate_limit" }, { target: "b/y", outcome: "ok" }];
  assert.equal(routeWords({ cache: "miss", attempts, state: "ok" }), "a (rate limit) → b");
  assert.equal(routeWords({ cache: "hit", attempts: [], state: "ok" }), "cache");
  assert.equal(routeWords({ cache: "miss", attempts: [], state: "failed" }), "nobody");
  assert.equal(outcomeWords({ state: "failed", status: 503, error: "no_upstream" }), "503 no upstream");
  assert.equal(outcomeWords({ state: "cancelled", status: 499, error: null }), "client left");
  assert.equal(outcomeWords({ state: "ok", status: 200, error: null }), "200");
});

test("money keeps the digits that it needs", () => {
  assert.deepEqual([0, 0.000042, 0.0314, 12.3, 1234.5].map(money), ["$0", "$0.000042", "$0.031", "$12.30", "$1,234.50"]);
  assert.equal(money(null), "–");
});

test("a status with nothing in it is empty, not an error", () => {
  for (const document of [null, undefined, {}, { targets: "x" }]) {
    const status = normal(document);
    assert.deepEqual([status.targets, status.latest, status.models, status.simulated, status.hit_rate], [[], [], [], [], null]);
  }
  assert.deepEqual(stepsOf(null), []);
});

test("the link is told with the age of what is shown", () => {
  const state = { failures: 0, retryAt: null, problem: null };
  assert.equal(linkWords({ ...state, name: "connecting", heardAt: null }, 0), "Connecting …");
  assert.match(linkWords({ ...state, name: "stale", heardAt: 1000 }, 8000), /silent\. Last heard 7\u202fs ago/);
  assert.match(linkWords({ ...state, name: "waiting", heardAt: 1000 }, 8000), /lost.*7\u202fs ago/);
});

test("with too many targets the busiest get a lane, in their order", () => {
  const targets = Array.from({ length: LANES_MAX + 4 }, (_, each) => ({ id: `t${each}`, requests: each }));
  assert.deepEqual(chosen(/** @type {any} */ (targets)).map(({ id }) => id), targets.slice(4).map(({ id }) => id));
  assert.equal(chosen(/** @type {any} */ (targets.slice(0, LANES_MAX))).length, LANES_MAX);
});

test("an answer comes together from its chunks, and tells its text as it comes", () => {
  /** @type {string[]} */
  const heard = [];
  const reading = new Reading((text) => heard.push(text), 0);
  for (const delta of [{ role: "assistant", content: "" }, { content: "Hel" }, { content: "lo" }]) {
    reading.event(JSON.stringify({ model: "m", choices: [{ delta, finish_reason: null }] }));
  }
  assert.equal(reading.isDone, false);
  reading.event(JSON.stringify({ choices: [{ delta: {}, finish_reason: "stop" }] }));
  reading.event(JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } }));
  reading.event("[DONE]");
  const { text, model, finish_reason, usage } = reading.answer;
  assert.deepEqual([heard, text, model, finish_reason, usage?.completion_tokens, reading.isDone], [["Hel", "lo"], "Hello", "m", "stop", 2, true]);
  assert.ok((reading.answer.first_token_ms ?? 0) > 0);
});

test("an error inside a stream is raised with its own words", () => {
  const reading = new Reading(undefined, 0);
  assert.throws(() => reading.event('{"error": {"code": "upstream_disconnected", "message": "it broke off"}}'), /upstream_disconnected/);
});

test("an error in OpenAI's shape is told as a problem, and one in no shape by its status", () => {
  const headers = new Headers({ "retry-after": "2", "x-request-id": "r1" });
  const problem = problemOf({ status: 429, statusText: "", headers }, '{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}');
  assert.deepEqual([problem.status, problem.detail, problem.title, problem.retryAfter_ms, problem.request_id], [429, "slow down", "rate_limit_exceeded", 2000, "r1"]);
  assert.equal(problemOf({ status: 502, statusText: "Bad Gateway", headers: new Headers() }, "<html>").title, "Bad Gateway");
});

test("the proof is told with what it counted, and no more", () => {
  const words = proofWords({ sent: 6000, answered: 6000, failed: 0, fell_back: 12, killed: "proof-primary", p99_ms: 81.2 });
  assert.equal(words, "6,000 sent, 6,000 answered, 0 failed at the client; 12 taken over by a fallback. proof-primary was killed on the way. p99 81.2\u202fms.");
  assert.match(proofWords(null), /^– sent, – answered, – failed/);
});
