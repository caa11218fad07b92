// The rows at the end of the lanes: each target with its breaker as a gate, and how both stand, in words.

import { count } from "../assets/format.js";
import { breakerWords, seconds } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
/** More lanes than this cannot be told apart. */
export const LANES_MAX = 8;

/** @typedef {import("./status.js").Target} Target */

/**
 * Those that get a lane: in the order given, and with too many the busiest.
 * @param {readonly Target[]} targets
 * @returns {Target[]}
 */
export function chosen(targets) {
  if (targets.length <= LANES_MAX) return [...targets];
  const busiest = new Set([...targets].sort((a, b) => b.requests - a.requests).slice(0, LANES_MAX));
  return targets.filter((target) => busiest.has(target));
}

export class TargetList {
  #list;
  #onRows;
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} list
   * @param {(rows: {id: string, element: HTMLElement}[]) => void} onRows when rows come or go
   */
  constructor(list, onRows) {
    this.#list = list;
    this.#onRows = onRows;
    for (const row of list.querySelectorAll("[data-target]")) {
      if (row instanceof HTMLElement) this.#rows.set(row.dataset.target ?? "", row);
    }
    this.#tell();
  }

  /** @param {readonly Target[]} targets */
  show(targets) {
    const shown = chosen(targets);
    const ids = shown.map(({ id }) => id);
    if (ids.join("\n") !== [...this.#rows.keys()].join("\n")) {
      const before = this.#rows;
      this.#rows = new Map(shown.map((target) => [target.id, before.get(target.id) ?? rowOf(target)]));
      this.#list.replaceChildren(...this.#rows.values());
      this.#tell();
    }
    for (const target of shown) update(/** @type {HTMLElement} */ (this.#rows.get(target.id)), target);
  }

  #tell() {
    this.#onRows([...this.#rows].map(([id, element]) => ({ id, element })));
  }
}

/**
 * @param {HTMLElement} row
 * @param {Target} target
 */
function update(row, target) {
  row.dataset.breaker = target.breaker;
  const words = [breakerWords(target), ...(target.in_flight > 0 ? [`${count(target.in_flight)} under way`] : [])];
  put(row, "[data-words]", words.join(" · "));
  const fault = row.querySelector("[data-fault]");
  if (!(fault instanceof HTMLElement)) return;
  fault.hidden = target.fault === "";
  if (target.fault !== "") put(row, "[data-fault]", `told to fail: ${target.fault.replaceAll("_", " ")}, ${seconds(target.fault_for_s * 1000)} left`);
}

/**
 * @param {Target} target
 * @returns {HTMLElement}
 */
function rowOf(target) {
  const row = document.createElement("li");
  row.className = "target";
  row.dataset.target = target.id;
  const words = document.createElement("div");
  words.className = "target-words";
  const name = paragraph("target-name");
  const provider = document.createElement("b");
  provider.textContent = target.provider;
  const model = document.createElement("span");
  model.textContent = target.model;
  name.append(provider, " ", model);
  if (target.simulated) {
    const chip = document.createElement("i");
    chip.className = "chip";
    chip.textContent = "simulated";
    name.append(" ", chip);
  }
  const state = paragraph("target-state");
  state.dataset.words = "";
  const fault = paragraph("target-fault");
  fault.dataset.fault = "";
  words.append(name, state, fault);
  row.append(gate(), words);
  return row;
}

/** A switch in the lane: its lever lies in it while the breaker is closed. */
function gate() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "gate");
  svg.setAttribute("viewBox", "0 0 48 40");
  svg.setAttribute("aria-hidden", "true");
  const lever = document.createElementNS(SVG, "path");
  lever.setAttribute("class", "gate-lever");
  lever.setAttribute("d", "M8 20H40");
  svg.append(lever, contact(8), contact(40));
  return svg;
}

/** @param {number} x */
function contact(x) {
  const circle = document.createElementNS(SVG, "circle");
  circle.setAttribute("cx", String(x));
  circle.setAttribute("cy", "20");
  circle.setAttribute("r", "3");
  return circle;
}

/** @param {string} className */
function paragraph(className) {
  const element = document.createElement("p");
  element.className = className;
  return element;
}

/**
 * @param {HTMLElement} row
 * @param {string} selector
 * @param {string} text
 */
function put(row, selector, text) {
  const element = row.querySelector(selector);
  if (element !== null && element.textContent !== text) element.textContent = text;
}
