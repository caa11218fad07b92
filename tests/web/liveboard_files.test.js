import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { exportBoard, FORMAT, importBoard } from "../../web/liveboard/client/board_file.js";
import { History } from "../../web/liveboard/client/history.js";
import { Replica } from "../../web/liveboard/client/replica.js";
import { fromHex, toHex } from "../../web/liveboard/core/bytes.js";
import { keyOf } from "../../web/liveboard/core/operations.js";
import { entryOf, OperationSet } from "../../web/liveboard/core/opset.js";
import { Picture } from "../../web/liveboard/core/picture.js";
import { sha256 } from "../../web/liveboard/core/sha256.js";

const ABOUT = { title: "A board", rev: 3, digest: "ab".repeat(32) };
const STROKE = /** @type {any} */ ({ kind: "stroke", tool: "pen", color: 1, size: 8, opacity: 100, points: [0, 0, 8, 0, 16, 8, 24, 8, 32, 0], pressures: [1, 2, 3, 4, 5] });
let drawn = 0;
const identity = () => ({ site: (drawn += 1).toString(16).padStart(16, "0"), token: "0".repeat(32) });
/** @returns {any[]} */
const boards = () => JSON.parse(readFileSync(new URL("../plugins/liveboard/vectors/boards.json", import.meta.url), "utf8"));

/** @param {Picture} picture what shows, without who drew it */
const looks = (picture) => exportBoard(picture, ABOUT).marks;
/** @param {any[]} bodies */
function pictureOf(bodies) {
  const replica = new Replica(identity);
  for (const body of bodies) replica.make(body);
  return replica.picture;
}

test("an exported board, imported, shows the same", () => {
  for (const board of boards()) {
    const picture = new Picture();
    for (const bytes of board.operations) picture.add(entryOf(fromHex(bytes)).operation);
    const file = JSON.stringify(exportBoard(picture, ABOUT));
    const { bodies, skipped, images } = importBoard(file);
    assert.deepEqual([skipped, images], [[], []]);
    assert.equal(JSON.stringify(exportBoard(pictureOf(bodies), ABOUT)), file);
  }
});

test("moved, restyled and partly erased strokes go out as they show", () => {
  const replica = new Replica(identity);
  const { operation } = replica.make(STROKE).entry;
  const target = { site: operation.site, seq: operation.seq };
  replica.make({ kind: "move", targets: [target], dx: 100, dy: -1 });
  replica.make({ kind: "restyle", targets: [target], color: 7 });
  replica.make({ kind: "erase", targets: [{ ...target, ranges: [[1, 1]] }] });
  const [first, second] = looks(replica.picture);
  assert.deepEqual([first?.["points"], first?.["pressures"], first?.["color"]], [[100, -1], [1], 7]);
  assert.deepEqual([second?.["points"], second?.["pressures"]], [[116, 7, 124, 7, 132, -1], [3, 4, 5]]);
});

test("images go along, and come in only as what they say", () => {
  const bytes = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 255, 0);
  const hash = toHex(sha256(bytes));
  const image = /** @type {any} */ ({ kind: "image", type: "image/png", sha256: hash, fileBytes: 6, x: 0, y: 0, width: 80, height: 80 });
  const file = exportBoard(pictureOf([image]), ABOUT, new Map([[hash, bytes]]));
  const { images } = importBoard(JSON.stringify(file));
  assert.deepEqual(images.map((each) => [each.sha256, each.type, toHex(each.bytes)]), [[hash, "image/png", toHex(bytes)]]);
  const forged = { ...file, images: { [hash]: { type: "image/png", base64: "AAAA" }, [`0${hash.slice(1)}`]: null } };
  assert.deepEqual(importBoard(JSON.stringify(forged)).images, []);
});

