import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { fillOf, inkOf } from "../../web/liveboard/page/colours.js";
import { middleOf, shifted } from "../../web/liveboard/page/clipboard.js";
import { colourWord, counted, describe, together } from "../../web/liveboard/page/describe.js";
import { initials } from "../../web/liveboard/page/people.js";
import { headersOf, placeOf, seeded } from "../../web/liveboard/page/place.js";
import { inkBytes, Others, readState, stateBytes } from "../../web/liveboard/page/presence.js";
import { restyled } from "../../web/liveboard/page/restyle.js";
import { meaningOf } from "../../web/liveboard/page/shortcuts.js";
import { Steps } from "../../web/liveboard/page/steps.js";

const SITE = "aaaaaaaaaaaaaaaa";

test("one's own steps are undone and done again, a step at a time", () => {
  const steps = new Steps();
  const id = (/** @type {number} */ seq, site = SITE) => ({ site, seq });
  steps.did([id(1)]);
  steps.did([id(3), id(2)]);
  assert.deepEqual([steps.canUndo, steps.canRedo], [true, false]);
  assert.deepEqual(steps.undo(SITE), [2, 3]);
  assert.deepEqual(steps.undo(SITE), [1]);
  assert.deepEqual(steps.undo(SITE), []);
  assert.deepEqual(steps.redo(SITE), [1]);
  steps.did([id(5)]);
  assert.equal(steps.canRedo, false, "something new was done");
  assert.deepEqual(steps.undo(SITE), [5]);
  steps.did([]);
  assert.equal(steps.canRedo, true, "nothing was done");
});

test("steps under a site that is no more are skipped", () => {
  const steps = new Steps();
  steps.did([{ site: SITE, seq: 4 }]);
  steps.did([{ site: "bb", seq: 1 }]);
  assert.deepEqual(steps.undo(SITE), [4]);
  assert.deepEqual(steps.redo(SITE), [4]);
});

