// <client-code>: code for several clients, one at a time behind tabs; without script all of them stand one below the other.

import { CopyText } from "/assets/components/copy-text.js";

export class ClientCode extends HTMLElement {
  /** @type {HTMLButtonElement[]} */
  #tabs = [];
  /** @type {HTMLElement[]} */
  #panels = [];

  connectedCallback() {
    if (this.#tabs.length > 0) return;
    this.#panels = [...this.querySelectorAll("section")];
    const list = document.createElement("div");
    list.className = "tabs";
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "Client");
    this.#tabs = this.#panels.map((panel, place) => this.#tab(panel, place));
    list.append(...this.#tabs);
    this.prepend(list);
    this.#choose(0);
  }

  /** @param {string} model what the samples ask for */
  set model(model) {
    for (const copy of this.querySelectorAll("copy-text")) {
      if (!(copy instanceof CopyText)) continue;
      copy.dataset.template ??= copy.text;
      copy.text = copy.dataset.template.replaceAll("%MODEL%", model);
    }
  }

  /**
   * @param {HTMLElement} panel
   * @param {number} place
   */
  #tab(panel, place) {
    const heading = panel.querySelector("h3");
    const name = panel.dataset.client ?? String(place);
    panel.id = `client-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    if (heading !== null) heading.hidden = true;
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `tab-${name}`;
    tab.className = "tab";
    tab.textContent = heading?.textContent ?? name;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    tab.addEventListener("click", () => this.#choose(place));
    tab.addEventListener("keydown", (event) => this.#onKey(event, place));
    return tab;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} place
   */
  #onKey(event, place) {
    const last = this.#tabs.length - 1;
    const next = { ArrowRight: place === last ? 0 : place + 1, ArrowLeft: place === 0 ? last : place - 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.#choose(next);
    this.#tabs[next]?.focus();
  }

  /** @param {number} place */
  #choose(place) {
    for (const [at, tab] of this.#tabs.entries()) {
      tab.setAttribute("aria-selected", String(at === place));
      tab.tabIndex = at === place ? 0 : -1;
    }
    for (const [at, panel] of this.#panels.entries()) panel.hidden = at !== place;
  }
}

customElements.define("client-code", ClientCode);
