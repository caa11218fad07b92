// A connection that is kept: it comes back by itself, resumes where it was, and always says how it stands.

import { delay_ms } from "./backoff.js";
import { Problem, problemFrom } from "./fetch.js";
import { EventParser } from "./sse.js";

/** A connection that ends sooner counts as one more failure, so that a server that hangs up at once is left alone. */
const STEADY_AFTER_MS = 5000;

const NETWORK_SIGNS = /** @type {const} */ (["online", "offline"]);

/** @typedef {import("./sse.js").ServerEvent} ServerEvent */

/**
 * `connecting` for the first time · `live` · `stale` connected, but nothing heard for too long · `waiting` to try
 * again at `retryAt` · `paused` while nobody looks · `closed` for good.
 * @typedef {object} StreamState
 * @property {"connecting" | "live" | "stale" | "waiting" | "paused" | "closed"} name
 * @property {number} failures in a row
 * @property {number | null} heardAt Unix milliseconds
 * @property {number | null} retryAt Unix milliseconds
 * @property {Problem | null} problem why the last connection ended
 */

/**
 * @typedef {object} StreamOptions
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(state: StreamState) => void} [onState]
 * @property {number} [staleAfter_ms] silence that makes it stale; three times as much ends the connection
 * @property {boolean} [pauseWhenHidden] browsers allow six HTTP/1.1 connections per host over all tabs: a hidden
 *   tab must not hold one
 */

/** A server-sent event stream over fetch: unlike EventSource it can set headers, and shows its failures. */
export class Stream {
  /** @type {StreamState} */
  state = { name: "connecting", failures: 0, heardAt: null, retryAt: null, problem: null };
  #url;
  #options;
  #parser = new EventParser();
  /** @type {AbortController | null} */
  #connection = null;
  /** @type {number | null} when this connection first said something */
  #liveSince = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watch;

  /**
   * @param {string} url
   * @param {StreamOptions} options
   */
  constructor(url, options) {
    this.#url = url;
    this.#options = { staleAfter_ms: 5000, pauseWhenHidden: true, ...options };
    if (this.#options.pauseWhenHidden && typeof document !== "undefined") {
      document.addEventListener("visibilitychange", this.#onVisibility);
    }
    if (typeof window !== "undefined") for (const sign of NETWORK_SIGNS) window.addEventListener(sign, this.#onNetwork);
    if (this.#isHidden()) this.#become({ name: "paused" });
    else this.#open();
  }

  /** Ends it for good. */
  close() {
    this.#disconnect();
    if (typeof document !== "undefined") document.removeEventListener("visibilitychange", this.#onVisibility);
    if (typeof window !== "undefined") for (const sign of NETWORK_SIGNS) window.removeEventListener(sign, this.#onNetwork);
    this.#become({ name: "closed", retryAt: null });
  }

  /** Tries now instead of at `retryAt`. */
  retryNow() {
    if (this.state.name === "waiting" || this.state.name === "stale") this.#open();
  }

  #open() {
    this.#disconnect();
    const connection = new AbortController();
    this.#connection = connection;
    this.#liveSince = null;
    this.#become({ name: "connecting", retryAt: null });
    this.#watch = setInterval(() => this.#checkSilence(), 1000);
    this.#read(connection.signal).then(
      () => this.#lost(connection, null),
      (error) => this.#lost(connection, error),
    );
  }

  /** @param {AbortSignal} signal */
  async #read(signal) {
    const headers = /** @type {Record<string, string>} */ ({ accept: "text/event-stream" });
    if (this.#parser.lastId !== "") headers["last-event-id"] = this.#parser.lastId;
    this.#parser = Object.assign(new EventParser(), { lastId: this.#parser.lastId });
    const response = await fetch(this.#url, { headers, signal, cache: "no-store" });
    if (!response.ok || response.body === null) throw problemFrom(response, await response.text());
    this.#heard();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.#heard();
      for (const event of this.#parser.push(value)) this.#options.onEvent(event);
    }
  }

  /**
   * @param {AbortController} connection
   * @param {unknown} error
   */
  #lost(connection, error) {
    if (connection !== this.#connection) return;
    this.#disconnect();
    if (error !== null && !(error instanceof Problem) && !(error instanceof TypeError)) console.error(error);
    const problem = error instanceof Problem ? error : new Problem({ kind: "offline", detail: "The stream ended." });
    const lasted = this.#liveSince !== null && Date.now() - this.#liveSince > STEADY_AFTER_MS;
    const failures = (lasted ? 0 : this.state.failures) + 1;
    const wait = delay_ms(failures, { atLeast_ms: problem.retryAfter_ms ?? 0 });
    this.#become({ name: "waiting", failures, problem, retryAt: Date.now() + wait });
    this.#retryTimer = setTimeout(() => this.#open(), wait);
  }

  #heard() {
    this.state.heardAt = Date.now();
    this.#liveSince ??= this.state.heardAt;
    if (this.state.name !== "live") this.#become({ name: "live", problem: null });
  }

  #checkSilence() {
    const { heardAt } = this.state;
    const allowed = this.#options.staleAfter_ms ?? 5000;
    if (heardAt === null) return;
    if (Date.now() - heardAt > 3 * allowed && this.#connection !== null) {
      this.#lost(this.#connection, new Problem({ kind: "timeout", detail: "Nothing was heard." }));
    } else if (Date.now() - heardAt > allowed && this.state.name === "live") this.#become({ name: "stale" });
  }

  #disconnect() {
    clearTimeout(this.#retryTimer);
    clearInterval(this.#watch);
    const connection = this.#connection;
    this.#connection = null;
    connection?.abort();
  }

  #onVisibility = () => {
    if (this.state.name === "closed") return;
    if (this.#isHidden()) {
      this.#disconnect();
      this.#become({ name: "paused", retryAt: null });
    } else if (this.state.name === "paused") this.#open();
  };

  // A connection over a network that is gone, or is another now, stays silent: a new one tells how things stand. Where
  // there is nothing between page and host it succeeds at once, whatever the browser thinks of its network.
  #onNetwork = () => {
    if (this.state.name !== "closed" && this.state.name !== "paused") this.#open();
  };

  #isHidden() {
    return this.#options.pauseWhenHidden && typeof document !== "undefined" && document.hidden;
  }

  /** @param {Partial<StreamState>} change */
  #become(change) {
    this.state = { ...this.state, ...change };
    this.#options.onState?.(this.state);
  }
}
