// The gateway's page: geometry of the lanes, sparks on their way, honest counts, words, answers as they come together.

import assert from "node:assert/strict";
import { test } from "node:test";

import { problemOf, Reading } from "../../web/gateway/chat.js";
import { layLanes, pointOn, way } from "../../web/gateway/lanes.js";
import { ProofCount, proofWords } from "../../web/gateway/proof-words.js";
import { DELAY_MS, FADE_MS, LEG_MS, Sparks } from "../../web/gateway/sparks.js";
import { isOfProof, normal, Pace, requestsOf, stepsOf, Tries } from "../../web/gateway/status.js";
import { faultOf, questionFor, SteadyClient, UNDER_WAY_MAX, verdictOf } from "../../web/gateway/steady.js";
import { chosen, LANES_MAX } from "../../web/gateway/target-list.js";
import { breakerWords, linkWords, money, outcomeWords, refusalWords, routeWords } from "../../web/gateway/words.js";

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
  sparks.hear([{ ...at(3, "arrived"), id: "2" }, { ...at(4, "ended", { state: "cancelled" }), id: "2" }], 1001);
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

test("an answer to another question is a failure, wherever that can be told", () => {
  assert.equal(faultOf({ text: "q", isEcho: true }, "q"), "");
  assert.match(faultOf({ text: "p", isEcho: true }, "q"), /not the one/);
  assert.equal(faultOf({ text: "p", isEcho: false }, "q"), "");
  assert.match(faultOf({ text: "", isEcho: false }, "q"), /empty/);
});

test("every third question is one asked before, the others are asked once", () => {
  const asked = Array.from({ length: 60 }, (_, each) => questionFor(each + 1, "x"));
  assert.equal(new Set(asked.filter((_, each) => (each + 1) % 3 === 0)).size, 3);
  assert.equal(new Set(asked.filter((_, each) => (each + 1) % 3 !== 0)).size, 40);
});

test("what is heard of in its middle only, or after its end, is no spark", () => {
  const sparks = new Sparks();
  sparks.hear([at(0, "tried", { target: "a/x" }), at(1, "answered", { target: "a/x" })], 1000);
  assert.equal(sparks.size, 0);
});

test("breakers, routes and outcomes are said in words", () => {
  assert.equal(breakerWords({ breaker: "closed", retry_in_ms: 0 }), "closed");
  assert.equal(breakerWords({ breaker: "open", retry_in_ms: 2900 }), "open, a probe in 3\u202fs");
  assert.equal(breakerWords({ breaker: "open", retry_in_ms: 0 }), "open, a probe is next");
  assert.equal(breakerWords({ breaker: "half_open", retry_in_ms: 0 }), "half open, one probe under way");
  const failed = [{ target: "a/x", cause: "rate_limit" }];
  assert.equal(routeWords({ cache: "miss", provider: "b", attempts: 2 }, failed), "a (rate limit) → b");
  assert.equal(routeWords({ cache: "miss", provider: "b", attempts: 2 }), "b, try 2");
  assert.equal(routeWords({ cache: "coalesced", provider: "b", attempts: 1 }), "b, shared");
  assert.equal(routeWords({ cache: "hit", provider: "b", attempts: 0 }), "cache");
  assert.equal(routeWords({ cache: "miss", provider: "", attempts: 0 }, failed), "a (rate limit) → nobody");
  assert.equal(outcomeWords({ state: "failed", status: 503, error: "no_upstream" }), "503 no upstream");
  assert.equal(outcomeWords({ state: "cancelled", status: 499, error: "" }), "client left");
  assert.equal(outcomeWords({ state: "ok", status: 200, error: "" }), "200");
});

test("targets keep their order whoever was used last, those of the proof first, each with its provider's fault", () => {
  const names = ["simulated/echo", "proof-backup/echo", "simulated-b/echo", "proof-primary/echo"];
  const targets = names.map((name) => ({ name, provider: name.split("/")[0], model: "echo", state: "closed", simulated: true }));
  const document = { targets, simulated: [{ name: "simulated-b", fault: "cut", fault_left_s: 7 }, { name: "proof-primary", fault: "none" }] };
  const status = normal(document);
  assert.deepEqual(status.targets.map(({ provider }) => provider), ["proof-primary", "proof-backup", "simulated", "simulated-b"]);
  assert.deepEqual(normal({ targets: targets.toReversed() }).targets.map(({ id }) => id), status.targets.map(({ id }) => id));
  assert.deepEqual(status.targets.map(({ fault, fault_for_s }) => [fault, fault_for_s]), [["", 0], ["", 0], ["", 0], ["cut", 7]]);
  assert.deepEqual(status.targets.map(isOfProof), [true, true, false, false]);
  assert.deepEqual(status.simulated, ["simulated-b"]);
});

