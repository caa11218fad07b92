// The numbers beside the picture: what stood at the moment that it shows.

import { count, spanParts } from "/assets/format.js";

/**
 * Keeps the clock of `stage` at the picture's moment.
 * @param {Element} stage
 */
export function followPicture(stage) {
  const clock = stage.querySelector("[data-clock]");
  const unit = clock?.parentElement?.querySelector("small");
  const counters = /** @type {HTMLElement[]} */ ([...stage.querySelectorAll("[data-moment]")]);
  stage.addEventListener(
    "moment",
    (event) => {
      const { t_ms, waiting, holding, booked, rejected } = /** @type {CustomEvent} */ (event).detail;
      const now = /** @type {Record<string, number>} */ ({ waiting: waiting + (holding ?? 0), booked, rejected });
      // Fixed digits, so that the figure does not jump about while it runs.
      const parts = t_ms >= 1000 ? spanParts(t_ms) : { value: t_ms.toFixed(2), unit: "ms" };
      if (clock !== null && clock !== undefined) clock.textContent = parts.value;
      if (unit !== null && unit !== undefined) unit.textContent = parts.unit;
      for (const counter of counters) counter.textContent = count(now[counter.dataset.moment ?? ""]);
    },
    { capture: true },
  );
}
