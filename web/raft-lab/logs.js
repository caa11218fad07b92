// The logs side by side: a column a node, a cell an entry, coloured by term; what differs from the leader's log is marked.

import { html, one } from "/assets/dom.js";
import { isApart, reference } from "./divergence.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./divergence.js").Column & {id: number, commit: number, snapshot: number, state: string}} Column */

/** As many rows always, so that nothing below moves. */
const ROWS = 12;
const HUES = 6;

export class Logs {
  #table = one("#logs", HTMLTableElement);
  #said = one("#logs-apart", HTMLElement);
  #shown = "";

  /** @param {Model} model */
  show(model) {
    const columns = [...model.nodes]
      .sort(([a], [b]) => a - b)
      .map(([id, { last, commit, snapshot, log, state }]) => ({ id, last, commit, snapshot, log, state, isLeader: id === model.leader }));
    const key = JSON.stringify(columns);
    if (key === this.#shown) return;
    this.#shown = key;
    const newest = Math.max(ROWS, ...columns.map(({ last }) => last));
    const truth = reference(columns);
    const head = html(
      "tr",
      {},
      html("th", { scope: "col", class: "number" }, "no."),
      ...columns.map(({ id, isLeader, state }) => html("th", { scope: "col", class: isLeader && "leads", "data-state": state }, `n${id}`, html("span", {}, isLeader ? " leads" : state === "up" ? "" : ` ${state}`))),
    );
    const rows = [];
    let apart = 0;
    for (let index = newest - ROWS + 1; index <= newest; index += 1) {
      const cells = columns.map((column) => cell(column, index, truth));
      apart += cells.filter((each) => each.classList.contains("is-apart")).length;
      rows.push(html("tr", {}, html("th", { scope: "row", class: "number" }, String(index)), ...cells));
    }
    this.#table.replaceChildren(html("thead", {}, head), html("tbody", {}, ...rows));
    const words = apart === 0 ? "All logs agree as far as they go." : `${apart} entr${apart === 1 ? "y is" : "ies are"} not what the leader has there.`;
    if (this.#said.textContent !== words) this.#said.textContent = words;
  }
}

/**
 * @param {Column} column
 * @param {number} index
 * @param {Column | undefined} truth
 */
function cell({ commit, snapshot, log }, index, truth) {
  const entry = log.find(([at]) => at === index);
  const classes = index === commit ? ["commit-line"] : [];
  if (entry === undefined) {
    const words = index <= snapshot ? "in snapshot" : "";
    return html("td", { class: [...classes, "faint"].join(" ") }, words);
  }
  const [, term, , text] = entry;
  const isCommitted = index <= commit;
  const apart = isApart(entry, truth);
  classes.push("entry", `term-${term % HUES}`, isCommitted ? "is-committed" : "is-open", apart ? "is-apart" : "");
  const title = `entry ${index} of term ${term}: ${text}${isCommitted ? "" : " (not known to be committed)"}${apart ? " (not what the leader has)" : ""}`;
  return html("td", { class: classes.filter(Boolean).join(" "), title }, html("b", {}, apart ? `≠${term}` : String(term)), " ", html("span", {}, text));
}
