// Draws the board: what it shows on the lower canvas; strokes in hand, pointers and lights on the upper one.

import { keyOf } from "../core/operations.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./presence.js").Others} Others */
/** @typedef {import("../core/types.d.ts").Shown} Shown */

/** @type {Map<number, string>} */
const colours = new Map();
let isDark = false;

/** What is too dark for a dark board is shown as light as it was dark. @param {number} value 0xRRGGBB */
export function colourOf(value) {
  const known = colours.get(value);
  if (known) return known;
  const parts = [value >> 16, (value >> 8) & 255, value & 255];
  const light = (Math.max(...parts) + Math.min(...parts)) / 510;
  const turned = isDark && light < 0.25 ? parts.map((part) => 245 - part) : parts;
  const colour = `rgb(${turned.join(" ")})`;
  colours.set(value, colour);
  return colour;
}

export class Painter {
  #marks;
  #above;
  #view;
  /** @type {Map<string, Path2D>} */
  #paths = new Map();
  #ink = "#000";
  #voice = "#000";
  #paper = "#fff";

  /** @param {HTMLCanvasElement} marks @param {HTMLCanvasElement} above @param {View} view */
  constructor(marks, above, view) {
    this.#marks = marks;
    this.#above = above;
    this.#view = view;
    this.retheme();
  }

  /** Reads the theme's colours. */
  retheme() {
    const style = getComputedStyle(this.#marks.parentElement ?? document.body);
    isDark = (style.backgroundColor.match(/\d+/g) ?? []).slice(0, 3).every((part) => Number(part) < 128);
    colours.clear();
    this.#ink = style.color;
    this.#paper = style.backgroundColor;
    const probe = document.createElement("i");
    probe.style.color = "var(--voice)";
    this.#marks.parentElement?.append(probe);
    this.#voice = getComputedStyle(probe).color;
    probe.remove();
  }

  resize() {
    const { clientWidth, clientHeight } = this.#above;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.#marks, this.#above]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
    }
    this.#view.width = clientWidth;
    this.#view.height = clientHeight;
  }

  /** @param {Iterable<Shown>} shown @param {Set<string>} hidden keys about to be erased */
  marks(shown, hidden) {
    const context = this.#cleared(this.#marks);
    const { scale } = this.#view;
    const ratio = devicePixelRatio || 1;
    const [left, top] = this.#view.toCanvas(0, 0);
    context.setTransform(scale * ratio, 0, 0, scale * ratio, left * ratio, top * ratio);
    context.lineCap = context.lineJoin = "round";
    for (const mark of shown) {
      const key = keyOf(mark.operation);
      context.save();
      context.translate(mark.dx, mark.dy);
      context.globalAlpha = (mark.opacity / 100) * (hidden.has(key) ? 0.2 : 1);
      context.strokeStyle = context.fillStyle = colourOf(mark.color);
      context.lineWidth = mark.size;
      if (mark.operation.kind === "text") this.#text(context, mark);
      else context.stroke(this.#pathOf(key, mark));
      context.restore();
    }
  }

  /**
   * @param {{points: number[], color: number, size: number} | null} hand
   * @param {Others} others
   * @param {{x: number, y: number, stage: "local" | "sent" | "saved"}[]} lights
   */
  above(hand, others, lights) {
    const context = this.#cleared(this.#above);
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.lineCap = context.lineJoin = "round";
    const inks = [...others.ink.values()].flatMap((strokes) => [...strokes.values()]);
    for (const { points, color, size } of hand ? [...inks, hand] : inks) {
      context.strokeStyle = colourOf(color);
      context.lineWidth = size * this.#view.scale;
      context.beginPath();
      for (let at = 0; at < points.length; at += 2) {
        const [x, y] = this.#view.toCanvas(Number(points[at]), Number(points[at + 1]));
        if (at === 0) context.moveTo(x, y);
        context.lineTo(x, y);
      }
      context.stroke();
    }
    for (const light of lights) this.#light(context, light);
    for (const [number, cursor] of others.cursors) this.#cursor(context, cursor, others.people.get(number));
  }

  /** Hollow: on this page alone. Half: sent. Full: saved. @param {CanvasRenderingContext2D} context @param {any} light */
  #light(context, { x, y, stage }) {
    const [left, top] = this.#view.toCanvas(x, y);
    context.lineWidth = 1.5;
    context.fillStyle = this.#paper;
    context.strokeStyle = this.#voice;
    context.beginPath();
    context.arc(left + 8, top - 8, 4.5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.fillStyle = this.#voice;
    context.beginPath();
    if (stage === "sent") context.arc(left + 8, top - 8, 4.5, Math.PI / 2, 1.5 * Math.PI);
    if (stage === "saved") context.arc(left + 8, top - 8, 4.5, 0, 2 * Math.PI);
    context.fill();
  }

  /** @param {CanvasRenderingContext2D} context @param {{x: number, y: number}} cursor @param {any} person */
  #cursor(context, cursor, person) {
    if (!person) return;
    const [x, y] = this.#view.toCanvas(cursor.x, cursor.y);
    context.fillStyle = colourOf(person.color);
    context.strokeStyle = this.#paper;
    context.lineWidth = 1;
    context.fill(new Path2D(`M${x} ${y}l4 13 3.5-5.5 6-1z`));
    context.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
    const width = context.measureText(person.name).width + 8;
    // At the right edge the name stands left of the pointer.
    const left = x + 12 + width > this.#view.width ? x - 4 - width : x + 12;
    context.fillStyle = this.#paper;
    context.fillRect(left, y + 10, width, 18);
    context.fillStyle = this.#ink;
    context.fillText(person.name, left + 4, y + 23);
  }

