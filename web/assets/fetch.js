// One way to ask the host for something, and one way to tell a person what went wrong and what to do next.

import { retryAfter_ms } from "./backoff.js";

/**
 * @typedef {object} FieldError
 * @property {string} field
 * @property {string} message
 */

/** An answer that is no success, or no answer at all. */
export class Problem extends Error {
  /**
   * @param {object} about
   * @param {"http" | "offline" | "timeout" | "garbled"} about.kind
   * @param {number} [about.status]
   * @param {string} [about.title]
   * @param {string} [about.detail]
   * @param {string} [about.type]
   * @param {string} [about.request_id]
   * @param {FieldError[]} [about.errors]
   * @param {number | null} [about.retryAfter_ms]
   */
  constructor(about) {
    super(about.title || about.detail || about.kind);
    this.name = "Problem";
    this.kind = about.kind;
    this.status = about.status ?? 0;
    this.title = about.title ?? "";
    this.detail = about.detail ?? "";
    this.type = about.type ?? "";
    this.request_id = about.request_id ?? "";
    this.errors = about.errors ?? [];
    this.retryAfter_ms = about.retryAfter_ms ?? null;
  }
}

/**
 * Asks for JSON.
 * @param {string} url
 * @param {object} [options]
 * @param {string} [options.method]
 * @param {unknown} [options.body] sent as JSON
 * @param {Record<string, string>} [options.headers]
 * @param {AbortSignal} [options.signal]
 * @param {number} [options.timeout_ms]
 * @returns {Promise<{status: number, headers: Headers, data: any}>}
 * @throws {Problem} for any answer but a 2xx, and when there is none
 * @throws {DOMException} AbortError when `signal` was the cause
 */
export async function requestJson(url, { method = "GET", body, headers = {}, signal, timeout_ms = 15_000 } = {}) {
  const timeout = AbortSignal.timeout(timeout_ms);
  try {
    const response = await fetch(url, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: {
        accept: "application/json, application/problem+json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    const text = await response.text();
    if (!response.ok) throw problemFrom(response, text);
    if (response.status === 204 || text === "") return { status: response.status, headers: response.headers, data: null };
    return { status: response.status, headers: response.headers, data: JSON.parse(text) };
  } catch (error) {
    if (error instanceof Problem || signal?.aborted) throw error;
    if (timeout.aborted) throw new Problem({ kind: "timeout", detail: `No answer within ${timeout_ms / 1000} s.` });
    if (error instanceof SyntaxError) throw new Problem({ kind: "garbled", detail: "The answer is no valid JSON." });
    throw new Problem({ kind: "offline", detail: "The connection failed." });
  }
}

/**
 * The problem in an answer's body (RFC 9457), or one made up from its status.
 * @param {{status: number, statusText: string, headers: Headers}} response
 * @param {string} text
 * @returns {Problem}
 */
export function problemFrom(response, text) {
  /** @type {any} */
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // Whoever answered does not speak problem+json; the status has to do.
  }
  return new Problem({
    kind: "http",
    status: response.status,
    title: asText(body.title) || response.statusText,
    detail: asText(body.detail),
    type: asText(body.type),
    request_id: asText(body.request_id) || response.headers.get("x-request-id") || "",
    errors: fieldErrors(body.errors),
    retryAfter_ms: retryAfter_ms(response.headers.get("retry-after"), Date.now()),
  });
}

/**
 * The problem in words: what happened, what the host said, what to do next.
 * @param {unknown} error
 * @returns {{headline: string, detail: string, next: string}}
 */
export function explain(error) {
  if (!(error instanceof Problem)) {
    return { headline: "The page itself failed", detail: String(error), next: "Reload it, and report this if it comes back." };
  }
  const wait = error.retryAfter_ms === null ? "" : ` in ${Math.max(1, Math.round(error.retryAfter_ms / 1000))} s`;
  const said = sentence(error.detail || error.title);
  switch (error.kind) {
    case "offline":
      return {
        headline: "The host does not answer",
        detail: "Nothing came back from this address.",
        next: "See whether the process runs (quartet run), then try again.",
      };
    case "timeout":
      return { headline: "The host took too long", detail: said, next: "It may still be at work. Try again, or with less." };
    case "garbled":
      return { headline: "The answer cannot be read", detail: said, next: "Something between here and the host changed it." };
    default:
      break;
  }
  if (error.status === 503) {
    return { headline: "This part is not running", detail: said, next: `Try again${wait}; the host's page says why it is down.` };
  }
  if (error.status === 429) return { headline: "Too much at once", detail: said, next: `Try again${wait}.` };
  if (error.status === 401 || error.status === 403) {
    return { headline: "Not allowed from here", detail: said, next: "On the host's own machine no token is needed." };
  }
  if (error.status === 404) return { headline: "There is no such thing", detail: said, next: "It may have been pruned." };
  if (error.status >= 400 && error.status < 500) {
    return { headline: "The host refused this", detail: said, next: "Change what is marked and send it again." };
  }
  const id = error.request_id === "" ? "" : ` Its log has the details under request ${error.request_id}.`;
  return { headline: "The host failed at this", detail: said, next: `Try again.${id}` };
}

/**
 * What the host says is put between sentences.
 * @param {string} words
 */
function sentence(words) {
  const begun = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/**
 * @param {any} errors what a 422 lists: a JSON pointer into the body, or the name of a parameter, each with its detail
 * @returns {FieldError[]}
 */
function fieldErrors(errors) {
  if (!Array.isArray(errors)) return [];
  return errors.map((error) => ({
    field: String(error?.pointer ?? error?.parameter ?? "").replace(/^#?\//, ""),
    message: String(error?.detail ?? error?.message ?? error),
  }));
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function asText(value) {
  return typeof value === "string" ? value : "";
}
