import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { fromHex, toHex } from "../../web/liveboard/core/bytes.js";
import { decodeOperation, encodeOperation } from "../../web/liveboard/core/codec.js";
import { DifferenceWalk } from "../../web/liveboard/client/difference.js";
import { MerkleTree } from "../../web/liveboard/core/digests.js";
import { keyOf } from "../../web/liveboard/core/operations.js";
import { entryOf, OperationSet } from "../../web/liveboard/core/opset.js";
import { Picture } from "../../web/liveboard/core/picture.js";

/** @param {string} name */
const vectors = (name) => JSON.parse(readFileSync(new URL(`../plugins/liveboard/vectors/${name}.json`, import.meta.url), "utf8"));

/** @param {any} operation */
const plain = (operation) =>
  operation.kind === "stroke"
    ? { ...operation, points: [...operation.points], pressures: operation.pressures && [...operation.pressures] }
    : operation;

/** A generator of numbers from 0 to 1 that a seed repeats (mulberry32). @param {number} seed */
function randomOf(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {T[]} list @param {() => number} random */
function shuffled(list, random) {
  const result = [...list];
  for (let at = result.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [result[at], result[other]] = [/** @type {T} */ (result[other]), /** @type {T} */ (result[at])];
  }
  return result;
}

test("operations are written and read as the vectors say", () => {
  for (const { operation, bytes, leaf } of vectors("operations")) {
    assert.equal(toHex(encodeOperation(operation)), bytes, JSON.stringify(operation));
    assert.deepEqual(plain(decodeOperation(fromHex(bytes))), operation);
    assert.equal(toHex(entryOf(fromHex(bytes)).leaf), leaf);
  }
});

test("what the vectors call malformed is refused", () => {
  for (const { what, bytes } of vectors("malformed")) {
    assert.throws(() => decodeOperation(fromHex(bytes)), { name: "CodecError" }, what);
  }
});

test("values that no operation has are refused before they are written", () => {
  const [stroke] = vectors("operations");
  const good = stroke.operation;
  const bad = [
    { points: [NaN, 0] }, { points: [0.5, 0] }, { points: [0] }, { points: [] }, { points: [Infinity, 1] }, { points: [2 ** 31, 1] },
    { pressures: [1, 2] }, { pressures: [256] }, { color: -1 }, { size: 0 }, { opacity: 101 }, { tool: "brush" }, { seq: 0 },
    { lamport: 2 ** 53 }, { site: "ABCDEF0123456789" }, { site: "00" }, { kind: "nonsense" },
    { kind: "text", form: "text", fill: 0, x: 0, y: 0, width: 0, text: "\ud800" },
    { kind: "visibility", visible: true, seqs: [good.seq] },
    { kind: "move", dx: 0, dy: 0, targets: [{ site: good.site, seq: 2 }, { site: good.site, seq: 1 }] },
  ];
  encodeOperation(good);
  for (const change of bad) {
    assert.throws(() => encodeOperation({ ...good, ...change }), { name: "CodecError" }, JSON.stringify(change));
  }
});

test("trees have the roots of the vectors, however they grew", () => {
  for (const { leaves, root } of vectors("trees")) {
    const grown = new MerkleTree();
    for (const leaf of leaves) {
      grown.insert(grown.leaves.length, fromHex(leaf));
      grown.root();
    }
    assert.equal(toHex(grown.root()), root);
    const backwards = new MerkleTree();
    for (const leaf of leaves.toReversed?.() ?? [...leaves].reverse()) {
      backwards.insert(0, fromHex(leaf));
      backwards.root();
    }
    assert.equal(toHex(backwards.root()), root);
  }
});

test("boards come out as the vectors say, in whatever order and however often operations arrive", () => {
  for (const [number, board] of vectors("boards").entries()) {
    const entries = board.operations.map((/** @type {string} */ bytes) => entryOf(fromHex(bytes)));
    for (let seed = 0; seed < 8; seed += 1) {
      const random = randomOf(100 * number + seed);
      const repeated = [...entries, ...entries.filter(() => random() < 0.3)];
      const set = new OperationSet();
      const picture = new Picture();
      for (const entry of seed === 0 ? repeated : shuffled(repeated, random)) {
        set.add(entry);
        picture.add(entry.operation);
      }
      assert.equal(set.digest, board.digest);
      assert.equal(set.root, board.root);
      assert.equal(set.lamportMax, board.lamport_max);
      assert.deepEqual(set.sortedVersions(), board.versions);
      assert.deepEqual(set.entries.map(({ operation }) => [operation.site, operation.seq]), board.order);
      assert.deepEqual([...picture.shown()].map(({ operation }) => [operation.site, operation.seq]), board.shown);
      assert.equal(picture.digest(), board.picture);
    }
  }
});

test("pruned operations change no digest, and show what was shown", () => {
  for (const board of vectors("boards")) {
    const set = new OperationSet();
    const fresh = new OperationSet();
    const picture = new Picture();
    const pruned = new Map(board.pruned.map((/** @type {string} */ bytes) => {
      const entry = entryOf(fromHex(bytes));
      return [keyOf(entry.operation), entry];
    }));
    for (const bytes of board.operations) {
      const entry = entryOf(fromHex(bytes));
      set.add(entry);
      const kept = pruned.get(keyOf(entry.operation)) ?? entry;
      fresh.add(kept);
      picture.add(kept.operation);
    }
    for (const entry of pruned.values()) assert.ok(set.replacePruned(entry));
    for (const replica of [set, fresh]) assert.deepEqual([replica.digest, replica.root], [board.digest, board.root]);
    assert.equal(picture.digest(), board.picture);
  }
});

test("one operation with other bytes is refused, and found in as many rounds as the tree is high", () => {
  const board = vectors("boards").at(-1);
  const [mine, theirs] = [new OperationSet(), new OperationSet()];
  const place = 250;
  const [site, seq] = board.order[place];
  for (const bytes of board.operations) {
    const entry = entryOf(fromHex(bytes));
    mine.add(entry);
    const { operation } = entry;
    const isForged = operation.site === site && operation.seq === seq;
    const body = { kind: /** @type {const} */ ("clear"), seen: /** @type {[string, number][]} */ ([[site, 77]]) };
    const { lamport } = operation;
    theirs.add(isForged ? entryOf(encodeOperation({ ...body, site, seq, lamport })) : entry);
    if (isForged) assert.equal(mine.add(/** @type {any} */ (theirs.get(operation))), "equivocation");
  }
  const walk = new DifferenceWalk(mine.tree, theirs.tree.height, theirs.tree.root());
  for (let probe = walk.probe; probe; probe = walk.probe) walk.answer(theirs.tree.node(probe.level - 1, 2 * probe.index));
  assert.equal(walk.place, place);
  assert.equal(walk.rounds, mine.tree.height);
  const same = new DifferenceWalk(mine.tree, mine.tree.height, mine.tree.root());
  assert.deepEqual([same.probe, same.place], [null, null]);
});

test("a replica is sent what it lacks", () => {
  const [, board] = vectors("boards");
  const all = new OperationSet();
  const part = new OperationSet();
  for (const [at, bytes] of board.operations.entries()) {
    const entry = entryOf(fromHex(bytes));
    all.add(entry);
    if (at % 3) part.add(entry);
  }
  for (const entry of all.missingIn(part.versions)) part.add(entry);
  assert.equal(part.digest, all.digest);
  assert.deepEqual(all.missingIn(part.versions), []);
});
