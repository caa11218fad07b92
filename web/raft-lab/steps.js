// One step of a recording: what came in, what the specification calls it, what came of it.

import { html, one } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { API } from "./lab.js";
import { sentence } from "./words.js";

/** Steps fetched at once: whoever goes through them asks for the next ones soon. */
const BLOCK = 100;
const TIMEOUT_MS = 60_000;

/**
 * @typedef {object} Step
 * @property {number} step counted from 1
 * @property {number} t
 * @property {number} node
 * @property {string} input
 * @property {string} text
 * @property {string[]} effects
 * @property {string | null} [action] of the specification
 */

export class StepCard {
  #id = "";
  /** @type {Map<number, Promise<Step[]>>} by block */
  #blocks = new Map();
  #place = one("#step", HTMLElement);

  /** @param {string} id of the recording */
  begin(id) {
    this.#id = id;
    this.#blocks.clear();
    this.#place.replaceChildren(html("p", { class: "soft" }, "Step forward to see the first step."));
  }

  /**
   * @param {number} step counted from 1
   * @returns {Promise<Step | null>} null for the moment before the first
   */
  async of(step) {
    if (step < 1) return null;
    const block = Math.floor((step - 1) / BLOCK);
    const loading = this.#blocks.get(block) ?? this.#load(block);
    this.#blocks.set(block, loading);
    return (await loading)[(step - 1) % BLOCK] ?? null;
  }

  /**
   * @param {Step | null} step
   * @param {number} number
   * @param {{from_ms: number, steps: number}} recording
   */
  show(step, number, { from_ms, steps }) {
    if (step === null) {
      this.#place.replaceChildren(html("p", { class: "soft" }, "The beginning: nothing has been played yet."));
      return;
    }
    const said = step.text === "" ? "Nothing that a client or another node would notice." : sentence(step.text);
    this.#place.replaceChildren(
      html("p", { class: "small soft" }, `Step ${number} of ${steps}, at ${((step.t - from_ms) / 1000).toFixed(3)} s`),
      html("p", { class: "step-said" }, said),
      html(
        "dl",
        { class: "facts" },
        ...facts([
          ["At", step.node === 0 ? "the lab" : `n${step.node}`],
          ["Input", step.input],
          ["In the specification", step.action ?? ""],
        ]),
      ),
      html("ul", { class: "effects" }, ...step.effects.map((effect) => html("li", {}, effect))),
    );
  }

  /** @param {number} block */
  async #load(block) {
    const { data } = await requestJson(`${API}/recordings/${encodeURIComponent(this.#id)}/steps?from=${block * BLOCK}&limit=${BLOCK}`, { timeout_ms: TIMEOUT_MS });
    return data;
  }
}

/** @param {[string, string][]} pairs */
function facts(pairs) {
  return pairs.filter(([, value]) => value !== "").map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)));
}
