// What there is to draw, where it is, and what changed: the picture of a board with boxes. In the page and in its worker.

import { compare, keyOf } from "../core/operations.js";
import { BoxIndex } from "./box_index.js";
import { boxOf, holds, touches, united } from "./geometry.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./layout.js").Measure} Measure */
/** What a change of a mark touches; `isOnTop` when it is new, and above all others. @typedef {{key: string, box: Box, isOnTop: boolean}} Change */

export class Scene {
  #index = new BoxIndex();
  /** @type {Map<string, Shown>} */
  #marks = new Map();
  /** The highest mark that was ever there. @type {Shown["operation"] | null} */
  #top = null;
  #measure;
  /** Counts changes: what was computed of the scene holds as long as this is the same. */
  version = 0;

  /** @param {Measure} measure */
  constructor(measure) {
    this.#measure = measure;
  }

  get size() {
    return this.#marks.size;
  }

  /** @param {string} key */
  get(key) {
    return this.#marks.get(key);
  }

  /** @param {string} key */
  boxOf(key) {
    return this.#index.get(key);
  }

  /** Everything together; null when it is empty. */
  get bounds() {
    return united(this.#index.boxes());
  }

  /** @returns {Iterable<Shown>} in no order */
  marks() {
    return this.#marks.values();
  }

  /**
   * Takes over how a mark looks now.
   * @param {string} key
   * @param {Shown | undefined} shown nothing: it does not show
   * @returns {Change[]} where that has to be drawn anew
   */
  put(key, shown) {
    this.version += 1;
    const before = this.#index.get(key);
    /** @type {Change[]} */
    const changes = before ? [{ key, box: before, isOnTop: false }] : [];
    if (!shown) {
      this.#marks.delete(key);
      this.#index.delete(key);
      return changes;
    }
    const box = boxOf(shown, this.#measure);
    this.#marks.set(key, shown);
    this.#index.set(key, box);
    const isOnTop = !this.#top || compare(this.#top, shown.operation) < 0;
    if (isOnTop) this.#top = shown.operation;
    changes.push({ key, box, isOnTop: isOnTop && !before });
    return changes;
  }

  /**
   * Becomes another picture, for going through time.
   * @param {Iterable<Shown>} picture
   * @returns {Map<string, Shown | undefined>} what is to be `put`
   */
  differences(picture) {
    /** @type {Map<string, Shown | undefined>} */
    const changed = new Map();
    const left = new Set(this.#marks.keys());
    for (const shown of picture) {
      const key = keyOf(shown.operation);
      left.delete(key);
      if (!looksSame(this.#marks.get(key), shown)) changed.set(key, shown);
    }
    for (const key of left) changed.set(key, undefined);
    return changed;
  }

  /** The marks that meet a box, the lowest first. @param {Box} box @returns {Shown[]} */
  in(box) {
    const found = [...this.#index.meeting(box)].map((key) => /** @type {Shown} */ (this.#marks.get(key)));
    return found.sort((one, other) => compare(one.operation, other.operation));
  }

  /** The marks that lie within a box. @param {Box} box @returns {Shown[]} */
  within(box) {
    return this.in(box).filter(({ operation }) => holds(box, /** @type {Box} */ (this.#index.get(keyOf(operation)))));
  }

  /** The marks at a point, the highest first. @param {number} x @param {number} y @param {number} reach @returns {Shown[]} */
  at(x, y, reach) {
    const near = this.in({ x0: x - reach, y0: y - reach, x1: x + reach, y1: y + reach }).reverse();
    return near.filter((shown) => touches(shown, /** @type {Box} */ (this.#index.get(keyOf(shown.operation))), x, y, reach));
  }
}

/** @param {Shown | undefined} one @param {Shown} other */
function looksSame(one, other) {
  if (one === other) return true;
  if (!one) return false;
  const fields = /** @type {const} */ (["dx", "dy", "color", "size", "opacity", "fill"]);
  return fields.every((field) => one[field] === other[field]) && one.removed.join() === other.removed.join();
}