test("colours have contrast on a dark board, and keep their order", () => {
  const light = (/** @type {string} */ colour) => {
    const [r = 0, g = 0, b = 0] = (colour.match(/[0-9a-f]{2}/g) ?? []).map((part) => {
      const value = parseInt(part, 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (/** @type {string} */ one, /** @type {string} */ other) => {
    const [low = 0, high = 0] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const page = readFileSync(new URL("../../web/liveboard/index.html", import.meta.url), "utf8");
  const inks = [...(page.match(/\[\("1d1b17"[^\]]*\]/)?.[0] ?? "").matchAll(/"([0-9a-f]{6})"/g)].map(([, value]) => parseInt(value ?? "", 16));
  const fills = [...(page.match(/\("fbe7a1"[^\]]*\]/)?.[0] ?? "").matchAll(/"([0-9a-f]{6})"/g)].map(([, value]) => parseInt(value ?? "", 16));
  assert.deepEqual([inks.length, fills.length], [9, 5]);
  for (const value of inks) {
    assert.ok(contrast(inkOf(value, true), "#191b20") >= 3, `${value.toString(16)} on dark`);
    assert.ok(contrast(inkOf(value, false), "#fffdf9") >= 3, `${value.toString(16)} on light`);
  }
  for (const value of fills) {
    assert.ok(contrast(fillOf(value, true), inkOf(0x1d1b17, true)) >= 4.5, `ink on ${value.toString(16)}, dark`);
    assert.ok(contrast(fillOf(value, false), inkOf(0x1d1b17, false)) >= 4.5, `ink on ${value.toString(16)}`);
  }
  assert.equal(inkOf(0xffffff, true), "#ffffff");
  assert.equal(new Set(inks.map((value) => inkOf(value, true))).size, inks.length);
});

test("keys mean what the sheet says, and browsers keep theirs", () => {
  const key = (/** @type {string} */ name, more = {}) => meaningOf({ key: name, code: "", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more });
  assert.deepEqual(key("p"), { tool: "pen" });
  assert.deepEqual(key("3"), { colour: 2 });
  assert.deepEqual(key("?", { shiftKey: true }), { command: "help" });
  assert.deepEqual(key("!", { shiftKey: true, code: "Digit1" }), { command: "fit" });
  assert.deepEqual(key("P", { shiftKey: true }), { command: "proof" });
  assert.deepEqual(key("z", { ctrlKey: true }), { command: "undo" });
  assert.deepEqual(key("Z", { metaKey: true, shiftKey: true }), { command: "redo" });
  for (const kept of [key("r", { ctrlKey: true }), key("p", { ctrlKey: true }), key("I", { ctrlKey: true, shiftKey: true }), key("e", { altKey: true }), key("F5")]) {
    assert.equal(kept, null);
  }
});

test("presence is read as it was written; ink that was lost leaves no line across", () => {
  const view = { x: -50, y: 8, width: 100, height: 70 };
  assert.deepEqual(readState(stateBytes({ x: -3, y: 9, tool: "laser", isDown: true, isLaser: true, view })), { x: -3, y: 9, isLaser: true, view });
  const others = new Others();
  const person = { number: 1, site: SITE, role: 1, color: 1, name: "Ada" };
  others.listed({ whole: true, people: [person], left: [] });
  const ink = (/** @type {number} */ first, /** @type {number[]} */ points) =>
    inkBytes(7, first, { tool: "pen", color: 1, size: 8, opacity: 100, points, pressures: points.slice(points.length / 2) });
  others.moved({ moves: [{ person: 1, state: stateBytes({ x: 1, y: 2, tool: "pen", isDown: true, isLaser: false, view }), inks: [ink(0, [0, 0, 5, 5]), ink(2, [9, 9])] }] }, 2);
  assert.deepEqual(others.ink.get(1)?.get(7)?.points, [0, 0, 5, 5, 9, 9]);
  assert.deepEqual(others.sights.get(1), view);
  others.moved({ moves: [{ person: 1, state: new Uint8Array(), inks: [ink(6, [50, 50]), ink(7, [60, 60])] }] }, 2);
  assert.deepEqual(others.ink.get(1)?.get(7)?.points, [50, 50, 60, 60]);
  others.moved({ moves: [{ person: 1, state: Uint8Array.of(255), inks: [] }] }, 2);
  others.done(SITE);
  assert.equal(others.ink.get(1)?.size, 0);
  others.listed({ whole: false, people: [], left: [1] });
  assert.deepEqual([others.people.size, others.cursors.size, others.sights.size], [0, 0, 0]);
  assert.equal(others.names.get(SITE), "Ada", "who drew is still known");
});

test("marks of one size are restyled by one operation", () => {
  const mark = (/** @type {number} */ seq, /** @type {any} */ body) => /** @type {any} */ ({ operation: { site: SITE, seq, ...body } });
  const marks = [mark(1, { kind: "stroke", tool: "pen" }), mark(2, { kind: "stroke", tool: "highlighter" }), mark(3, { kind: "text", form: "note" }), mark(4, { kind: "image" })];
  const sizes = restyled(marks, { width: 4 }).map((body) => [/** @type {any} */ (body).size, /** @type {any} */ (body).targets.length]);
  assert.deepEqual(sizes, [[32, 1], [128, 1], [208, 1]]);
  assert.deepEqual(restyled(marks, { color: 7 }).map((body) => /** @type {any} */ (body).targets.length), [3]);
  assert.deepEqual(restyled(marks, { fill: 0 }), [{ kind: "restyle", targets: [{ site: SITE, seq: 3 }], fill: 0 }]);
  assert.deepEqual(restyled(marks.slice(3), { color: 7 }), []);
});

test("operations are said in words", () => {
  const says = (/** @type {any} */ body) => describe({ site: SITE, seq: 1, lamport: 1, ...body });
  assert.equal(says({ kind: "stroke", tool: "pen", color: 0x2468cf }), "blue pen stroke");
  assert.equal(says({ kind: "text", form: "note", text: " two\nlines " }), "note “two lines”");
  assert.equal(says({ kind: "erase", targets: [{ ranges: [[0, 2]] }] }), "erased one stroke in part");
  assert.equal(says({ kind: "move", targets: [{}, {}] }), "moved 2 marks");
  assert.equal(together(/** @type {any} */ ([{ kind: "stroke" }, { kind: "stroke" }, { kind: "clear" }])), "2 strokes, one clearing");
  assert.equal(counted(3, "step undone or done again"), "3 steps undone or done again");
  assert.deepEqual([0x1d1b17, 0xd4453b, 0xd27c00, 0x2f8f4e, 0x0c8577, 0x7247d6, 0xc2417c, 0xffffff].map(colourWord), [
    "black", "red", "orange", "green", "teal", "violet", "pink", "white",
  ]);
  assert.deepEqual(["Ada Lovelace", "Guest 1234", "ß", ""].map(initials), ["AL", "G4", "SS", "?"]);
});

test("what is pasted comes where the pointer is", () => {
  /** @type {any[]} */
  const bodies = [{ kind: "stroke", points: [0, 0, 100, 40] }, { kind: "shape", x0: 0, y0: 0, x1: 200, y1: 80 }, { kind: "image", x: 0, y: 0, width: 50, height: 160 }];
  assert.deepEqual(middleOf(bodies), [100, 80]);
  assert.deepEqual(bodies.map((body) => shifted(body, 10, 5)), [
    { kind: "stroke", points: [10, 5, 110, 45] },
    { kind: "shape", x0: 10, y0: 5, x1: 210, y1: 85 },
    { kind: "image", x: 10, y: 5, width: 50, height: 160 },
  ]);
});

test("the address says which board, by which key, from which seed", () => {
  const place = placeOf({ pathname: "/liveboard/mine", hash: "#key=abc", search: "?seed=42", origin: "https://host" });
  assert.deepEqual(place, { room: "mine", key: "abc", seed: 42, socket: "wss://host/api/liveboard/rooms/mine/socket" });
  assert.deepEqual(placeOf({ pathname: "/liveboard", hash: "", search: "", origin: "http://h" }), { room: "lobby", key: "", seed: null, socket: "ws://h/api/liveboard/rooms/lobby/socket" });
  assert.deepEqual(headersOf({ key: "", password: "" }), {});
  assert.deepEqual(headersOf({ key: "k", password: "p" }), { "x-liveboard-key": "k", "x-liveboard-password": "p" });
  const [one, other] = [seeded(9), seeded(9)];
  assert.deepEqual([one(), one(), one()], [other(), other(), other()]);
});
