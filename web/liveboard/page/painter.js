// Draws marks into a canvas: the one place that says how they look. Works in the page and in its worker.

import { keyOf } from "../core/operations.js";
import { fillOf, inkOf } from "./colours.js";
import { headOf } from "./geometry.js";
import { layoutOf, LINE_HEIGHT } from "./layout.js";
import { radiusOf, runsOf, traceLine, traceOutline } from "./outline.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("../core/types.d.ts").Shape} Shape */
/** @typedef {import("../core/types.d.ts").Text} Text */
/** @typedef {import("./layout.js").Measure} Measure */
/** @typedef {import("./outline.js").Sink} Sink */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */
/** @typedef {{isDark: boolean, font: string}} Theme */
/** @typedef {{origin: [number, number], path: Path2D, isArea: boolean}} Traced */

const PATHS_MAX = 30_000;
const NOTE_CORNER = 48;

export class Painter {
  /** @type {Map<string, Traced>} */
  #paths = new Map();
  #measure;
  #theme;
  #imageOf;

  /**
   * @param {Theme} theme @param {Measure} measure
   * @param {(sha256: string) => CanvasImageSource | undefined} imageOf what is there of an image
   */
  constructor(theme, measure, imageOf) {
    this.#theme = theme;
    this.#measure = measure;
    this.#imageOf = imageOf;
  }

  /** @param {Theme} theme */
  set theme(theme) {
    this.#theme = theme;
  }

  /**
   * Draws one mark where a canvas of `scale` pixels a unit has the board's origin at (left, top).
   * @param {Context} context @param {Shown} shown
   * @param {{scale: number, left: number, top: number}} to
   * @param {number} [strength] 0 to 1
   */
  draw(context, shown, { scale, left, top }, strength = 1) {
    const { operation, color, size, opacity, fill } = shown;
    const { path, origin, isArea } = this.#traced(shown);
    // Relative to its own origin: far from the board's, a canvas would run out of digits.
    const x = left + (origin[0] + shown.dx) * scale;
    const y = top + (origin[1] + shown.dy) * scale;
    context.setTransform(scale, 0, 0, scale, x, y);
    context.globalAlpha = (opacity / 100) * strength;
    if (operation.kind === "image") return this.#image(context, operation);
    const ink = inkOf(color, this.#theme.isDark);
    if (operation.kind === "text") return this.#text(context, operation, size, fill, ink);
    if (fill) {
      context.fillStyle = fillOf(fill - 1, this.#theme.isDark);
      context.fill(path);
    }
    if (isArea) {
      context.fillStyle = ink;
      context.fill(path);
    } else {
      context.strokeStyle = ink;
      context.lineWidth = size;
      context.lineCap = context.lineJoin = "round";
      context.stroke(path);
    }
  }

  /** @param {Context} context @param {Text} text @param {number} size @param {number | null} fill @param {string} ink */
  #text(context, text, size, fill, ink) {
    const { lines, margin, width, height } = layoutOf(text, size, this.#measure);
    if (fill) {
      context.fillStyle = fillOf(fill - 1, this.#theme.isDark);
      context.beginPath();
      context.roundRect(0, 0, width, height, text.form === "note" ? NOTE_CORNER : 0);
      context.fill();
    }
    context.fillStyle = ink;
    context.font = `${size}px ${this.#theme.font}`;
    context.textBaseline = "alphabetic";
    lines.forEach((line, at) => context.fillText(line, margin, margin + size * (1.02 + LINE_HEIGHT * at)));
  }

  /** @param {Context} context @param {import("../core/types.d.ts").Image} image */
  #image(context, { sha256, width, height }) {
    const bitmap = this.#imageOf(sha256);
    if (bitmap) {
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, width, height);
      return;
    }
    // Its frame, while it is on its way.
    context.strokeStyle = inkOf(0x888888, this.#theme.isDark);
    context.lineWidth = 8;
    context.strokeRect(0, 0, width, height);
  }

  /** @param {Shown} shown */
  #traced(shown) {
    const { operation, size, removed } = shown;
    const name = operation.seq ? `${keyOf(operation)}/${size}/${removed.join()}` : "";
    const known = this.#paths.get(name);
    if (known) return known;
    const path = new Path2D();
    const traced = { path, ...trace(path, shown) };
    if (this.#paths.size > PATHS_MAX) this.#paths.clear();
    // What is in a hand has no name yet, and changes.
    if (name) this.#paths.set(name, traced);
    return traced;
  }
}

/**
 * Writes the shape of a mark, relative to its origin.
 * @param {Sink} sink @param {Shown} shown
 * @returns {{origin: [number, number], isArea: boolean}} `isArea`: to be filled with its colour, not lined
 */
export function trace(sink, { operation, size, removed }) {
  if (operation.kind === "shape") {
    traceShape(sink, operation, size);
    return { origin: [operation.x0, operation.y0], isArea: false };
  }
  if (operation.kind !== "stroke") return { origin: [operation.x, operation.y], isArea: false };
  const { points, pressures } = operation;
  /** @type {[number, number]} */
  const origin = [Number(points[0]), Number(points[1])];
  for (const [first, end] of runsOf(points.length / 2, removed)) {
    /** @type {import("./outline.js").Point[]} */
    const run = [];
    for (let at = first; at < end; at += 1) run.push([Number(points[2 * at]) - origin[0], Number(points[2 * at + 1]) - origin[1]]);
    if (pressures) traceOutline(sink, run, run.map((_, at) => radiusOf(size, Number(pressures[first + at]))));
    else traceLine(sink, run);
  }
  return { origin, isArea: pressures !== null };
}

/** @param {Sink} sink @param {Shape} shape @param {number} size */
function traceShape(sink, { form, x0, y0, x1, y1 }, size) {
  const [width, height] = [x1 - x0, y1 - y0];
  if (form === "rectangle") {
    sink.moveTo(0, 0);
    sink.lineTo(width, 0);
    sink.lineTo(width, height);
    sink.lineTo(0, height);
    sink.closePath();
  } else if (form === "ellipse") {
    traceEllipse(sink, width / 2, height / 2);
  } else {
    sink.moveTo(0, 0);
    sink.lineTo(width, height);
    const turn = Math.atan2(height, width);
    const head = Math.min(headOf(size), 0.6 * Math.hypot(width, height));
    if (form === "line" || head === 0) return;
    for (const side of [-2.62, 2.62]) {
      const [x, y] = [width + head * Math.cos(turn + side), height + head * Math.sin(turn + side)];
      sink.moveTo(width, height);
      sink.lineTo(x, y);
    }
  }
}

/** Sixteen curves: as near to an ellipse as a screen can show. @param {Sink} sink @param {number} rx @param {number} ry */
function traceEllipse(sink, rx, ry) {
  const step = Math.PI / 8;
  const out = 1 / Math.cos(step / 2);
  sink.moveTo(2 * rx, ry);
  for (let at = 1; at <= 16; at += 1) {
    const [control, end] = [(at - 0.5) * step, at * step];
    sink.quadraticCurveTo(
      rx + rx * out * Math.cos(control),
      ry + ry * out * Math.sin(control),
      rx + rx * Math.cos(end),
      ry + ry * Math.sin(end),
    );
  }
  sink.closePath();
}
