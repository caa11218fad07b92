// A client that asks at a steady rate and keeps count of every request. Pure: who answers and when it is are passed in.

/** Browsers allow six HTTP/1.1 connections per host, two of which are this page's streams. */
export const UNDER_WAY_MAX = 4;
const KEPT_MAX = 120;

/**
 * `from`: who answered, "cache" for the cache. `isFallback`: it was not the first that was tried.
 * @typedef {{from: string, isFallback: boolean}} Origin
 * @typedef {object} Asked
 * @property {number} number from 1
 * @property {"running" | "answered" | "failed" | "stopped"} state
 * @property {Origin | null} origin
 * @property {string} reason why it failed
 *
 * @typedef {object} Counts
 * @property {number} sent
 * @property {number} answered
 * @property {number} cached of those answered
 * @property {number} fellBack of those answered
 * @property {number} failed
 * @property {number} running
 * @property {number} heldBack turns at which too many were under way, so that none was sent
 */

export class SteadyClient {
  /** @type {Counts} */
  counts = { sent: 0, answered: 0, cached: 0, fellBack: 0, failed: 0, running: 0, heldBack: 0 };
  /** @type {Asked[]} the newest requests, oldest first */
  latest = [];
  #ask;
  #onChange;

  /**
   * @param {(number: number) => Promise<Origin>} ask one request; rejects when it has failed
   * @param {() => void} onChange
   */
  constructor(ask, onChange) {
    this.#ask = ask;
    this.#onChange = onChange;
  }

  /** Sends one request, unless as many as may be are under way. */
  turn() {
    if (this.counts.running >= UNDER_WAY_MAX) {
      this.counts.heldBack += 1;
      this.#onChange();
      return;
    }
    this.counts.sent += 1;
    this.counts.running += 1;
    /** @type {Asked} */
    const asked = { number: this.counts.sent, state: "running", origin: null, reason: "" };
    this.latest.push(asked);
    if (this.latest.length > KEPT_MAX) this.latest.shift();
    this.#onChange();
    this.#ask(asked.number).then(
      (origin) => {
        asked.state = "answered";
        asked.origin = origin;
        this.counts.answered += 1;
        if (origin.from === "cache") this.counts.cached += 1;
        if (origin.isFallback) this.counts.fellBack += 1;
        this.#ended();
      },
      (error) => {
        // Who stops has not been failed.
        const isStopped = error instanceof DOMException && error.name === "AbortError";
        asked.state = isStopped ? "stopped" : "failed";
        asked.reason = error instanceof Error ? error.message : String(error);
        if (!isStopped) this.counts.failed += 1;
        this.#ended();
      },
    );
  }

  #ended() {
    this.counts.running -= 1;
    this.#onChange();
  }
}

/**
 * What to say to the `number`th request: every third repeats one of a few questions, the others are asked only once.
 * @param {number} number
 * @param {string} session something that no other visit has
 * @returns {string}
 */
export function questionFor(number, session) {
  const repeated = ["What is a circuit breaker?", "Name a prime number.", "How do I say hello?"];
  if (number % 3 === 0) return repeated[(number / 3) % repeated.length] ?? "";
  return `Request ${number} of a steady stream, visit ${session}.`;
}

/**
 * What is wrong with an answer that came, for an answer to another question is none.
 * @param {{text: string, isEcho: boolean}} answer
 * @param {string} question
 * @returns {string} "" when nothing is
 */
export function faultOf({ text, isEcho }, question) {
  if (text === "") return "the answer is empty";
  if (isEcho && text !== question) return "the answer is not the one to this question";
  return "";
}

/**
 * The promise that the counts stand for.
 * @param {Counts} counts
 * @returns {"none" | "running" | "holds" | "broke"}
 */
export function verdictOf({ sent, answered, failed, running }) {
  if (failed > 0) return "broke";
  if (answered > 0) return "holds";
  return sent > 0 && running > 0 ? "running" : "none";
}
