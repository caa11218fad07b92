// One page's copy of a board: what is saved, what is still its own alone, and what to tell the server. No I/O, no clock.

import { INTEGER_MAX } from "../core/bytes.js";
import { encodeOperation } from "../core/codec.js";
import { keyOf } from "../core/operations.js";
import { entryOf, OperationSet } from "../core/opset.js";
import { Picture } from "../core/picture.js";
import { FRAME_OPERATIONS_MAX, PROTOCOL_VERSION } from "./frames.js";
import { restamped } from "./restamp.js";

/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {import("../core/types.d.ts").Entry} Entry */
/** @typedef {{type: string, [field: string]: any}} Frame */

/** Why an operation is refused, by the number on the wire. */
export const REFUSALS = [
  "", "malformed", "site", "gap", "equivocation", "clock", "floor", "retired", "forbidden", "limit", "board-full", "rate",
];
/** After these, all that is not saved is stamped anew under another site. */
const RESTAMPED = ["equivocation", "clock", "floor", "retired"];
const NOTHING = "0".repeat(64);
const OFFER_BYTES_MAX = 48 * 1024;

/**
 * What became of a frame: what to send, which marks look different, which operations were saved or lost for good.
 * `problem` says that the connection is of no more use: close it and connect again.
 * @typedef {object} Effects
 * @property {Frame[]} send
 * @property {Set<string>} changed keys of marks
 * @property {string[]} saved keys of own operations
 * @property {{key: string, reason: string}[]} lost
 * @property {string} [problem]
 */

/** A site's identity: `site` in public, `token` to prove it. @typedef {{site: string, token: string}} Identity */

export class Replica {
  /** What the server has said is saved. Its digest is the one to compare. */
  saved = new OperationSet();
  /** What shows: saved and unsaved. */
  picture = new Picture();
  /** The last revision without a gap before it. */
  rev = 0;
  /** What is saved by revision, from 1 on, for time travel; null after a resync, which brings no revisions. @type {Entry[] | null} */
  history = [];
  floor = 0;
  isSynced = false;
  /** @type {Identity} */
  identity;
  /** Own operations that are not saved yet, in the order of their making. @type {Entry[]} */
  unsaved = [];
  /** Earlier identities with operations still unsaved. @type {Identity[]} */
  earlier = [];
  /** @type {Map<string, string>} by key, in hex: the server's word that it had the operation */
  receipts = new Map();
  #seq = 0;
  /** The highest clock of what is unsaved. */
  #ownLamport = 0;
  #isResyncing = false;
  #drawIdentity;

  /** @param {() => Identity} drawIdentity sixteen and thirty-two random hex digits, new at each call */
  constructor(drawIdentity) {
    this.#drawIdentity = drawIdentity;
    this.identity = drawIdentity();
  }

