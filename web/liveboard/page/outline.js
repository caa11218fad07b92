// The shape of strokes: a smooth line through their points, or with pressures the outline of a line that swells.

/**
 * What takes a path: a `Path2D`, or the text of an SVG.
 * @typedef {object} Sink
 * @property {(x: number, y: number) => void} moveTo
 * @property {(x: number, y: number) => void} lineTo
 * @property {(cx: number, cy: number, x: number, y: number) => void} quadraticCurveTo
 * @property {() => void} closePath
 */
/** @typedef {[x: number, y: number]} Point */

const CAP_STEPS = 6;

/** Half the width where the pen pressed so hard; a mouse presses 128. @param {number} size @param {number} pressure 0 to 255 */
export const radiusOf = (size, pressure) => (size / 2) * (0.45 + (1.1 * pressure) / 255);

/**
 * The runs of points that are left of a stroke, as [first, end).
 * @param {number} count
 * @param {[start: number, length: number][]} removed ascending, not touching
 * @returns {[number, number][]}
 */
export function runsOf(count, removed) {
  /** @type {[number, number][]} */
  const runs = [];
  let first = 0;
  for (const [start, length] of [...removed, [count, 0]]) {
    if (Number(start) > first) runs.push([first, Number(start)]);
    first = Number(start) + Number(length);
  }
  return runs;
}

/**
 * A line through the points: curves from middle to middle, so that corners of the hand are none on the board.
 * @param {Sink} sink
 * @param {Point[]} points
 */
export function traceLine(sink, points) {
  const [first] = points;
  if (!first) return;
  sink.moveTo(...first);
  for (let at = 1; at + 1 < points.length; at += 1) {
    const [[x, y], [nextX, nextY]] = [pointOf(points, at), pointOf(points, at + 1)];
    sink.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  // A dot is a line of no length, which round ends make visible.
  sink.lineTo(...pointOf(points, points.length - 1));
}

/**
 * The outline of a line of changing width, to be filled.
 * @param {Sink} sink
 * @param {Point[]} points
 * @param {number[]} radii one for each point
 */
export function traceOutline(sink, points, radii) {
  /** @type {Point[]} */
  let piece = [];
  /** @type {number[]} */
  let widths = [];
  points.forEach((point, at) => {
    const before = piece.at(-1);
    if (before && before[0] === point[0] && before[1] === point[1]) {
      widths[widths.length - 1] = Math.max(Number(widths.at(-1)), Number(radii[at]));
      return;
    }
    if (isSharp(piece.at(-2), before, point)) {
      // Round a sharp corner an outline would cross itself: two pieces with round ends meet there.
      closed(sink, piece, widths);
      piece = piece.slice(-1);
      widths = widths.slice(-1);
    }
    piece.push(point);
    widths.push(Number(radii[at]));
  });
  closed(sink, piece, widths);
}

/** @param {Point | undefined} one @param {Point | undefined} two @param {Point} three */
function isSharp(one, two, three) {
  if (!one || !two) return false;
  return (two[0] - one[0]) * (three[0] - two[0]) + (two[1] - one[1]) * (three[1] - two[1]) < 0;
}

/** @param {Sink} sink @param {Point[]} points @param {number[]} radii */
function closed(sink, points, radii) {
  /** @type {Point[]} */
  const left = [];
  /** @type {Point[]} */
  const right = [];
  points.forEach(([x, y], at) => {
    const [ax, ay] = pointOf(points, Math.max(at - 1, 0));
    const [bx, by] = pointOf(points, Math.min(at + 1, points.length - 1));
    const length = Math.hypot(bx - ax, by - ay) || 1;
    const radius = Number(radii[at]);
    const [nx, ny] = points.length === 1 ? [0, radius] : [((ay - by) / length) * radius, ((bx - ax) / length) * radius];
    left.push([x + nx, y + ny]);
    right.push([x - nx, y - ny]);
  });
  const last = points.length - 1;
  const around = [
    ...left,
    ...cap(pointOf(points, last), pointOf(left, last)),
    ...right.reverse(),
    ...cap(pointOf(points, 0), pointOf(right, last)),
  ];
  const [startX, startY] = middle(pointOf(around, around.length - 1), pointOf(around, 0));
  sink.moveTo(startX, startY);
  around.forEach((point, at) => {
    const [x, y] = middle(point, pointOf(around, (at + 1) % around.length));
    sink.quadraticCurveTo(...point, x, y);
  });
  sink.closePath();
}

/** Half a circle, from a point of it clockwise to the opposite one, both left out. @param {Point} centre @param {Point} from */
function cap([cx, cy], [fromX, fromY]) {
  /** @type {Point[]} */
  const arc = [];
  for (let step = 1; step < CAP_STEPS; step += 1) {
    const turn = (-Math.PI * step) / CAP_STEPS;
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
    arc.push([cx + (fromX - cx) * cos - (fromY - cy) * sin, cy + (fromX - cx) * sin + (fromY - cy) * cos]);
  }
  return arc;
}

/** @param {Point} one @param {Point} other @returns {Point} */
const middle = (one, other) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];

/** @param {Point[]} points @param {number} at */
const pointOf = (points, at) => /** @type {Point} */ (points[at]);
