// The latest requests as a table: newest first, a row for each, changed only where something has changed.

import { shortMoment, span, toDate } from "../assets/format.js";
import { outcomeWords, routeWords } from "./words.js";

export const ROWS_MAX = 12;

/** @typedef {import("./status.js").GatewayRequest} GatewayRequest */

export class RequestList {
  #body;
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();

  /** @param {HTMLElement} body the table's */
  constructor(body) {
    this.#body = body;
    for (const time of body.querySelectorAll("time")) stamp(time);
    for (const row of body.querySelectorAll("tr")) this.#rows.set(row.dataset.request ?? "", row);
  }

  /**
   * @param {readonly GatewayRequest[]} requests newest first
   * @param {(id: string) => readonly import("./status.js").Failed[]} failedOf the tries of a request that failed
   */
  show(requests, failedOf) {
    const shown = requests.slice(0, ROWS_MAX);
    const rows = new Map(shown.map((request) => [request.id, this.#rows.get(request.id) ?? emptyRow(request)]));
    for (const [id, row] of this.#rows) if (!rows.has(id)) row.remove();
    this.#rows = rows;
    let place = this.#body.firstElementChild;
    for (const request of shown) {
      const row = /** @type {HTMLTableRowElement} */ (rows.get(request.id));
      fill(row, request, failedOf(request.id));
      if (row === place) place = place.nextElementSibling;
      else this.#body.insertBefore(row, place);
    }
  }
}

/**
 * @param {GatewayRequest} request
 * @returns {HTMLTableRowElement}
 */
function emptyRow(request) {
  const row = document.createElement("tr");
  row.dataset.request = request.id;
  for (const className of ["", "wide-only", "", "", "number wide-only", "number"]) {
    const cell = document.createElement("td");
    cell.className = className;
    row.append(cell);
  }
  const time = document.createElement("time");
  time.dataset.at = String(request.at ?? "");
  stamp(time);
  row.cells[0]?.append(time);
  const model = document.createElement("code");
  model.textContent = request.model;
  row.cells[1]?.append(model);
  if (request.stream) {
    const mark = document.createElement("span");
    mark.className = "soft";
    mark.textContent = "stream";
    row.cells[1]?.append(" ", mark);
  }
  return row;
}

/**
 * @param {HTMLTableRowElement} row
 * @param {GatewayRequest} request
 * @param {readonly import("./status.js").Failed[]} failed
 */
function fill(row, request, failed) {
  row.dataset.state = request.state;
  const texts = [routeWords(request, failed), outcomeWords(request), span(request.first_token_ms), span(request.elapsed_ms)];
  for (const [place, text] of texts.entries()) {
    const cell = row.cells[place + 2];
    if (cell !== undefined && cell.textContent !== text) cell.textContent = text;
  }
}

/** @param {HTMLTimeElement} time */
function stamp(time) {
  const date = toDate(Number(time.dataset.at));
  time.textContent = shortMoment(date, new Date());
  if (date !== null) time.dateTime = date.toISOString();
}
