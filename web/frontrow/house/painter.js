// Draws a part of a house on a canvas: sections from far away, seats from near, and only what is in sight.

import { count } from "/assets/format.js";
import { inkOf, tierColour, word } from "./ink.js";
import { SeatPainter } from "./seat-painter.js";
import { ROWS_PX, seen, SEATS_PX } from "./view.js";

/** @typedef {import("./plan.js").Plan} Plan */
/** @typedef {import("./plan.js").Section} Section */
/** @typedef {import("./seats.js").Seats} Seats */
/** @typedef {import("./view.js").View} View */

const PIXELS_MAX = 8_000_000;
const WORDS_PX = 12;

export class HousePainter {
  #canvas;
  #context;
  #plan;
  #seats;
  #size = { width: 0, height: 0 };
  /** @type {import("./ink.js").Ink} */
  #ink;
  #marks;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Plan} plan
   * @param {Seats} seats
   */
  constructor(canvas, plan, seats) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("this browser has no canvas");
    this.#canvas = canvas;
    this.#context = context;
    this.#plan = plan;
    this.#seats = seats;
    this.#ink = inkOf(canvas);
    this.#marks = new SeatPainter(context, plan, seats, this.#ink);
  }

  /** Takes on the canvas' size. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(PIXELS_MAX / Math.max(width * height, 1)));
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#size = { width, height };
    return this.#size;
  }

  /** Takes on the theme. */
  recolour() {
    this.#ink = inkOf(this.#canvas);
    this.#marks.ink = this.#ink;
  }

  /**
   * @param {View} view
   * @param {{section: number, seat: number, area: number, tier: number}} marked what a hand or the keyboard is at; -1 nothing
   * @param {boolean} [isQuick] without what is written on seats: they move
   */
  draw(view, marked, isQuick = false) {
    const context = this.#context;
    const { width, height } = this.#size;
    context.clearRect(0, 0, width, height);
    const part = seen(view, this.#size);
    const pitch = this.#plan.pitch_m * view.scale;
    const sections = this.#plan.sections.filter(({ box }) => box.right >= part.left - 1 && box.left <= part.right + 1 && box.bottom >= part.top - 1 && box.top <= part.bottom + 1);
    this.#drawStage(view);
    for (const section of sections) this.#drawFloor(section, view, pitch, marked);
    this.#drawAreas(view, marked);
    this.#marks.draw(view, part, pitch, marked.tier, isQuick);
    if (pitch >= ROWS_PX) this.#nameRows(sections, view, pitch);
    this.#nameSections(sections, view, pitch);
    if (marked.seat >= 0) this.#marks.ring(marked.seat, view);
  }

  /** @param {View} view */
  #drawStage(view) {
    const { x, y, width } = this.#plan.stage;
    const context = this.#context;
    const [wide, deep] = [width * view.scale, (width * view.scale) / 6];
    const [left, top] = [x * view.scale + view.x - wide / 2, y * view.scale + view.y - deep];
    context.beginPath();
    context.roundRect(left, top, wide, deep, [3, 3, deep * 0.45, deep * 0.45]);
    context.fillStyle = this.#ink.ink;
    context.fill();
    if (deep >= 9) word(this.#context, "Stage", left + wide / 2, top + deep / 2, { size: Math.min(deep * 0.62, 15), colour: this.#ink.paper, font: this.#ink.font, weight: 600 });
  }

  /**
   * @param {Section} section
   * @param {View} view
   * @param {number} pitch
   * @param {{section: number, tier: number}} marked
   */
  #drawFloor(section, view, pitch, marked) {
    // Where there is but one section, its seats say all that a floor would.
    if (this.#plan.sections.length === 1) return;
    const place = this.#plan.sections.indexOf(section);
    const tier = section.rows[0]?.tier ?? 0;
    const context = this.#context;
    context.beginPath();
    for (let corner = 0; corner < section.outline.length; corner += 2) {
      context.lineTo((section.outline[corner] ?? 0) * view.scale + view.x, (section.outline[corner + 1] ?? 0) * view.scale + view.y);
    }
    context.closePath();
    const share = section.count > 0 ? (this.#seats.freeIn[place] ?? 0) / section.count : 0;
    const isQuiet = marked.tier >= 0 && !section.rows.some((row) => row.tier === marked.tier);
    context.fillStyle = tierColour(this.#ink, tier);
    // From near the floor fades: there the seats themselves say it.
    context.globalAlpha = (isQuiet ? 0.03 : 0.05 + 0.17 * share) * Math.min(1, (SEATS_PX * 1.6) / pitch);
    context.fill();
    context.globalAlpha = 1;
    if (marked.section === place && pitch < ROWS_PX) {
      context.strokeStyle = this.#ink.ink;
      context.lineWidth = 2;
      context.stroke();
    }
  }

  /**
   * @param {View} view
   * @param {{area: number, tier: number}} marked
   */
  #drawAreas(view, marked) {
    const context = this.#context;
    for (const area of this.#plan.areas) {
      const [x, y, radius] = [area.x * view.scale + view.x, area.y * view.scale + view.y, area.radius * view.scale];
      const free = this.#seats.areas.get(area.id) ?? area.capacity;
      context.beginPath();
      context.roundRect(x - radius, y - radius * 0.62, 2 * radius, radius * 1.24, radius * 0.3);
      context.fillStyle = tierColour(this.#ink, area.tier);
      context.globalAlpha = marked.tier >= 0 && marked.tier !== area.tier ? 0.04 : 0.08 + (0.16 * free) / Math.max(area.capacity, 1);
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = marked.area === area.id ? this.#ink.ink : tierColour(this.#ink, area.tier);
      context.lineWidth = marked.area === area.id ? 2 : 1;
      context.stroke();
      if (radius < 24) continue;
      const high = Math.min(Math.max(radius * 0.16, WORDS_PX), 22);
      word(this.#context, area.name, x, y - high * 0.6, { size: high, colour: this.#ink.ink, font: this.#ink.font, weight: 600 });
      word(this.#context, `${count(free)} free`, x, y + high * 0.7, { size: Math.max(high * 0.72, 11), colour: this.#ink.soft, font: this.#ink.font });
    }
  }

  /**
   * @param {Section[]} sections
   * @param {View} view
   * @param {number} pitch
   */
  #nameRows(sections, view, pitch) {
    const { x, y, half } = this.#plan;
    for (const { rows } of sections) {
      for (const row of rows) {
        for (const [seat, way] of /** @type {const} */ ([[row.first, -1], [row.first + row.count - 1, 1]])) {
          const away = (2.1 * way * row.pitch_m) / Math.max(Math.hypot(half.x[seat] ?? 0, half.y[seat] ?? 0) * 2, 1e-6);
          const at = [((x[seat] ?? 0) + (half.x[seat] ?? 0) * away) * view.scale + view.x, ((y[seat] ?? 0) + (half.y[seat] ?? 0) * away) * view.scale + view.y];
          word(this.#context, row.label, at[0] ?? 0, at[1] ?? 0, { size: Math.min(Math.max(pitch * 0.5, 9), 14), colour: this.#ink.soft, font: this.#ink.font });
        }
      }
    }
  }

  /**
   * @param {Section[]} sections
   * @param {View} view
   * @param {number} pitch
   */
  #nameSections(sections, view, pitch) {
    if (this.#plan.sections.length === 1 || pitch >= ROWS_PX) return;
    // All of them or none, and alike: in the narrowest section there must be room for its name.
    const room = Math.min(...this.#plan.sections.map(({ box }) => Math.min(box.right - box.left, box.bottom - box.top))) * view.scale;
    const size = Math.min(room * 0.32, 14);
    if (size < 9) return;
    for (const section of sections) {
      const free = this.#seats.freeIn[this.#plan.sections.indexOf(section)] ?? 0;
      this.#plate(section.name, section.middle.x * view.scale + view.x, section.middle.y * view.scale + view.y, size, free === 0);
    }
  }

  /**
   * A word on a plate, so that it is read over seats of any colour.
   * @param {string} text
   * @param {number} x
   * @param {number} y
   * @param {number} size
   * @param {boolean} isStruck
   */
  #plate(text, x, y, size, isStruck) {
    const context = this.#context;
    context.font = `600 ${size}px ${this.#ink.font}`;
    const wide = context.measureText(text).width + size * 0.5;
    context.beginPath();
    context.roundRect(x - wide / 2, y - size * 0.68, wide, size * 1.36, size * 0.3);
    context.fillStyle = this.#ink.paper;
    context.globalAlpha = 0.86;
    context.fill();
    context.globalAlpha = 1;
    word(this.#context, text, x, y, { size: size, colour: isStruck ? this.#ink.soft : this.#ink.ink, font: this.#ink.font, weight: 600 });
    if (isStruck) context.fillRect(x - wide / 2 + 2, y, wide - 4, 1);
  }
}
