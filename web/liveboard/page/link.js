// The connection of this page to its board: comes back by itself, and can be made to misbehave on purpose.

import { delay_ms } from "/assets/backoff.js";
import { decodeFrame, encodeFrame } from "../client/frames.js";

const PING_EVERY_MS = 2000;
const SILENCE_MS = 8000;
const DELAY_MS = 3000;
const SHUFFLE_MS = 1000;
/** Frames about operations: they stay in one line, whatever the faults. */
const ORDERED = ["committed", "synced", "have", "refused", "pruned"];

/** What goodbyes mean to a person, by their reason. */
const GOODBYES = /** @type {Record<number, string>} */ ({
  2: "This link does not open the board. Ask whoever made it for one that does.",
  3: "This board has a password.",
  4: "As many people are here as may be. Come back later.",
  11: "There is no such board, and no room for a new one.",
});

/** @typedef {{type: string, [field: string]: any}} Frame */

/**
 * Dispatches `frame` (detail: a frame), `open`, `bye` (detail: the frame), and `state` (detail: connecting, live, offline,
 * off or error; words).
 */
export class Link extends EventTarget {
  faults = { delay: false, shuffle: false, duplicate: false, cut: false };
  state = "connecting";
  /** The chance that shuffled arrivals follow: with a seed, the same each time. */
  chance = Math.random;
  #url;
  #explain;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  #heardAt = 0;
  #retry = 0;
  /** @type {{frame: Frame, due: number}[]} */
  #held = [];

  /** @param {string} url @param {() => Promise<{state: string, words: string}>} explain why there is no connection */
  constructor(url, explain) {
    super();
    this.#url = url;
    this.#explain = explain;
    setInterval(() => this.#beat(), PING_EVERY_MS);
    setInterval(() => this.#release(), 50);
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.#retry);
    this.#drop();
    if (this.faults.cut) return;
    this.#tell("connecting", this.#attempt ? `Connecting again (${this.#attempt}) …` : "Connecting …");
    const socket = new WebSocket(this.#url, "liveboard.v1");
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => this.dispatchEvent(new Event("open"));
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#arrive(data);
    };
    socket.onclose = () => {
      if (socket === this.#socket) void this.#lost();
    };
  }

  /** @param {Frame} frame @returns {boolean} whether it was handed to the connection */
  send(frame) {
    if (!this.isOpen) return false;
    this.#socket?.send(encodeFrame(frame));
    return true;
  }

  /** @param {keyof Link["faults"]} name @param {boolean} on */
  setFault(name, on) {
    this.faults[name] = on;
    if (name === "cut" && on) {
      clearTimeout(this.#retry);
      this.#drop();
      this.#tell("offline", "Cut off by you. Draw on: it is sent when you heal.");
    } else if (name === "cut") {
      this.#attempt = 0;
      this.connect();
    } else this.#release();
  }

  /** Everything behind the revision is in doubt: come back for it. @param {string} words */
  resync(words) {
    this.#drop();
    this.#again(words, 0);
  }

  /** The board has been taken in up to the server's revision. */
  settled() {
    this.#attempt = 0;
    this.#tell("live", "Live");
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#held = [];
    socket?.close();
  }

  /** @param {ArrayBuffer} data */
  #arrive(data) {
    this.#heardAt = performance.now();
    const frame = decodeFrame(new Uint8Array(data));
    if (frame.type === "bye") this.#bye(frame);
    else if (!ORDERED.includes(frame.type)) this.#emit(frame);
    else {
      const { delay, shuffle } = this.faults;
      this.#held.push({ frame, due: this.#heardAt + (delay ? DELAY_MS : 0) + (shuffle ? SHUFFLE_MS : 0) });
      if (!delay && !shuffle) this.#release();
    }
  }

  #release() {
    const now = performance.now();
    const { delay, shuffle, duplicate } = this.faults;
    const isHealed = !delay && !shuffle;
    const first = this.#held[0];
    if (!first || (!isHealed && first.due > now)) return;
    // Shuffled, all that has gathered goes at once; delayed only, what is due.
    const count = isHealed || shuffle ? this.#held.length : this.#held.filter(({ due }) => due <= now).length;
    const batch = this.#held.splice(0, count).map(({ frame }) => frame);
    const operations = batch.filter(({ type }) => type === "committed").flatMap((frame) => frame.operations);
    // Out of order they go by themselves, as after a resync; then the same once more, in order, for their revisions.
    if (shuffle) for (const each of shuffled(operations, this.chance)) this.#emit({ type: "committed", rev: 0, operations: [each] });
    for (const frame of batch) this.#emit(frame);
    if (duplicate && operations.length) this.#emit({ type: "committed", rev: 0, operations });
  }

  /** @param {Frame} frame */
  #emit(frame) {
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  /** @param {Frame} frame */
  #bye(frame) {
    this.#drop();
    this.dispatchEvent(new CustomEvent("bye", { detail: frame }));
    const words = GOODBYES[frame.reason] ?? `The server said goodbye: ${frame.text}.`;
    if (frame.retryMs === 0 && frame.reason !== 6) this.#tell("error", words);
    else this.#again(words, frame.retryMs);
  }

  async #lost() {
    this.#drop();
    if (this.state === "live") this.#tell("offline", "The connection was lost.");
    const { state, words } = await this.#explain();
    if (!this.#socket && !this.faults.cut) this.#again(words, 0, state);
  }

  /** @param {string} words @param {number} atLeast_ms @param {string} [state] */
  #again(words, atLeast_ms, state = "offline") {
    this.#attempt += 1;
    const wait = delay_ms(this.#attempt, { atLeast_ms });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.connect(), wait);
    this.#tell(state, `${words} Next try in ${(wait / 1000).toFixed(1)} s.`);
  }

  #beat() {
    if (!this.#socket) return;
    if (performance.now() - this.#heardAt > SILENCE_MS) this.resync("The server fell silent.");
    else this.send({ type: "ping", number: 0 });
  }

  /** @param {string} state @param {string} words */
  #tell(state, words) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, words } }));
  }
}

/** @template T @param {T[]} items @param {() => number} chance */
function shuffled(items, chance) {
  return items.map((item) => ({ item, by: chance() })).sort((one, other) => one.by - other.by).map(({ item }) => item);
}
