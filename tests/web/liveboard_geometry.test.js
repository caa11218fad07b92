import assert from "node:assert/strict";
import { test } from "node:test";

import { BoxIndex } from "../../web/liveboard/page/box_index.js";
import { boxOf, distanceToSegment, pointsNear, touches, united } from "../../web/liveboard/page/geometry.js";
import { layoutOf } from "../../web/liveboard/page/layout.js";
import { runsOf, traceLine, traceOutline } from "../../web/liveboard/page/outline.js";
import { isProportional, scaled } from "../../web/liveboard/page/scaling.js";
import { Scene } from "../../web/liveboard/page/scene.js";
import { dense, Smoother } from "../../web/liveboard/page/smoothing.js";
import { svgOf } from "../../web/liveboard/page/svg.js";
import { View } from "../../web/liveboard/page/view.js";
import { seeded } from "../../web/liveboard/page/place.js";

/** Letters as wide as half their height. @param {string} text @param {number} size */
const measure = (text, size) => [...text].length * size * 0.5;

/** @param {any} body @param {object} [look] @returns {any} */
const shown = (body, look = {}) => ({
  operation: { site: "aa", seq: 1, lamport: 1, ...body },
  dx: 0, dy: 0, color: 0, size: body.size ?? 8, opacity: 100, fill: body.fill ?? null, removed: [],
  ...look,
});
const stroke = (/** @type {number[]} */ points, look = {}) => shown({ kind: "stroke", tool: "pen", points, pressures: null }, look);
const shape = (/** @type {string} */ form, fill = 0) => shown({ kind: "shape", form, fill, x0: 0, y0: 0, x1: 1000, y1: 600 });

/** Notes down what a path is told, and whether every number is one. */
class Notes {
  /** @type {[string, ...number[]][]} */
  calls = [];
  moveTo = this.#note("M");
  lineTo = this.#note("L");
  quadraticCurveTo = this.#note("Q");
  closePath = this.#note("Z");

  /** @param {string} name @returns {(...numbers: number[]) => void} */
  #note(name) {
    return (...numbers) => {
      assert.ok(numbers.every(Number.isFinite), `${name} ${numbers}`);
      this.calls.push([name, ...numbers]);
    };
  }

  get names() {
    return this.calls.map(([name]) => name).join("");
  }

  /** The area inside, by its corners: positive one way round, negative the other. */
  get area() {
    const points = this.calls.flatMap(([, ...numbers]) => (numbers.length ? [numbers.slice(-2)] : []));
    return points.reduce((sum, [x = 0, y = 0], at) => {
      const [nextX = 0, nextY = 0] = points[(at + 1) % points.length] ?? [];
      return sum + (x * nextY - nextX * y) / 2;
    }, 0);
  }
}

test("a line goes through its ends, and a dot is drawn", () => {
  const notes = new Notes();
  traceLine(notes, [[0, 0], [10, 0], [10, 10]]);
  assert.deepEqual(notes.calls, [["M", 0, 0], ["Q", 10, 0, 10, 5], ["L", 10, 10]]);
  const dot = new Notes();
  traceLine(dot, [[3, 4]]);
  assert.deepEqual(dot.calls, [["M", 3, 4], ["L", 3, 4]]);
});

test("an outline is as wide as the pen pressed, and is in pieces where the line turns sharply", () => {
  const straight = new Notes();
  traceOutline(straight, [[0, 0], [500, 0], [1000, 0]], [10, 10, 10]);
  const expected = 1000 * 20 + Math.PI * 100;
  assert.ok(Math.abs(Math.abs(straight.area) - expected) < 0.02 * expected, `${straight.area}`);
  const back = new Notes();
  traceOutline(back, [[0, 0], [1000, 0], [0, 5], [1000, 10]], [10, 10, 10, 10]);
  assert.equal(back.names.match(/Z/g)?.length, 3, "a piece between every two sharp corners");
  for (const points of [[[5, 5]], [[5, 5], [5, 5]]]) {
    const dot = new Notes();
    traceOutline(dot, /** @type {any} */ (points), [10, 10]);
    assert.ok(Math.abs(Math.abs(dot.area) - Math.PI * 100) < 40, `${dot.area}`);
  }
});

