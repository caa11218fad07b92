// The raft lab's page: the cluster as it is told, what was before, words, the measure of what is heard, and the guesses.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Annals } from "../../web/raft-lab/annals.js";
import { isApart, reference } from "../../web/raft-lab/divergence.js";
import { guesses } from "../../web/raft-lab/guesses.js";
import { Meter } from "../../web/raft-lab/meter.js";
import { Model } from "../../web/raft-lab/model.js";
import { sends } from "../../web/raft-lab/sends.js";
import { linkWords, listed, networkWords, nodeWords, ringWords, sentence } from "../../web/raft-lab/words.js";

const node = (more = {}) => /** @type {any} */ ({ state: "up", role: "follower", member: "voter", term: 7, vote: 1, commit: 4, last: 5, snapshot: 0, deadline: null, timeout: null, clock: 1000, disk: "ok", reason: "", log: [[4, 7, "c", "put a=1"], [5, 7, "c", "put a=2"]], ...more });

const state = (more = {}) => ({ epoch: "e", at: 1000, t: 500, cluster: { leader: 1, led: true, term: 7 }, nodes: { 1: node({ role: "leader" }), 2: node(), 3: node() }, links: {}, kv: { a: "1" }, checks: {}, scenario: null, events: [], ...more });

const model = (more = {}) => {
  const made = new Model();
  made.begin(state(more), 0);
  return made;
};

test("a delta changes what it names and leaves the rest", () => {
  const shown = model();
  shown.change({ t: 510, n: { 2: { commit: 5 } }, c: { term: 8 }, kv: { a: null, b: "2" }, l: { "1>2": { cut: true } } }, 0);
  assert.equal(shown.nodes.get(2)?.commit, 5);
  assert.equal(shown.nodes.get(2)?.term, 7);
  assert.equal(shown.document.cluster.term, 8);
  assert.deepEqual([...shown.kv], [["b", "2"]]);
  assert.deepEqual([...shown.links.keys()], ["1>2"]);
  shown.change({ t: 511, l: { "1>2": null } }, 0);
  assert.equal(shown.links.size, 0);
});

test("entries from an index on replace those that stood there", () => {
  const shown = model();
  shown.change({ t: 510, n: { 2: { log: [5, [[5, 8, "n", "new term"], [6, 8, "c", "put b=1"]]] } } }, 0);
  assert.deepEqual(shown.nodes.get(2)?.log.map(([index, term]) => [index, term]), [[4, 7], [5, 8], [6, 8]]);
});

test("a node that was removed is gone, and one that joined is there", () => {
  const shown = model();
  shown.change({ t: 510, n: { 3: { state: "gone" }, 6: node({ member: "learner" }) } }, 0);
  assert.deepEqual(shown.ids, [1, 2, 6]);
});

test("events are told once, and those of another cluster anew", () => {
  const told = (/** @type {number} */ id) => ({ id, t: 1, kind: "fault", node: 1, term: 1, text: "x" });
  const shown = new Model();
  assert.equal(shown.begin(state({ events: [told(1), told(2)] }), 0).events.length, 2);
  assert.equal(shown.change({ t: 2, e: [told(2), told(3)] }, 0).length, 1);
  assert.deepEqual(shown.begin(state({ events: [told(3)] }), 0), { events: [], isAnother: false });
  const { events, isAnother } = shown.begin(state({ epoch: "f", events: [told(1)] }), 0);
  assert.deepEqual([events.length, isAnother], [1, true]);
});

test("the lab's time passes as fast as a recording is played", () => {
  const shown = model();
  assert.equal(shown.labTime_ms(100), 600);
  shown.pace = 0.25;
  assert.equal(shown.labTime_ms(100), 525);
  shown.pace = 0;
  assert.equal(shown.labTime_ms(100), 500);
});

test("a band is a leader's term, and nobody has one too", () => {
  const annals = new Annals(1000);
  const shown = model();
  annals.note(shown);
  shown.change({ t: 600, c: { led: false }, n: { 1: { state: "down" } } }, 0);
  annals.note(shown);
  shown.change({ t: 700, c: { led: true, leader: 2, term: 8 }, n: { 2: { role: "leader", term: 8 } } }, 0);
  annals.note(shown);
  assert.deepEqual(annals.bands, [{ from: 500, to: 600, term: 7, leader: 1 }, { from: 600, to: 700, term: 7, leader: 0 }, { from: 700, to: null, term: 8, leader: 2 }]);
  assert.deepEqual(annals.lanes.get(1), [{ from: 500, to: 600, is: "leader" }, { from: 600, to: null, is: "down" }]);
});