  /** The clock for the next operation: reserved at pointer-down, a stroke keeps its place in the order of marks. */
  get nextLamport() {
    return Math.min(Math.max(this.saved.lamportMax, this.#ownLamport, this.floor) + 1, INTEGER_MAX);
  }

  /**
   * Makes an operation of one's own; it shows at once. Keep its bytes (IndexedDB) before sending `offers`.
   * Throws `CodecError` when the body is not one.
   * @param {Body} body
   * @param {number} [lamport] as reserved
   * @returns {{entry: Entry, changed: Set<string>}}
   */
  make(body, lamport = this.nextLamport) {
    const stamp = { site: this.identity.site, seq: this.#seq + 1, lamport: Math.max(lamport, this.floor + 1) };
    const entry = entryOf(encodeOperation(/** @type {any} */ ({ ...body, ...stamp })));
    this.#seq += 1;
    this.#ownLamport = Math.max(this.#ownLamport, stamp.lamport);
    this.unsaved.push(entry);
    return { entry, changed: this.picture.add(entry.operation) };
  }

  /**
   * Takes up what an earlier page left unsaved, under the identity it had.
   * @param {Identity} identity
   * @param {Uint8Array[]} operations in the order of their seq
   */
  resume(identity, operations) {
    const entries = operations.map(entryOf).filter(({ operation }) => !this.saved.get(operation));
    if (entries.length === 0) return new Set();
    this.earlier.push(identity);
    this.unsaved.unshift(...entries);
    this.#ownLamport = highest(this.unsaved);
    return new Set(entries.flatMap(({ operation }) => [...this.picture.add(operation)]));
  }

  /**
   * The first frame of a connection.
   * @param {{key?: string, password?: string, name: string, color: number}} person
   * @returns {Frame}
   */
  hello({ key = "", password = "", name, color }) {
    this.isSynced = false;
    const digest = this.rev ? this.saved.digest : NOTHING;
    return { type: "hello", version: PROTOCOL_VERSION, ...this.identity, key, password, name, color, rev: this.rev, digest };
  }

  /** Everything unsaved, as frames to send once synced; sending it again does no harm. @returns {Frame[]} */
  offers() {
    const claims = this.earlier.map((identity) => ({ type: "claim", ...identity }));
    return [...claims, ...offersOf(this.unsaved)];
  }

  /** What this replica has, for everybody to compare. @returns {Frame} */
  report() {
    return { type: "report", rev: this.rev, digest: this.saved.digest };
  }

  /**
   * Takes in a frame of the server; those that say nothing of operations have no effect here.
   * @param {Frame} frame
   * @returns {Effects}
   */
  receive(frame) {
    /** @type {Effects} */
    const effects = { send: [], changed: new Set(), saved: [], lost: [] };
    if (frame.type === "welcome") this.#welcome(frame, effects);
    else if (frame.type === "committed") this.#committed(frame, effects);
    else if (frame.type === "synced") this.#synced(frame, effects);
    else if (frame.type === "have") this.#drop(({ operation }) => operation.site === frame.site && operation.seq <= frame.seq, effects);
    else if (frame.type === "refused") this.#refused(frame, effects);
    else if (frame.type === "pruned") this.#pruned(frame);
    return effects;
  }

  /** @param {Frame} frame @param {Effects} effects */
  #welcome(frame, effects) {
    this.floor = frame.floor;
    if (!frame.resync) return;
    // What this replica has is no beginning of the server's board: both send what the other lacks.
    effects.send.push({ type: "known", versions: this.saved.sortedVersions() });
    const missing = this.saved.missingIn(new Map(frame.versions));
    const operations = missing.map(({ operation, bytes }) => ({ receipt: this.receipts.get(keyOf(operation)) ?? "", bytes }));
    for (const part of parts(operations.filter(({ receipt }) => receipt))) effects.send.push({ type: "restore", operations: part });
    this.rev = 0;
    this.history = null;
    this.#isResyncing = true;
  }

  /** @param {Frame} frame @param {Effects} effects */
  #committed(frame, effects) {
    if (frame.rev > this.rev + 1) effects.problem = `revision ${this.rev + 1} is missing`;
    if (effects.problem) return;
    /** @type {Set<string>} */
    const keys = new Set();
    for (const [at, { receipt, bytes }] of frame.operations.entries()) {
      // The bytes lie in the whole message, which need not stay.
      const entry = entryOf(bytes.slice());
      const key = keyOf(entry.operation);
      if (this.saved.add(entry) === "equivocation") effects.problem = `the server has another ${key}`;
      this.receipts.set(key, receipt);
      if (frame.rev && this.history?.length === frame.rev + at - 1) this.history.push(entry);
      for (const mark of this.picture.add(entry.operation)) effects.changed.add(mark);
      keys.add(key);
    }
    // What a resync brings stands under revision 0: it has its places, but not one after another.
    if (frame.rev) this.rev = Math.max(this.rev, frame.rev + frame.operations.length - 1);
    if (this.unsaved.length) this.#drop(({ operation }) => keys.has(keyOf(operation)), effects);
  }

  /** @param {Frame} frame @param {Effects} effects */
  #synced(frame, effects) {
    this.rev = frame.rev;
    if (frame.digest !== this.saved.digest && !this.#isResyncing) effects.problem = `the digest at revision ${frame.rev} differs`;
    this.isSynced = true;
    this.#isResyncing = false;
    effects.send.push(...this.offers());
  }

  /** @param {Frame} frame @param {Effects} effects */
  #refused({ site, seq, reason, detail }, effects) {
    const key = keyOf({ site, seq });
    const name = REFUSALS[reason] ?? `reason ${reason}`;
    const at = this.unsaved.findIndex(({ operation }) => keyOf(operation) === key);
    if (at < 0) return;
    if (name === "gap" && this.unsaved.some(({ operation }) => operation.site === site && operation.seq === detail)) {
      effects.send.push(...offersOf(this.unsaved.filter(({ operation }) => operation.site === site)));
      return;
    }
    if (name === "rate") return;
    const rest = this.unsaved.filter(({ operation }) => operation.site === site && operation.seq >= seq);
    const dropped = [...RESTAMPED, "gap"].includes(name) ? [] : rest.splice(0, 1);
    for (const { operation } of dropped) effects.lost.push({ key: keyOf(operation), reason: name });
    this.#restamp(site, rest, dropped, effects);
  }

