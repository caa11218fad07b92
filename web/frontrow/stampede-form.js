// The stampede's form: presets, own values, and what is wrong with them, said at the field.

import { counted } from "/assets/format.js";
import { fault } from "./fields.js";

/** @typedef {{buyers: number, seats: number, seed: number | null}} Wish */

const PRESETS = /** @type {Record<string, Wish>} */ ({
  "1000x1": { buyers: 1000, seats: 1, seed: null },
  "500x5": { buyers: 500, seats: 5, seed: null },
});
const FIELDS = /** @type {const} */ (["buyers", "seats", "seed"]);

export class StampedeForm {
  /**
   * @param {HTMLFormElement} form
   * @param {{onChange: (wish: Wish) => void, onFire: (wish: Wish) => void}} listeners `onChange` hears valid values only
   */
  constructor(form, { onChange, onFire }) {
    this.form = form;
    this.button = /** @type {HTMLButtonElement} */ (form.querySelector('button[type="submit"]'));
    form.addEventListener("change", (event) => {
      if (/** @type {HTMLInputElement} */ (event.target).name === "preset") this.#choosePreset();
    });
    form.addEventListener("input", () => {
      const wish = this.read();
      if (wish !== null) onChange(wish);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wish = this.read();
      if (wish === null) this.#focusFirstError();
      else if (!this.button.disabled) onFire(wish);
    });
    this.#choosePreset();
  }

  /** @returns {Wish | null} null when something is wrong; the fields then say what */
  read() {
    const preset = PRESETS[this.#preset];
    if (preset !== undefined) return preset;
    let isValid = true;
    const values = /** @type {Record<string, number | null>} */ ({});
    for (const name of FIELDS) {
      const field = this.#field(name);
      const message = fault(field.value, {
        min: Number(field.min),
        max: Number(field.max),
        isRequired: field.required,
        isGarbled: field.validity.badInput,
      });
      this.#mark(name, message);
      isValid &&= message === "";
      values[name] = field.value === "" ? null : Number(field.value);
    }
    return isValid ? /** @type {Wish} */ (values) : null;
  }

  /** @param {Wish} wish is put into the fields */
  set(wish) {
    const own = /** @type {HTMLInputElement} */ (this.form.querySelector('[name="preset"][value="own"]'));
    own.checked = true;
    for (const name of FIELDS) this.#field(name).value = String(wish[name] ?? "");
    this.#choosePreset();
  }

  /**
   * Shows at its field what the host refused.
   * @param {{field: string, message: string}[]} errors
   */
  refuse(errors) {
    for (const { field, message } of errors) {
      const name = FIELDS.find((each) => field === each);
      if (name !== undefined && this.#preset === "own") this.#mark(name, message);
    }
    this.#focusFirstError();
  }

  get #preset() {
    return String(new FormData(this.form).get("preset"));
  }

  /** @param {string} name */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }

  #choosePreset() {
    const values = /** @type {HTMLElement} */ (this.form.querySelector(".own-values"));
    values.hidden = this.#preset !== "own";
  }

  /**
   * @param {string} name
   * @param {string} message "" when all is well
   */
  #mark(name, message) {
    const field = this.#field(name);
    const note = this.form.querySelector(`#${name}-error`);
    if (message === "") field.removeAttribute("aria-invalid");
    else field.setAttribute("aria-invalid", "true");
    if (note !== null && note.textContent !== message) note.textContent = message;
  }

  #focusFirstError() {
    /** @type {HTMLElement | null} */ (this.form.querySelector('[aria-invalid="true"]'))?.focus();
  }
}

/**
 * @param {Wish} wish
 * @returns {string}
 */
export function wishWords({ buyers, seats }) {
  return `${counted(buyers, "buyer")}, ${counted(seats, "seat")}`;
}
