// <raft-experiments>: guess first, then see. One experiment at a time; the cluster is healed before and after.

import { html, write } from "/assets/dom.js";
import { explain, Problem } from "/assets/fetch.js";
import { guesses, KEY } from "./guesses.js";
import { act, until } from "./lab.js";
import { sentence } from "./words.js";

/** @typedef {import("./guesses.js").Guess} Guess */
/** @typedef {import("./model.js").Model} Model */
/** @typedef {{guess: Guess, body: HTMLElement, question: HTMLElement, choices: HTMLElement, run: HTMLButtonElement, said: HTMLElement, asked: string}} Card */

const LED_WITHIN_MS = 8000;
/** With a majority, somebody is elected in much less. */
const ELECTED_WITHIN_MS = 4000;
const MEASURED_WITHIN_MS = 20_000;

export class RaftExperiments extends HTMLElement {
  /** @type {Model | null} */
  model = null;
  #score = html("p", { class: "small soft", role: "status" });
  /** @type {Card[]} */
  #cards = [];
  /** @type {import("./model.js").RaftEvent[]} */
  #events = [];
  #busy = false;
  #right = 0;
  #done = 0;

  /** @param {Parameters<typeof guesses>[0]} topologies */
  offer(topologies) {
    this.#cards = guesses(topologies).map((guess) => this.#card(guess));
    const first = this.#cards[0]?.body;
    if (first instanceof HTMLDetailsElement) first.open = true;
    this.replaceChildren(this.#score, ...this.#cards.map(({ body }) => body));
  }

  /** Asks anew what depends on who leads. */
  show() {
    if (this.model === null || this.#busy || this.model.leader === 0) return;
    for (const card of this.#cards) this.#ask(card, this.model);
  }

  /** @param {readonly import("./model.js").RaftEvent[]} events */
  hear(events) {
    if (this.#busy) this.#events.push(...events);
  }

  /**
   * @param {Guess} guess
   * @returns {Card}
   */
  #card(guess) {
    const question = html("legend");
    const choices = html("div", { class: "presets" });
    const run = html("button", { type: "button", class: "button button-primary", disabled: true }, "Try it");
    const said = html("div", { class: "found", role: "status" });
    const body = html("details", { name: "experiments", class: "experiment", "data-experiment": guess.name }, html("summary", {}, guess.title), html("fieldset", {}, question, choices), run, said);
    const card = { guess, body, question, choices, run, said, asked: "" };
    choices.addEventListener("change", () => {
      run.disabled = this.#busy;
    });
    run.addEventListener("click", () => void this.#run(card));
    return card;
  }

  /**
   * @param {Card} card
   * @param {Model} model
   */
  #ask({ guess, question, choices, run, ...card }, model) {
    const offered = guess.choices(model);
    const key = JSON.stringify([guess.question(model), offered]);
    if (key === choices.dataset.asked) return;
    choices.dataset.asked = key;
    const before = chosenIn(choices);
    write(question, guess.question(model));
    choices.replaceChildren(
      ...offered.map(({ value, text }) => html("label", { class: "preset" }, html("input", { type: "radio", name: `guess-${guess.name}`, value, checked: value === before }), html("span", {}, text))),
    );
    run.disabled = chosenIn(choices) === null;
  }

  /** @param {Card} card */
  async #run({ guess, choices, run, said }) {
    const guessed = chosenIn(choices);
    if (this.model === null || this.#busy || guessed === null) return;
    const words = new Map(guess.choices(this.model).map(({ value, text }) => [value, text]));
    this.#busy = true;
    this.#events = [];
    for (const card of this.#cards) card.run.disabled = true;
    run.dataset.busy = "";
    const say = (/** @type {string} */ text) => said.replaceChildren(html("p", {}, text));
    try {
      say("Healing the cluster first …");
      await act({ action: "heal" });
      const model = this.model;
      if (!(await until(() => model.leader !== 0 && model.links.size === 0 && [...model.nodes.values()].every(({ state }) => state === "up"), LED_WITHIN_MS))) throw new Problem({ kind: "timeout", detail: "The cluster does not get whole: begin with a fresh one." });
      say("Watch the ring …");
      const found = await guess.run({ model, act, until, say, events: () => this.#events, write: (value, node) => committed(model, value, node), play: (name) => this.#play(name, model) });
      this.#tell(said, found, guessed, words);
    } catch (error) {
      const { headline, detail, next } = explain(error);
      said.replaceChildren(html("p", {}, `${headline}. ${sentence(detail)} ${next}`));
    } finally {
      await act({ action: "heal" }).catch(() => null);
      this.#busy = false;
      delete run.dataset.busy;
      for (const card of this.#cards) card.run.disabled = chosenIn(card.choices) === null;
      this.show();
      run.focus({ preventScroll: true });
    }
  }

  /**
   * @param {HTMLElement} place
   * @param {import("./guesses.js").Found} found
   * @param {string} guessed
   * @param {Map<string, string>} words
   */
  #tell(place, { value, text }, guessed, words) {
    if (value === "") {
      place.replaceChildren(html("p", {}, text));
      return;
    }
    const isRight = value === guessed;
    this.#done += 1;
    this.#right += Number(isRight);
    const verdict = isRight ? `You were right: ${words.get(value) ?? value}.` : `You said: ${words.get(guessed) ?? guessed}. What happened: ${words.get(value) ?? value}.`;
    place.replaceChildren(html("p", { class: "found-verdict", "data-right": isRight ? "yes" : "no" }, verdict), html("p", {}, text));
    write(this.#score, `Right so far: ${this.#right} of ${this.#done}.`);
  }

  /**
   * @param {string} name
   * @param {Model} model
   * @returns {Promise<any>} the scenario with what was measured
   */
  async #play(name, model) {
    const before = model.document.scenario?.since ?? -1;
    await act({ action: "topology", name });
    const isDone = await until(() => model.document.scenario?.name === name && model.document.scenario.since !== before && model.document.scenario.done, MEASURED_WITHIN_MS);
    if (!isDone) throw new Problem({ kind: "timeout", detail: "The measurement did not end." });
    return model.document.scenario;
  }
}

/**
 * Writes at a node, or at whoever leads: there it is tried again while somebody may yet be elected.
 * @param {Model} model
 * @param {string} value
 * @param {number} [node]
 * @returns {Promise<boolean>} whether it was committed
 */
async function committed(model, value, node) {
  const end = performance.now() + (node === undefined ? ELECTED_WITHIN_MS : 0);
  for (;;) {
    try {
      await act({ action: "propose", key: KEY, value, ...(node === undefined ? {} : { node }) });
      return true;
    } catch (error) {
      if (!(error instanceof Problem) || error.status === 429) throw error;
    }
    if (!(await until(() => model.leader !== 0, end - performance.now()))) return false;
    if (performance.now() > end) return false;
  }
}

/** @param {HTMLElement} choices */
function chosenIn(choices) {
  const checked = choices.querySelector("input:checked");
  return checked instanceof HTMLInputElement ? checked.value : null;
}

customElements.define("raft-experiments", RaftExperiments);