  /**
   * Gives what is not saved a new site: a number that was refused is never used for anything else.
   * @param {string} site
   * @param {Entry[]} entries
   * @param {Entry[]} dropped
   * @param {Effects} effects
   */
  #restamp(site, entries, dropped, effects) {
    const gone = new Set([...entries, ...dropped]);
    this.unsaved = this.unsaved.filter((entry) => !gone.has(entry));
    this.earlier = this.earlier.filter((identity) => identity.site !== site);
    if (site === this.identity.site) {
      if (this.unsaved.some(({ operation }) => operation.site === site)) this.earlier.push(this.identity);
      this.identity = this.#drawIdentity();
      this.#seq = 0;
      effects.send.push({ type: "claim", ...this.identity });
    }
    this.#ownLamport = highest(this.unsaved);
    const { made, lost } = restamped(entries, this.identity.site, this.#seq, this.nextLamport);
    this.#seq += made.length;
    this.unsaved.push(...made);
    this.#ownLamport = highest(this.unsaved);
    for (const key of lost) effects.lost.push({ key, reason: "restamped" });
    this.#redraw(effects);
    effects.send.push(...offersOf(made));
  }

  /** @param {(entry: Entry) => boolean} isSaved @param {Effects} effects */
  #drop(isSaved, effects) {
    for (const entry of this.unsaved) if (isSaved(entry)) effects.saved.push(keyOf(entry.operation));
    this.unsaved = this.unsaved.filter((entry) => !isSaved(entry));
    this.earlier = this.earlier.filter(({ site }) => this.unsaved.some(({ operation }) => operation.site === site));
  }

  /** The picture anew: an operation that was shown is no more. @param {Effects} effects */
  #redraw(effects) {
    const before = [...this.picture.shown()].map(({ operation }) => keyOf(operation));
    this.picture = new Picture();
    for (const { operation } of [...this.saved.entries, ...this.unsaved]) this.picture.add(operation);
    for (const key of [...before, ...this.picture.marks.map(keyOf)]) effects.changed.add(key);
  }

  /** @param {Frame} frame */
  #pruned({ floor, operations }) {
    this.floor = floor;
    for (const bytes of operations) this.saved.replacePruned(entryOf(bytes.slice()));
  }
}

/** @param {Entry[]} entries the highest clock among them */
const highest = (entries) => entries.reduce((most, { operation }) => Math.max(most, operation.lamport), 0);

/** @param {Entry[]} entries @returns {Frame[]} */
const offersOf = (entries) => parts(entries).map((part) => ({ type: "offer", operations: part.map(({ bytes }) => bytes) }));

/**
 * Lists that fit a frame each.
 * @template {{bytes: Uint8Array}} T
 * @param {T[]} items
 */
function parts(items) {
  /** @type {T[][]} */
  const result = [];
  let size = Infinity;
  for (const item of items) {
    const last = result.at(-1);
    size += item.bytes.length + 24;
    if (!last || size > OFFER_BYTES_MAX || last.length >= FRAME_OPERATIONS_MAX) {
      result.push([item]);
      size = item.bytes.length + 24;
    } else last.push(item);
  }
  return result;
}
