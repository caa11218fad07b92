// A board's past: what it showed at each revision, and the digest it had there. No I/O.

import { Digest } from "../core/digests.js";
import { Picture } from "../core/picture.js";

/** @typedef {import("../core/types.d.ts").Entry} Entry */
/** @typedef {import("../core/types.d.ts").Operation} Operation */

/** @typedef {{rev: number, digest: string, picture: Picture, operation: Operation | null}} Moment the operation is the last one */

/** Revision 0 is the empty board, revision n what its first n operations come to. */
export class History {
  /** @type {Entry[]} */
  #entries;
  /** By revision, as far as anybody has asked. */
  #digests = [new Digest().hex()];
  #sum = new Digest();
  #picture = new Picture();
  #rev = 0;

  /** @param {Iterable<Entry>} entries in the order of their revisions, from 1 on */
  constructor(entries) {
    this.#entries = [...entries];
  }

  get length() {
    return this.#entries.length;
  }

  /** The board has grown. @param {Entry} entry */
  push(entry) {
    this.#entries.push(entry);
  }

  /**
   * The board as it was. The picture is changed by the next call: draw it at once. A step forward costs one operation, a
   * step back all of them before: some 30 ms for 10,000.
   * @param {number} rev from 0 to `length`; others are brought into that range
   * @returns {Moment}
   */
  at(rev) {
    const wanted = Math.max(0, Math.min(Math.trunc(rev), this.length));
    if (wanted < this.#rev) {
      this.#picture = new Picture();
      this.#rev = 0;
    }
    for (const { operation } of this.#entries.slice(this.#rev, wanted)) this.#picture.add(operation);
    this.#rev = wanted;
    for (const { leaf } of this.#entries.slice(this.#digests.length - 1, wanted)) {
      this.#sum.add(leaf);
      this.#digests.push(this.#sum.hex());
    }
    const digest = this.#digests[wanted] ?? "";
    return { rev: wanted, digest, picture: this.#picture, operation: this.#entries[wanted - 1]?.operation ?? null };
  }
}
