// The invariants of the house, with when they were last counted; asked for anew while somebody looks.

import { VerdictMark } from "/assets/components/verdict-mark.js";
import { html, one } from "/assets/dom.js";
import { explain, requestJson } from "/assets/fetch.js";
import { ago, span, timeOfDay, toDate } from "/assets/format.js";

const URL = "/api/frontrow/invariants";
const ASK_EVERY_MS = 10_000;
const TICK_MS = 1000;

export class Audits {
  #verdict = one("#audit-verdict", VerdictMark);
  #words = one("#audit-words", HTMLElement);
  #button = one("#audit-now", HTMLButtonElement);
  #list = one("#audit-list", HTMLOListElement);
  /** @type {any} */
  #audit = null;

  constructor() {
    this.#button.addEventListener("click", () => void this.#count());
    setInterval(() => {
      if (this.#isSeen) void this.#ask();
    }, ASK_EVERY_MS);
    setInterval(() => {
      if (this.#isSeen) this.#tell();
    }, TICK_MS);
    void this.#ask();
  }

  /** @param {any} audit a document of the API */
  show(audit) {
    if (audit.id === this.#audit?.id) return;
    this.#audit = audit;
    this.#verdict.verdict = audit.verdict;
    this.#list.replaceChildren(...audit.invariants.map(item));
    this.#tell();
  }

  get #isSeen() {
    return document.visibilityState === "visible" && this.#list.offsetParent !== null;
  }

  #tell() {
    if (this.#audit === null) return;
    const at = toDate(this.#audit.checked_at);
    this.#words.textContent = `Counted at ${timeOfDay(at)}, ${ago(at, new Date())} (${this.#audit.cause}), in ${span(this.#audit.elapsed_ms)} of SQL. Every minute, after every fault, and now if you like.`;
  }

  async #ask() {
    try {
      const { data } = await requestJson(`${URL}?limit=1`);
      if (data.audits.length > 0) this.show(data.audits[0]);
    } catch {
      // What was counted last stands, with its time.
    }
  }

  async #count() {
    this.#button.disabled = true;
    try {
      const { data } = await requestJson(URL, { method: "POST", body: {}, timeout_ms: 60_000 });
      this.show(data);
    } catch (error) {
      const { headline, detail } = explain(error);
      this.#words.textContent = `${headline}. ${detail}`;
    } finally {
      this.#button.disabled = false;
    }
  }
}

/** @param {any} invariant */
function item({ holds, statement, found, expected }) {
  const mark = new VerdictMark();
  mark.verdict = holds === null ? "unknown" : holds ? "holds" : "broke";
  return html("li", { "data-holds": String(holds) }, mark, html("p", {}, statement), html("p", { class: "found" }, `found ${found}, expected ${expected}`));
}
