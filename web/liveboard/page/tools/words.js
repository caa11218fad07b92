// Texts and notes, written where they stand.

import { keyOf, TEXT_BYTES_MAX } from "../../core/operations.js";
import { LINE_HEIGHT } from "../layout.js";
import { fillOf, inkOf } from "../colours.js";
import { lettersOf, NOTE_FILL } from "../restyle.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Tool} Tool */
/** @typedef {import("../desk.js").Spot} Spot */
/** @typedef {import("../../core/types.d.ts").Shown} Shown */
/** @typedef {import("../../core/types.d.ts").Text} Text */

const NOTE_UNITS = 1600;
const NOTE_MARGIN = 0.8;
const NOTE_LETTERS = 160;

/** @implements {Tool} */
export class WordsTool {
  cursor = "text";
  #desk;
  #form;
  #editor;

  /** @param {Desk} desk @param {"text" | "note"} form @param {Editor} editor */
  constructor(desk, form, editor) {
    this.#desk = desk;
    this.#form = form;
    this.#editor = editor;
  }

  press() {
    this.#editor.close();
  }

  drag() {}

  /** @param {Spot} spot */
  lift({ x, y }) {
    const { color, fill, width } = this.#desk.style;
    if (this.#form === "note") {
      const half = NOTE_UNITS / 2;
      const note = { color, size: NOTE_LETTERS, fill: fill || NOTE_FILL, x: x - half, y: y - half, width: NOTE_UNITS };
      this.#editor.open({ kind: "text", form: "note", opacity: 100, text: "", ...note }, null);
    } else {
      const size = lettersOf(width);
      const text = { color, size, fill: 0, x, y: Math.round(y - size * 0.65), width: 0 };
      this.#editor.open({ kind: "text", form: "text", opacity: 100, text: "", ...text }, null);
    }
  }

  cancel() {}
}

/** The field in which a text is written, over the place where it will stand. */
export class Editor {
  #desk;
  #field;
  /** @type {{body: Text, replaced: Shown | null} | null} */
  #open = null;

  /** @param {Desk} desk @param {HTMLTextAreaElement} field */
  constructor(desk, field) {
    this.#desk = desk;
    this.#field = field;
    field.addEventListener("input", () => this.place());
    field.addEventListener("blur", () => this.close());
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) {
        event.preventDefault();
        this.close();
      }
    });
  }

  get isOpen() {
    return this.#open !== null;
  }

  /** @param {Text} body as it is to begin with @param {Shown | null} replaced the mark that it takes the place of */
  open(body, replaced) {
    this.close();
    this.#open = { body, replaced };
    if (replaced) this.#desk.stage.veil([keyOf(replaced.operation)], () => undefined);
    this.#field.value = body.text;
    this.#field.hidden = false;
    this.#field.setAttribute("aria-label", body.form === "note" ? "Words of the note" : "Words of the text");
    this.#field.dataset.form = body.form;
    this.place();
    this.#field.focus({ preventScroll: true });
    this.#field.select();
  }

  /** @param {Shown} shown a text or a note */
  edit(shown) {
    const { operation, dx, dy, color, size, opacity, fill } = shown;
    if (operation.kind !== "text") return;
    const { form, x, y, width, text } = operation;
    const place = { x: x + dx, y: y + dy, width };
    this.open({ kind: "text", form, color, size, opacity, fill: fill ?? 0, ...place, text }, shown);
  }

  /** Keeps the field where the text will stand, and as large; after every change of view too. */
  place() {
    if (!this.#open) return;
    const { body } = this.#open;
    const { view, stage } = this.#desk;
    const [left, top] = view.toCanvas(body.x, body.y);
    const letters = body.size * view.scale;
    const { style } = this.#field;
    const lines = this.#field.value.split("\n");
    const widest = Math.max(...lines.map((line) => stage.measure(line, body.size)), body.size);
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.fontSize = `${letters}px`;
    style.lineHeight = String(LINE_HEIGHT);
    style.color = inkOf(body.color, stage.theme.isDark);
    style.padding = body.form === "note" ? `${NOTE_MARGIN * letters}px` : "0";
    style.background = body.fill ? fillOf(body.fill - 1, stage.theme.isDark) : "none";
    style.width = `${body.width ? body.width * view.scale : widest * view.scale + letters}px`;
    style.height = "0";
    const least = body.form === "note" ? body.width * view.scale : lines.length * letters * LINE_HEIGHT;
    style.height = `${Math.max(this.#field.scrollHeight, least)}px`;
  }

  /** Makes what is written part of the board; nothing written is no mark. */
  close() {
    const open = this.#open;
    if (!open) return;
    this.#open = null;
    this.#field.hidden = true;
    const { body, replaced } = open;
    const text = bounded(this.#field.value.replaceAll("\r", "").trimEnd());
    this.#desk.stage.unveil();
    if (replaced?.operation.kind === "text" && replaced.operation.text === text) return;
    const { board } = this.#desk;
    const bodies = [];
    if (replaced) {
      const { site, seq } = replaced.operation;
      bodies.push(/** @type {import("../../core/types.d.ts").Erase} */ ({ kind: "erase", targets: [{ site, seq, ranges: [] }] }));
    }
    if (text) bodies.push({ ...body, text });
    if (!bodies.length) return;
    const keys = board.doAll(bodies);
    this.#desk.choose("select");
    this.#desk.select(text ? keys.slice(-1) : []);
  }
}

/** As much of a text as an operation holds. @param {string} text */
function bounded(text) {
  // Half a surrogate pair becomes U+FFFD on the way, and so does a letter that is cut.
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, TEXT_BYTES_MAX - 3));
}