test("what bypasses the cache says nothing of how often it hits", () => {
  assert.equal(normal({ requests: { by_cache: { hit: 2, coalesced: 1, miss: 1, bypass: 96 } } }).hit_rate, 0.75);
  assert.equal(normal({ requests: { by_cache: { hit: 0, coalesced: 0, miss: 0, bypass: 96 } } }).hit_rate, null);
});

test("records become requests, the newest first", () => {
  const record = { request_id: "1", status: 200, duration_us: 1500, first_token_us: 0, cache: "hit", provider: "a", attempts: 0 };
  const requests = requestsOf([record, { ...record, request_id: "2", status: 499, first_token_us: 500 }, { ...record, request_id: "3", status: 502 }]);
  assert.deepEqual(requests.map(({ id, state, elapsed_ms, first_token_ms }) => [id, state, elapsed_ms, first_token_ms]), [
    ["3", "failed", 1.5, null],
    ["2", "cancelled", 1.5, 0.5],
    ["1", "ok", 1.5, null],
  ]);
});

test("the pace is that of the last seconds, and begins anew with another run", () => {
  const pace = new Pace();
  assert.equal(pace.perSecond(100, 1000), null);
  assert.equal(pace.perSecond(101, 1010), 10);
  for (let second = 102; second < 110; second += 1) pace.perSecond(second, 1010 + (second - 101) * 4);
  assert.equal(pace.perSecond(110, 1046), 4);
  assert.equal(pace.perSecond(111, 3), null);
  assert.equal(pace.perSecond(112, 5), 2);
  assert.equal(pace.perSecond(null, 5), null);
});

test("failed tries are kept by request, and not for ever", () => {
  const tries = new Tries();
  tries.hear([at(0, "failed", { target: "a/x", cause: "hang" }), at(1, "failed", { target: "b/x", cause: "cut" }), at(2, "ended")]);
  assert.deepEqual(tries.of("1").map(({ target }) => target), ["a/x", "b/x"]);
  tries.hear(Array.from({ length: 2000 }, (_, each) => ({ id: `n${each}`, t_ms: each, step: "failed", target: "a/x" })));
  assert.deepEqual(tries.of("1"), []);
  assert.equal(tries.of("n1999").length, 1);
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
  const result = { requests: 1200, answered: 1195, failed: 0, streams_cut_with_an_error: 5, answered_by: { a: 577, b: 618 }, p99_ms: 81.2 };
  assert.equal(
    proofWords(result),
    "1,195 of 1,200 answered, 577 by a, 618 by b. 5 streams had begun when the provider died, and ended with an error, not as if whole. 0 failed. p99 81.2\u202fms.",
  );
  assert.equal(proofWords({ requests: 3, answered: 3, failed: 0, streams_cut_with_an_error: 0 }), "3 of 3 answered. 0 failed.");
  assert.equal(proofWords(null), "– of – answered. – failed.");
});

test("while it runs, only its own requests are counted", () => {
  const proof = new ProofCount();
  const step = (/** @type {string} */ id, /** @type {string} */ name, state = "") => ({ id, t_ms: 0, step: name, state });
  proof.hear([step("proof-1", "arrived"), step("proof-2", "arrived"), step("x", "arrived"), step("proof-1", "ended", "ok"), step("x", "ended", "ok"), step("proof-2", "ended", "failed")]);
  assert.deepEqual([proof.sent, proof.answered, proof.failed], [2, 1, 1]);
  assert.equal(proof.words, "2 sent, 1 answered so far.");
});

test("a refusal is told in the gateway's own words, where these say more than the page's", () => {
  const problem = { kind: "http", status: 404, title: "model_not_found", detail: "The model 'x' does not exist here" };
  assert.deepEqual(refusalWords(problem), { headline: "The gateway refused this", detail: problem.detail });
  assert.equal(refusalWords({ ...problem, status: 502 })?.headline, "No provider could answer");
  assert.equal(refusalWords({ ...problem, status: 401 })?.headline, "The gateway does not let this in");
  assert.deepEqual(refusalWords({ ...problem, kind: "garbled", title: "upstream_gone", detail: "" }), { headline: "The answer broke off", detail: "upstream gone" });
  assert.equal(refusalWords({ ...problem, status: 503 }), null);
  assert.equal(refusalWords({ ...problem, kind: "offline" }), null);
});
