// The host's own state, followed once per page and shared by all who show a part of it.

import { Stream } from "./stream.js";

/** @typedef {import("./stream.js").StreamState} StreamState */

/**
 * @typedef {object} Figure
 * @property {string} label
 * @property {number | string | null} value
 * @property {string} [unit]
 * @property {number | null} [measured_at] Unix seconds
 */

/**
 * @typedef {object} Card
 * @property {string} plugin
 * @property {string} title
 * @property {string} href
 * @property {string} hard_thing
 * @property {string} promise
 * @property {string} [proof_url]
 * @property {Record<string, unknown>} [proof_body]
 * @property {string} state
 * @property {Figure[]} figures
 */

/**
 * @typedef {object} PluginState
 * @property {string} name
 * @property {string} state
 * @property {boolean} [enabled]
 * @property {number} [restarts]
 * @property {string | null} [reason]
 * @property {number} [since_s] seconds in this state
 * @property {string[]} [tasks]
 * @property {{name: string, required: boolean, error: string, age_s: number | null}[]} [checks]
 */

/**
 * @typedef {object} Overview
 * @property {Card[]} cards
 * @property {{version?: string, uptime_s?: number, started_at?: number | string, loop_lag_ms?: number, tasks?: number,
 *   plugins: PluginState[]}} host
 */

/**
 * @typedef {object} Listener
 * @property {(overview: Overview) => void} [onOverview]
 * @property {(state: StreamState) => void} [onState]
 */

/** @type {Set<Listener>} */
const listeners = new Set();
/** @type {Stream | null} */
let stream = null;
/** @type {Overview | null} */
let latest = null;

/**
 * Follows the overview; what is known already is told at once.
 * @param {Listener} listener
 * @returns {() => void} stops following
 */
export function follow(listener) {
  listeners.add(listener);
  if (latest !== null) listener.onOverview?.(latest);
  if (stream === null) {
    stream = new Stream("/-/events", { onEvent: received, onState: changed });
  } else listener.onState?.(stream.state);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      stream?.close();
      stream = null;
    }
  };
}

/** Tries to connect now instead of later. */
export function retryNow() {
  stream?.retryNow();
}

/** @param {import("./sse.js").ServerEvent} event */
function received(event) {
  if (event.type !== "overview") return;
  const overview = normal(JSON.parse(event.data));
  latest = overview;
  for (const listener of [...listeners]) listener.onOverview?.(overview);
}

/** @param {StreamState} state */
function changed(state) {
  for (const listener of [...listeners]) listener.onState?.(state);
}

/**
 * @param {any} document
 * @returns {Overview} with its lists present
 */
function normal(document) {
  return {
    cards: Array.isArray(document?.cards) ? document.cards : [],
    host: { ...document?.host, plugins: Array.isArray(document?.host?.plugins) ? document.host.plugins : [] },
  };
}