test("a file that is no board is refused with a sentence, and what is no mark is counted", () => {
  for (const text of ["", "{", "null", "7", "[]", '{"format":"other"}', `{"format":"${FORMAT}"}`, '{"type":"excalidraw"}']) {
    assert.throws(() => importBoard(text), { name: "ImportError", message: /\.$/ }, text);
  }
  const hostile = [
    null, 7, "stroke", [], {}, { kind: "visibility", visible: true, seqs: [1] }, { kind: "pruned", hash: "00".repeat(32) },
    { ...STROKE, points: null }, { ...STROKE, points: [1.5, 2] }, { ...STROKE, points: { length: 1e9 } }, { ...STROKE, size: 0 },
    { ...STROKE, points: [2 ** 31, 0], pressures: null }, { ...STROKE, color: "red" }, { ...STROKE, pressures: [1] }, { kind: "__proto__" },
  ];
  const { bodies, skipped } = importBoard(JSON.stringify({ format: FORMAT, marks: [...hostile, STROKE] }));
  assert.equal(bodies.length, 1);
  assert.deepEqual(skipped.map(({ count }) => count), [hostile.length]);
});

test("Excalidraw's freehand becomes strokes, the rest is counted", () => {
  const line = { type: "freedraw", x: 10, y: 20, angle: 0, strokeColor: "#1971c2", strokeWidth: 2, opacity: 60, isDeleted: false };
  const elements = [
    { ...line, points: [[0, 0], [1.5, -2]], pressures: [0.5, 1], simulatePressure: false },
    { ...line, points: [[0, 0], [4, 0]], pressures: [], simulatePressure: true, angle: Math.PI / 2, strokeColor: "#f00" },
    { ...line, points: [[0, 0]], isDeleted: true },
    { ...line, points: Array.from({ length: 9000 }, (_, at) => [at, 0]), simulatePressure: true, strokeColor: "transparent" },
    { ...line, points: [[0, 0], [Number.MAX_VALUE, 0]] },
    { ...line, points: [null, 3] }, { ...line, points: null }, { type: "rectangle" }, { type: "rectangle" }, { type: "text" }, null,
  ];
  const { bodies, skipped } = importBoard(JSON.stringify({ type: "excalidraw", version: 2, elements }));
  const strokes = /** @type {any[]} */ (bodies);
  assert.deepEqual([...strokes[0].points], [80, 160, 92, 144]);
  assert.deepEqual([[...strokes[0].pressures], strokes[0].color, strokes[0].size, strokes[0].opacity], [[128, 255], 0x1971c2, 68, 60]);
  assert.deepEqual([[...strokes[1].points], strokes[1].color], [[96, 144, 96, 176], 0xff0000], "turned about its middle");
  assert.equal(strokes.length, 5);
  assert.deepEqual([strokes[2].points.at(-2), strokes[3].points[0], strokes[4].points.at(-2)], [3999, 3999, 8999].map((x) => (x + 10) * 8));
  assert.deepEqual(new Map(skipped.map(({ what, count }) => [what, count])).get("rectangle"), 2);
  assert.equal(skipped.reduce((sum, { count }) => sum + count, 0), 7);
});

test("the past is shown at every revision, forwards and back, with the digest it had", () => {
  const board = boards().at(-1);
  const entries = board.operations.map((/** @type {string} */ bytes) => entryOf(fromHex(bytes)));
  const history = new History(entries.slice(0, -1));
  history.push(entries.at(-1));
  assert.equal(history.length, entries.length);
  for (const rev of [entries.length, 0, 5, 4, 120, 60, 61, entries.length]) {
    const set = new OperationSet();
    const picture = new Picture();
    for (const entry of entries.slice(0, rev)) {
      set.add(entry);
      picture.add(entry.operation);
    }
    const moment = history.at(rev);
    assert.deepEqual([moment.rev, moment.digest, moment.picture.digest()], [rev, set.digest, picture.digest()]);
    assert.equal(moment.operation && keyOf(moment.operation), rev ? keyOf(entries[rev - 1].operation) : null);
  }
  assert.equal(history.at(entries.length).digest, board.digest);
  assert.deepEqual([history.at(-3).rev, history.at(1e9).rev], [0, entries.length]);
});
