// The strategies' table: a row for each, bad figures marked by shape, word and colour.

import { VerdictMark } from "/assets/components/verdict-mark.js";
import { html } from "/assets/dom.js";
import { count, MISSING, span } from "/assets/format.js";

/**
 * What a figure is when it is not 0: a broken promise, a cost, or nothing to mind.
 * @param {"oversold" | "undersold" | "payments_wasted" | "deadlocks"} name
 * @param {number} value
 * @returns {"broke" | "costs" | undefined}
 */
export function badness(name, value) {
  if (!(value > 0)) return undefined;
  return name === "oversold" || name === "undersold" ? "broke" : "costs";
}

/**
 * @param {any} strategy of a comparison
 * @returns {"holds" | "broke"}
 */
export function verdictOf({ oversold, undersold }) {
  return oversold > 0 || undersold > 0 ? "broke" : "holds";
}

/**
 * @param {any} strategy
 * @returns {HTMLTableRowElement}
 */
export function strategyRow(strategy) {
  const mark = new VerdictMark();
  mark.verdict = verdictOf(strategy);
  const { winners, losers } = strategy;
  const perSale = strategy.statements_per_sale;
  return html(
    "tr",
    { "data-strategy": strategy.name },
    html("th", { scope: "row" }, `${strategy.title} `, html("small", {}, strategy.idea)),
    html("td", { "data-label": "Verdict" }, mark),
    cell("Sold twice", count(strategy.oversold), badness("oversold", strategy.oversold)),
    cell("Left over", count(strategy.undersold), badness("undersold", strategy.undersold)),
    cell("Winners p50", span(winners.p50_ms)),
    cell("Winners p99", span(winners.p99_ms)),
    cell("Losers p50", span(losers.p50_ms)),
    cell("Losers p99", span(losers.p99_ms)),
    cell("Statements a sale", typeof perSale === "number" ? perSale.toFixed(1) : MISSING),
    cell("Paid in vain", count(strategy.payments_wasted), badness("payments_wasted", strategy.payments_wasted)),
    cell("Deadlocks", count(strategy.deadlocks), badness("deadlocks", strategy.deadlocks)),
  );
}

/**
 * @param {string} label
 * @param {string} text
 * @param {string} [bad]
 */
function cell(label, text, bad) {
  return html("td", { class: "number", "data-label": label, "data-bad": bad }, text);
}
