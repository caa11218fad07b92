// Colour, width and fill of what is selected, and what they mean for each kind of mark.

import { UNITS_PER_PIXEL } from "../core/operations.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {{color?: number, width?: number, fill?: number}} Wish width in pixels at zoom 1 */

export const HIGHLIGHTER_WIDTHS = 4;
/** A note has paper, also when no fill was chosen; a fill is the colour + 1. */
export const NOTE_FILL = 0xfbe7a1 + 1;
/** Heights of letters for widths of the pen, in units. */
const LETTERS = [
  [3, 144],
  [7, 208],
  [Infinity, 352],
];

/** The height of letters that goes with a width of the pen. @param {number} width in pixels */
export const lettersOf = (width) => Number(LETTERS.find(([most]) => width <= Number(most))?.[1]);

/** The size that a mark takes of a width. @param {Shown} shown @param {number} width in pixels */
export function sizeOf({ operation }, width) {
  if (operation.kind === "text") return lettersOf(width);
  const size = Math.max(1, Math.round(width * UNITS_PER_PIXEL));
  return operation.kind === "stroke" && operation.tool === "highlighter" ? HIGHLIGHTER_WIDTHS * size : size;
}

/**
 * The operations that restyle marks as wished: as few as there are sizes among them. Images have no style.
 * @param {Shown[]} marks sorted as targets are
 * @param {Wish} wish
 * @returns {Body[]}
 */
export function restyled(marks, { color, width, fill }) {
  /** @type {Map<number, Shown[]>} */
  const groups = new Map();
  for (const shown of marks) {
    if (shown.operation.kind === "image" || (fill !== undefined && !isFillable(shown))) continue;
    const size = width === undefined ? 0 : sizeOf(shown, width);
    groups.set(size, [...(groups.get(size) ?? []), shown]);
  }
  return [...groups].map(([size, group]) => ({
    kind: "restyle",
    targets: group.map(({ operation: { site, seq } }) => ({ site, seq })),
    ...(color !== undefined && { color }),
    ...(size && { size }),
    ...(fill !== undefined && { fill }),
  }));
}

/** @param {Shown} shown whether it has an area to fill */
export function isFillable({ operation }) {
  if (operation.kind === "shape") return operation.form === "rectangle" || operation.form === "ellipse";
  return operation.kind === "text";
}
