// <tab-set label="…">: its sections one at a time behind tabs; without script all of them stand one below the other.

/** Each section has `data-tab`, its name, and an h2 or h3 whose words become the tab's. */
export class TabSet extends HTMLElement {
  /** @type {HTMLButtonElement[]} */
  #tabs = [];
  /** @type {HTMLElement[]} */
  #panels = [];

  connectedCallback() {
    if (this.#tabs.length > 0) return;
    this.#panels = [...this.querySelectorAll("section")].filter((panel) => panel.dataset.tab !== undefined);
    const list = document.createElement("div");
    list.className = "tabs";
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", this.getAttribute("label") ?? "");
    this.#tabs = this.#panels.map((panel, place) => this.#tab(panel, place));
    list.append(...this.#tabs);
    this.prepend(list);
    this.#choose(0);
  }

  /** @param {string} name of the section to show */
  show(name) {
    const place = this.#panels.findIndex((panel) => panel.dataset.tab === name);
    if (place >= 0) this.#choose(place);
  }

  /**
   * @param {HTMLElement} panel
   * @param {number} place
   */
  #tab(panel, place) {
    const heading = panel.querySelector("h2, h3");
    const name = panel.dataset.tab ?? "";
    panel.id = `panel-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    if (heading instanceof HTMLElement) heading.hidden = true;
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

customElements.define("tab-set", TabSet);
