// Requests under way as sparks: what is heard of each becomes legs of its way, each with a beginning and an end. Pure.
//
// A leg takes as long as the eye needs, so a spark may run behind what happened; it never runs ahead of it, and where it
// waits, its request waits.

export const LEG_MS = Object.freeze({ in: 240, back: 240, out: 280, fail: 220, home: 460 });
/** A spark that has arrived stays for this long, and fades. */
export const FADE_MS = 260;
const SPARKS_MAX = 400;
/** What has not been heard of for this long is gone: its end was among the steps that were left out. */
const FORGET_MS = 90_000;
/** Steps come in batches; showing them a little late keeps their distances. */
export const DELAY_MS = 160;

/**
 * @typedef {object} Step
 * @property {string} id of the request
 * @property {number} t_ms by the host's clock
 * @property {string} step
 * @property {string} [target]
 * @property {string} [cause] of a failed try
 * @property {string} [state] of an ended request: "ok", "failed" or "cancelled"
 *
 * @typedef {"in" | "back" | "out" | "fail" | "home"} LegName
 *
 * @typedef {object} Leg
 * @property {LegName} name
 * @property {string} target
 * @property {number} from_ms
 * @property {number} to_ms
 *
 * @typedef {object} Spark
 * @property {string} id
 * @property {Leg[]} legs
 * @property {"running" | "answered" | "failed" | "cancelled"} state
 * @property {number} heard_ms
 * @property {number | null} ended_ms when nothing more can come
 * @property {number} lot drawn for it, 0 to 1
 *
 * @typedef {object} Sight
 * @property {LegName} leg
 * @property {string} target
 * @property {number} share of the leg, 0 to 1
 * @property {number} strength 1, falling to 0 as it fades
 * @property {"asking" | "failed-try" | "answer" | "failure" | "cancelled"} kind
 * @property {boolean} isFlowing its answer has begun and not ended
 * @property {number} lot drawn for it, 0 to 1, so that many at one place are seen as many
 */

export class Sparks {
  /** @type {Map<string, Spark>} */
  #sparks = new Map();
  /** What to add to the host's clock to get ours; the smallest seen is the batch that took least time to get here. */
  #offset_ms = Infinity;
  #isStill;

  /** @param {{isStill?: boolean}} [options] `isStill`: nothing travels, a spark is at one station or the next */
  constructor({ isStill = false } = {}) {
    this.#isStill = isStill;
  }

  get size() {
    return this.#sparks.size;
  }

  /** Forgets everything, for another connection may be another host. */
  clear() {
    this.#sparks.clear();
    this.#offset_ms = Infinity;
  }

  /**
   * @param {readonly Step[]} steps in order
   * @param {number} now_ms by our clock
   */
  hear(steps, now_ms) {
    const newest = steps.at(-1);
    if (newest === undefined) return;
    this.#offset_ms = Math.min(this.#offset_ms, now_ms - newest.t_ms);
    for (const step of steps) this.#take(step, step.t_ms + this.#offset_ms + DELAY_MS);
    while (this.#sparks.size > SPARKS_MAX) {
      const [oldest] = this.#sparks.keys();
      this.#sparks.delete(/** @type {string} */ (oldest));
    }
  }

  /**
   * What is to be seen now; sparks that have arrived and faded are forgotten.
   * @param {number} now_ms
   * @returns {Sight[]}
   */
  sights(now_ms) {
    /** @type {Sight[]} */
    const sights = [];
    for (const spark of this.#sparks.values()) {
      const last = spark.legs.at(-1);
      const gone_ms = spark.ended_ms === null ? Infinity : Math.max(spark.ended_ms, last?.to_ms ?? 0);
      if (now_ms > gone_ms + FADE_MS || now_ms > spark.heard_ms + FORGET_MS) this.#sparks.delete(spark.id);
      else {
        const sight = sightOf(spark, now_ms, gone_ms);
        if (sight !== null) sights.push(sight);
      }
    }
    return sights;
  }

