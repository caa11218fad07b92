// The gateway's own account of itself, as the page's parts use it. Pure.

const PACE_WINDOW_S = 3;
const TRIES_MAX = 500;

/** Providers of this kind of name belong to the proof, which kills them. */
const OF_THE_PROOF = "proof-";

/**
 * @typedef {"closed" | "open" | "half_open"} BreakerState
 *
 * @typedef {object} Target one model of one provider, with a breaker of its own
 * @property {string} id
 * @property {string} provider
 * @property {string} model
 * @property {boolean} simulated
 * @property {BreakerState} breaker
 * @property {number} retry_in_ms until a breaker that is not closed lets a probe through
 * @property {number} in_flight
 * @property {number} requests
 * @property {string} fault what its simulated provider has been told to do wrong, "" for nothing
 * @property {number} fault_for_s how much longer
 * @property {string} last_failure
 *
 * @typedef {{target: string, cause: string}} Failed a try that failed
 *
 * @typedef {object} GatewayRequest one that has its answer, or will never get one
 * @property {string} id
 * @property {number | null} at Unix seconds
 * @property {string} model
 * @property {boolean} stream
 * @property {string} cache
 * @property {"ok" | "failed" | "cancelled"} state
 * @property {number} status
 * @property {string} provider
 * @property {number} attempts
 * @property {number | null} first_token_ms
 * @property {number | null} elapsed_ms
 * @property {string} error
 *
 * @typedef {object} Status the gateway's account of itself
 * @property {number | null} at Unix seconds
 * @property {number | null} total requests so far
 * @property {number | null} hit_rate 0 to 1, of the answers that might have come from the cache
 * @property {number | null} in_flight
 * @property {number | null} saved_tokens
 * @property {number | null} saved_usd
 * @property {Record<"hit" | "miss" | "first_token", {p50_ms: number | null, p99_ms: number | null}>} latency of the last minute
 * @property {{entries: number, bytes: number} | null} cache
 * @property {string[]} models
 * @property {Target[]} targets
 * @property {string[]} simulated names of the simulated providers that can be broken by hand
 * @property {GatewayRequest[]} latest newest first
 */

/**
 * @param {any} document of /api/gateway/stats
 * @returns {Status} with everything in its place, whatever is missing
 */
export function normal(document) {
  const simulated = list(document?.simulated);
  const faults = new Map(simulated.map((each) => [each.name, each]));
  const latency = (/** @type {string} */ name) => ({
    p50_ms: document?.latency_ms?.[name]?.p50 ?? null,
    p99_ms: document?.latency_ms?.[name]?.p99 ?? null,
  });
  return {
    at: document?.at ?? null,
    total: document?.requests?.total ?? null,
    hit_rate: hitRate(document?.requests?.by_cache),
    in_flight: document?.in_flight ?? null,
    saved_tokens: document?.saved_tokens ?? null,
    saved_usd: document?.saved_usd ?? null,
    latency: { hit: latency("hit"), miss: latency("miss"), first_token: latency("first_token") },
    cache: document?.cache ?? null,
    models: list(document?.models).map((model) => String(model.id)),
    targets: list(document?.targets).map((target) => targetOf(target, faults.get(target.provider))).sort(inOrder),
    simulated: simulated.map((each) => String(each.name)).filter((name) => !name.startsWith(OF_THE_PROOF)),
    latest: requestsOf(document?.latest),
  };
}

/**
 * @param {any} records oldest first
 * @returns {GatewayRequest[]} newest first
 */
export function requestsOf(records) {
  return list(records)
    .map((record) => ({
      id: String(record.request_id),
      at: record.at ?? null,
      model: String(record.model ?? ""),
      stream: record.stream === true,
      cache: String(record.cache ?? ""),
      state: /** @type {GatewayRequest["state"]} */ (record.status === 200 ? "ok" : record.status === 499 ? "cancelled" : "failed"),
      status: Number(record.status),
      provider: String(record.provider ?? ""),
      attempts: Number(record.attempts ?? 0),
      first_token_ms: record.first_token_us ? record.first_token_us / 1000 : null,
      elapsed_ms: typeof record.duration_us === "number" ? record.duration_us / 1000 : null,
      error: String(record.error ?? ""),
    }))
    .reverse();
}

