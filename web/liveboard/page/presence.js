// Who else is here: where they point and look, and the strokes in their hands, as they come.

import { Reader, Writer } from "../core/bytes.js";
import { integer, oneOf, points } from "../core/fields.js";
import { COLOR_MAX, SIZE_MAX, TOOLS } from "../core/operations.js";

const BODY = [oneOf("tool", TOOLS), integer("color", 0, COLOR_MAX), integer("size", 1, SIZE_MAX), integer("opacity", 1, 100), points];
const TOOL_NUMBERS = /** @type {Record<string, number>} */ ({
  hand: 0, select: 0, pen: 1, highlighter: 2, eraser: 3, line: 4, arrow: 4, rectangle: 4, ellipse: 4, text: 5, note: 5, laser: 6,
});
const PEN_DOWN = 1;
const LASER_ON = 2;
const INK_LEFT_MS = 5000;
const CURSOR_LEFT_MS = 10_000;
export const TRAIL_MS = 900;

/** @typedef {{x: number, y: number, width: number, height: number}} Sight what somebody sees, in units */
/** @typedef {{x: number, y: number, at: number}} Spot */
/** @typedef {{tool: "pen" | "highlighter", color: number, size: number, opacity: number, points: number[], pressures: number[] | null, next: number, at: number}} Ink */

/** @param {{x: number, y: number, tool: string, isDown: boolean, isLaser: boolean, view: Sight}} about */
export function stateBytes({ x, y, tool, isDown, isLaser, view }) {
  const writer = new Writer();
  writer.signed(x);
  writer.signed(y);
  writer.varint(TOOL_NUMBERS[tool] ?? 0);
  writer.varint((isDown ? PEN_DOWN : 0) + (isLaser ? LASER_ON : 0));
  writer.signed(view.x);
  writer.signed(view.y);
  writer.varint(view.width);
  writer.varint(view.height);
  return writer.bytes();
}

/** @param {Uint8Array} bytes */
export function readState(bytes) {
  const reader = new Reader(bytes);
  const [x, y, , flags] = [reader.signed(), reader.signed(), reader.varint(), reader.varint()];
  const view = { x: reader.signed(), y: reader.signed(), width: reader.varint(), height: reader.varint() };
  return { x, y, isLaser: (flags & LASER_ON) !== 0, view };
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
  /** @type {Map<number, Spot>} */
  cursors = new Map();
  /** @type {Map<number, Sight>} */
  sights = new Map();
  /** @type {Map<number, Spot[]>} what laser pointers left behind them */
  trails = new Map();
  /** @type {Map<number, Map<number, Ink>>} */
  ink = new Map();
  /** Names by site, of everybody who was ever here while this page was. @type {Map<string, string>} */
  names = new Map();

  /** @param {any} frame of type people */
  listed(frame) {
    if (frame.whole) this.people.clear();
    for (const person of frame.people) {
      this.people.set(person.number, person);
      this.names.set(person.site, person.name);
    }
    for (const number of frame.left) this.people.delete(number);
    for (const number of [...this.cursors.keys()]) if (!this.people.has(number)) this.#forget(number);
  }

  /** @param {any} frame of type moves @param {number} me */
  moved(frame, me) {
    const at = performance.now();
    for (const { person, state, inks } of frame.moves) {
      if (person === me) continue;
      try {
        if (state.length) this.#state(person, readState(state), at);
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

  /** Nobody is connected to this page. */
  clear() {
    for (const each of [this.people, this.cursors, this.sights, this.trails, this.ink]) each.clear();
  }

  /** Forgets what is old; whether something fades, and has to be drawn again. */
  tidy() {
    const now = performance.now();
    for (const strokes of this.ink.values()) {
      for (const [stroke, { at }] of strokes) if (now - at > INK_LEFT_MS) strokes.delete(stroke);
    }
    for (const [number, { at }] of this.cursors) if (now - at > CURSOR_LEFT_MS) this.cursors.delete(number);
    for (const [number, trail] of this.trails) {
      while (trail[0] && now - trail[0].at > TRAIL_MS) trail.shift();
      if (trail.length === 0) this.trails.delete(number);
    }
    return this.trails.size > 0;
  }

  /** @param {number} person @param {ReturnType<typeof readState>} state @param {number} at */
  #state(person, { x, y, isLaser, view }, at) {
    this.cursors.set(person, { x, y, at });
    this.sights.set(person, view);
    if (!isLaser) return;
    const trail = this.trails.get(person) ?? [];
    this.trails.set(person, trail);
    trail.push({ x, y, at });
  }

  /** @param {number} person @param {Uint8Array} bytes @param {number} at */
  #ink(person, bytes, at) {
    const reader = new Reader(bytes);
    const stroke = reader.varint();
    const first = reader.varint();
    /** @type {any} */
    const body = {};
    for (const field of BODY) field.read(reader, body);
    const strokes = this.ink.get(person) ?? new Map();
    this.ink.set(person, strokes);
    /** @type {Ink} */
    const known = strokes.get(stroke) ?? { ...body, points: [], pressures: body.pressures ? [] : null, next: first };
    // What got lost on the way is not drawn as a line across.
    if (first !== known.next) [known.points, known.pressures] = [[], known.pressures && []];
    known.next = first + body.points.length / 2;
    known.points.push(...body.points);
    known.pressures?.push(...(body.pressures ?? []));
    known.at = at;
    strokes.set(stroke, known);
  }

  /** @param {number} number */
  #forget(number) {
    for (const each of [this.cursors, this.sights, this.trails, this.ink]) each.delete(number);
  }
}
