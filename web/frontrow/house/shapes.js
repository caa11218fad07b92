// Shapes on a plan: boxes, hulls, what is inside, and points found by where they are. Pure.

/** @typedef {{left: number, top: number, right: number, bottom: number}} Box */

const CELLS_A_SIDE_MAX = 256;

/**
 * The smallest box around points.
 * @param {Iterable<readonly [number, number]>} points
 * @returns {Box} of nothing, it is turned inside out: everything joins it
 */
export function boxOf(points) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const [x, y] of points) {
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  return box;
}

/**
 * @param {readonly Box[]} boxes
 * @returns {Box}
 */
export function around(boxes) {
  return boxOf(boxes.flatMap(({ left, top, right, bottom }) => [/** @type {const} */ ([left, top]), /** @type {const} */ ([right, bottom])]));
}

/**
 * The convex hull (Andrew's monotone chain).
 * @param {readonly (readonly [number, number])[]} points
 * @returns {(readonly [number, number])[]} its corners in turn
 */
export function hull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  if (sorted.length < 3) return sorted;
  return [...chain(sorted), ...chain(sorted.reverse())];
}

/**
 * @param {readonly (readonly [number, number])[]} points sorted
 * @returns {(readonly [number, number])[]} one side of the hull, without its last point
 */
function chain(points) {
  const kept = /** @type {(readonly [number, number])[]} */ ([]);
  for (const c of points) {
    for (;;) {
      const [a, b] = [kept.at(-2), kept.at(-1)];
      if (a === undefined || b === undefined || (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0) break;
      kept.pop();
    }
    kept.push(c);
  }
  return kept.slice(0, -1);
}

/**
 * Whether a point is inside a polygon.
 * @param {readonly number[]} outline x and y in turn
 * @param {number} x
 * @param {number} y
 * @returns {boolean}
 */
export function isInside(outline, x, y) {
  let inside = false;
  for (let a = 0, b = outline.length - 2; a < outline.length; b = a, a += 2) {
    const [ax, ay] = [outline[a] ?? 0, outline[a + 1] ?? 0];
    const [bx, by] = [outline[b] ?? 0, outline[b + 1] ?? 0];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** Points in cells, so that those of a part of the plan are found without asking all of them. Never changes. */
export class PointGrid {
  #x;
  #y;
  /** @type {Box} */
  #box;
  /** @type {number} */
  #size;
  /** @type {number} */
  #columns;
  /** @type {number} */
  #lines;
  /** @type {Uint32Array} where each cell begins in `#members` */
  #starts;
  /** @type {Uint32Array} */
  #members;

  /**
   * @param {Float32Array} x
   * @param {Float32Array} y
   * @param {number} size of a cell, or more where there would be too many
   */
  constructor(x, y, size) {
    this.#x = x;
    this.#y = y;
    this.#box = boxOf(Array.from(x, (each, place) => /** @type {const} */ ([each, y[place] ?? 0])));
    if (x.length === 0) this.#box = { left: 0, top: 0, right: 0, bottom: 0 };
    const longest = Math.max(this.#box.right - this.#box.left, this.#box.bottom - this.#box.top);
    this.#size = Math.max(size, longest / CELLS_A_SIDE_MAX, 1e-6);
    this.#columns = Math.floor((this.#box.right - this.#box.left) / this.#size) + 1;
    this.#lines = Math.floor((this.#box.bottom - this.#box.top) / this.#size) + 1;
    this.#starts = new Uint32Array(this.#columns * this.#lines + 1);
    this.#members = new Uint32Array(x.length);
    const cellOf = (/** @type {number} */ point) => this.#line(y[point] ?? 0) * this.#columns + this.#column(x[point] ?? 0);
    for (let point = 0; point < x.length; point += 1) this.#starts[cellOf(point) + 1] = (this.#starts[cellOf(point) + 1] ?? 0) + 1;
    for (let cell = 1; cell < this.#starts.length; cell += 1) this.#starts[cell] = (this.#starts[cell] ?? 0) + (this.#starts[cell - 1] ?? 0);
    const next = this.#starts.slice();
    for (let point = 0; point < x.length; point += 1) {
      const cell = cellOf(point);
      const place = next[cell] ?? 0;
      this.#members[place] = point;
      next[cell] = place + 1;
    }
  }

  /**
   * Calls `visit` with every point in a box.
   * @param {Box} box
   * @param {(point: number) => void} visit
   */
  forEachIn(box, visit) {
    if (box.right < this.#box.left || box.left > this.#box.right || box.bottom < this.#box.top || box.top > this.#box.bottom) return;
    const [from, to] = [this.#column(box.left), this.#column(box.right)];
    for (let line = this.#line(box.top); line <= this.#line(box.bottom); line += 1) {
      const begin = this.#starts[line * this.#columns + from] ?? 0;
      const end = this.#starts[line * this.#columns + to + 1] ?? 0;
      for (let place = begin; place < end; place += 1) {
        const point = this.#members[place] ?? 0;
        const [x, y] = [this.#x[point] ?? 0, this.#y[point] ?? 0];
        if (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) visit(point);
      }
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} reach
   * @returns {number} the nearest point within reach, -1 when there is none
   */
  nearest(x, y, reach) {
    let found = -1;
    let least = reach * reach;
    this.forEachIn({ left: x - reach, top: y - reach, right: x + reach, bottom: y + reach }, (point) => {
      const away = ((this.#x[point] ?? 0) - x) ** 2 + ((this.#y[point] ?? 0) - y) ** 2;
      if (away <= least) [found, least] = [point, away];
    });
    return found;
  }

  /**
   * @param {number} x
   * @returns {number}
   */
  #column(x) {
    return Math.min(this.#columns - 1, Math.max(0, Math.floor((x - this.#box.left) / this.#size)));
  }

  /**
   * @param {number} y
   * @returns {number}
   */
  #line(y) {
    return Math.min(this.#lines - 1, Math.max(0, Math.floor((y - this.#box.top) / this.#size)));
  }
}