  /**
   * @param {Step} step
   * @param {number} at_ms
   */
  #take(step, at_ms) {
    let spark = this.#sparks.get(step.id);
    if (spark === undefined) {
      // What is heard of in the middle of its way has begun before we listened, or ended and goes on for others.
      if (step.step !== "arrived") return;
      spark = { id: step.id, legs: [], state: "running", heard_ms: at_ms, ended_ms: null, lot: lotOf(step.id) };
      this.#sparks.set(step.id, spark);
    }
    spark.heard_ms = at_ms;
    const target = step.target ?? "";
    switch (step.step) {
      case "arrived":
        this.#leg(spark, "in", "", at_ms);
        break;
      case "hit":
        this.#leg(spark, "back", "", at_ms);
        spark.state = "answered";
        break;
      case "tried":
        this.#leg(spark, "out", target, at_ms);
        break;
      case "failed":
        this.#leg(spark, "fail", target, at_ms);
        break;
      case "answered":
        this.#leg(spark, "home", target, at_ms);
        spark.state = "answered";
        break;
      case "ended":
        this.#end(spark, step.state ?? "ok", at_ms);
        break;
      default:
        break;
    }
  }

  /**
   * @param {Spark} spark
   * @param {string} state
   * @param {number} at_ms
   */
  #end(spark, state, at_ms) {
    const last = spark.legs.at(-1);
    const isHome = last?.name === "home" || last?.name === "back";
    if (state === "cancelled") spark.state = "cancelled";
    else if (!isHome && last !== undefined) {
      if (last.name === "out" && state === "ok") this.#leg(spark, "home", last.target, at_ms);
      else this.#leg(spark, "back", "", at_ms);
    }
    if (state === "ok") spark.state = "answered";
    if (state === "failed") spark.state = "failed";
    spark.ended_ms = at_ms;
  }

  /**
   * @param {Spark} spark
   * @param {LegName} name
   * @param {string} target
   * @param {number} at_ms
   */
  #leg(spark, name, target, at_ms) {
    const from_ms = Math.max(at_ms, spark.legs.at(-1)?.to_ms ?? 0);
    spark.legs.push({ name, target, from_ms, to_ms: from_ms + (this.#isStill ? 0 : LEG_MS[name]) });
  }
}

/**
 * @param {Spark} spark
 * @param {number} now_ms
 * @param {number} gone_ms
 * @returns {Sight | null} null before its first leg
 */
function sightOf(spark, now_ms, gone_ms) {
  const leg = spark.legs.findLast(({ from_ms }) => from_ms <= now_ms);
  if (leg === undefined) return null;
  const span = leg.to_ms - leg.from_ms;
  const share = span === 0 ? 1 : Math.min(1, (now_ms - leg.from_ms) / span);
  const strength = now_ms <= gone_ms ? 1 : Math.max(0, 1 - (now_ms - gone_ms) / FADE_MS);
  return {
    leg: leg.name,
    target: leg.target,
    share: ease(share),
    strength,
    kind: kindOf(spark, leg.name),
    isFlowing: leg.name === "home" && spark.ended_ms === null,
    lot: spark.lot,
  };
}

/**
 * @param {string} id
 * @returns {number}
 */
function lotOf(id) {
  let hash = 2166136261;
  for (let at = 0; at < id.length; at += 1) hash = Math.imul(hash ^ id.charCodeAt(at), 16777619);
  return (hash >>> 8) / 2 ** 24;
}

/**
 * @param {Spark} spark
 * @param {LegName} leg
 * @returns {Sight["kind"]}
 */
function kindOf(spark, leg) {
  if (spark.state === "cancelled") return "cancelled";
  if (leg === "fail") return "failed-try";
  if (leg === "home" || leg === "back") return spark.state === "failed" ? "failure" : "answer";
  return "asking";
}

/**
 * @param {number} share
 * @returns {number}
 */
function ease(share) {
  return share < 0.5 ? 2 * share * share : 1 - 2 * (1 - share) * (1 - share);
}
