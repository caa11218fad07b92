// This page's part in the board: its copy, its connection, its own steps to undo. No drawing.

import { keyOf } from "../core/operations.js";
import { toHex } from "../core/bytes.js";
import { openOutbox } from "../client/outbox.js";
import { Replica } from "../client/replica.js";
import { Link } from "./link.js";
import { Others } from "./presence.js";
import { Steps } from "./steps.js";

/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {import("../client/outbox.js").Outbox} Outbox */
/** @typedef {{key: string, password: string, name: string, color: number}} Person */

const REPORT_EVERY_MS = 300;
const AGAIN_MS = 1000;
const TAKE_OVER_EVERY_MS = 5000;
/** Of one frame of operations; the server takes 256 KiB. */
const OFFER_BYTES_MAX = 48 * 1024;

/** @param {number} length */
const randomHex = (length) => toHex(crypto.getRandomValues(new Uint8Array(length)));

/**
 * Dispatches `picture` (detail: keys) when marks look different, `people` when somebody came, moved or reported, `change`
 * for anything else that shows in words, `fresh` (detail: others' operations that came), `saved` (detail: keys), `lost`
 * (detail: reasons), `state` (detail as of the link), `bye` (detail: the frame).
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
  steps = new Steps();
  /** Keeps what is not saved, for when this page is gone; null until it is open. @type {Outbox | null} */
  outbox = null;
  /** Who this page says it is; `password` is of the room. @type {Person} */
  person;
  #reportTimer = 0;

  /** @param {string} url of the socket @param {() => Promise<any>} explain @param {Person} person */
  constructor(url, explain, person) {
    super();
    this.person = person;
    this.link = new Link(url, explain);
    this.link.addEventListener("open", () => this.link.send(this.replica.hello(this.person)));
    this.link.addEventListener("frame", (event) => this.#take(/** @type {CustomEvent} */ (event).detail));
    this.link.addEventListener("state", (event) => this.#state(/** @type {CustomEvent} */ (event).detail));
    this.link.addEventListener("bye", (event) => this.#tell("bye", /** @type {CustomEvent} */ (event).detail));
  }

  /** From now on what is not saved outlives this page; takes over what pages that are gone left. @param {string} room */
  async keep(room) {
    this.outbox = await openOutbox(room);
    void this.outbox.sync(this.replica);
    await this.#takeOver();
    setInterval(() => void this.#takeOver(), TAKE_OVER_EVERY_MS);
  }

  /** Comes as somebody else, or with another password. @param {Partial<Person>} person */
  enter(person) {
    Object.assign(this.person, person);
    this.link.connect();
  }

  /**
   * Does something of one's own; it shows at once. Throws `CodecError` when the body is none.
   * @param {Body} body @param {number} [lamport]
   * @returns {string} the key of the operation
   */
  do(body, lamport) {
    return String(this.doAll([body], lamport)[0]);
  }

  /** Does several things that are one step to undo. @param {Body[]} bodies @param {number} [lamport] of the first */
  doAll(bodies, lamport) {
    const ids = this.#make(bodies, lamport);
    this.steps.did(ids);
    this.#tell("change");
    return ids.map(keyOf);
  }

  /** Takes back one's own last step, whatever others did since. */
  undo() {
    this.#show(this.steps.undo(this.replica.identity.site), false);
  }

  redo() {
    this.#show(this.steps.redo(this.replica.identity.site), true);
  }

  /** @param {number[]} seqs @param {boolean} visible */
  #show(seqs, visible) {
    if (seqs.length) this.#make([{ kind: "visibility", visible, seqs }]);
    this.#tell("change");
  }

  /** @param {Body[]} bodies @param {number} [lamport] */
  #make(bodies, lamport) {
    /** @type {Set<string>} */
    const keys = new Set();
    const made = bodies.map((body, at) => {
      const { entry, changed } = this.replica.make(body, at === 0 ? lamport : undefined);
      for (const key of changed) keys.add(key);
      return entry;
    });
    if (this.replica.isSynced) {
      /** @type {Uint8Array[]} */
      let operations = [];
      let size = 0;
      for (const { bytes } of made) {
        if (size + bytes.length > OFFER_BYTES_MAX && operations.length) {
          this.#send({ type: "offer", operations });
          [operations, size] = [[], 0];
        }
        operations.push(bytes);
        size += bytes.length + 4;
      }
      this.#send({ type: "offer", operations });
    }
    void this.outbox?.sync(this.replica);
    this.#tell("picture", keys);
    return made.map(({ operation: { site, seq } }) => ({ site, seq }));
  }

  /** What pages that are gone left unsaved becomes this page's to save. */
  async #takeOver() {
    const keys = await this.outbox?.takeOver(this.replica);
    if (!keys?.size) return;
    this.#tell("picture", keys);
    this.#offerAll();
    this.#tell("change");
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
    if (frame.type === "committed") this.#came(frame);
    if (frame.type === "refused" && frame.reason === 11) setTimeout(() => this.#offerAll(), AGAIN_MS);
    if (frame.type === "synced") this.link.settled();
    for (const key of effects.saved) this.sent.delete(key);
    this.savedCount += effects.saved.length;
    if (effects.saved.length) this.#tell("saved", effects.saved);
    if (effects.lost.length) this.#tell("lost", effects.lost);
    if (effects.changed.size) this.#tell("picture", effects.changed);
    if (effects.saved.length || effects.lost.length) void this.outbox?.sync(this.replica);
    this.#reportSoon();
    this.#tell("change");
  }

  /** Operations of others among what was saved just now. @param {import("./link.js").Frame} frame */
  #came(frame) {
    const { isSynced, history, saved } = this.replica;
    // By revision where that is known; in the board's order an operation may lie deep beneath.
    const entries = isSynced && frame.rev ? (history ?? saved.entries).slice(-frame.operations.length) : [];
    const fresh = entries.map(({ operation }) => operation).filter(({ site }) => site !== this.replica.identity.site);
    for (const { kind, site } of fresh) if (kind === "stroke") this.others.done(site);
    if (fresh.length) this.#tell("fresh", fresh);
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
      this.others.clear();
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
