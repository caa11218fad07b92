// What a simulated provider can be told to do wrong, in words for a button. Pure.

export const HEAL_URL = "/api/gateway/heal";
/** A fault heals by itself, for whoever leaves the page without healing it. */
export const LASTS_S = 20;

export const FAULTS = /** @type {const} */ ([
  { kind: "refuse", label: "Kill", effect: "connections are refused" },
  { kind: "error", label: "500", effect: "every answer is an error" },
  { kind: "rate_limit", label: "429", effect: "too many requests, Retry-After" },
  { kind: "hang", label: "Hang", effect: "takes requests, never answers" },
  { kind: "drip", label: "Drip", effect: "one token a second" },
  { kind: "cut", label: "Cut", effect: "breaks off in mid-answer" },
  { kind: "bad_json", label: "Bad JSON", effect: "answers what cannot be read" },
]);

/**
 * @param {string} provider
 * @returns {string} where it is told to fail
 */
export function faultUrl(provider) {
  return `/api/gateway/simulated/${encodeURIComponent(provider)}/fault`;
}