test("what is removed of a stroke leaves runs", () => {
  assert.deepEqual(runsOf(10, []), [[0, 10]]);
  assert.deepEqual(runsOf(10, [[0, 2], [5, 1]]), [[2, 5], [6, 10]]);
  assert.deepEqual(runsOf(10, [[0, 10]]), []);
});

test("boxes hold all that marks paint on, moved as they are", () => {
  assert.deepEqual(boxOf(stroke([0, 0, 100, 50], { size: 8, dx: 1000 }), measure), { x0: 996, y0: -4, x1: 1104, y1: 54 });
  assert.deepEqual(boxOf(shown({ kind: "text", form: "text", text: "ab\nabcd", x: 10, y: 20, width: 0, size: 100 }), measure), { x0: 10, y0: 20, x1: 210, y1: 280 });
  const arrow = boxOf(shape("arrow"), measure);
  assert.ok(arrow.x0 < -50 && arrow.y1 > 650);
  assert.equal(united([]), null);
  assert.deepEqual(united([{ x0: 0, y0: 0, x1: 1, y1: 1 }, { x0: -5, y0: 2, x1: 0, y1: 9 }]), { x0: -5, y0: 0, x1: 1, y1: 9 });
});

test("a point touches a mark by its line, and by its area when that is filled", () => {
  const hits = (/** @type {any} */ mark, /** @type {number} */ x, /** @type {number} */ y) => touches(mark, boxOf(mark, measure), x, y, 10);
  const line = stroke([0, 0, 1000, 0]);
  assert.deepEqual([hits(line, 500, 12), hits(line, 500, 20), hits(line, 1020, 0)], [true, false, false]);
  assert.equal(hits(stroke([0, 0, 500, 0, 1000, 0], { removed: [[0, 3]] }), 500, 0), false);
  assert.equal(hits(stroke([0, 0, 500, 0, 1000, 0], { dx: 5000 }), 5500, 0), true);
  for (const form of ["rectangle", "ellipse"]) {
    assert.deepEqual([hits(shape(form), 500, 300), hits(shape(form, 1), 500, 300), hits(shape(form), 0, 300), hits(shape(form), 1100, 300)], [false, true, true, false], form);
  }
  assert.equal(hits(shape("ellipse", 1), 10, 10), false, "the corner of its box is not in it");
  assert.equal(hits(shape("line"), 500, 300), true);
  assert.equal(hits(shape("line"), 500, 100), false);
  assert.equal(hits(shown({ kind: "image", x: 0, y: 0, width: 100, height: 100 }), 50, 50), true);
  assert.equal(distanceToSegment(3, 4, 0, 0, 0, 0), 5);
});

test("points near the eraser come as ranges", () => {
  const mark = stroke([0, 0, 100, 0, 200, 0, 300, 0, 400, 0], { size: 8 });
  assert.deepEqual(pointsNear(mark, 150, 0, 60), [[1, 2]]);
  assert.deepEqual(pointsNear(mark, 150, 500, 60), []);
  assert.deepEqual(pointsNear({ ...mark, dx: 1000 }, 1000, 0, 10), [[0, 1]]);
});

test("the index finds what a slow search finds, also after changes", () => {
  const chance = seeded(5);
  const index = new BoxIndex();
  /** @type {Map<string, {x0: number, y0: number, x1: number, y1: number}>} */
  const boxes = new Map();
  const box = (/** @type {number} */ most) => {
    const [x, y] = [(chance() - 0.5) * 40_000, (chance() - 0.5) * 40_000];
    return { x0: x, y0: y, x1: x + chance() * most, y1: y + chance() * most };
  };
  for (let round = 0; round < 2000; round += 1) {
    const key = String(Math.floor(chance() * 400));
    if (chance() < 0.25) {
      boxes.delete(key);
      index.delete(key);
    } else {
      const each = box(10 ** (1 + 4 * chance()));
      boxes.set(key, each);
      index.set(key, each);
    }
    if (round % 20) continue;
    const look = box(10 ** (1 + 4 * chance()));
    const slow = [...boxes].filter(([, b]) => b.x0 <= look.x1 && b.x1 >= look.x0 && b.y0 <= look.y1 && b.y1 >= look.y0).map(([found]) => found);
    assert.deepEqual([...index.meeting(look)].sort(), slow.sort());
  }
  assert.equal(index.size, boxes.size);
});