/**
 * @param {any} batch
 * @returns {import("./sparks.js").Step[]}
 */
export function stepsOf(batch) {
  return list(batch?.steps);
}

/**
 * Whether a target belongs to the proof, and is of interest only while that runs.
 * @param {Pick<Target, "provider">} target
 * @returns {boolean}
 */
export function isOfProof({ provider }) {
  return provider.startsWith(OF_THE_PROOF);
}

/**
 * @param {any} target
 * @param {any} simulated the provider's own account, if it is a simulated one
 * @returns {Target}
 */
function targetOf(target, simulated) {
  const fault = simulated?.fault ?? "none";
  return {
    id: String(target.name),
    provider: String(target.provider),
    model: String(target.model),
    simulated: target.simulated === true,
    breaker: target.state,
    retry_in_ms: target.closed_for_ms ?? 0,
    in_flight: target.in_flight ?? 0,
    requests: target.requests ?? 0,
    fault: fault === "none" ? "" : fault,
    fault_for_s: simulated?.fault_left_s ?? 0,
    last_failure: target.last_failure ?? "",
  };
}

/**
 * The same order at every look, the host's being that of the last use; those of the proof first, its primary before its
 * backup.
 * @param {Target} one
 * @param {Target} other
 * @returns {number}
 */
function inOrder(one, other) {
  const places = (/** @type {Target} */ target) => [isOfProof(target) ? (target.provider === `${OF_THE_PROOF}primary` ? "0" : "1") : "2", target.provider, target.model];
  const [left, right] = [places(one), places(other)];
  const at = left.findIndex((part, place) => part !== right[place]);
  return at < 0 ? 0 : (left[at] ?? "") < (right[at] ?? "") ? -1 : 1;
}

/**
 * The share of answers that came from the cache, of those that might have.
 * @param {Record<string, number> | undefined} byCache
 * @returns {number | null}
 */
function hitRate(byCache) {
  const { hit = 0, coalesced = 0, miss = 0 } = byCache ?? {};
  const all = hit + coalesced + miss;
  return all === 0 ? null : (hit + coalesced) / all;
}

/** How many requests come in a second, from the totals of the last looks. */
export class Pace {
  /** @type {{at: number, total: number}[]} */
  #looks = [];

  /**
   * @param {number | null} at Unix seconds
   * @param {number | null} total
   * @returns {number | null} null before there are two looks
   */
  perSecond(at, total) {
    if (at === null || total === null) return null;
    const last = this.#looks.at(-1);
    // A smaller total is that of another run of the gateway.
    if (last !== undefined && total < last.total) this.#looks = [];
    this.#looks.push({ at, total });
    while (this.#looks.length > 2 && at - (this.#looks[0]?.at ?? at) > PACE_WINDOW_S) this.#looks.shift();
    const [first] = this.#looks;
    if (first === undefined || at <= first.at) return null;
    return Math.round(((total - first.total) / (at - first.at)) * 10) / 10;
  }
}

/** The tries that failed, by request, as far as steps were heard of them. */
export class Tries {
  /** @type {Map<string, Failed[]>} */
  #failed = new Map();

  /** @param {readonly import("./sparks.js").Step[]} steps */
  hear(steps) {
    for (const { id, step, target = "", cause = "" } of steps) {
      if (step !== "failed") continue;
      this.#failed.set(id, [...(this.#failed.get(id) ?? []), { target, cause }]);
    }
    for (const id of this.#failed.keys()) {
      if (this.#failed.size <= TRIES_MAX) break;
      this.#failed.delete(id);
    }
  }

  /** @param {string} id of a request */
  of(id) {
    return this.#failed.get(id) ?? [];
  }
}

/**
 * @param {any} value
 * @returns {any[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}
