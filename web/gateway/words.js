// How the gateway's states, figures and outcomes are said. Pure.

import { count, figure, MISSING, span } from "../assets/format.js";

const NARROW_SPACE = "\u202f";

/**
 * @typedef {import("./status.js").Target} Target
 * @typedef {import("./status.js").GatewayRequest} GatewayRequest
 * @typedef {import("./status.js").Failed} Failed
 */

/**
 * What the breaker of a target does, in words.
 * @param {Pick<Target, "breaker" | "retry_in_ms">} target
 * @returns {string}
 */
export function breakerWords({ breaker, retry_in_ms }) {
  if (breaker === "half_open") return "half open, one probe under way";
  if (breaker !== "open") return "closed";
  if (retry_in_ms <= 0) return "open, a probe is next";
  return `open, a probe in ${seconds(retry_in_ms)}`;
}

/**
 * How a request was answered: by the cache, or by whom after whom.
 * @param {Pick<GatewayRequest, "cache" | "provider" | "attempts">} request
 * @param {readonly Failed[]} [failed] the tries before, as far as they were heard of
 * @returns {string}
 */
export function routeWords({ cache, provider, attempts }, failed = []) {
  if (cache === "hit") return "cache";
  const before = failed.map(({ target, cause }) => `${providerOf(target)} (${cause.replaceAll("_", " ")})`);
  const unheard = provider !== "" && before.length === 0 && attempts > 1 ? `, try ${attempts}` : "";
  const shared = cache === "coalesced" ? ", shared" : "";
  return [...before, provider === "" ? "nobody" : provider].join(" → ") + unheard + shared;
}

/**
 * @param {string} target
 * @returns {string} the provider's name
 */
export function providerOf(target) {
  const slash = target.indexOf("/");
  return slash < 0 ? target : target.slice(0, slash);
}

/**
 * What became of a request, in one word or two.
 * @param {Pick<GatewayRequest, "state" | "status" | "error">} request
 * @returns {string}
 */
export function outcomeWords({ state, status, error }) {
  if (state === "cancelled") return "client left";
  return [String(status), ...(error === "" ? [] : [error.replaceAll("_", " ")])].join(" ");
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
 * Why there is no whole answer, where the gateway's own words say it best.
 * @param {{kind: string, status: number, title: string, detail: string}} problem
 * @returns {{headline: string, detail: string} | null} null where the page's common words do
 */
export function refusalWords({ kind, status, title, detail }) {
  if (kind === "garbled") return { headline: "The answer broke off", detail: detail === "" ? title.replaceAll("_", " ") : detail };
  if (kind !== "http" || detail === "" || status === 503) return null;
  const headline = status === 401 || status === 403 ? "The gateway does not let this in" : status >= 500 ? "No provider could answer" : "The gateway refused this";
  return { headline, detail };
}
