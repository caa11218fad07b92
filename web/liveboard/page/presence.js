// Who else is here: where they point, and the strokes in their hands, as they come.

import { Reader, Writer } from "../core/bytes.js";
import { integer, oneOf, points } from "../core/fields.js";
import { COLOR_MAX, SIZE_MAX, TOOLS } from "../core/operations.js";

const BODY = [oneOf("tool", TOOLS), integer("color", 0, COLOR_MAX), integer("size", 1, SIZE_MAX), integer("opacity", 1, 100), points];
const TOOL_NUMBERS = /** @type {Record<string, number>} */ ({ hand: 0, pen: 1, eraser: 3 });
const INK_LEFT_MS = 5000;
const CURSOR_LEFT_MS = 10_000;

/**
 * @param {{x: number, y: number, tool: string, isDown: boolean, view: {x: number, y: number, width: number, height: number}}} about
 */
export function stateBytes({ x, y, tool, isDown, view }) {
  const writer = new Writer();
  writer.signed(x);
  writer.signed(y);
  writer.varint(TOOL_NUMBERS[tool] ?? 0);
  writer.varint(isDown ? 1 : 0);
  writer.signed(view.x);
  writer.signed(view.y);
  writer.varint(view.width);
  writer.varint(view.height);
  return writer.bytes();
}

/** @param {number} stroke @param {number} first @param {any} body of a stroke, with the new points only */
export function inkBytes(stroke, first, body) {
  const writer = new Writer();
  writer.varint(stroke);
  writer.varint(first);
  for (const field of BODY) field.write(writer, body);
  return writer.bytes();
}

/** Everybody else on the board. */
export class Others {
  /** @type {Map<number, any>} by number: the server's record of each person */
  people = new Map();
  /** @type {Map<number, {x: number, y: number, at: number}>} */
  cursors = new Map();
  /** @type {Map<number, Map<number, {color: number, size: number, opacity: number, points: number[], at: number}>>} */
  ink = new Map();

  /** @param {any} frame of type people */
  listed(frame) {
    if (frame.whole) this.people.clear();
    for (const person of frame.people) this.people.set(person.number, person);
    for (const number of frame.left) this.people.delete(number);
    for (const number of [...this.cursors.keys()]) if (!this.people.has(number)) this.#forget(number);
  }

  /** @param {any} frame of type moves @param {number} me */
  moved(frame, me) {
    const at = performance.now();
    for (const { person, state, inks } of frame.moves) {
      if (person === me) continue;
      try {
        if (state.length) {
          const reader = new Reader(state);
          this.cursors.set(person, { x: reader.signed(), y: reader.signed(), at });
        }
        for (const bytes of inks) this.#ink(person, bytes, at);
      } catch {
        // A client of another kind may say what it likes here.
      }
    }
  }

  /** The stroke itself has come: the oldest of its author's ink is of no more use. @param {string} site */
  done(site) {
    for (const [number, person] of this.people) {
      const strokes = this.ink.get(number);
      const oldest = strokes?.keys().next();
      if (person.site === site && oldest && !oldest.done) strokes?.delete(oldest.value);
    }
  }

  /** Forgets what is old; whether anything is left to draw. */
  tidy() {
    const now = performance.now();
    for (const strokes of this.ink.values()) {
      for (const [stroke, { at }] of strokes) if (now - at > INK_LEFT_MS) strokes.delete(stroke);
    }
    for (const [number, { at }] of this.cursors) if (now - at > CURSOR_LEFT_MS) this.cursors.delete(number);
  }

  /** @param {number} person @param {Uint8Array} bytes @param {number} at */
  #ink(person, bytes, at) {
    const reader = new Reader(bytes);
    const stroke = reader.varint();
    reader.varint();
    /** @type {any} */
    const body = {};
    for (const field of BODY) field.read(reader, body);
    const strokes = this.ink.get(person) ?? new Map();
    this.ink.set(person, strokes);
    const known = strokes.get(stroke) ?? { ...body, points: [] };
    known.points.push(...body.points);
    known.at = at;
    strokes.set(stroke, known);
  }

  /** @param {number} number */
  #forget(number) {
    this.cursors.delete(number);
    this.ink.delete(number);
  }
}
