// How the seats of a house stand, and which of them a customer wants or has. Pure.

/** @typedef {import("./plan.js").Plan} Plan */

export const FREE = 0;
export const HELD = 1;
export const SOLD = 2;
export const BLOCKED = 3;
const LETTERS = "fhsb";
export const STATE_WORDS = ["free", "held by somebody", "sold", "not for sale"];
/** The box office holds no more than this at once. */
export const HOLD_MAX = 10;

/** Follows the letters and changes of the live map. */
export class Seats {
  #plan;
  /** @type {Uint8Array} by position */
  states;
  /** @type {Map<number, number>} free places of each area */
  areas = new Map();
  /** @type {Set<number>} */
  chosen = new Set();
  /** @type {Set<number>} held or bought by this customer: theirs, whatever the map says */
  own = new Set();
  /** @type {Uint32Array} by section */
  freeIn;
  /** @type {Uint32Array} by tier */
  freeOf;

  /**
   * @param {Plan} plan
   * @param {number | null} most that one customer may have
   */
  constructor(plan, most) {
    this.#plan = plan;
    this.most = Math.min(HOLD_MAX, most ?? HOLD_MAX);
    this.states = new Uint8Array(plan.count);
    this.freeIn = new Uint32Array(plan.sections.length);
    this.freeOf = new Uint32Array(plan.tiers.length);
    this.#count();
  }

  get free() {
    return this.freeIn.reduce((sum, each) => sum + each, 0);
  }

  /**
   * The whole map.
   * @param {string} letters one a seat
   * @param {{id: number, free: number}[]} areas
   * @returns {number[]} seats that were chosen and are not free any more
   */
  take(letters, areas) {
    for (let position = 0; position < this.states.length; position += 1) this.states[position] = Math.max(0, LETTERS.indexOf(letters[position] ?? "f"));
    this.areas = new Map(areas.map(({ id, free }) => [id, free]));
    this.#count();
    return this.#drop([...this.chosen]);
  }

  /**
   * What has changed.
   * @param {[number, string][]} changes
   * @param {{id: number, free: number}[]} [areas] those that have another number of places left
   * @returns {number[]} seats that were chosen and are not free any more
   */
  change(changes, areas = []) {
    for (const { id, free } of areas) this.areas.set(id, free);
    for (const [position, letter] of changes) {
      const state = LETTERS.indexOf(letter);
      if (state < 0 || position >= this.states.length) continue;
      this.#tally(position, -1);
      this.states[position] = state;
      this.#tally(position, 1);
    }
    return this.#drop(changes.map(([position]) => position));
  }

  /**
   * Chooses a seat, or not any more.
   * @param {number} position
   * @returns {string} "" when it was done, else why not
   */
  toggle(position) {
    if (this.chosen.delete(position)) return "";
    const state = this.states[position] ?? BLOCKED;
    if (this.own.has(position)) return "It is yours already.";
    if (state !== FREE) return `It is ${STATE_WORDS[state]}.`;
    if (this.chosen.size >= this.most) return `At most ${this.most} at once.`;
    this.chosen.add(position);
    return "";
  }

  /** @returns {number} of what is chosen, in the currency's smallest unit */
  get price() {
    return [...this.chosen].reduce((sum, position) => sum + this.#plan.priceOf(position), 0);
  }

  /** @param {readonly number[]} positions */
  #drop(positions) {
    const lost = positions.filter((position) => this.chosen.has(position) && this.states[position] !== FREE && !this.own.has(position));
    for (const position of lost) this.chosen.delete(position);
    return lost;
  }

  #count() {
    this.freeIn.fill(0);
    this.freeOf.fill(0);
    for (let position = 0; position < this.states.length; position += 1) this.#tally(position, 1);
  }

  /**
   * @param {number} position
   * @param {1 | -1} by
   */
  #tally(position, by) {
    if (this.states[position] !== FREE) return;
    const row = this.#plan.rowAt(position);
    this.freeIn[row.section] = (this.freeIn[row.section] ?? 0) + by;
    this.freeOf[row.tier] = (this.freeOf[row.tier] ?? 0) + by;
  }
}
