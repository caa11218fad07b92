// Messages on their way, each kind with a shape of its own.

import { svg } from "/assets/dom.js";

/** @typedef {import("./model.js").Message} Message */
/** @typedef {{dot: SVGElement, from: number, to: number, since: number, lasts_ms: number, isLost: boolean}} Flight */

/** A message travels for about a millisecond: nobody would see it. What is slowed down travels longer. */
const FLIGHT_MS = 420;
const SLOWED = 3;
const FLIGHT_MS_MAX = 2400;
const FLIGHTS_MAX = 120;
/** Heartbeats leave room for what matters more. */
const QUIET_MAX = 70;
/** To the right of its way, so that two that meet are two. */
const ASIDE = 5;

/** @type {Record<string, string>} outlines by letter: entries, votes, snapshots and the rest, as the legend shows them */
const SHAPES = {
  A: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
  a: "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0",
  H: "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0",
  V: "M0-7L7 0L0 7L-7 0z",
  v: "M0-5L5 0L0 5L-5 0z",
  P: "M0-7L7 0L0 7L-7 0z",
  p: "M0-5L5 0L0 5L-5 0z",
  S: "M-6-6h12v12h-12z",
  s: "M-3-3h6v6h-6z",
  T: "M0-7L6.5 5h-13z",
  R: "M0-3.5L3.5 2.5h-7z",
  r: "M0-3.5L3.5 2.5h-7z",
};
const QUIET = new Set(["H", "a", "R", "r"]);
/** Outlined, not filled: questions and answers that change nothing yet. */
const HOLLOW = new Set(["P", "p"]);
const LOST = "M-5-5L5 5M5-5L-5 5";
const REFUSED = 1;

export class Flights {
  /** @type {Flight[]} */
  #flying = [];
  #place;

  /**
   * @param {SVGElement} group where they are drawn
   * @param {(id: number) => [number, number] | null} placeOf a node's middle
   */
  constructor(group, placeOf) {
    this.group = group;
    this.#place = placeOf;
  }

  /**
   * @param {readonly Message[]} messages
   * @param {number} now_ms
   */
  add(messages, now_ms) {
    for (const [kind, from, to, , takes_ms, flag] of messages) {
      const isQuiet = QUIET.has(kind) && flag !== REFUSED;
      if (this.#flying.length >= (isQuiet ? QUIET_MAX : FLIGHTS_MAX)) continue;
      if (this.#place(from) === null || this.#place(to) === null) continue;
      const isLost = takes_ms < 0;
      const dot = svg("path", { d: isLost ? LOST : SHAPES[kind] ?? LOST, class: `flight ${looks(kind, isLost, flag)}`, visibility: "hidden" });
      this.group.append(dot);
      const lasts_ms = Math.min(FLIGHT_MS_MAX, FLIGHT_MS + SLOWED * Math.max(0, takes_ms - 2));
      this.#flying.push({ dot, from, to, since: now_ms, lasts_ms, isLost });
    }
  }

  /** @param {number} now_ms */
  step(now_ms) {
    this.#flying = this.#flying.filter((flight) => {
      const done = (now_ms - flight.since) / flight.lasts_ms;
      const [start, end] = [this.#place(flight.from), this.#place(flight.to)];
      if (done >= 1 || start === null || end === null) {
        flight.dot.remove();
        return false;
      }
      const [x, y] = alongside(start, end, 0.24 + (flight.isLost ? Math.min(done, 0.5) : done) * 0.52);
      flight.dot.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      flight.dot.setAttribute("visibility", "visible");
      return true;
    });
  }

  /** Takes all away. */
  clear() {
    for (const { dot } of this.#flying) dot.remove();
    this.#flying = [];
  }
}

/**
 * A place on the way from one node to another, to the right of the line between them.
 * @param {readonly [number, number]} from
 * @param {readonly [number, number]} to
 * @param {number} share 0 to 1
 * @returns {[number, number]}
 */
export function alongside([x1, y1], [x2, y2], share) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  return [x1 + (x2 - x1) * share - ((y2 - y1) / length) * ASIDE, y1 + (y2 - y1) * share + ((x2 - x1) / length) * ASIDE];
}

/**
 * @param {string} kind
 * @param {boolean} isLost
 * @param {number} flag
 */
function looks(kind, isLost, flag) {
  if (isLost) return "flight-lost";
  if (flag === REFUSED) return "flight-refused";
  if (QUIET.has(kind)) return "flight-quiet";
  return HOLLOW.has(kind) ? "flight-hollow" : "";
}
