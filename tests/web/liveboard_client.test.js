import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decodeFrame, encodeFrame } from "../../web/liveboard/client/frames.js";
import { REFUSALS, Replica } from "../../web/liveboard/client/replica.js";
import { fromHex, toHex } from "../../web/liveboard/core/bytes.js";
import { keyOf } from "../../web/liveboard/core/operations.js";
import { entryOf, OperationSet } from "../../web/liveboard/core/opset.js";

const RECEIPT = "cd".repeat(16);
const STROKE = /** @type {any} */ ({ kind: "stroke", tool: "pen", color: 1, size: 8, opacity: 100, points: [1, 2, 3, 4], pressures: null });

let drawn = 0;
function identity() {
  drawn += 1;
  return { site: drawn.toString(16).padStart(16, "a"), token: drawn.toString(16).padStart(32, "b") };
}

/** Bytes as hex, all the way down, so that frames compare. @param {any} value @returns {any} */
const plain = (value) => {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
  return value;
};
const BLOCKS = new Set(["bytes", "state", "ink"]);
/** @param {any} value @param {string} [name] @returns {any} */
const real = (value, name = "") => {
  if (typeof value === "string" && BLOCKS.has(name)) return fromHex(value);
  if (Array.isArray(value)) return value.map((each) => (typeof each === "string" && ["operations", "inks"].includes(name) ? fromHex(each) : real(each)));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, real(each, key)]));
  return value;
};

test("frames are written and read as the vectors say", () => {
  const vectors = JSON.parse(readFileSync(new URL("../plugins/liveboard/vectors/frames.json", import.meta.url), "utf8"));
  for (const { frame, bytes } of vectors) {
    assert.equal(toHex(encodeFrame(real(frame))), bytes, frame.type);
    assert.deepEqual(plain(decodeFrame(fromHex(bytes))), frame);
    assert.throws(() => decodeFrame(fromHex(bytes.slice(0, -2))), { name: "CodecError" }, frame.type);
    assert.throws(() => decodeFrame(fromHex(`${bytes}00`)), { name: "CodecError" }, frame.type);
  }
});

/** A server in a few lines: takes what is next of a site, and tells everybody. */
class Server {
  set = new OperationSet();
  /** @type {any[]} */
  log = [];

  /** @param {any} frame @returns {any[]} what it answers */
  take(frame) {
    if (frame.type !== "offer") return [];
    return frame.operations.flatMap((/** @type {Uint8Array} */ bytes) => {
      const entry = entryOf(bytes);
      const { site, seq } = entry.operation;
      if (this.set.get(entry.operation)) return [{ type: "have", site, seq }];
      const next = (this.set.versions.get(site) ?? 0) + 1;
      if (seq !== next) return [{ type: "refused", site, seq, reason: REFUSALS.indexOf("gap"), detail: next }];
      this.set.add(entry);
      this.log.push({ receipt: RECEIPT, bytes });
      return [{ type: "committed", rev: this.log.length, operations: [this.log.at(-1)] }];
    });
  }

  /** @param {Replica} replica */
  join(replica) {
    const { rev } = replica.hello({ name: "x", color: 0 });
    const effects = [replica.receive({ type: "welcome", floor: 0, resync: false, versions: [] })];
    if (rev < this.log.length) effects.push(replica.receive({ type: "committed", rev: rev + 1, operations: this.log.slice(rev) }));
    effects.push(replica.receive({ type: "synced", rev: this.log.length, digest: this.set.digest }));
    return effects;
  }
}

test("a stroke shows at once, is saved when the server says so, and is sent again until then", () => {
  const server = new Server();
  const replica = new Replica(identity);
  const { changed, entry } = replica.make(STROKE);
  assert.deepEqual([...changed], [keyOf(entry.operation)]);
  assert.equal([...replica.picture.shown()].length, 1);
  assert.equal(replica.saved.size, 0);
  for (let time = 0; time < 2; time += 1) {
    const send = server.join(replica).flatMap((effects) => effects.send);
    if (time === 0) {
      assert.deepEqual(send.map(({ type }) => type), ["offer"]);
      for (const frame of send) server.take(frame);
    }
  }
  assert.equal(replica.unsaved.length, 0);
  assert.equal(replica.saved.digest, server.set.digest);
  assert.equal(replica.rev, 1);
  assert.deepEqual(replica.history?.map(({ operation }) => keyOf(operation)), [keyOf(entry.operation)]);
});

test("a frame that comes again is in the history once", () => {
  const replica = new Replica(identity);
  const other = new Replica(identity);
  const operations = [STROKE, STROKE, STROKE].map((body) => ({ receipt: RECEIPT, bytes: other.make(body).entry.bytes }));
  const first = { type: "committed", rev: 1, operations: operations.slice(0, 2) };
  for (const frame of [first, first, { type: "committed", rev: 2, operations: operations.slice(1) }, first]) replica.receive(frame);
  assert.deepEqual(replica.history?.map(({ operation }) => operation.seq), [1, 2, 3]);
  assert.equal(replica.rev, 3);
});

