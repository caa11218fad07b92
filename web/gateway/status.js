// The gateway's own account of itself, as the page's parts use it, and how its words are said. Pure.

import { count, figure, MISSING, span } from "../assets/format.js";

const NARROW_SPACE = "\u202f";

/**
 * @typedef {"closed" | "open" | "half_open"} BreakerState
 *
 * @typedef {object} Target one model of one provider, with a breaker of its own
 * @property {string} id
 * @property {string} provider
 * @property {string} model
 * @property {boolean} simulated
 * @property {BreakerState} breaker
 * @property {number | null} retry_in_ms until an open breaker lets a probe through
 * @property {number} in_flight
 * @property {number} requests
 * @property {string | null} fault what its simulated provider has been told to do wrong
 * @property {number | null} fault_for_s how much longer
 * @property {string | null} last_error
 *
 * @typedef {object} Attempt
 * @property {string} target
 * @property {string} outcome
 *
 * @typedef {object} GatewayRequest
 * @property {string} id
 * @property {number | null} at Unix seconds
 * @property {string} endpoint
 * @property {string} model
 * @property {boolean} stream
 * @property {string} cache
 * @property {string} state
 * @property {number | null} status
 * @property {Attempt[]} attempts
 * @property {number | null} first_token_ms
 * @property {number | null} elapsed_ms
 * @property {number | null} tokens
 * @property {string | null} error
 */

/**
 * What the breaker of a target does, in words.
 * @param {Pick<Target, "breaker" | "retry_in_ms">} target
 * @returns {string}
 */
export function breakerWords({ breaker, retry_in_ms }) {
  if (breaker === "half_open") return "half open, one probe under way";
  if (breaker !== "open") return "closed";
  if (retry_in_ms === null || retry_in_ms <= 0) return "open, a probe is next";
  return `open, a probe in ${seconds(retry_in_ms)}`;
}

/**
 * How a request was answered: by the cache, or by whom after whom.
 * @param {Pick<GatewayRequest, "cache" | "attempts" | "state">} request
 * @returns {string}
 */
export function routeWords({ cache, attempts, state }) {
  if (cache === "hit") return "cache";
  if (cache === "joined") return "shared with another in flight";
  const route = attempts.map(({ target, outcome }) => (outcome === "ok" ? provider(target) : `${provider(target)} (${outcome.replaceAll("_", " ")})`));
  if (route.length === 0) return state === "running" ? "…" : "nobody";
  return route.join(" → ");
}

/**
 * @param {string} target
 * @returns {string} the provider's name
 */
export function provider(target) {
  const slash = target.indexOf("/");
  return slash < 0 ? target : target.slice(0, slash);
}

/**
 * What became of a request, in one word or two.
 * @param {Pick<GatewayRequest, "state" | "status" | "error">} request
 * @returns {string}
 */
export function outcomeWords({ state, status, error }) {
  if (state === "running") return "under way";
  if (state === "cancelled") return "client left";
  if (state === "failed") return [status ?? "", error ?? "failed"].join(" ").trim().replaceAll("_", " ");
  return status === null ? "answered" : String(status);
}

/**
 * Money with as many digits as it needs: "$0.00042", "$12.30".
 * @param {unknown} usd
 * @returns {string}
 */
export function money(usd) {
  if (typeof usd !== "number" || !Number.isFinite(usd)) return MISSING;
  if (usd === 0) return "$0";
  const digits = usd >= 1 ? 2 : Math.min(9, 1 - Math.floor(Math.log10(Math.abs(usd))));
  return `$${usd.toLocaleString("en", { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits })}`;
}

/**
 * @param {unknown} bytes
 * @returns {string}
 */
export function bytes(bytes) {
  if (typeof bytes !== "number") return MISSING;
  if (bytes < 1024) return `${count(bytes)}${NARROW_SPACE}B`;
  if (bytes < 1024 ** 2) return `${figure(bytes / 1024)}${NARROW_SPACE}KiB`;
  return `${figure(bytes / 1024 ** 2)}${NARROW_SPACE}MiB`;
}

/**
 * A span in whole seconds, or in milliseconds below one.
 * @param {number} ms
 * @returns {string}
 */
export function seconds(ms) {
  return ms < 950 ? span(Math.max(0, Math.round(ms))).replace(/\.0+/, "") : `${Math.round(ms / 1000)}${NARROW_SPACE}s`;
}

/**
 * @typedef {object} Status the gateway's account of itself
 * @property {number | null} at Unix seconds
 * @property {number | null} hit_rate 0 to 1
 * @property {number | null} requests_per_s
 * @property {number | null} in_flight
 * @property {number | null} tokens_saved
 * @property {number | null} saved_usd
 * @property {{hit: any, miss: any, first_token: any}} latency
 * @property {{entries: number, bytes: number} | null} cache
 * @property {{id: string, providers: string[]}[]} models
 * @property {Target[]} targets
 * @property {string[]} simulated names of the simulated providers
 * @property {GatewayRequest[]} latest newest first
 * @property {{sent: number, answered: number, failed: number} | null} steady
 */

/**
 * @param {any} document
 * @returns {Status} with everything in its place, whatever is missing
 */
export function normal(document) {
  const providers = new Map(list(document?.providers).map((each) => [each.name, each]));
  return {
    at: document?.at ?? null,
    hit_rate: document?.rates?.hit_rate ?? null,
    requests_per_s: document?.rates?.requests_per_s ?? null,
    in_flight: document?.in_flight ?? null,
    tokens_saved: document?.tokens?.saved ?? null,
    saved_usd: document?.money?.saved_usd ?? null,
    latency: { hit: null, miss: null, first_token: null, ...document?.latency },
    cache: document?.cache ?? null,
    models: list(document?.models).map((model) => ({ id: String(model.id), providers: list(model.targets).map(provider) })),
    targets: list(document?.targets).map((target) => {
      const of = providers.get(target.provider);
      const until = of?.fault_until ?? null;
      return { ...target, fault: of?.fault ?? null, fault_for_s: until === null ? null : Math.max(0, until - document.at) };
    }),
    simulated: list(document?.providers).filter((each) => each.simulated).map((each) => String(each.name)),
    latest: list(document?.latest).map((request) => ({ attempts: [], ...request })),
    steady: document?.steady ?? null,
  };
}

/**
 * @param {any} batch
 * @returns {import("./sparks.js").Step[]}
 */
export function stepsOf(batch) {
  return list(batch?.steps);
}

/**
 * How the stream stands, and since when nothing was heard.
 * @param {import("../assets/stream.js").StreamState} state
 * @param {number} now_ms
 * @returns {string}
 */
export function linkWords({ name, heardAt, problem }, now_ms) {
  const silence = heardAt === null ? "" : ` Last heard ${seconds(now_ms - heardAt)} ago.`;
  switch (name) {
    case "connecting":
      return heardAt === null ? "Connecting …" : `Reconnecting …${silence}`;
    case "live":
      return "Live: every spark is a request.";
    case "stale":
      return `The gateway is silent.${silence}`;
    case "waiting":
      return problem?.status === 503 ? "The gateway is not running; this page tries again by itself." : `The connection was lost; this page tries again by itself.${silence}`;
    case "paused":
      return "Paused while nobody looks.";
    case "closed":
      return "";
  }
}

/**
 * @param {any} value
 * @returns {any[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}
