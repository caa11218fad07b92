// This page's part in the board: its copy, its connection, its own steps to undo. No drawing.

import { keyOf } from "../core/operations.js";
import { toHex } from "../core/bytes.js";
import { Replica } from "../client/replica.js";
import { Link } from "./link.js";
import { Others } from "./presence.js";

/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {{site: string, seq: number}} Step */

const REPORT_EVERY_MS = 300;
const AGAIN_MS = 1000;

/** @param {number} length */
const randomHex = (length) => toHex(crypto.getRandomValues(new Uint8Array(length)));

/**
 * Dispatches `picture` when marks look different, `people` when somebody came, moved or reported, `change` for anything
 * else that shows in words, `saved` (detail: keys), `lost` (detail: reasons), `state` (detail as of the link).
 */
export class Board extends EventTarget {
  replica = new Replica(() => ({ site: randomHex(8), token: randomHex(16) }));
  others = new Others();
  /** @type {Map<number, {rev: number, digest: string}>} by number of person */
  reports = new Map();
  /** @type {Set<string>} keys of what was handed to this connection */
  sent = new Set();
  savedCount = 0;
  me = 0;
  role = 1;
  mayChangeOthers = true;
  title = "";
  #person;
  /** @type {Step[]} */
  #done = [];
  /** @type {Step[]} */
  #undone = [];
  #reportTimer = 0;

  /** @param {string} url of the socket @param {() => Promise<any>} explain @param {{key: string, name: string, color: number}} person */
  constructor(url, explain, person) {
    super();
    this.#person = person;
    this.link = new Link(url, explain);
    this.link.addEventListener("open", () => this.link.send(this.replica.hello(this.#person)));
    this.link.addEventListener("frame", (event) => this.#take(/** @type {CustomEvent} */ (event).detail));
    this.link.addEventListener("state", (event) => this.#state(/** @type {CustomEvent} */ (event).detail));
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** @param {string} name what others see */
  rename(name) {
    this.#person.name = name;
    this.link.connect();
  }

  /** Does something of one's own; it shows at once. @param {Body} body @param {number} [lamport] */
  do(body, lamport) {
    const operation = this.#make(body, lamport);
    this.#done.push({ site: operation.site, seq: operation.seq });
    this.#undone = [];
    this.#tell("change");
  }

  undo() {
    this.#flip(this.#done, this.#undone, false);
  }

  redo() {
    this.#flip(this.#undone, this.#done, true);
  }

  /** @param {Step[]} from @param {Step[]} to @param {boolean} visible */
  #flip(from, to, visible) {
    const step = from.pop();
    // Of an earlier name of this page nothing can be said any more.
    if (step?.site === this.replica.identity.site) {
      this.#make({ kind: "visibility", visible, seqs: [step.seq] });
      to.push(step);
    }
    this.#tell("change");
  }

  /** @param {Body} body @param {number} [lamport] */
  #make(body, lamport) {
    const { entry } = this.replica.make(body, lamport);
    if (this.replica.isSynced) this.#send({ type: "offer", operations: [entry.bytes] });
    this.#tell("picture");
    return entry.operation;
  }

  /** @param {import("./link.js").Frame} frame */
  #send(frame) {
    if (!this.link.send(frame) || frame.type !== "offer") return;
    const bytes = new Set(frame.operations);
    for (const each of this.replica.unsaved) if (bytes.has(each.bytes)) this.sent.add(keyOf(each.operation));
  }

  /** @param {import("./link.js").Frame} frame */
  #take(frame) {
    if (frame.type === "welcome") this.#welcome(frame);
    else if (frame.type === "people") this.#people(frame);
    else if (frame.type === "moves") this.others.moved(frame, this.me);
    else if (frame.type === "reports") {
      for (const { person, rev, digest } of frame.reports) this.reports.set(person, { rev, digest });
    }
    if (["people", "moves", "reports"].includes(frame.type)) {
      this.#tell(frame.type === "moves" ? "moves" : "people");
      return;
    }
    if (frame.type === "pong") return;
    const effects = this.replica.receive(frame);
    if (effects.problem) {
      this.replica.isSynced = false;
      this.link.resync(`Out of step: ${effects.problem}.`);
      return;
    }
    for (const each of effects.send) this.#send(each);
    if (frame.type === "committed") for (const { operation } of this.#fresh(frame)) this.others.done(operation.site);
    if (frame.type === "refused" && frame.reason === 11) setTimeout(() => this.#offerAll(), AGAIN_MS);
    if (frame.type === "synced") this.link.settled();
    for (const key of effects.saved) this.sent.delete(key);
    this.savedCount += effects.saved.length;
    if (effects.saved.length) this.#tell("saved", effects.saved);
    if (effects.lost.length) this.#tell("lost", effects.lost);
    if (effects.changed.size) this.#tell("picture");
    this.#reportSoon();
    this.#tell("change");
  }

  /** @param {import("./link.js").Frame} frame the strokes of others in it */
  #fresh(frame) {
    const entries = this.replica.saved.entries.slice(-frame.operations.length);
    return entries.filter(({ operation }) => operation.kind === "stroke" && operation.site !== this.replica.identity.site);
  }

  /** @param {import("./link.js").Frame} frame */
  #welcome(frame) {
    this.me = frame.person;
    this.role = frame.role;
    this.mayChangeOthers = frame.others;
    this.title = frame.title;
    this.reports.clear();
    this.sent.clear();
  }

  /** @param {import("./link.js").Frame} frame */
  #people(frame) {
    this.others.listed(frame);
    for (const number of [...this.reports.keys()]) if (!this.others.people.has(number)) this.reports.delete(number);
  }

  /** @param {{state: string, words: string}} detail */
  #state(detail) {
    if (detail.state !== "live") {
      this.replica.isSynced = false;
      this.sent.clear();
      this.others.people.clear();
      this.others.cursors.clear();
      this.others.ink.clear();
      this.reports.clear();
      this.#tell("people");
    }
    this.#tell("state", detail);
  }

  #offerAll() {
    if (this.replica.isSynced) for (const frame of this.replica.offers()) this.#send(frame);
  }

  #reportSoon() {
    if (this.#reportTimer) return;
    this.#reportTimer = setTimeout(() => {
      this.#reportTimer = 0;
      if (this.replica.isSynced) this.link.send(this.replica.report());
    }, REPORT_EVERY_MS);
  }

  /** @param {string} type @param {unknown} [detail] */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