test("an acknowledgement that was lost comes again", () => {
  const server = new Server();
  const replica = new Replica(identity);
  replica.make(STROKE);
  for (const frame of replica.offers()) server.take(frame);
  const [answer] = replica.offers().flatMap((frame) => server.take(frame));
  assert.equal(answer.type, "have");
  assert.equal(replica.receive(answer).saved.length, 1);
});

test("a missing revision and a digest that differs end the connection", () => {
  const replica = new Replica(identity);
  const { entry } = new Replica(identity).make(STROKE);
  assert.match(replica.receive({ type: "committed", rev: 2, operations: [{ receipt: RECEIPT, bytes: entry.bytes }] }).problem ?? "", /missing/);
  assert.match(replica.receive({ type: "synced", rev: 0, digest: "00".repeat(31) + "01" }).problem ?? "", /differs/);
});

for (const reason of ["clock", "floor", "retired", "equivocation"]) {
  test(`after "${reason}" everything unsaved gets a new site and keeps its content`, () => {
    const replica = new Replica(identity);
    const first = replica.make(STROKE).entry.operation;
    const second = replica.make(STROKE).entry.operation;
    replica.make({ kind: "move", targets: [{ site: first.site, seq: first.seq }], dx: 80, dy: 0 });
    replica.make({ kind: "visibility", visible: false, seqs: [second.seq] });
    const before = [...replica.picture.shown()].map(({ dx }) => dx);
    const effects = replica.receive({ type: "refused", site: first.site, seq: 1, reason: REFUSALS.indexOf(reason), detail: 0 });
    assert.deepEqual(effects.send.map(({ type }) => type), ["claim", "offer"]);
    assert.ok(replica.unsaved.every(({ operation }) => operation.site === replica.identity.site && operation.site !== first.site));
    assert.deepEqual(replica.unsaved.map(({ operation }) => operation.seq), [1, 2, 3, 4]);
    assert.deepEqual([...replica.picture.shown()].map(({ dx }) => dx), before);
    assert.deepEqual(effects.lost, []);
    const server = new Server();
    for (const frame of effects.send) for (const answer of server.take(frame)) replica.receive(answer);
    assert.equal(replica.unsaved.length, 0);
    assert.equal(replica.saved.root, server.set.root);
  });
}

test("an operation that is refused for good is taken from the picture and told; what came after it lives on", () => {
  const replica = new Replica(identity);
  const { entry } = replica.make(STROKE);
  replica.make(STROKE);
  const { site } = entry.operation;
  const effects = replica.receive({ type: "refused", site, seq: 1, reason: REFUSALS.indexOf("forbidden"), detail: 0 });
  assert.deepEqual(effects.lost, [{ key: keyOf(entry.operation), reason: "forbidden" }]);
  assert.equal([...replica.picture.shown()].length, 1);
  assert.equal(replica.unsaved.length, 1);
});

test("after a gap the rest is sent from the number that is expected", () => {
  const server = new Server();
  const replica = new Replica(identity);
  for (let count = 0; count < 3; count += 1) replica.make(STROKE);
  const late = replica.unsaved.slice(1).map(({ bytes }) => bytes);
  const [refused] = server.take({ type: "offer", operations: late });
  for (const frame of replica.receive(refused).send) for (const answer of server.take(frame)) replica.receive(answer);
  assert.equal(server.set.size, 3);
  assert.equal(replica.unsaved.length, 0);
});

test("an earlier page's operations are finished under the site they have", () => {
  const server = new Server();
  const before = new Replica(identity);
  before.make(STROKE);
  before.make(STROKE);
  const after = new Replica(identity);
  const changed = after.resume(before.identity, before.unsaved.map(({ bytes }) => bytes));
  assert.equal(changed.size, 2);
  after.make(STROKE);
  const frames = after.offers();
  assert.deepEqual(frames.map(({ type }) => type), ["claim", "offer"]);
  for (const frame of frames) for (const answer of server.take(frame)) after.receive(answer);
  assert.equal(after.unsaved.length, 0);
  assert.deepEqual(after.earlier, []);
});

test("a replica whose board is no beginning of the server's gives back what the server lost", () => {
  const server = new Server();
  const replica = new Replica(identity);
  for (let count = 0; count < 3; count += 1) replica.make(STROKE);
  for (const frame of replica.offers()) for (const answer of server.take(frame)) replica.receive(answer);
  const first = /** @type {any} */ (replica.saved.entries[0]);
  const welcome = { type: "welcome", floor: 0, resync: true, versions: [[first.operation.site, 1]] };
  replica.hello({ name: "x", color: 0 });
  const { send } = replica.receive(welcome);
  assert.deepEqual(send.map(({ type }) => type), ["known", "restore"]);
  assert.equal(send[1]?.["operations"].length, 2);
  assert.equal(replica.receive({ type: "synced", rev: 1, digest: "00".repeat(32) }).problem, undefined);
});

test("many operations are offered in frames of a bounded size", () => {
  const replica = new Replica(identity);
  for (let count = 0; count < 3000; count += 1) replica.make(STROKE);
  const frames = replica.offers();
  assert.ok(frames.length > 1);
  for (const frame of frames) assert.ok(encodeFrame(frame).length < 64 * 1024);
  assert.equal(frames.reduce((count, frame) => count + frame["operations"].length, 0), 3000);
});
