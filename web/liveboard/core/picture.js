// What a board shows: the fold of its operations in their order, kept up to date one at a time, in whatever order.

import { Writer, toHex } from "./bytes.js";
import { compare, isMark, keyOf, rankIn } from "./operations.js";
import { sha256 } from "./sha256.js";

/** @typedef {import("./types.d.ts").Operation} Operation */
/** @typedef {import("./types.d.ts").Shown} Shown */
/** @typedef {import("./types.d.ts").Range} Range */
/** @typedef {Shown["operation"]} MarkOperation */

/** The rules are those of docs/liveboard-protocol.md, "What shows". */
export class Picture {
  /** All marks in the board's order, shown or not. @type {MarkOperation[]} */
  marks = [];
  /** @type {Map<string, Operation>} */
  #operations = new Map();
  /** @type {Map<string, Shown>} */
  #shown = new Map();
  /** By target, in order; also for those not here yet. @type {Map<string, {stamp: Operation, at: number}[]>} */
  #changes = new Map();
  /** @type {{operation: Operation, seen: Map<string, number>}[]} */
  #clears = [];
  /** The latest word of a target's own site. @type {Map<string, Operation & {kind: "visibility"}>} */
  #visibility = new Map();

  /** The marks that show, the lowest first. @returns {Iterable<Shown>} */
  *shown() {
    for (const mark of this.marks) {
      const shown = this.#shown.get(keyOf(mark));
      if (shown) yield shown;
    }
  }

  /** @param {string} key of `keyOf`; undefined for what does not show */
  get(key) {
    return this.#shown.get(key);
  }

  /** @param {string} key whether an operation's own site has taken it back */
  isHidden(key) {
    return this.#visibility.get(key)?.visible === false;
  }

  /**
   * Takes one more operation into account.
   * @param {Operation} operation
   * @returns {Set<string>} the keys of the marks whose appearance may have changed
   */
  add(operation) {
    const key = keyOf(operation);
    if (this.#operations.has(key)) return new Set();
    this.#operations.set(key, operation);
    if (isMark(operation)) {
      this.marks.splice(rankIn(this.marks, operation, (mark) => mark), 0, /** @type {MarkOperation} */ (operation));
    } else if (operation.kind === "clear") {
      this.#clears.push({ operation, seen: new Map(operation.seen) });
    } else if ("targets" in operation) {
      operation.targets.forEach((target, at) => {
        const changes = this.#changes.get(keyOf(target)) ?? [];
        this.#changes.set(keyOf(target), changes);
        changes.splice(rankIn(changes, operation, (change) => change.stamp), 0, { stamp: operation, at });
      });
    }
    const affected =
      operation.kind === "visibility" ? operation.seqs.flatMap((seq) => this.#show(operation, seq)) : this.#affected(key);
    return this.#redraw(affected);
  }

  /** SHA-256 of everything that shows, in order, in hex: equal digests are equal pictures. */
  digest() {
    const writer = new Writer();
    for (const { operation, color, size, opacity, fill, dx, dy, removed } of this.shown()) {
      writer.hex(operation.site, 8);
      for (const number of [operation.seq, color, size, opacity, fill ?? 0]) writer.varint(number);
      writer.signed(dx);
      writer.signed(dy);
      for (const number of [removed.length, ...removed.flat()]) writer.varint(number);
    }
    return toHex(sha256(writer.bytes()));
  }

  /** @param {Operation & {kind: "visibility"}} operation @param {number} seq */
  #show(operation, seq) {
    const key = keyOf({ site: operation.site, seq });
    const latest = this.#visibility.get(key);
    if (latest && compare(latest, operation) > 0) return [];
    this.#visibility.set(key, operation);
    return this.#affected(key);
  }

  /** @param {string} key the marks whose look depends on whether it counts */
  #affected(key) {
    const operation = this.#operations.get(key);
    if (!operation) return [];
    if (operation.kind === "clear") {
      const seen = new Map(operation.seen);
      return this.marks.filter((mark) => isSeen(mark, seen)).map(keyOf);
    }
    return "targets" in operation ? operation.targets.map(keyOf) : [key];
  }

  /** @param {string[]} keys */
  #redraw(keys) {
    /** @type {Set<string>} */
    const redrawn = new Set();
    for (const key of keys) {
      const mark = this.#operations.get(key);
      if (!mark || !isMark(mark)) continue;
      const shown = this.#look(key, /** @type {MarkOperation} */ (mark));
      if (shown) this.#shown.set(key, shown);
      else this.#shown.delete(key);
      redrawn.add(key);
    }
    return redrawn;
  }

  /** @param {string} key @param {MarkOperation} mark @returns {Shown | null} */
  #look(key, mark) {
    if (this.isHidden(key)) return null;
    if (this.#clears.some(({ operation, seen }) => isSeen(mark, seen) && !this.isHidden(keyOf(operation)))) return null;
    const { color, size, opacity } = mark.kind === "image" ? { color: 0, size: 1, opacity: 100 } : mark;
    const fill = "fill" in mark ? mark.fill : null;
    const shown = { operation: mark, dx: 0, dy: 0, color, size, opacity, fill, removed: /** @type {Range[]} */ ([]) };
    for (const { stamp: change, at } of this.#changes.get(key) ?? []) {
      if (this.isHidden(keyOf(change))) continue;
      if (change.kind === "move") {
        shown.dx += change.dx;
        shown.dy += change.dy;
      } else if (change.kind === "restyle") {
        shown.color = change.color ?? shown.color;
        shown.size = change.size ?? shown.size;
        shown.opacity = change.opacity ?? shown.opacity;
        if (fill !== null) shown.fill = change.fill ?? shown.fill;
      } else if (change.kind === "erase") {
        const ranges = change.targets[at]?.ranges ?? [];
        if (ranges.length === 0) return null;
        shown.removed.push(...ranges);
      }
    }
    const count = mark.kind === "stroke" ? mark.points.length / 2 : 0;
    shown.removed = united(shown.removed, count);
    return count > 0 && shown.removed[0]?.[1] === count ? null : shown;
  }
}

/** @param {Operation} mark @param {Map<string, number>} seen */
const isSeen = (mark, seen) => mark.seq <= (seen.get(mark.site) ?? 0);

/**
 * The points 0..count-1 in any of the ranges, as ranges that do not touch.
 * @param {Range[]} ranges
 * @param {number} count
 */
export function united(ranges, count) {
  /** @type {Range[]} */
  const result = [];
  for (const [start, length] of ranges.sort((one, other) => one[0] - other[0])) {
    const end = Math.min(start + length, count);
    const last = result.at(-1);
    if (start >= count) break;
    if (last && start <= last[0] + last[1]) last[1] = Math.max(last[1], end - last[0]);
    else result.push([start, end - start]);
  }
  return result;
}
