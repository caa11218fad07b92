// The page's side of the worker that draws: tells it of marks once, and asks it for pictures.

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("./tile_worker.js").Ask} Ask */
/**
 * What of the board a picture shows: pixels at a scale, right and below of (x, y), counted from the board's origin; with
 * `only`, these marks alone; on `paper`, or on nothing.
 * @typedef {{scale: number, x: number, y: number, width: number, height: number, only?: string[] | null, paper?: string}} Part
 */

export class Renderer {
  #worker = new Worker(new URL("./tile_worker.js", import.meta.url), { type: "module" });
  /** @type {Map<number, (bitmap: ImageBitmap) => void>} */
  #jobs = new Map();
  #next = 1;
  /** Operations that the worker has. @type {Set<string>} */
  #told = new Set();

  constructor() {
    this.#worker.onmessage = ({ data: { id, bitmap } }) => {
      const done = this.#jobs.get(id);
      this.#jobs.delete(id);
      done?.(bitmap);
    };
  }

  /** @param {import("./painter.js").Theme} theme */
  dress(theme) {
    this.#ask({ type: "theme", theme });
  }

  /** @param {string} sha256 @param {ImageBitmap} bitmap stays the caller's */
  async image(sha256, bitmap) {
    const copy = await createImageBitmap(bitmap);
    this.#worker.postMessage({ type: "image", sha256, bitmap: copy }, [copy]);
  }

  /** How marks look now: what is asked for later shows it. @param {Map<string, Shown | undefined>} marks */
  put(marks) {
    const told = [...marks].map(([key, shown]) => {
      if (!shown) return { key, look: null };
      const { operation, ...look } = shown;
      if (this.#told.has(key)) return { key, look };
      this.#told.add(key);
      return { key, operation, look };
    });
    this.#ask({ type: "marks", marks: told });
  }

  /**
   * Has a part of the board drawn. Answers come in the order of the asking.
   * @param {Part} part @param {(bitmap: ImageBitmap) => void} done
   * @returns {number} of this job
   */
  draw({ only = null, paper = "", ...part }, done) {
    const id = this.#next;
    this.#next += 1;
    this.#jobs.set(id, done);
    this.#ask({ type: "tile", id, ...part, only, paper });
    return id;
  }

  /** The same, to wait for. @param {Part} part @returns {Promise<ImageBitmap>} */
  picture(part) {
    return new Promise((resolve) => this.draw(part, resolve));
  }

  /** @param {Ask} ask */
  #ask(ask) {
    this.#worker.postMessage(ask);
  }
}
