// The cluster as the host tells it: a whole state first, then what changed. Pure.

const ENTRIES_KEPT = 24;

/** @typedef {[number, number, string, string]} Entry index, term, kind, text */
/** @typedef {[string, number, number, number, number, number, number, number]} Message kind, from, to, sent_ms, takes_ms, flag, count, term */

/**
 * @typedef {object} RaftNode
 * @property {"up" | "down" | "paused" | "damaged"} state
 * @property {string} role
 * @property {string} member
 * @property {number} term
 * @property {number | null} vote
 * @property {number} commit
 * @property {number} last
 * @property {number} snapshot
 * @property {number | null} deadline lab milliseconds
 * @property {number | null} timeout milliseconds
 * @property {number} clock permille of the true speed
 * @property {string} disk
 * @property {string} reason
 * @property {Entry[]} log
 */

/** @typedef {{id: number, t: number, kind: string, node: number | null, term: number, text: string, action?: string | null}} RaftEvent */
/** @typedef {{cut?: boolean, delay_ms?: number, jitter_ms?: number, loss?: number, duplicate?: number}} Link */

export class Model {
  /** @type {any} null until a state was heard */
  document = null;
  /** @type {Map<number, RaftNode>} */
  nodes = new Map();
  /** @type {Map<string, Link>} only links that are not as usual */
  links = new Map();
  /** @type {Map<string, string>} */
  kv = new Map();
  /** How fast the lab's time passes between two frames: 1 live, 0 while a recording stands still. */
  pace = 1;
  #heardAt_ms = 0;
  #epoch = "";
  #lastEvent = 0;
  #offset_s = 0;

  /**
   * @param {any} state
   * @param {number} now_ms of the page's clock
   * @returns {{events: RaftEvent[], isAnother: boolean}} events not heard before; whether it is another cluster than
   *   before, because the host was restarted
   */
  begin(state, now_ms) {
    this.document = state;
    this.#heardAt_ms = now_ms;
    this.#offset_s = state.at - state.t / 1000;
    this.nodes = new Map(Object.entries(state.nodes).map(([id, node]) => [Number(id), /** @type {RaftNode} */ (node)]));
    this.links = new Map(Object.entries(state.links));
    this.kv = new Map(Object.entries(state.kv));
    const isAnother = this.#epoch !== "" && state.epoch !== this.#epoch;
    if (state.epoch !== this.#epoch) this.#lastEvent = 0;
    this.#epoch = state.epoch;
    return { events: this.#news(state.events), isAnother };
  }

  /**
   * @param {any} delta is kept in parts: give a copy of what is needed again
   * @param {number} now_ms
   * @returns {RaftEvent[]}
   */
  change(delta, now_ms) {
    if (this.document === null) return [];
    this.document.t = delta.t;
    this.#heardAt_ms = now_ms;
    for (const [id, changes] of Object.entries(delta.n ?? {})) this.#changeNode(Number(id), changes);
    Object.assign(this.document.cluster, delta.c ?? {});
    merge(this.links, delta.l);
    merge(this.kv, delta.kv);
    if (delta.k !== undefined) this.document.checks = delta.k;
    if (delta.s !== undefined) this.document.scenario = delta.s;
    return this.#news(delta.e ?? []);
  }

  /** @returns {number} who leads a majority; 0 when nobody does */
  get leader() {
    const cluster = this.document?.cluster;
    return cluster?.led ? cluster.leader : 0;
  }

  /** @returns {number[]} */
  get ids() {
    return [...this.nodes.keys()].sort((a, b) => a - b);
  }

  /** @param {number} now_ms the page's clock; the lab's is told from it */
  labTime_ms(now_ms) {
    return this.document === null ? 0 : this.document.t + (now_ms - this.#heardAt_ms) * this.pace;
  }

  /** @param {number} t lab milliseconds */
  dateOf(t) {
    return new Date((this.#offset_s + t / 1000) * 1000);
  }

  /**
   * @param {number} id
   * @param {any} changes
   */
  #changeNode(id, changes) {
    if (changes.state === "gone") {
      this.nodes.delete(id);
      return;
    }
    const { log, ...fields } = changes;
    const node = /** @type {RaftNode} */ ({ log: [], ...this.nodes.get(id), ...fields });
    if (log !== undefined) {
      const [from, added] = log;
      node.log = [...node.log.filter(([index]) => index < from), ...added].slice(-ENTRIES_KEPT);
    }
    this.nodes.set(id, node);
  }

  /** @param {RaftEvent[]} events */
  #news(events) {
    const fresh = events.filter(({ id }) => id > this.#lastEvent);
    for (const { id } of fresh) this.#lastEvent = Math.max(this.#lastEvent, id);
    return fresh;
  }
}

/**
 * @param {Map<string, any>} map
 * @param {Record<string, any> | undefined} changes null takes a key away
 */
function merge(map, changes) {
  for (const [key, value] of Object.entries(changes ?? {})) {
    if (value === null) map.delete(key);
    else map.set(key, value);
  }
}
