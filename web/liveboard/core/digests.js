// What boards are compared by: a sum that no order changes, and a hash tree (RFC 9162) that finds where they differ.

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
 * The tree over a list of leaf hashes that mostly grows at its end. Nothing is hashed until somebody asks; then only
 * what lies right of the leftmost change.
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
   * The tree hash of the leaves from index·2^level on, 2^level of them or as many as there are; above the root, node 0
   * is the root.
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

/**
 * Finds the first place at which two boards' orders differ, asking one pair of hashes a round: about log2 of the number
 * of operations. `probe` names the node whose children are wanted; when it is null, `place` is the rank, or null.
 */
export class DifferenceWalk {
  #mine;
  #level;
  #index = 0;
  rounds = 0;

  /** @param {MerkleTree} mine @param {number} theirHeight @param {Uint8Array} theirRoot */
  constructor(mine, theirHeight, theirRoot) {
    this.#mine = mine;
    this.#level = same(mine.root(), theirRoot) ? -1 : Math.max(mine.height, theirHeight);
  }

  get probe() {
    return this.#level > 0 ? { level: this.#level, index: this.#index } : null;
  }

  get place() {
    return this.#level === 0 ? this.#index : null;
  }

  /** @param {Uint8Array | undefined} left the other's node (level - 1, 2 · index); the right one follows from it */
  answer(left) {
    this.rounds += 1;
    this.#level -= 1;
    this.#index *= 2;
    if (same(this.#mine.node(this.#level, this.#index), left)) this.#index += 1;
  }
}

/** @param {Uint8Array | undefined} one @param {Uint8Array | undefined} other */
const same = (one, other) => one && other ? one.every((byte, at) => byte === other[at]) : one === other;
