// The pen and the highlighter.

import { POINTS_MAX } from "../../core/operations.js";
import { unnamed } from "../desk.js";
import { HIGHLIGHTER_WIDTHS } from "../restyle.js";
import { Smoother } from "../smoothing.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Tool} Tool */
/** @typedef {import("../desk.js").Spot} Spot */

/** Points of one operation: it has to stay below 32,768 bytes, and a point takes at most twelve. */
const STROKE_POINTS_MAX = Math.min(POINTS_MAX, 2600);
const HIGHLIGHTER_OPACITY = 38;

/** @implements {Tool} */
export class InkTool {
  cursor = "crosshair";
  /** Counts the strokes of this page. */
  strokes = 0;
  /** @type {Smoother | null} */
  line = null;
  #desk;
  #tool;
  #lamport = 0;

  /** @param {Desk} desk @param {"pen" | "highlighter"} tool */
  constructor(desk, tool) {
    this.#desk = desk;
    this.#tool = tool;
  }

  /** @param {Spot} spot */
  press(spot) {
    this.line = new Smoother(this.#desk.pixel, spot.isPen);
    // Reserved now: it does not come to lie above what others draw while it is drawn.
    this.#lamport = this.#desk.board.replica.nextLamport;
    this.strokes += 1;
    this.drag([spot]);
  }

  /** @param {Spot[]} spots */
  drag(spots) {
    for (const { x, y, pressure, time } of spots) {
      this.line?.add(x, y, pressure, time);
      if ((this.line?.count ?? 0) >= STROKE_POINTS_MAX) this.#turnOver(x, y, pressure, time);
    }
    this.#show();
  }

  /** @param {Spot} spot */
  lift(spot) {
    this.drag([spot]);
    this.finish();
  }

  cancel() {
    this.line = null;
    this.#show();
  }

  /** Makes what is drawn so far a stroke of the board. */
  finish() {
    this.line?.finish();
    const body = this.body();
    this.line = null;
    this.#desk.inHand = [];
    if (body) this.#desk.board.do(body, this.#lamport);
  }

  /** The stroke as it stands. @returns {import("../../core/types.d.ts").Stroke | null} */
  body() {
    if (!this.line?.count) return null;
    const { points, pressures } = this.line;
    const { size, style } = this.#desk;
    if (this.#tool === "pen") return { kind: "stroke", tool: "pen", color: style.color, size, opacity: 100, points, pressures };
    const look = { color: style.color, size: HIGHLIGHTER_WIDTHS * size, opacity: HIGHLIGHTER_OPACITY };
    return { kind: "stroke", tool: "highlighter", ...look, points, pressures: null };
  }

  /** A stroke may have so many points; the next begins where it ends. @param {number} x @param {number} y @param {number} pressure @param {number} time */
  #turnOver(x, y, pressure, time) {
    const isPen = this.line?.isPen ?? false;
    this.finish();
    this.line = new Smoother(this.#desk.pixel, isPen);
    this.#lamport = this.#desk.board.replica.nextLamport;
    this.strokes += 1;
    this.line.add(x, y, pressure, time);
  }

  #show() {
    const body = this.body();
    this.#desk.inHand = body ? [unnamed(body)] : [];
    this.#desk.draw();
  }
}
