// <event-log label="…" empty="…">: what happened, newest first, bounded; read politely by screen readers.

import { timeOfDay } from "../format.js";

const ENTRIES_MAX = 100;

export class EventLog extends HTMLElement {
  #list = document.createElement("ol");
  /** What scrolls. A log is no list (ARIA 1.2), so the list is inside of it. */
  #log = document.createElement("div");
  #empty = document.createElement("p");

  connectedCallback() {
    if (this.#list.isConnected) return;
    this.#log.setAttribute("role", "log");
    this.#log.setAttribute("aria-label", this.getAttribute("label") ?? "Events");
    this.#log.tabIndex = 0;
    this.#log.append(this.#list);
    this.#empty.className = "event-empty";
    this.#empty.textContent = this.getAttribute("empty") ?? "Nothing has happened yet.";
    this.replaceChildren(this.#empty, this.#log);
  }

  /** @param {{text: string, detail?: string, at?: Date, voice?: string}} entry the oldest leaves when there are too many */
  add({ text, detail = "", at = new Date(), voice = "" }) {
    this.#empty.hidden = true;
    const item = document.createElement("li");
    if (voice !== "") item.dataset.voice = voice;
    const time = document.createElement("time");
    time.dateTime = at.toISOString();
    time.textContent = timeOfDay(at);
    item.append(time, " ", text);
    if (detail !== "") {
      const small = document.createElement("small");
      small.textContent = detail;
      item.append(" ", small);
    }
    this.#list.prepend(item);
    while (this.#list.children.length > ENTRIES_MAX) this.#list.lastElementChild?.remove();
  }
}

customElements.define("event-log", EventLog);
