// <percentile-strip columns="p50 p99">: p50, p90, p99 and the worst of several groups on one scale, or some of these, as a
// table that is also a picture.

import { span } from "../format.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 200;
const COLUMNS = /** @type {const} */ ([
  ["p50_ms", "p50"],
  ["p90_ms", "p90"],
  ["p99_ms", "p99"],
  ["max_ms", "max"],
]);

/**
 * @typedef {object} PercentileRow
 * @property {string} label
 * @property {"alive" | "quiet"} tone
 * @property {Partial<Record<"p50_ms" | "p90_ms" | "p99_ms" | "max_ms", number | null>> | null} [percentiles]
 */

export class PercentileStrip extends HTMLElement {
  get #columns() {
    const wanted = this.getAttribute("columns")?.split(" ");
    return wanted === undefined ? COLUMNS : COLUMNS.filter(([, name]) => wanted.includes(name));
  }

  /** @param {PercentileRow[]} rows */
  set rows(rows) {
    const top = Math.max(...rows.map((row) => row.percentiles?.max_ms ?? row.percentiles?.p99_ms ?? 0), 0);
    const table = document.createElement("table");
    table.className = "percentiles";
    const head = document.createElement("tr");
    head.append(cell("th", ""), cell("th", top > 0 ? `0 – ${span(top)}` : "", "percentile-scale"));
    for (const [, name] of this.#columns) head.append(cell("th", name, "number"));
    table.append(head, ...rows.map((row) => this.#row(row, top)));
    this.replaceChildren(table);
  }

  /**
   * @param {PercentileRow} row
   * @param {number} top
   */
  #row(row, top) {
    const line = document.createElement("tr");
    line.dataset.tone = row.tone;
    const label = cell("th", row.label);
    label.setAttribute("scope", "row");
    const picture = cell("td", "", "percentile-picture");
    picture.append(strip(row, top));
    line.append(label, picture);
    for (const [key] of this.#columns) line.append(cell("td", span(row.percentiles?.[key]), "number"));
    return line;
  }
}

/**
 * @param {PercentileRow} row
 * @param {number} top
 * @returns {SVGElement}
 */
function strip(row, top) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} 16`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  /** @param {number | null | undefined} value */
  const x = (value) => (top > 0 && typeof value === "number" ? (value / top) * (WIDTH - 4) + 2 : null);
  svg.append(shape("line", { x1: 0, x2: WIDTH, y1: 8, y2: 8, class: "strip-base" }));
  const [p50, p99] = [x(row.percentiles?.p50_ms), x(row.percentiles?.p99_ms)];
  if (p50 !== null && p99 !== null) {
    svg.append(shape("line", { x1: p50, x2: p99, y1: 8, y2: 8, class: "strip-range" }));
  }
  for (const [key] of COLUMNS) {
    const place = x(row.percentiles?.[key]);
    if (place !== null) svg.append(shape("line", { x1: place, x2: place, y1: 2, y2: 14, class: `strip-tick strip-${key}` }));
  }
  return svg;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/**
 * @param {"th" | "td"} kind
 * @param {string} text
 * @param {string} [className]
 * @returns {HTMLElement}
 */
function cell(kind, text, className = "") {
  const element = document.createElement(kind);
  element.textContent = text;
  if (className !== "") element.className = className;
  return element;
}

customElements.define("percentile-strip", PercentileStrip);
