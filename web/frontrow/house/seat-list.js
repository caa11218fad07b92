// The house as a list: a section, its rows, their seats. One stop of the Tab key, arrows from seat to seat.

import { html } from "/assets/dom.js";
import { count } from "/assets/format.js";
import { money } from "./money.js";
import { BLOCKED, FREE, STATE_WORDS } from "./seats.js";

/** @typedef {import("./plan.js").Plan} Plan */
/** @typedef {import("./seats.js").Seats} Seats */

const LETTERS = "fhsb";

export class SeatList {
  #plan;
  #seats;
  #grid;
  #select;
  #onChoose;
  #onPoint;
  #section = -1;
  /** @type {Map<number, HTMLElement>} */
  #cells = new Map();

  /**
   * @param {HTMLElement} place
   * @param {Plan} plan
   * @param {Seats} seats
   * @param {{onChoose: (position: number) => void, onPoint: (position: number) => void}} listener
   */
  constructor(place, plan, seats, { onChoose, onPoint }) {
    this.#plan = plan;
    this.#seats = seats;
    this.#onChoose = onChoose;
    this.#onPoint = onPoint;
    this.#select = html("select", { id: "list-section" });
    this.#select.addEventListener("change", () => this.open(Number(this.#select.value)));
    this.#grid = html("div", { role: "grid", class: "seat-grid", "aria-multiselectable": "true" });
    this.#grid.addEventListener("keydown", (event) => this.#onKey(event));
    this.#grid.addEventListener("click", (event) => this.#choose(event.target));
    this.#grid.addEventListener("focusin", (event) => this.#focused(event.target));
    this.#grid.addEventListener("focusout", () => this.#onPoint(-1));
    const label = html("label", { for: "list-section", class: "list-label" }, "Section ");
    label.hidden = this.#select.hidden = plan.sections.length < 2;
    place.replaceChildren(label, this.#select, this.#grid);
    this.#nameSections();
    this.open(0);
  }

  /** @param {number} section */
  open(section) {
    const found = this.#plan.sections[section];
    if (found === undefined || section === this.#section) return;
    this.#section = section;
    this.#select.value = String(section);
    this.#cells.clear();
    this.#grid.setAttribute("aria-label", found.name === "" ? "Seats" : `Seats of section ${found.name}`);
    this.#grid.replaceChildren(...found.rows.map((row) => this.#row(row)));
    this.#stopAt(found.first);
  }

  /** Shows how the seats stand now. */
  refresh() {
    for (const [position, cell] of this.#cells) this.#paint(position, cell);
  }

  /** Shows how many are free in each section; for when nobody is at the list of them. */
  refreshSections() {
    if (document.activeElement !== this.#select) this.#nameSections();
  }

  #nameSections() {
    const options = this.#plan.sections.map(({ name, rows }, place) => {
      const tier = this.#plan.tiers[rows[0]?.tier ?? 0];
      return html("option", { value: place }, `${name || "All"} · ${tier?.name ?? ""} · ${count(this.#seats.freeIn[place])} free`);
    });
    const chosen = Math.max(this.#section, 0);
    this.#select.replaceChildren(...options);
    this.#select.value = String(chosen);
  }

  /** @param {import("./plan.js").Row} row */
  #row(row) {
    const cells = Array.from({ length: row.count }, (_, place) => {
      const position = row.first + place;
      const cell = html("div", { role: "gridcell", class: "seat-cell", tabindex: "-1", "data-position": position }, this.#plan.numbers[position] ?? "");
      this.#cells.set(position, cell);
      this.#paint(position, cell);
      return cell;
    });
    return html("div", { role: "row" }, html("div", { role: "rowheader" }, html("span", { class: "visually-hidden" }, "Row "), row.label), ...cells);
  }

  /**
   * @param {number} position
   * @param {HTMLElement} cell
   */
  #paint(position, cell) {
    const state = this.#seats.states[position] ?? BLOCKED;
    const isOwn = this.#seats.own.has(position);
    const isChosen = this.#seats.chosen.has(position);
    const letter = isOwn ? "o" : isChosen ? "c" : (LETTERS[state] ?? "b");
    if (cell.dataset.state === letter) return;
    cell.dataset.state = letter;
    cell.setAttribute("aria-selected", String(isChosen || isOwn));
    cell.setAttribute("aria-disabled", String(!isChosen && (state !== FREE || isOwn)));
    const kind = this.#plan.kinds.get(position);
    const tier = this.#plan.tiers[this.#plan.rowAt(position).tier];
    const cost = tier?.price === null ? "" : `, ${money(tier?.price ?? 0, this.#plan.currency)}`;
    const stands = isOwn ? "yours" : isChosen ? "chosen" : STATE_WORDS[state];
    cell.setAttribute("aria-label", `${this.#plan.labelOf(position)}${kind === undefined ? "" : `, ${kind}`}, ${tier?.name ?? ""}${cost}, ${stands}`);
  }

  /** @param {number} position the one seat that the Tab key stops at */
  #stopAt(position) {
    for (const cell of this.#grid.querySelectorAll('[tabindex="0"]')) cell.setAttribute("tabindex", "-1");
    this.#cells.get(position)?.setAttribute("tabindex", "0");
  }

  /** @param {EventTarget | null} target */
  #positionOf(target) {
    const cell = target instanceof Element ? target.closest(".seat-cell") : null;
    return cell instanceof HTMLElement ? Number(cell.dataset.position) : -1;
  }

  /** @param {EventTarget | null} target */
  #focused(target) {
    const position = this.#positionOf(target);
    if (position < 0) return;
    this.#stopAt(position);
    this.#onPoint(position);
  }

  /** @param {EventTarget | null} target */
  #choose(target) {
    const position = this.#positionOf(target);
    if (position < 0) return;
    this.#onChoose(position);
    const cell = this.#cells.get(position);
    if (cell !== undefined) this.#paint(position, cell);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const position = this.#positionOf(event.target);
    if (position < 0) return;
    const next = this.#next(position, event.key, event.ctrlKey);
    if (event.key === "Enter" || event.key === " ") this.#choose(event.target);
    else if (next >= 0) this.#cells.get(next)?.focus();
    else return;
    event.preventDefault();
  }

  /**
   * @param {number} position
   * @param {string} key
   * @param {boolean} isFar
   */
  #next(position, key, isFar) {
    const rows = this.#plan.sections[this.#section]?.rows ?? [];
    const row = this.#plan.rowAt(position);
    const place = rows.indexOf(row);
    const [first, last] = [row.first, row.first + row.count - 1];
    const inRow = (/** @type {import("./plan.js").Row | undefined} */ other) => {
      if (other === undefined) return position;
      // The seat as far along its row as this one is along its own.
      const share = row.count > 1 ? (position - first) / (row.count - 1) : 0;
      return other.first + Math.round(share * (other.count - 1));
    };
    switch (key) {
      case "ArrowLeft":
        return Math.max(first, position - 1);
      case "ArrowRight":
        return Math.min(last, position + 1);
      case "ArrowUp":
        return inRow(rows[place - 1]);
      case "ArrowDown":
        return inRow(rows[place + 1]);
      case "Home":
        return isFar ? (rows[0]?.first ?? position) : first;
      case "End":
        return isFar ? (rows.at(-1)?.first ?? position) : last;
      default:
        return -1;
    }
  }
}
