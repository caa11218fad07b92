// The promises, checked after every step: each invariant, and whether clients saw one store.

import { html, one, write } from "/assets/dom.js";
import { count } from "/assets/format.js";

export class Checks {
  /** @type {Map<string, {item: HTMLElement, mark: HTMLElement, words: HTMLElement, number: HTMLElement}>} */
  #items = new Map();
  #list = one("#invariants", HTMLElement);

  /** @param {any} checks */
  show({ verdict, invariants, linearizable }) {
    const mark = one("#verdict", HTMLElement);
    if (mark.getAttribute("verdict") !== verdict) mark.setAttribute("verdict", verdict);
    if (this.#items.size !== invariants.length) this.#rebuild(invariants);
    for (const { name, statement, holds, checked, found } of invariants) {
      const parts = this.#items.get(name);
      if (parts === undefined) continue;
      parts.item.dataset.holds = holds ? "yes" : "no";
      write(parts.mark, holds ? "✓" : "✗");
      write(parts.words, found ? `${statement}: ${found}` : statement);
      write(parts.number, `${count(checked)} checks`);
    }
    // A recording holds what the nodes did, not what clients saw.
    if (linearizable !== undefined) this.#showLinearizable(linearizable);
  }

  /** @param {any[]} invariants */
  #rebuild(invariants) {
    this.#items.clear();
    for (const { name } of invariants) {
      const [mark, words, number] = [html("b"), html("span"), html("small", { class: "faint" })];
      this.#items.set(name, { item: html("li", { title: name }, mark, words, number), mark, words, number });
    }
    this.#list.replaceChildren(...[...this.#items.values()].map(({ item }) => item));
  }

  /** @param {any} linearizable */
  #showLinearizable({ verdict, operations, open, found }) {
    const place = one("#linearizable", HTMLElement);
    place.dataset.verdict = verdict;
    const words = { ok: "one store, one operation at a time, explains all that clients saw", illegal: `no order of operations explains what clients saw: ${found}`, unknown: "not decided" }[/** @type {string} */ (verdict)];
    write(place, `Linearizable: ${words ?? verdict}. ${count(operations)} operations judged, ${open} under way.`);
  }
}
