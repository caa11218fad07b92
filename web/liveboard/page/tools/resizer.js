// The corners of what is selected: dragging one makes it larger or smaller.

import { exportBoard, importBoard } from "../../client/board_file.js";
import { keyOf, TARGETS_MAX } from "../../core/operations.js";
import { unnamed } from "../desk.js";
import { isProportional, scaled } from "../scaling.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Spot} Spot */
/** @typedef {import("../geometry.js").Box} Box */
/** @typedef {import("../../core/types.d.ts").Mark} Mark */

const REACH_PX = 11;
const SIDE_PX = 9;
const EDGE_PX = 5;
const LEAST_PX = 6;
/** More than so many marks are not made anew for another size. */
const MARKS_MAX = 200;

export class Resizer {
  #desk;
  /** @type {{box: Box, corner: number, marks: Mark[]} | null} */
  #held = null;
  /** @type {Mark[]} */
  #made = [];

  /** @param {Desk} desk */
  constructor(desk) {
    this.#desk = desk;
  }

  /** @param {Spot} spot @param {Box | null} box of what is selected @returns {number} of a corner; -1 for none */
  cornerAt({ left, top }, box) {
    const { selected, board } = this.#desk;
    if (!box || selected.size > MARKS_MAX || board.role === 0) return -1;
    return this.#corners(box).findIndex(([x, y]) => Math.hypot(x - left, y - top) <= REACH_PX);
  }

  /** @param {number} corner @param {Box} box */
  press(corner, box) {
    const { stage, selected, board } = this.#desk;
    const shown = stage.scene.in(box).filter(({ operation }) => selected.has(keyOf(operation)));
    // As a file would have them: moved, restyled, and in the pieces that an eraser left.
    const file = exportBoard({ shown: () => shown }, { title: "", rev: board.replica.rev, digest: "" });
    this.#held = { box, corner, marks: importBoard(JSON.stringify(file)).bodies };
  }

  /** @param {Spot} spot */
  drag(spot) {
    if (!this.#held) return;
    const { box, corner, marks } = this.#held;
    const [fromX, fromY] = [corner % 2 ? box.x0 : box.x1, corner < 2 ? box.y1 : box.y0];
    const [wide, high] = [Math.max(box.x1 - box.x0, 1), Math.max(box.y1 - box.y0, 1)];
    const least = LEAST_PX * this.#desk.pixel;
    let byX = Math.max((corner % 2 ? spot.x - fromX : fromX - spot.x) / wide, Math.min(least / wide, 1));
    let byY = Math.max((corner < 2 ? fromY - spot.y : spot.y - fromY) / high, Math.min(least / high, 1));
    if (isProportional(marks) || spot.isStraight) byX = byY = Math.max(byX, byY);
    if (this.#made.length === 0) this.#desk.stage.veil(this.#desk.selected, () => undefined);
    this.#made = marks.map((mark) => scaled(mark, { x: fromX, y: fromY, byX, byY }));
    this.#desk.inHand = this.#made.map(unnamed);
    this.#desk.draw();
  }

  lift() {
    const { board, selected, stage } = this.#desk;
    const made = this.#made;
    const ids = this.#desk.idsOf(selected);
    this.#rest();
    if (made.length === 0 || ids.length > TARGETS_MAX) return stage.unveil();
    stage.lingering = made.map(unnamed);
    const [, ...keys] = board.doAll([{ kind: "erase", targets: ids.map((id) => ({ ...id, ranges: [] })) }, ...made]);
    this.#desk.select(keys);
  }

  cancel() {
    this.#rest();
    this.#desk.stage.unveil();
  }

  get isHeld() {
    return this.#held !== null;
  }

  /** @param {CanvasRenderingContext2D} context in CSS pixels @param {Box} box */
  draw(context, box) {
    const { stage, selected } = this.#desk;
    if (selected.size > MARKS_MAX) return;
    context.fillStyle = stage.paper;
    for (const [x, y] of this.#corners(box)) {
      context.beginPath();
      context.roundRect(x - SIDE_PX / 2, y - SIDE_PX / 2, SIDE_PX, SIDE_PX, 2);
      context.fill();
      context.stroke();
    }
  }

  /** On the canvas: above left, above right, below left, below right. @param {Box} box @returns {[number, number][]} */
  #corners({ x0, y0, x1, y1 }) {
    const [left, top] = this.#desk.view.toCanvas(x0, y0);
    const [right, bottom] = this.#desk.view.toCanvas(x1, y1);
    const [l, t, r, b] = [left - EDGE_PX, top - EDGE_PX, right + EDGE_PX, bottom + EDGE_PX];
    return [[l, t], [r, t], [l, b], [r, b]];
  }

  #rest() {
    this.#held = null;
    this.#made = [];
    this.#desk.inHand = [];
  }
}
