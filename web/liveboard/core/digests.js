// What boards are compared by: a sum that no order changes, and a hash tree (RFC 9162).

import { toHex } from "./bytes.js";
import { sha256 } from "./sha256.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** @param {Uint8Array} bytes an operation's */
export const leafHash = (bytes) => sha256(LEAF, bytes);

/** The sum of all leaf hashes modulo 2^256, most significant byte first: one addition for each operation. */
export class Digest {
  #sum = new Uint8Array(32);

  /** @param {Uint8Array} leaf */
  add(leaf) {
    let carry = 0;
    for (let at = 31; at >= 0; at -= 1) {
      carry += Number(this.#sum[at]) + Number(leaf[at]);
      this.#sum[at] = carry;
      carry >>= 8;
    }
  }

  hex() {
    return toHex(this.#sum);
  }
}

/**
 * The tree over a list that mostly grows at its end. Nothing is hashed until somebody asks; then only what lies right of
 * the leftmost change.
 */
export class MerkleTree {
  /** @type {Uint8Array[]} */
  leaves = [];
  /** @type {Uint8Array[][]} */
  #levels = [];
  #clean = 0;

  /** @param {number} rank @param {Uint8Array} leaf */
  insert(rank, leaf) {
    this.leaves.splice(rank, 0, leaf);
    this.#clean = Math.min(this.#clean, rank);
  }

  /** The level at which node 0 is the root. */
  get height() {
    return this.leaves.length < 2 ? 0 : 32 - Math.clz32(this.leaves.length - 1);
  }

  root() {
    return this.node(this.height, 0) ?? sha256();
  }

  /**
   * The tree hash of the leaves from index·2^level on, at most 2^level of them.
   * @param {number} level
   * @param {number} index
   * @returns {Uint8Array | undefined}
   */
  node(level, index) {
    if (level === 0) return this.leaves[index];
    this.#grow();
    if (level <= this.#levels.length) return this.#levels[level - 1]?.[index];
    return index === 0 ? this.node(this.#levels.length, 0) : undefined;
  }

  #grow() {
    if (this.#clean === this.leaves.length && this.#levels.length === this.height) return;
    let below = this.leaves;
    let clean = this.#clean;
    for (let level = 0; level < this.height; level += 1) {
      /** @type {Uint8Array[]} */
      const row = (this.#levels[level] ??= []);
      clean >>= 1;
      row.length = clean;
      for (let at = 2 * clean; at < below.length; at += 2) {
        const left = /** @type {Uint8Array} */ (below[at]);
        const right = below[at + 1];
        // An odd one at the end rises as it is.
        row.push(right ? sha256(NODE, left, right) : left);
      }
      below = row;
    }
    this.#clean = this.leaves.length;
  }
}
