// <live-number label="…" unit="…">: a figure off the running process, with where and when it was measured.

import { ago, figure, timeOfDay, toDate } from "../format.js";

/** Screen readers hear a change this long after it, so that a figure that moves each second does not shout. */
const ANNOUNCE_AFTER_MS = 3000;

export class LiveNumber extends HTMLElement {
  #value = document.createElement("span");
  #unit = document.createElement("span");
  #note = document.createElement("span");
  #spoken = document.createElement("span");
  /** @type {Date | null} */
  #measuredAt = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #announcing;
  #isBuilt = false;

  connectedCallback() {
    if (this.#isBuilt) return;
    this.#isBuilt = true;
    const label = document.createElement("span");
    label.className = "live-label";
    label.textContent = this.getAttribute("label") ?? "";
    this.#value.className = "live-value figure";
    this.#unit.className = "live-unit";
    this.#note.className = "live-note";
    this.#note.id = `note-${Math.random().toString(36).slice(2)}`;
    this.#note.setAttribute("role", "tooltip");
    this.#spoken.className = "visually-hidden";
    this.#spoken.setAttribute("role", "status");
    const figures = document.createElement("span");
    figures.className = "live-figure";
    figures.append(this.#value, this.#unit);
    this.tabIndex = 0;
    this.setAttribute("aria-describedby", this.#note.id);
    this.setAttribute("role", "group");
    const initial = this.textContent?.trim() ?? "";
    this.replaceChildren(figures, label, this.#note, this.#spoken);
    this.#unit.textContent = this.getAttribute("unit") ?? "";
    this.#value.textContent = initial === "" ? figure(null) : initial;
    this.addEventListener("pointerenter", () => this.#describe());
    this.addEventListener("focus", () => this.#describe());
    this.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.blur();
    });
    this.#describe();
  }

  /** @param {{value: number | string | null, unit?: string, measured_at?: number | string | null}} measured */
  update({ value, unit, measured_at }) {
    if (!this.#isBuilt) return;
    const text = figure(value);
    const before = this.#value.textContent;
    if (unit !== undefined) this.#unit.textContent = unit;
    this.#measuredAt = toDate(measured_at);
    if (text === before) return;
    this.#value.textContent = text;
    this.#describe();
    if (before !== figure(null) && this.hasAttribute("announce")) this.#announce();
  }

  #describe() {
    const label = this.getAttribute("label") ?? "";
    this.#note.textContent =
      this.#measuredAt === null
        ? this.#value.textContent === figure(null)
          ? "not measured yet"
          : "measured by this host"
        : `measured by this host at ${timeOfDay(this.#measuredAt)}, ${ago(this.#measuredAt, new Date())}`;
    this.setAttribute("aria-label", `${label}: ${this.#value.textContent} ${this.#unit.textContent}`.trim());
  }

  #announce() {
    clearTimeout(this.#announcing);
    this.#announcing = setTimeout(() => {
      this.#spoken.textContent = this.getAttribute("aria-label");
    }, ANNOUNCE_AFTER_MS);
  }
}

customElements.define("live-number", LiveNumber);
