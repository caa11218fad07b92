// The parts of the board's page, by their ids.

import { one } from "/assets/dom.js";

/** @param {string} id */
export const byId = (id) => one(`#${id}`, HTMLElement);

/** A field to write in, to choose from, or to slide. @param {string} id */
export const fieldById = (id) => one(`#${id}`, HTMLInputElement);
