// Where two boards differ: a walk down their hash trees, asking the other for one pair of hashes a round.

/** @typedef {import("../core/digests.js").MerkleTree} MerkleTree */

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