test("what is old is forgotten, what still lasts is kept", () => {
  const annals = new Annals(1000);
  const shown = model();
  annals.hear([{ id: 1, t: 500, kind: "fault", node: 1, term: 1, text: "n1 was killed" }, { id: 2, t: 501, kind: "role", node: 1, term: 1, text: "n1 follows" }]);
  annals.note(shown);
  assert.deepEqual(annals.marks.map(({ text }) => text), ["n1 was killed"]);
  shown.change({ t: 5000, n: { 3: { state: "gone" } } }, 0);
  annals.note(shown);
  assert.deepEqual(annals.marks, []);
  assert.deepEqual(annals.bands, [{ from: 500, to: null, term: 7, leader: 1 }]);
  shown.change({ t: 7000 }, 0);
  annals.note(shown);
  assert.deepEqual([...annals.lanes.keys()], [1, 2]);
});

test("who led before the page looked is told by events", () => {
  const annals = new Annals(90_000);
  annals.begin([{ id: 1, t: 100, kind: "role", node: 3, term: 6, text: "n3 became leader of term 6" }, { id: 2, t: 300, kind: "role", node: 1, term: 7, text: "n1 became leader of term 7" }]);
  annals.note(model());
  assert.deepEqual(annals.bands, [{ from: 100, to: 300, term: 6, leader: 3 }, { from: 300, to: null, term: 7, leader: 1 }]);
});

test("what ails nodes and links is said in words", () => {
  assert.equal(nodeWords(node({ disk: "full", clock: 1500, member: "learner" })), "follower, learner, disk full, clock ×1.5");
  assert.equal(nodeWords(node({ state: "paused" })), "paused");
  assert.equal(linkWords({ cut: false, delay_ms: 1, jitter_ms: 1, loss: 0, duplicate: 0 }), "");
  assert.equal(linkWords({ delay_ms: 80, jitter_ms: 20, loss: 300, duplicate: 5 }), "80 ms ±20 ms, loses 30 %, doubles 0.5 %");
  assert.equal(networkWords(new Map()), "All links pass.");
  assert.equal(networkWords(new Map([["1>2", { cut: true }], ["2>1", { cut: true }], ["3>1", { cut: true }], ["4>5", { delay_ms: 50 }]])), "Links: n1–n2 cut; n3→n1 cut; n4→n5 50 ms.");
});

test("the ring is said in words, whoever leads first", () => {
  const nodes = new Map([[1, node()], [2, node({ role: "leader" })], [3, node({ state: "down" })], [4, node({ role: "candidate" })], [5, node()]]);
  assert.equal(ringWords(nodes, new Map()), "n2 leads term 7. n1 and n5 follow. n3 is down. n4: candidate. All links pass.");
});

test("words end, and names of nodes stay small", () => {
  assert.equal(listed(["n1"]), "n1");
  assert.equal(listed(["n1", "n2", "n3"]), "n1, n2 and n3");
  assert.equal(sentence("n1 was killed"), "n1 was killed.");
  assert.equal(sentence("everything was healed"), "Everything was healed.");
  assert.equal(sentence("Why?"), "Why?");
});

test("the meter counts what was heard of late", () => {
  const meter = new Meter();
  for (let at = 0; at < 8000; at += 50) meter.hear({ type: "delta", data: "x".repeat(965), id: "e-12345678" }, at);
  const { frames_per_s, bytes_per_s } = meter.read(8000);
  assert.ok(Math.abs(frames_per_s - 20) <= 0.5);
  assert.ok(Math.abs(bytes_per_s - 20_000) <= 500);
  assert.equal(meter.read(20_000).frames_per_s, 0);
});