  /** @param {HTMLCanvasElement} canvas */
  #cleared(canvas) {
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  /** @param {CanvasRenderingContext2D} context @param {Shown} mark */
  #text(context, { operation, size }) {
    if (operation.kind !== "text") return;
    context.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
    operation.text.split("\n").forEach((line, at) => context.fillText(line, operation.x, operation.y + size * (1 + 1.3 * at)));
  }

  /** @param {string} key @param {Shown} mark */
  #pathOf(key, { operation, removed }) {
    const name = `${key}/${removed.join()}`;
    const known = this.#paths.get(name);
    if (known) return known;
    const path = new Path2D();
    if (operation.kind === "stroke") strokePath(path, operation.points, removed);
    else if (operation.kind === "shape") shapePath(path, operation);
    else if (operation.kind === "image") path.rect(operation.x, operation.y, operation.width, operation.height);
    this.#paths.set(name, path);
    return path;
  }
}

/** @param {Path2D} path @param {ArrayLike<number>} points @param {[number, number][]} removed */
function strokePath(path, points, removed) {
  let isDown = false;
  for (let at = 0; at < points.length / 2; at += 1) {
    if (removed.some(([start, length]) => at >= start && at < start + length)) {
      isDown = false;
      continue;
    }
    const [x, y] = [Number(points[2 * at]), Number(points[2 * at + 1])];
    if (!isDown) path.moveTo(x, y);
    path.lineTo(x, y);
    isDown = true;
  }
}

/** @param {Path2D} path @param {import("../core/types.d.ts").Shape} shape */
function shapePath(path, { form, x0, y0, x1, y1 }) {
  if (form === "rectangle") path.rect(x0, y0, x1 - x0, y1 - y0);
  else if (form === "ellipse") {
    path.ellipse((x0 + x1) / 2, (y0 + y1) / 2, Math.abs(x1 - x0) / 2, Math.abs(y1 - y0) / 2, 0, 0, 2 * Math.PI);
  } else {
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
    const turn = Math.atan2(y1 - y0, x1 - x0);
    for (const side of form === "arrow" ? [2.6, -2.6] : []) {
      path.moveTo(x1, y1);
      path.lineTo(x1 + 96 * Math.cos(turn + side), y1 + 96 * Math.sin(turn + side));
    }
  }
}
