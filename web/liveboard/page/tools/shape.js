// Line, arrow, rectangle and ellipse: from where the pointer goes down to where it goes up.

import { unnamed } from "../desk.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Tool} Tool */
/** @typedef {import("../desk.js").Spot} Spot */

const LEAST_PX = 4;
const TURN = Math.PI / 12;

/** @implements {Tool} */
export class ShapeTool {
  cursor = "crosshair";
  #desk;
  #form;
  /** @type {Spot | null} */
  #from = null;
  /** @type {import("../../core/types.d.ts").Shape | null} */
  #shape = null;
  #lamport = 0;

  /** @param {Desk} desk @param {"line" | "arrow" | "rectangle" | "ellipse"} form */
  constructor(desk, form) {
    this.#desk = desk;
    this.#form = form;
  }

  /** @param {Spot} spot */
  press(spot) {
    this.#from = spot;
    this.#lamport = this.#desk.board.replica.nextLamport;
  }

  /** @param {Spot[]} spots */
  drag(spots) {
    const to = spots.at(-1);
    if (!this.#from || !to) return;
    const { x: x0, y: y0 } = this.#from;
    const [x1, y1] = to.isStraight ? this.#straight(to) : [to.x, to.y];
    const { color, fill } = this.#desk.style;
    const isFlat = this.#form === "line" || this.#form === "arrow";
    const look = { color, size: this.#desk.size, opacity: 100, fill: isFlat ? 0 : fill };
    this.#shape = { kind: "shape", form: this.#form, ...look, x0, y0, x1, y1 };
    this.#desk.inHand = [unnamed(this.#shape)];
    this.#desk.draw();
  }

  /** @param {Spot} spot */
  lift(spot) {
    this.drag([spot]);
    const shape = this.#shape;
    this.cancel();
    if (!shape || Math.hypot(shape.x1 - shape.x0, shape.y1 - shape.y0) < LEAST_PX * this.#desk.pixel) return;
    const key = this.#desk.board.do(shape, this.#lamport);
    this.#desk.choose("select");
    this.#desk.select([key]);
  }

  cancel() {
    this.#from = null;
    this.#shape = null;
    this.#desk.inHand = [];
    this.#desk.draw();
  }

  /** A square, a circle, or a line in steps of 15°. @param {Spot} to @returns {[number, number]} */
  #straight(to) {
    const from = /** @type {Spot} */ (this.#from);
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    if (this.#form === "rectangle" || this.#form === "ellipse") {
      const side = Math.max(Math.abs(dx), Math.abs(dy));
      return [from.x + side * (Math.sign(dx) || 1), from.y + side * (Math.sign(dy) || 1)];
    }
    const turn = Math.round(Math.atan2(dy, dx) / TURN) * TURN;
    const far = Math.hypot(dx, dy);
    return [Math.round(from.x + far * Math.cos(turn)), Math.round(from.y + far * Math.sin(turn))];
  }
}
