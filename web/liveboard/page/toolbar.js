// The tool bar and the style beside it: what is pressed, and what pressing does.

import { TARGETS_MAX } from "../core/operations.js";
import { fillOf, inkOf } from "./colours.js";
import { isFillable, NOTE_FILL, restyled, sizeOf } from "./restyle.js";

/** @typedef {import("./desk.js").Desk} Desk */

/** Tools whose colour one chooses before drawing; with any other, a colour takes up the pen. */
const COLOURED = ["pen", "highlighter", "line", "arrow", "rectangle", "ellipse", "text", "note"];

export class Toolbar {
  #desk;
  #frame;

  /** @param {HTMLElement} frame @param {Desk} desk */
  constructor(frame, desk) {
    this.#frame = frame;
    this.#desk = desk;
    const { style } = desk;
    this.#onClick("[data-tool]", ({ dataset }) => {
      desk.choose(dataset.tool ?? "pen");
      this.#open("tools", false);
    });
    this.#onClick("[data-color]", ({ dataset }) => this.colour(parseInt(dataset.color ?? "0", 16)));
    this.#onClick("[data-width]", ({ dataset }) => this.width(Number(dataset.width)));
    this.#onClick("[data-fill]", ({ dataset }) => {
      style.fill = dataset.fill ? parseInt(dataset.fill, 16) + 1 : 0;
      this.#restyle({ fill: style.fill });
    });
    this.#onClick("[data-part]", ({ dataset }) => {
      style.isPart = dataset.part === "part";
      this.show();
    });
    this.#onClick("#more-tools", () => this.#open("tools", !("more" in this.#tools.dataset)));
    this.#onClick("#open-style", () => this.#open("style", !("style" in frame.dataset)));
    // On a phone what is open covers the board: drawing closes it.
    this.#one("#above").addEventListener("pointerdown", () => this.#open("tools", false));
    desk.addEventListener("tool", () => this.show());
    desk.addEventListener("selection", () => this.show());
    this.#tools.addEventListener("keydown", (event) => this.#walk(event));
    this.show();
  }

  /** Colours anew, as the theme shows them. */
  retheme() {
    const { isDark } = this.#desk.stage.theme;
    for (const button of this.#all("[data-color]")) this.#paint(button, inkOf(parseInt(button.dataset.color ?? "0", 16), isDark));
    for (const button of this.#all("[data-fill]:not([data-fill=''])")) this.#paint(button, fillOf(parseInt(button.dataset.fill ?? "0", 16), isDark));
    this.show();
  }

  /** @param {number} color */
  colour(color) {
    this.#desk.style.color = color;
    if (!this.#desk.selected.size && !COLOURED.includes(this.#desk.tool)) this.#desk.choose("pen");
    this.#restyle({ color });
  }

  /** @param {number} at from 0 @returns {void} */
  colourAt(at) {
    const value = this.#all("[data-color]")[at]?.dataset.color;
    if (value) this.colour(parseInt(value, 16));
  }

  /** @param {number} width in pixels */
  width(width) {
    this.#desk.style.width = width;
    this.#restyle({ width });
  }

  /** @param {1 | -1} step to the next of the widths */
  widthBy(step) {
    const widths = this.#all("[data-width]").map(({ dataset }) => Number(dataset.width));
    const next = widths[widths.indexOf(this.#desk.style.width) + step];
    if (next) this.width(next);
  }

  /** Says what is chosen. */
  show() {
    const { tool, style, selected, stage } = this.#desk;
    const marks = [...selected].flatMap((key) => stage.scene.get(key) ?? []);
    this.#frame.dataset.tool = tool;
    toggle(this.#frame, "selected", marks.length > 0);
    toggle(this.#frame, "fillable", marks.some(isFillable));
    this.#press("[data-tool].tool", ({ dataset }) => dataset.tool === tool);
    // What is selected shows its own style, if it is one; else it is what the next mark will wear.
    const worn = marks.filter(({ operation }) => operation.kind !== "image");
    const isWorn = (/** @type {(shown: import("../core/types.d.ts").Shown) => boolean} */ has, /** @type {boolean} */ isChosen) => (worn.length ? worn.every(has) : isChosen);
    this.#press("[data-color]", ({ dataset }) => {
      const value = parseInt(dataset.color ?? "", 16);
      return isWorn(({ color }) => color === value, value === style.color);
    });
    this.#press("[data-width]", ({ dataset }) => {
      const width = Number(dataset.width);
      return isWorn((shown) => shown.size === sizeOf(shown, width), width === style.width);
    });
    this.#press("[data-fill]", ({ dataset }) => {
      const value = dataset.fill ? parseInt(dataset.fill, 16) + 1 : 0;
      return isWorn(({ fill }) => fill === value, value === (tool === "note" ? style.fill || NOTE_FILL : style.fill));
    });
    this.#press("[data-part]", ({ dataset }) => (dataset.part === "part") === style.isPart);
    this.#one("#style-swatch").setAttribute("fill", inkOf(style.color, stage.theme.isDark));
    this.#one("#selection-actions").hidden = marks.length === 0;
    this.#one("#selected-count").textContent = marks.length === 1 ? "One selected" : `${marks.length} selected`;
    /** @type {HTMLButtonElement} */ (this.#one("#edit-words")).disabled = marks.length !== 1 || marks[0]?.operation.kind !== "text";
  }

  /** @param {import("./restyle.js").Wish} wish */
  #restyle(wish) {
    const { selected, stage, board } = this.#desk;
    const marks = this.#desk.idsOf(selected).flatMap(({ site, seq }) => stage.scene.get(`${site}:${seq}`) ?? []);
    const bodies = [];
    for (let at = 0; at < marks.length; at += TARGETS_MAX) bodies.push(...restyled(marks.slice(at, at + TARGETS_MAX), wish));
    if (bodies.length) board.doAll(bodies);
    this.show();
  }

  /** On a phone: the other tools, or the style. @param {"tools" | "style"} what @param {boolean} isOpen */
  #open(what, isOpen) {
    toggle(this.#tools, "more", what === "tools" && isOpen);
    toggle(this.#frame, "style", what === "style" && isOpen);
    this.#one("#more-tools").setAttribute("aria-expanded", String("more" in this.#tools.dataset));
    this.#one("#open-style").setAttribute("aria-expanded", String("style" in this.#frame.dataset));
  }

  /** Arrow keys go from tool to tool. @param {KeyboardEvent} event */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = this.#all(".board-tools button").filter((button) => button.checkVisibility());
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (!step || at < 0) return;
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
  }

  get #tools() {
    return this.#one(".board-tools");
  }

  /** @param {HTMLElement} button @param {string} colour */
  #paint(button, colour) {
    button.querySelector(".swatch")?.setAttribute("fill", colour);
  }

  /** @param {string} selector */
  #one(selector) {
    return /** @type {HTMLElement} */ (this.#frame.querySelector(selector));
  }

  /** @param {string} selector @returns {HTMLElement[]} */
  #all(selector) {
    return [...this.#frame.querySelectorAll(selector)].map((each) => /** @type {HTMLElement} */ (each));
  }

  /** @param {string} selector @param {(button: HTMLElement) => boolean} isOn */
  #press(selector, isOn) {
    for (const button of this.#all(selector)) button.setAttribute("aria-pressed", String(isOn(button)));
  }

  /** @param {string} selector @param {(button: HTMLElement) => void} action */
  #onClick(selector, action) {
    for (const button of this.#all(`${selector}:is(button)`)) button.addEventListener("click", () => action(button));
  }
}

/** @param {HTMLElement} element @param {string} name of `data-` @param {boolean} isOn */
function toggle(element, name, isOn) {
  if (isOn) element.dataset[name] = "";
  else delete element.dataset[name];
}
