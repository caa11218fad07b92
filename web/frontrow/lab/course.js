// A run's course as lines over time, and where in it a fault struck. Pure.

import { cleaned } from "../timeline.js";

/**
 * @typedef {object} Course
 * @property {number} elapsed_ms
 * @property {string} rejected an SVG path, 100 wide and 100 high: the share of the buyers turned away, filled
 * @property {string} booked the share of the seats sold
 * @property {{name: string, share: number, at_ms: number, inTime: boolean}[]} faults
 */

/**
 * @param {any} run a result document, or as much of one as is known
 * @returns {Course}
 */
export function courseOf(run) {
  const points = cleaned(run.timeline, run.buyers ?? 0);
  const faults = (run.faults ?? []).filter((/** @type {any} */ fault) => Number.isFinite(fault.at_ms));
  const elapsed_ms = Math.max(run.elapsed_ms ?? 0, points.at(-1)?.t_ms ?? 0, 1);
  const x = (/** @type {number} */ t_ms) => (Math.min(1, t_ms / elapsed_ms) * 100).toFixed(2);
  const y = (/** @type {number} */ part, /** @type {number} */ all) => (100 - Math.min(1, part / Math.max(all, 1)) * 100).toFixed(2);
  const line = (/** @type {"booked" | "rejected"} */ kind, /** @type {number} */ all) =>
    points.map((point, place) => `${place === 0 ? "M" : "L"}${x(point.t_ms)} ${y(point[kind], all)}`).join("");
  return {
    elapsed_ms,
    rejected: `${line("rejected", run.buyers)}L${x(points.at(-1)?.t_ms ?? 0)} 100L0 100Z`,
    booked: line("booked", Math.min(run.seats ?? 1, run.buyers ?? 1)),
    faults: faults.map((/** @type {any} */ { name, at_ms, in_time }) => ({ name, at_ms, share: Math.min(1, at_ms / elapsed_ms), inTime: in_time !== false })),
  };
}
