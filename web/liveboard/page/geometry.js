// Where marks are, and whether a point touches them. All in units of the board; no browser needed.

import { radiusOf, runsOf } from "./outline.js";
import { layoutOf } from "./layout.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("./layout.js").Measure} Measure */
/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Box */

/** @param {Box} one @param {Box} other */
export const meets = (one, other) => one.x0 <= other.x1 && one.x1 >= other.x0 && one.y0 <= other.y1 && one.y1 >= other.y0;

/** @param {Box} outer @param {Box} inner */
export const holds = (outer, inner) => outer.x0 <= inner.x0 && outer.x1 >= inner.x1 && outer.y0 <= inner.y0 && outer.y1 >= inner.y1;

/** @param {Box} box @param {number} by @returns {Box} */
export const grown = ({ x0, y0, x1, y1 }, by) => ({ x0: x0 - by, y0: y0 - by, x1: x1 + by, y1: y1 + by });

/** The least box with all of them; null of none. @param {Iterable<Box>} boxes @returns {Box | null} */
export function united(boxes) {
  /** @type {Box | null} */
  let all = null;
  for (const { x0, y0, x1, y1 } of boxes) {
    all = all
      ? { x0: Math.min(all.x0, x0), y0: Math.min(all.y0, y0), x1: Math.max(all.x1, x1), y1: Math.max(all.y1, y1) }
      : { x0, y0, x1, y1 };
  }
  return all;
}

/** @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 in any order @returns {Box} */
export const boxBetween = (x0, y0, x1, y1) => ({
  x0: Math.min(x0, x1),
  y0: Math.min(y0, y1),
  x1: Math.max(x0, x1),
  y1: Math.max(y0, y1),
});

/** How far the head of an arrow reaches back. @param {number} size */
export const headOf = (size) => Math.max(80, 3.4 * size);

/** All that a mark may paint on. @param {Shown} shown @param {Measure} measure @returns {Box} */
export function boxOf({ operation, dx, dy, size }, measure) {
  let box = { x0: 0, y0: 0, x1: 0, y1: 0 };
  if (operation.kind === "stroke") {
    box = grown(boxOfPoints(operation.points), operation.pressures ? radiusOf(size, 255) : size / 2);
  } else if (operation.kind === "shape") {
    const edge = operation.form === "arrow" ? headOf(size) : size / 2;
    box = grown(boxBetween(operation.x0, operation.y0, operation.x1, operation.y1), edge);
  } else if (operation.kind === "text") {
    const { width, height } = layoutOf(operation, size, measure);
    box = { x0: operation.x, y0: operation.y, x1: operation.x + width, y1: operation.y + height };
  } else {
    box = { x0: operation.x, y0: operation.y, x1: operation.x + operation.width, y1: operation.y + operation.height };
  }
  return { x0: box.x0 + dx, y0: box.y0 + dy, x1: box.x1 + dx, y1: box.y1 + dy };
}

/** @param {ArrayLike<number>} points @returns {Box} */
function boxOfPoints(points) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [Number(points[at]), Number(points[at + 1])];
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  return { x0, y0, x1, y1 };
}

/**
 * Whether a point is on a mark, or within `reach` of it. Areas count when they are filled.
 * @param {Shown} shown @param {Box} box of the mark @param {number} x @param {number} y @param {number} reach
 */
export function touches(shown, box, x, y, reach) {
  if (!meets(box, { x0: x - reach, y0: y - reach, x1: x + reach, y1: y + reach })) return false;
  const { operation, size, removed } = shown;
  const [px, py] = [x - shown.dx, y - shown.dy];
  const far = reach + size / 2;
  if (operation.kind === "stroke") {
    const runs = runsOf(operation.points.length / 2, removed);
    return runs.some(([first, end]) => distanceToRun(operation.points, first, end, px, py) <= far);
  }
  if (operation.kind !== "shape") return true;
  const { form, x0, y0, x1, y1 } = operation;
  if (form === "line" || form === "arrow") return distanceToSegment(px, py, x0, y0, x1, y1) <= far;
  const inner = boxBetween(x0, y0, x1, y1);
  if (form === "rectangle") {
    if (shown.fill) return true;
    return !holds(grown(inner, -far), { x0: px, y0: py, x1: px, y1: py });
  }
  const [rx, ry] = [(inner.x1 - inner.x0) / 2 || 1, (inner.y1 - inner.y0) / 2 || 1];
  const [ux, uy] = [px - (x0 + x1) / 2, py - (y0 + y1) / 2];
  if (Math.hypot(ux / (rx + far), uy / (ry + far)) > 1) return false;
  return Boolean(shown.fill) || rx <= far || ry <= far || Math.hypot(ux / (rx - far), uy / (ry - far)) >= 1;
}

/** The points of a stroke within reach, as ranges to remove. @param {Shown} shown @param {number} x @param {number} y @param {number} reach */
export function pointsNear({ operation, dx, dy, size }, x, y, reach) {
  /** @type {[start: number, length: number][]} */
  const ranges = [];
  if (operation.kind !== "stroke") return ranges;
  const far = (reach + size / 4) ** 2;
  for (let at = 0; at < operation.points.length / 2; at += 1) {
    const near = (Number(operation.points[2 * at]) + dx - x) ** 2 + (Number(operation.points[2 * at + 1]) + dy - y) ** 2 <= far;
    const last = ranges.at(-1);
    if (near && last && last[0] + last[1] === at) last[1] += 1;
    else if (near) ranges.push([at, 1]);
  }
  return ranges;
}

/** @param {ArrayLike<number>} points @param {number} first @param {number} end @param {number} x @param {number} y */
function distanceToRun(points, first, end, x, y) {
  let least = Infinity;
  for (let at = first; at < Math.max(end - 1, first + 1); at += 1) {
    const next = Math.min(at + 1, end - 1);
    const far = distanceToSegment(x, y, Number(points[2 * at]), Number(points[2 * at + 1]), Number(points[2 * next]), Number(points[2 * next + 1]));
    if (far < least) least = far;
  }
  return least;
}

/** @param {number} x @param {number} y @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
export function distanceToSegment(x, y, x0, y0, x1, y1) {
  const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
  const part = length ? Math.min(Math.max(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0), 1) : 0;
  return Math.hypot(x - x0 - part * (x1 - x0), y - y0 - part * (y1 - y0));
}
