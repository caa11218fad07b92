// Marks in another size. Operations know no scaling: the marks are made anew, larger or smaller, and the old ones erased.

import { COORDINATE_MAX, SIZE_MAX } from "../core/operations.js";

/** @typedef {import("../core/types.d.ts").Mark} Mark */
/** From where, and how much of it: coordinates in units. @typedef {{x: number, y: number, byX: number, byY: number}} Scaling */

/** Letters and images keep their proportions. @param {Mark[]} marks */
export const isProportional = (marks) => marks.length > 1 || marks.some(({ kind }) => kind === "image" || kind === "text");

/**
 * A mark as it is when the board around it is stretched from a point. Lines stay as thick as they are.
 * @template {Mark} T
 * @param {T} mark
 * @param {Scaling} scaling `byX` and `byY` are the same for letters and images
 * @returns {T}
 */
export function scaled(mark, { x, y, byX, byY }) {
  const at = (/** @type {number} */ value, /** @type {number} */ from, /** @type {number} */ by) => bounded(from + (value - from) * by);
  if (mark.kind === "stroke") {
    return { ...mark, points: Array.from(mark.points, (value, place) => (place % 2 ? at(value, y, byY) : at(value, x, byX))) };
  }
  if (mark.kind === "shape") return { ...mark, x0: at(mark.x0, x, byX), y0: at(mark.y0, y, byY), x1: at(mark.x1, x, byX), y1: at(mark.y1, y, byY) };
  const place = { x: at(mark.x, x, byX), y: at(mark.y, y, byY) };
  const longer = (/** @type {number} */ length) => Math.min(Math.max(1, Math.round(length * byX)), COORDINATE_MAX);
  if (mark.kind === "image") return { ...mark, ...place, width: longer(mark.width), height: longer(mark.height) };
  const size = Math.min(Math.max(1, Math.round(mark.size * byX)), SIZE_MAX);
  return { ...mark, ...place, size, width: mark.width && longer(mark.width) };
}

/** @param {number} value */
const bounded = (value) => Math.min(Math.max(Math.round(value), -COORDINATE_MAX), COORDINATE_MAX);
