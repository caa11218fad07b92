// Strategies side by side: starts a comparison and fills the table as each strategy ends.

import { html, one, write } from "/assets/dom.js";
import { explain, requestJson } from "/assets/fetch.js";
import { count, span } from "/assets/format.js";
import { Stream } from "/assets/stream.js";
import { strategyRow } from "./rows.js";

const URL = "/api/frontrow/comparisons";
const STRATEGIES = 8;
/** One strategy may take so long before the next report. */
const SILENCE_MS = 60_000;

export class Comparison {
  #form = one("#compare", HTMLFormElement);
  #button = one("#compare button", HTMLButtonElement);
  #words = one("#compared", HTMLElement);
  #body = one("#strategies tbody", HTMLTableSectionElement);

  constructor() {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#form.reportValidity()) void this.#run();
    });
  }

  async #run() {
    this.#button.disabled = true;
    write(this.#words, "Drawing the arrivals …");
    const wish = Object.fromEntries([...new FormData(this.#form)].map(([name, value]) => [name, Number(value)]));
    try {
      const { data } = await requestJson(URL, { method: "POST", body: wish });
      for (const row of this.#body.rows) row.dataset.stale = "yes";
      await this.#follow(data.comparison_id);
    } catch (error) {
      const { headline, detail, next } = explain(error);
      write(this.#words, `${headline}. ${detail} ${next}`);
    } finally {
      this.#button.disabled = false;
    }
  }

  /** @param {string} id */
  #follow(id) {
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        const stream = new Stream(`${URL}/${id}/events`, {
          staleAfter_ms: SILENCE_MS,
          pauseWhenHidden: false,
          onEvent: ({ type, data }) => {
            if (type !== "comparison") return;
            const comparison = JSON.parse(data);
            this.#show(comparison);
            if (comparison.state === "running") return;
            stream.close();
            resolve();
          },
          onState: ({ name, problem }) => {
            if (name !== "waiting") return;
            write(this.#words, "The connection was lost; the comparison goes on. Reconnecting …");
            if (problem?.status !== 404) return;
            write(this.#words, "The host no longer knows this comparison.");
            stream.close();
            resolve();
          },
        });
      })
    );
  }

  /** @param {any} comparison */
  #show(comparison) {
    for (const strategy of comparison.strategies) {
      const row = strategyRow(strategy);
      const known = this.#body.querySelector(`[data-strategy="${CSS.escape(strategy.name)}"]`);
      if (known === null) this.#body.append(row);
      else if (known instanceof HTMLElement && known.dataset.stale === "yes") known.replaceWith(row);
    }
    const done = comparison.strategies.length;
    if (comparison.state === "running") return write(this.#words, `${done} of ${STRATEGIES} have had their turn …`);
    const about = `${count(comparison.buyers)} buyers for ${count(comparison.seats)} seats, ${comparison.party} each; a payment takes ${span(comparison.payment_ms)}. Seed ${comparison.seed}. `;
    const state = comparison.state === "done" ? "" : `It was ${comparison.state}. `;
    this.#words.replaceChildren(state + about, html("a", { href: `${URL}/${comparison.comparison_id}` }, "As JSON"));
  }
}
