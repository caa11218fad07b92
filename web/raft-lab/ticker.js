// Step by step, as it happens: the newest steps of the nodes, each with its name in the specification.

import { html, one, write } from "/assets/dom.js";
import { sentence } from "./words.js";

/** @typedef {[number, number, string | null, string]} Step number, node, action of the specification, sentence */

const ROWS = 8;
const SHOWN_EVERY_MS = 500;

export class Ticker {
  /** @type {Step[]} */
  #latest = [];
  #list = one("#ticker", HTMLElement);
  #pause = one("#ticker-pause", HTMLButtonElement);
  #isPaused = false;
  #shownAt_ms = 0;
  #rows = Array.from({ length: ROWS }, () => {
    const cells = [html("td", { class: "number" }), html("td"), html("td"), html("td")];
    return { row: html("tr", {}, ...cells), cells };
  });

  constructor() {
    this.#list.replaceChildren(...this.#rows.map(({ row }) => row));
    this.#pause.addEventListener("click", () => {
      this.#isPaused = !this.#isPaused;
      this.#pause.setAttribute("aria-pressed", String(this.#isPaused));
    });
  }

  /** @param {readonly Step[]} steps oldest first */
  hear(steps) {
    if (this.#isPaused || steps.length === 0) return;
    // What moves nothing on is told once: a timer that found nothing to do, an answer to a heartbeat.
    for (const step of steps) {
      const same = this.#latest.findIndex(([, node, , text]) => node === step[1] && text === step[3]);
      if (same >= 0) this.#latest.splice(same, 1);
      this.#latest.push(step);
    }
    this.#latest = this.#latest.slice(-ROWS);
    const now_ms = performance.now();
    if (now_ms - this.#shownAt_ms < SHOWN_EVERY_MS) return;
    this.#shownAt_ms = now_ms;
    for (const [place, { cells }] of this.#rows.entries()) {
      const step = this.#latest[this.#latest.length - 1 - place];
      const words = step === undefined ? ["", "", "", ""] : [String(step[0]), step[1] === 0 ? "" : `n${step[1]}`, sentence(step[3]), step[2] ?? "–"];
      for (const [at, cell] of cells.entries()) write(cell, words[at] ?? "");
    }
  }
}
