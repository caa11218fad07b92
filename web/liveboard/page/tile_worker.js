// A worker that draws tiles of the board, so that the page never waits for ten thousand strokes.

import { keyOf } from "../core/operations.js";
import { boxBetween } from "./geometry.js";
import { measureIn } from "./layout.js";
import { Painter } from "./painter.js";
import { Scene } from "./scene.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {Omit<Shown, "operation">} Look */
/**
 * What the page asks. `marks` brings operations that the worker has not seen, once, and how marks look now; null: not.
 * `tile` is answered with `{id, bitmap}`: the pixels right and below (x, y), counted from the board's origin at that
 * scale; with `only`, of those marks alone.
 * @typedef {{type: "marks", marks: {key: string, operation?: Shown["operation"], look: Look | null}[]}
 *   | {type: "theme", theme: import("./painter.js").Theme}
 *   | {type: "image", sha256: string, bitmap: ImageBitmap}
 *   | {type: "tile", id: number, scale: number, x: number, y: number, width: number, height: number, only: string[] | null, paper: string}} Ask
 */

let theme = { isDark: false, font: "sans-serif" };
/** @type {Map<string, ImageBitmap>} */
const images = new Map();
/** @type {Map<string, Shown["operation"]>} */
const operations = new Map();
let measure = measureIn(theme.font);
let scene = new Scene(measure);
const painter = new Painter(theme, (text, size) => measure(text, size), (sha256) => images.get(sha256));

/** @param {Ask & {type: "marks"}} ask */
function take({ marks }) {
  for (const { key, operation, look } of marks) {
    if (operation) operations.set(key, operation);
    const known = operations.get(key);
    scene.put(key, look && known ? { ...look, operation: known } : undefined);
  }
}

/** @param {Ask & {type: "theme"}} ask */
function dress(ask) {
  theme = ask.theme;
  painter.theme = theme;
  measure = measureIn(theme.font);
  // Other letters take other room.
  const before = scene;
  scene = new Scene(measure);
  for (const shown of before.marks()) scene.put(keyOf(shown.operation), shown);
}

/** @param {Ask & {type: "tile"}} ask */
function draw({ id, scale, x, y, width, height, only, paper }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  if (paper) {
    context.fillStyle = paper;
    context.fillRect(0, 0, width, height);
  }
  const wanted = only && new Set(only);
  for (const shown of scene.in(boxBetween(x / scale, y / scale, (x + width) / scale, (y + height) / scale))) {
    if (!wanted || wanted.has(keyOf(shown.operation))) painter.draw(context, shown, { scale, left: -x, top: -y });
  }
  const bitmap = canvas.transferToImageBitmap();
  postMessage({ id, bitmap }, { transfer: [bitmap] });
}

addEventListener("message", ({ data }) => {
  const ask = /** @type {Ask} */ (data);
  if (ask.type === "marks") take(ask);
  else if (ask.type === "theme") dress(ask);
  else if (ask.type === "image") images.set(ask.sha256, ask.bitmap);
  else draw(ask);
});
