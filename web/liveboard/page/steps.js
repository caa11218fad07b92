// One's own steps, to be undone and done again. A step is all operations that one act made.

/** @typedef {{site: string, seq: number}} Id */

const STEPS_MAX = 500;

export class Steps {
  /** @type {Id[][]} */
  #done = [];
  /** @type {Id[][]} */
  #undone = [];

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Something new was done: what was undone is not done again any more. @param {Id[]} ids */
  did(ids) {
    if (ids.length === 0) return;
    this.#done.push(ids);
    if (this.#done.length > STEPS_MAX) this.#done.shift();
    this.#undone = [];
  }

  /**
   * The numbers to hide; empty when there is nothing.
   * @param {string} site only of the page's present site anything can be said: steps under an earlier one are skipped
   */
  undo(site) {
    return flip(this.#done, this.#undone, site);
  }

  /** The numbers to show again. @param {string} site */
  redo(site) {
    return flip(this.#undone, this.#done, site);
  }
}

/** @param {Id[][]} from @param {Id[][]} to @param {string} site */
function flip(from, to, site) {
  for (let step = from.pop(); step; step = from.pop()) {
    const seqs = step.filter((id) => id.site === site).map(({ seq }) => seq);
    if (seqs.length === 0) continue;
    to.push(step);
    return seqs.sort((one, other) => one - other);
  }
  return [];
}
