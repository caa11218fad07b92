// The set of a board's operations: the whole state, of which versions, digests and picture are functions.

import { fromHex, toHex } from "./bytes.js";
import { decodeOperation } from "./codec.js";
import { Digest, leafHash, MerkleTree } from "./digests.js";
import { keyOf, rankIn } from "./operations.js";

/** @typedef {import("./types.d.ts").Entry} Entry */
/** @typedef {import("./types.d.ts").Versions} Versions */

/**
 * Throws `CodecError`. The bytes are kept, not copied.
 * @param {Uint8Array} bytes
 * @returns {Entry}
 */
export function entryOf(bytes) {
  const operation = decodeOperation(bytes);
  return { operation, bytes, leaf: operation.kind === "pruned" ? fromHex(operation.hash) : leafHash(bytes) };
}

/** Grows by `add` and by nothing else. */
export class OperationSet {
  /** All entries in the board's order. @type {Entry[]} */
  entries = [];
  tree = new MerkleTree();
  lamportMax = 0;
  /** How far each site is known without a gap. @type {Map<string, number>} */
  versions = new Map();
  /** @type {Map<string, Entry>} */
  #byKey = new Map();
  #digest = new Digest();

  get size() {
    return this.entries.length;
  }

  /** The sum of all hashes in hex, the same in whatever order they came. */
  get digest() {
    return this.#digest.hex();
  }

  /** The hash of all operations in the board's order, in hex. */
  get root() {
    return toHex(this.tree.root());
  }

  /** @param {import("./types.d.ts").OpId} id */
  get(id) {
    return this.#byKey.get(keyOf(id));
  }

  /**
   * Takes an operation into the set, unless it is there, or another one is there under its id.
   * @param {Entry} entry
   * @returns {"new" | "known" | "equivocation"}
   */
  add(entry) {
    const { operation, leaf } = entry;
    const known = this.get(operation);
    if (known) return toHex(known.leaf) === toHex(leaf) ? "known" : "equivocation";
    this.#byKey.set(keyOf(operation), entry);
    const rank = rankIn(this.entries, operation, (item) => item.operation);
    this.entries.splice(rank, 0, entry);
    this.tree.insert(rank, leaf);
    this.#digest.add(leaf);
    this.lamportMax = Math.max(this.lamportMax, operation.lamport);
    const { site } = operation;
    let seq = this.versions.get(site) ?? 0;
    while (this.#byKey.has(keyOf({ site, seq: seq + 1 }))) seq += 1;
    if (seq) this.versions.set(site, seq);
    return "new";
  }

  /**
   * Puts a pruned entry in the place of the whole one, if that is here; no digest changes.
   * @param {Entry} entry
   */
  replacePruned(entry) {
    const known = this.get(entry.operation);
    if (!known || toHex(known.leaf) !== toHex(entry.leaf)) return false;
    Object.assign(known, entry);
    return true;
  }

  /** @returns {Versions} sorted by site */
  sortedVersions() {
    return [...this.versions].sort(([one], [other]) => (one < other ? -1 : 1));
  }

  /**
   * What a replica with those versions lacks of these, in the board's order.
   * @param {Map<string, number>} versions
   */
  missingIn(versions) {
    return this.entries.filter(({ operation }) => operation.seq > (versions.get(operation.site) ?? 0));
  }
}