test("a scene says where to draw anew, in the board's order, and what changed from one time to another", () => {
  const scene = new Scene(measure);
  const at = (/** @type {number} */ lamport, /** @type {number} */ x) => ({ ...stroke([x, 0, x + 10, 0]), operation: { ...stroke([x, 0, x + 10, 0]).operation, seq: lamport, lamport } });
  assert.deepEqual(scene.put("aa:2", at(2, 0)).map(({ isOnTop }) => isOnTop), [true]);
  assert.deepEqual(scene.put("aa:1", at(1, 0)).map(({ isOnTop }) => isOnTop), [false], "it slots beneath");
  assert.deepEqual(scene.put("aa:2", { ...at(2, 0), dx: 100 }).map(({ isOnTop, box }) => [isOnTop, box.x0]), [[false, -4], [false, 96]]);
  assert.deepEqual(scene.put("aa:3", at(3, 5)).map(({ isOnTop }) => isOnTop), [true]);
  assert.deepEqual(scene.in({ x0: -100, y0: -100, x1: 500, y1: 100 }).map(({ operation }) => operation.seq), [1, 2, 3]);
  assert.deepEqual(scene.at(5, 0, 4).map(({ operation }) => operation.seq), [3, 1], "the highest first");
  assert.deepEqual(scene.within({ x0: -10, y0: -10, x1: 30, y1: 10 }).map(({ operation }) => operation.seq), [1, 3]);
  const before = [at(1, 0), { ...at(2, 0), dx: 100, color: 7 }];
  assert.deepEqual([...scene.differences(before).keys()], ["aa:2", "aa:3"]);
  assert.deepEqual([...scene.differences([at(1, 0), { ...at(2, 0), dx: 100 }, at(3, 5)])], []);
});

test("a smoothed line stays near the hand, ends where it ends, and leaves no gap wider than the eraser", () => {
  const smoother = new Smoother(8, false);
  const hand = Array.from({ length: 20 }, (_, at) => [400 * at, 900 * Math.sin(at / 3)]);
  hand.forEach(([x = 0, y = 0], at) => smoother.add(x, y, 0.5, 16 * at));
  smoother.finish();
  const { points, pressures } = smoother;
  assert.equal(points.length, 2 * pressures.length);
  assert.deepEqual([points[0], points[1]], [0, 0]);
  assert.deepEqual(points.slice(-2), hand.at(-1)?.map(Math.round));
  assert.ok([...points, ...pressures].every(Number.isInteger));
  assert.ok(pressures.every((value) => value >= 0 && value <= 255));
  for (let at = 2; at < points.length; at += 2) {
    assert.ok(Math.hypot(Number(points[at]) - Number(points[at - 2]), Number(points[at + 1]) - Number(points[at - 1])) <= 1.6 * 12 * 8);
  }
});

test("a pen's pressure is kept, and a hand that rests adds nothing", () => {
  const pen = new Smoother(8, true);
  for (let at = 0; at < 50; at += 1) pen.add(100 * at, 0, 1, 8 * at);
  assert.ok(Number(pen.pressures.at(-1)) > 250);
  const resting = new Smoother(8, false);
  for (let at = 0; at < 50; at += 1) resting.add(1, 1, 0.5, at);
  assert.equal(resting.count, 1);
  assert.deepEqual(dense([5, 6], [128], 10), [[5, 6], [128]]);
});

