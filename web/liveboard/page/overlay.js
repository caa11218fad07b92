// What lies above the board: strokes in hands, pointers and their names, lasers, the light of one's own strokes.

import { keyOf } from "../core/operations.js";
import { unnamed } from "./desk.js";
import { inkOf } from "./colours.js";
import { drawTrail } from "./tools/pointing.js";

/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./board.js").Board} Board */
/** @typedef {{x: number, y: number, stage: "local" | "sent" | "saved"}} Light */

const LIGHT_MS = 900;
const LIGHTS_MAX = 200;

export class Overlay {
  #stage;
  #view;
  #board;
  /** Strokes saved a moment ago, for their light. @type {Map<string, number>} */
  #savedAt = new Map();
  #isEmpty = false;

  /** @param {Stage} stage @param {View} view @param {Board} board */
  constructor(stage, view, board) {
    this.#stage = stage;
    this.#view = view;
    this.#board = board;
    board.addEventListener("saved", (event) => {
      for (const key of /** @type {CustomEvent} */ (event).detail.slice(-LIGHTS_MAX)) this.#savedAt.set(key, performance.now());
    });
  }

  /**
   * @param {import("../core/types.d.ts").Shown[]} inHand
   * @param {import("./desk.js").Tool} tool
   * @returns {boolean} whether something fades, and wants another frame
   */
  draw(inHand, tool) {
    const { ratio, scale, originLeft, originTop } = this.#view;
    const to = { scale: scale * ratio, left: originLeft, top: originTop };
    const { others, replica } = this.#board;
    const isFading = others.tidy();
    const count = others.ink.size + others.cursors.size + inHand.length + this.#stage.lingering.length + replica.unsaved.length;
    const isNeeded = count + this.#savedAt.size > 0 || isFading || tool.draw !== undefined;
    // Nothing to draw where nothing is: while one moves the board, that is a canvas less a frame.
    if (!isNeeded && this.#isEmpty) return false;
    this.#isEmpty = !isNeeded;
    const context = this.#stage.clearAbove();
    const inks = [...others.ink.values()].flatMap((strokes) => [...strokes.values()]).filter((ink) => ink.points.length);
    const hands = inks.map((ink) => unnamed({ kind: "stroke", ...ink }));
    for (const shown of [...this.#stage.lingering, ...hands, ...inHand]) this.#stage.painter.draw(context, shown, to);
    context.globalAlpha = 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const light of this.#lights()) this.#light(context, light);
    const isMoving = tool.draw?.(context) ?? false;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [number, trail] of others.trails) {
      drawTrail(context, this.#view, trail, inkOf(others.people.get(number)?.color ?? 0, this.#stage.theme.isDark));
    }
    for (const [number, cursor] of others.cursors) this.#cursor(context, cursor, others.people.get(number));
    return isFading || isMoving || this.#savedAt.size > 0;
  }

  /** How far each of one's own strokes has come, at its end. @returns {Light[]} */
  #lights() {
    const { replica, sent } = this.#board;
    const now = performance.now();
    /** @type {Light[]} */
    const found = [];
    for (const { operation } of replica.unsaved.slice(-LIGHTS_MAX)) {
      const place = this.#endOf(keyOf(operation));
      if (place) found.push({ ...place, stage: sent.has(keyOf(operation)) ? "sent" : "local" });
    }
    for (const [key, at] of this.#savedAt) {
      const place = this.#endOf(key);
      if (now - at > LIGHT_MS) this.#savedAt.delete(key);
      else if (place) found.push({ ...place, stage: "saved" });
    }
    return found;
  }

  /** @param {string} key of a mark */
  #endOf(key) {
    const box = this.#stage.scene.boxOf(key);
    const shown = this.#stage.scene.get(key);
    if (!box || !shown) return null;
    if (shown.operation.kind !== "stroke") return { x: box.x1, y: box.y0 };
    const { points } = shown.operation;
    return { x: Number(points[points.length - 2]) + shown.dx, y: Number(points[points.length - 1]) + shown.dy };
  }

  /** Hollow: on this page alone. Half: sent. Full: saved. @param {CanvasRenderingContext2D} context @param {Light} light */
  #light(context, { x, y, stage }) {
    const [left, top] = this.#view.toCanvas(x, y);
    context.lineWidth = 1.5;
    context.fillStyle = this.#stage.paper;
    context.strokeStyle = this.#stage.voice;
    context.beginPath();
    context.arc(left + 8, top - 8, 4.5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.fillStyle = this.#stage.voice;
    context.beginPath();
    if (stage === "sent") context.arc(left + 8, top - 8, 4.5, Math.PI / 2, 1.5 * Math.PI);
    if (stage === "saved") context.arc(left + 8, top - 8, 4.5, 0, 2 * Math.PI);
    context.fill();
  }

  /** @param {CanvasRenderingContext2D} context @param {{x: number, y: number}} cursor @param {any} person */
  #cursor(context, cursor, person) {
    if (!person) return;
    const { paper, theme } = this.#stage;
    const [x, y] = this.#view.toCanvas(cursor.x, cursor.y);
    const colour = inkOf(person.color, theme.isDark);
    context.fillStyle = colour;
    context.strokeStyle = paper;
    context.lineWidth = 1.5;
    const arrow = new Path2D(`M${x} ${y}l4.2 15 3.4-6.3 7-1.8z`);
    context.stroke(arrow);
    context.fill(arrow);
    context.font = `600 12px ${theme.font}`;
    const width = context.measureText(person.name).width + 12;
    // At the right edge the name stands left of the pointer.
    const left = x + 12 + width > this.#view.width ? x - 4 - width : x + 12;
    context.beginPath();
    context.roundRect(left, y + 13, width, 20, 6);
    context.fill();
    context.fillStyle = paper;
    context.fillText(person.name, left + 6, y + 27);
  }
}
