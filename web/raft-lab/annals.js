// What was: who led when, what each node was, and the faults between. Pure.

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").RaftEvent} RaftEvent */
/** @typedef {{from: number, to: number | null, term: number, leader: number}} Band `leader` 0: nobody; `to` null: until now */
/** @typedef {{from: number, to: number | null, is: string}} Stretch `is`: a role, or the state of a node that is not up */
/** @typedef {{t: number, kind: string, text: string}} Mark */

/** Kinds of events that are marked on a timeline. */
const MARKED = new Set(["fault", "heal", "disk", "member", "scenario", "check"]);
const PIECES_MAX = 400;

export class Annals {
  /** @type {Band[]} */
  bands = [];
  /** @type {Map<number, Stretch[]>} */
  lanes = new Map();
  /** @type {Mark[]} */
  marks = [];
  /** Changes with every change. */
  version = 0;
  #kept_ms;

  /** @param {number} kept_ms what is older is forgotten */
  constructor(kept_ms) {
    this.#kept_ms = kept_ms;
  }

  /**
   * Takes down how things stand.
   * @param {Model} model
   */
  note(model) {
    const { t, cluster } = model.document;
    const band = this.bands.at(-1);
    const term = model.leader ? model.nodes.get(model.leader)?.term ?? cluster.term : cluster.term;
    if (band === undefined || band.to !== null || band.leader !== model.leader || (model.leader !== 0 && band.term !== term)) {
      if (band !== undefined) band.to ??= t;
      this.#push(this.bands, { from: t, to: null, term, leader: model.leader });
    }
    for (const [id, node] of model.nodes) this.#noteNode(id, node.state === "up" ? node.role : node.state, t);
    for (const [id, lane] of this.lanes) if (!model.nodes.has(id)) this.#end(lane, t);
    this.#forget(t - this.#kept_ms);
  }

  /**
   * Takes down what happened. Elections before the first `note` are told from events.
   * @param {readonly RaftEvent[]} events oldest first
   */
  hear(events) {
    for (const { t, kind, text } of events) {
      if (!MARKED.has(kind)) continue;
      this.#push(this.marks, { t, kind, text });
    }
  }

  /**
   * Who led before the page looked, as far as events tell.
   * @param {readonly RaftEvent[]} events oldest first
   */
  begin(events) {
    for (const { t, kind, node, term, text } of events) {
      if (kind !== "role" || node === null || !text.includes("became leader")) continue;
      const before = this.bands.at(-1);
      if (before !== undefined) before.to ??= t;
      this.#push(this.bands, { from: t, to: null, term, leader: node });
    }
  }

  /** Forgets everything. */
  clear() {
    this.bands = [];
    this.marks = [];
    this.lanes.clear();
    this.version += 1;
  }

  /**
   * @param {number} id
   * @param {string} is
   * @param {number} t
   */
  #noteNode(id, is, t) {
    const lane = this.lanes.get(id) ?? [];
    this.lanes.set(id, lane);
    const last = lane.at(-1);
    if (last?.is === is && last.to === null) return;
    if (last !== undefined) last.to ??= t;
    this.#push(lane, { from: t, to: null, is });
  }

  /**
   * @param {Stretch[]} lane
   * @param {number} t
   */
  #end(lane, t) {
    const last = lane.at(-1);
    if (last === undefined || last.to !== null) return;
    last.to = t;
    this.version += 1;
  }

  /**
   * @template T
   * @param {T[]} list
   * @param {T} item
   */
  #push(list, item) {
    list.push(item);
    if (list.length > PIECES_MAX) list.shift();
    this.version += 1;
  }

  /** @param {number} t */
  #forget(t) {
    while (this.bands.length > 1 && (this.bands[0]?.to ?? Infinity) < t) this.bands.shift();
    while ((this.marks[0]?.t ?? Infinity) < t) this.marks.shift();
    for (const [id, lane] of this.lanes) {
      while (lane.length > 0 && (lane[0]?.to ?? Infinity) < t) lane.shift();
      if (lane.length === 0) this.lanes.delete(id);
    }
  }
}