test("words wrap at spaces, long ones are cut, a note is at least a square", () => {
  /** @type {any} */
  const note = { kind: "text", form: "note", text: "", width: 1000 };
  const lay = (/** @type {string} */ text) => layoutOf({ ...note, text }, 100, measure);
  assert.deepEqual(lay("one two three four five").lines, ["one two three", "four five"]);
  assert.deepEqual(lay("a".repeat(40)).lines, ["a".repeat(16), "a".repeat(16), "a".repeat(8)]);
  assert.deepEqual(lay("x\n\ny").lines, ["x", "", "y"]);
  assert.equal(lay("x").height, 1000);
  assert.ok(lay("x\n".repeat(20)).height > 1000);
  assert.deepEqual(layoutOf({ ...note, form: "text", width: 0, text: "long ".repeat(50) }, 100, measure).lines.length, 1);
});

test("a view keeps what is under the pointer where it is, and finds its way back", () => {
  const view = Object.assign(new View(), { width: 1000, height: 600 });
  const under = view.toBoard(300, 200);
  view.zoomBy(3.7, 300, 200);
  const [left, top] = view.toCanvas(...under);
  assert.ok(Math.abs(left - 300) <= 1 && Math.abs(top - 200) <= 1);
  view.pan(-50, 20);
  view.fit({ x0: 8000, y0: 8000, x1: 24_000, y1: 9000 });
  const [x0] = view.toCanvas(8000, 8000);
  const [x1] = view.toCanvas(24_000, 9000);
  assert.ok(x0 >= 0 && x1 <= 1000 && view.zoom <= 1);
  for (let at = 0; at < 100; at += 1) view.zoomBy(0.5);
  view.pan(1e12, 1e12);
  assert.ok(view.toBoard(0, 0).every((value) => Math.abs(value) <= 2 ** 30));
});

test("an SVG has every mark, and words that are no markup", () => {
  const marks = [stroke([0, 0, 100, 0]), shape("rectangle", 0xff0001), shown({ kind: "text", form: "text", text: "<b>&", x: 0, y: 0, width: 0, size: 100 })];
  const file = new Uint8Array([1, 2, 3]);
  const image = shown({ kind: "image", type: "image/png", sha256: "ab", x: 0, y: 0, width: 8, height: 8 });
  const svg = svgOf([...marks, image], { x0: 0, y0: 0, x1: 800, y1: 800 }, measure, new Map([["ab", file]]));
  assert.match(svg, /viewBox="0 0 800 800"/);
  assert.equal(svg.match(/<path/g)?.length, 2);
  assert.match(svg, /fill="#ff0000"/);
  assert.match(svg, /&#60;b&#62;&#38;/);
  assert.match(svg, /data:image\/png;base64,AQID/);
});

test("marks in another size keep the corner they are stretched from, and letters their proportions", () => {
  const from = { x: 100, y: 100, byX: 2, byY: 3 };
  assert.deepEqual(scaled(/** @type {any} */ ({ kind: "stroke", size: 8, points: [100, 100, 150, 120] }), from), { kind: "stroke", size: 8, points: [100, 100, 200, 160] });
  assert.deepEqual(scaled(/** @type {any} */ ({ kind: "shape", x0: 200, y0: 200, x1: 100, y1: 100 }), from), { kind: "shape", x0: 300, y0: 400, x1: 100, y1: 100 });
  const half = { x: 0, y: 0, byX: 0.5, byY: 0.5 };
  assert.deepEqual(scaled(/** @type {any} */ ({ kind: "text", x: 0, y: 8, width: 0, size: 101 }), half), { kind: "text", x: 0, y: 4, width: 0, size: 51 });
  assert.deepEqual(scaled(/** @type {any} */ ({ kind: "image", x: 0, y: 8, width: 1, height: 90 }), half), { kind: "image", x: 0, y: 4, width: 1, height: 45 });
  assert.equal(scaled(/** @type {any} */ ({ kind: "shape", x0: 2 ** 30, y0: 0, x1: 0, y1: 0 }), from).x0, 2 ** 30);
  assert.deepEqual([[{ kind: "shape" }], [{ kind: "text" }], [{ kind: "stroke" }, { kind: "stroke" }]].map((marks) => isProportional(/** @type {any} */ (marks))), [false, true, true]);
});
