// Finds the boxes that meet a box: cells of as many sizes as there are sizes of boxes, so that each box is in few of them.

/** @typedef {import("./geometry.js").Box} Box */

const LEVEL_MIN = 9;

export class BoxIndex {
  /** By level, then by cell. @type {Map<number, Map<string, Set<string>>>} */
  #levels = new Map();
  /** @type {Map<string, Box>} */
  #boxes = new Map();

  get size() {
    return this.#boxes.size;
  }

  /** @param {string} key */
  get(key) {
    return this.#boxes.get(key);
  }

  /** All boxes. */
  boxes() {
    return this.#boxes.values();
  }

  /** @param {string} key @param {Box} box in place of the one it had */
  set(key, box) {
    this.delete(key);
    this.#boxes.set(key, box);
    const level = levelOf(box);
    const cells = this.#levels.get(level) ?? new Map();
    this.#levels.set(level, cells);
    for (const cell of cellsOf(box, level)) {
      const keys = cells.get(cell) ?? new Set();
      cells.set(cell, keys);
      keys.add(key);
    }
  }

  /** @param {string} key */
  delete(key) {
    const box = this.#boxes.get(key);
    if (!box) return;
    this.#boxes.delete(key);
    const level = levelOf(box);
    const cells = this.#levels.get(level);
    for (const cell of cellsOf(box, level)) {
      const keys = cells?.get(cell);
      keys?.delete(key);
      if (keys?.size === 0) cells?.delete(cell);
    }
    if (cells?.size === 0) this.#levels.delete(level);
  }

  /** The keys of the boxes that meet it, in no order. @param {Box} box @returns {Set<string>} */
  meeting(box) {
    /** @type {Set<string>} */
    const found = new Set();
    /** @param {Set<string>} keys */
    const take = (keys) => {
      for (const key of keys) {
        const other = /** @type {Box} */ (this.#boxes.get(key));
        if (other.x0 <= box.x1 && other.x1 >= box.x0 && other.y0 <= box.y1 && other.y1 >= box.y0) found.add(key);
      }
    };
    for (const [level, cells] of this.#levels) {
      const side = 2 ** level;
      const many = (Math.floor(box.x1 / side) - Math.floor(box.x0 / side) + 1) * (Math.floor(box.y1 / side) - Math.floor(box.y0 / side) + 1);
      // Of a wide look it is shorter to go through the cells that are there.
      if (many > cells.size) for (const keys of cells.values()) take(keys);
      else for (const cell of cellsOf(box, level)) take(cells.get(cell) ?? new Set());
    }
    return found;
  }
}

/** The least level whose cells are as large as the box. @param {Box} box */
function levelOf({ x0, y0, x1, y1 }) {
  return Math.max(LEVEL_MIN, Math.ceil(Math.log2(Math.max(x1 - x0, y1 - y0, 1))));
}

/** @param {Box} box @param {number} level */
function* cellsOf({ x0, y0, x1, y1 }, level) {
  const side = 2 ** level;
  for (let row = Math.floor(y0 / side); row <= Math.floor(y1 / side); row += 1) {
    for (let column = Math.floor(x0 / side); column <= Math.floor(x1 / side); column += 1) yield `${column},${row}`;
  }
}