test("entries are apart that the leader has otherwise, or not at all", () => {
  const entry = (/** @type {number} */ index, /** @type {number} */ term) => /** @type {import("../../web/raft-lab/model.js").Entry} */ ([index, term, "c", ""]);
  const leader = { last: 4, isLeader: true, log: [entry(3, 7), entry(4, 9)] };
  const other = { last: 6, isLeader: false, log: [entry(3, 7), entry(4, 8), entry(5, 8), entry(6, 8)] };
  const truth = reference([other, leader]);
  assert.equal(truth, leader);
  assert.deepEqual(other.log.map((each) => isApart(each, truth)), [false, true, true, true]);
  assert.equal(isApart(entry(1, 1), truth), false);
  // Nobody leads: the log that would win an election counts, and its last term counts before its length.
  assert.equal(reference([other, { ...leader, isLeader: false }])?.last, 4);
  assert.equal(isApart(entry(1, 1), reference([])), false);
});

test("a step's messages are read off its effects", () => {
  const effects = ["write term 3, vote n2", "send VoteResponse to n2 (no)", "send AppendEntries to n4", "answer a client: refused"];
  assert.deepEqual(sends({ node: 1, t: 90, effects }), [["v", 1, 2, 90, 1, 1, 0, 0], ["A", 1, 4, 90, 1, 0, 0, 0]]);
});

/**
 * A cluster that does as it is told: the next to lead is `next`, and writes need a majority.
 * @param {Partial<import("../../web/raft-lab/guesses.js").Bench> & {next?: number}} [more]
 */
function bench({ next = 3, ...more } = {}) {
  const shown = model({ nodes: Object.fromEntries([1, 2, 3, 4, 5].map((id) => [id, node({ role: id === 1 ? "leader" : "follower" })])) });
  const acts = /** @type {Record<string, unknown>[]} */ ([]);
  const act = async (/** @type {any} */ body) => {
    acts.push(body);
    const dead = shown.nodes.get(body.node);
    if (body.action === "kill" && dead !== undefined) {
      dead.state = "down";
      if (body.node === shown.leader) Object.assign(shown.document.cluster, { leader: next, term: 8, failover_ms: 200 });
    }
    return { value: null };
  };
  const write = async () => [...shown.nodes.values()].filter(({ state }) => state === "up").length > 2;
  const made = { model: shown, act, write, until: async (/** @type {() => boolean} */ holds) => holds(), say: () => {}, play: async () => ({}), events: () => [], ...more };
  return { acts, bench: /** @type {import("../../web/raft-lab/guesses.js").Bench} */ (made) };
}

const guess = (/** @type {string} */ name, answers = ["a", "b", "c", "d"]) => {
  const found = guesses(["split-3-2", "minority-leader", "one-way", "bridge", "howard", "figure-8"].map((each) => ({ name: each, title: each, question: "?", answers }))).find((each) => each.name === name);
  assert.ok(found);
  return found;
};

test("who leads next is read off the cluster, not off a book", async () => {
  for (const next of [2, 4]) {
    const { bench: made, acts } = bench({ next });
    const asked = guess("next-leader");
    assert.deepEqual(asked.choices(made.model).map(({ text }) => text), ["n2", "n3", "n4", "n5", "nobody"]);
    assert.equal((await asked.run(made)).value, String(next));
    assert.deepEqual(acts.at(-1), { action: "restart", node: 1 });
  }
});

test("writes end when the majority is dead, or never when somebody helps", async () => {
  assert.equal((await guess("how-many").run(bench().bench)).value, "3");
  assert.equal((await guess("how-many").run(bench({ write: async () => true }).bench)).value, "");
});

test("a node that was away is elected, or it is not", async () => {
  assert.equal((await guess("stale-log").run(bench({ next: 3 }).bench)).value, "no");
  assert.equal((await guess("stale-log").run(bench({ next: 2 }).bench)).value, "yes");
});

test("Howard's network is judged by both measurements, and the rules are put back", async () => {
  const wild = { leaderless_ms: 3000, elections: 12 };
  const calm = { leaderless_ms: 300, elections: 1 };
  for (const [without, having, value] of /** @type {const} */ ([[wild, calm, "1"], [calm, calm, "0"], [wild, wild, "2"]])) {
    const measured = [without, having];
    const { bench: made, acts } = bench({ play: async () => measured.shift() });
    assert.equal((await guess("howard").run(made)).value, value);
    assert.deepEqual(acts.at(-1), { action: "rules", pre_vote: true, check_quorum: true });
  }
});

test("a fault that cannot be measured is not asked about", () => {
  assert.throws(() => guess("figure-8"));
});
