// The freehand of an .excalidraw file as strokes; whatever else is in it is counted and left out.

import { UNITS_PER_PIXEL } from "../core/operations.js";

/** Points of one stroke, well within the bytes of an operation; a longer line becomes several, each from the last's end. */
const POINTS = 4000;
/** Excalidraw draws freehand this many times as wide as an element's `strokeWidth`. */
const FREEHAND_WIDTH = 4.25;

/**
 * @param {any} elements
 * @param {(what: string) => void} skip is told of each that is left out
 * @returns {any[] | null} marks, not checked yet; null when there is no list of elements
 */
export function excalidrawMarks(elements, skip) {
  if (!Array.isArray(elements)) return null;
  return elements.flatMap((element) => {
    if (element?.isDeleted) return [];
    if (element?.type === "freedraw" && Array.isArray(element.points) && element.points.every(Array.isArray)) return strokesOf(element);
    skip(typeof element?.type === "string" ? element.type.slice(0, 24) : "what has no type");
    return [];
  });
}

/** @param {any} element */
function strokesOf(element) {
  const { points, pressures, simulatePressure } = element;
  const hasPressures = !simulatePressure && Array.isArray(pressures) && pressures.length === points.length;
  const placed = placedPoints(element);
  const style = {
    color: colorOf(element.strokeColor),
    size: Math.max(1, Math.round(element.strokeWidth * FREEHAND_WIDTH * UNITS_PER_PIXEL)),
    opacity: Math.max(1, Math.min(100, Math.round(element.opacity ?? 100))),
  };
  const strokes = [];
  for (let first = 0; first === 0 || first < points.length - 1; first += POINTS - 1) {
    const end = first + POINTS;
    strokes.push({
      kind: "stroke",
      tool: "pen",
      ...style,
      points: placed.slice(2 * first, 2 * end),
      pressures: hasPressures ? pressures.slice(first, end).map((/** @type {number} */ value) => Math.round(value * 255)) : null,
    });
  }
  return strokes;
}

/** Where its points lie on the board: they are told from the element's corner, before it is turned about its middle. @param {any} element */
function placedPoints({ x, y, points, angle }) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [dx, dy] of points) [left, top, right, bottom] = [Math.min(left, dx), Math.min(top, dy), Math.max(right, dx), Math.max(bottom, dy)];
  const [middleX, middleY] = [x + (left + right) / 2, y + (top + bottom) / 2];
  const [cosine, sine] = [Math.cos(angle || 0), Math.sin(angle || 0)];
  return points.flatMap((/** @type {[number, number]} */ [dx, dy]) => {
    const [fromX, fromY] = [x + dx - middleX, y + dy - middleY];
    return [middleX + fromX * cosine - fromY * sine, middleY + fromX * sine + fromY * cosine].map((value) => Math.round(value * UNITS_PER_PIXEL));
  });
}

/** @param {any} text `#rgb` or `#rrggbb`, perhaps with an opacity behind it; anything else is ink */
function colorOf(text) {
  const [, short, long] = /^#(?:([0-9a-f]{3})[0-9a-f]?|([0-9a-f]{6})(?:[0-9a-f]{2})?)$/i.exec(String(text)) ?? [];
  const digits = long ?? (short ? [...short].map((digit) => digit + digit).join("") : "1e1e1e");
  return parseInt(digits, 16);
}
