// <spark-line label="…" unit="…">: the last values of one figure, drawn, and as a table for those who do not see it.

import { figure } from "../format.js";

const WIDTH = 120;
const HEIGHT = 28;
const POINTS_MAX = 120;
const ROWS_MAX = 12;
const SVG = "http://www.w3.org/2000/svg";

export class SparkLine extends HTMLElement {
  /** @type {number[]} */
  #values = [];
  #line = document.createElementNS(SVG, "path");
  #last = document.createElementNS(SVG, "circle");
  #table = document.createElement("table");
  #isBuilt = false;

  connectedCallback() {
    if (this.#isBuilt) return;
    this.#isBuilt = true;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    this.#line.setAttribute("class", "spark-path");
    this.#last.setAttribute("class", "spark-last");
    this.#last.setAttribute("r", "2.2");
    svg.append(this.#line, this.#last);
    this.#table.className = "visually-hidden";
    this.replaceChildren(svg, this.#table);
    this.#draw();
  }

  /** @param {number} value the newest; the oldest leaves when there are too many */
  push(value) {
    if (!Number.isFinite(value)) return;
    this.#values.push(value);
    if (this.#values.length > POINTS_MAX) this.#values.shift();
    this.#draw();
  }

  /** @param {number[]} values oldest first */
  set values(values) {
    this.#values = values.filter(Number.isFinite).slice(-POINTS_MAX);
    this.#draw();
  }

  #draw() {
    if (!this.#isBuilt) return;
    const points = sparkPoints(this.#values, WIDTH, HEIGHT);
    const last = points.at(-1);
    this.#line.setAttribute("d", points.map(([x, y], place) => `${place === 0 ? "M" : "L"}${x} ${y}`).join(""));
    this.#last.setAttribute("visibility", last === undefined ? "hidden" : "visible");
    if (last !== undefined) {
      this.#last.setAttribute("cx", String(last[0]));
      this.#last.setAttribute("cy", String(last[1]));
    }
    const unit = this.getAttribute("unit") ?? "";
    const caption = document.createElement("caption");
    caption.textContent = `${this.getAttribute("label") ?? "values"}, newest first`;
    const rows = this.#values.slice(-ROWS_MAX).reverse();
    this.#table.replaceChildren(
      caption,
      ...rows.map((value) => {
        const row = document.createElement("tr");
        const cell = document.createElement("td");
        cell.textContent = `${figure(value)} ${unit}`.trim();
        row.append(cell);
        return row;
      }),
    );
  }
}

/**
 * Where the points of a spark line lie: from zero at the foot to the largest value at the head.
 * @param {readonly number[]} values
 * @param {number} width
 * @param {number} height
 * @returns {[number, number][]}
 */
export function sparkPoints(values, width, height) {
  const inset = 3;
  const top = Math.max(...values, Number.MIN_VALUE);
  const step = (width - 2 * inset) / Math.max(1, values.length - 1);
  return values.map((value, place) => [
    round(inset + place * step),
    round(height - inset - (Math.max(0, value) / top) * (height - 2 * inset)),
  ]);
}

/**
 * @param {number} value
 * @returns {number}
 */
function round(value) {
  return Math.round(value * 10) / 10;
}

customElements.define("spark-line", SparkLine);
