// The eraser: whole marks, or the points of strokes that it passes over.

import { keyOf, RANGES_MAX } from "../../core/operations.js";
import { united } from "../../core/picture.js";
import { pointsNear } from "../geometry.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Tool} Tool */
/** @typedef {import("../desk.js").Spot} Spot */
/** @typedef {import("../../core/types.d.ts").Range} Range */

const REACH_PX = 9;
const FADED = 0.22;

/** @implements {Tool} */
export class EraserTool {
  cursor = "none";
  #desk;
  /** What it has passed over since it went down: all of a mark (no ranges), or points. @type {Map<string, Range[]>} */
  #touched = new Map();
  /** @type {Spot | null} */
  #last = null;
  #isForbidden = false;

  /** @param {Desk} desk */
  constructor(desk) {
    this.#desk = desk;
  }

  /** @param {Spot} spot */
  press(spot) {
    this.#last = spot;
    this.#isForbidden = false;
    this.#pass(spot);
  }

  /** @param {Spot[]} spots */
  drag(spots) {
    for (const spot of spots) {
      // Between two reports of a fast pointer nothing is left out.
      const from = this.#last ?? spot;
      const steps = Math.ceil(Math.hypot(spot.left - from.left, spot.top - from.top) / REACH_PX);
      for (let step = 1; step <= steps; step += 1) {
        const part = step / steps;
        this.#pass({ ...spot, x: from.x + (spot.x - from.x) * part, y: from.y + (spot.y - from.y) * part });
      }
      this.#last = spot;
    }
    this.#desk.draw();
  }

  lift() {
    const touched = new Map(this.#touched);
    this.#touched.clear();
    this.#last = null;
    if (this.#isForbidden) this.#desk.say("In this room nobody changes what others drew.");
    const ranges = (/** @type {import("../../core/types.d.ts").OpId} */ id) => (touched.get(keyOf(id)) ?? []).slice(0, RANGES_MAX);
    this.#desk.change(touched.keys(), (targets) => ({ kind: "erase", targets: targets.map((id) => ({ ...id, ranges: ranges(id) })) }));
    this.#desk.stage.unveil();
  }

  cancel() {
    this.#touched.clear();
    this.#last = null;
    this.#desk.stage.unveil();
  }

  /** @param {Spot} spot */
  hover(spot) {
    this.#last = spot;
    this.#desk.draw();
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    if (!this.#last) return false;
    context.strokeStyle = this.#desk.stage.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(this.#last.left, this.#last.top, REACH_PX, 0, 2 * Math.PI);
    context.stroke();
    return false;
  }

  /** @param {Spot} spot */
  #pass({ x, y }) {
    const { stage, style } = this.#desk;
    const reach = REACH_PX * this.#desk.pixel;
    for (const shown of stage.scene.at(x, y, reach)) {
      const key = keyOf(shown.operation);
      if (!this.#desk.mayChange(shown.operation)) this.#isForbidden = true;
      else if (style.isPart && shown.operation.kind === "stroke") this.#rub(key, shown, x, y, reach);
      else if (!this.#touched.has(key)) {
        this.#touched.set(key, []);
        stage.veil([key], (mark) => ({ ...mark, opacity: Math.ceil(mark.opacity * FADED) }));
      }
    }
  }

  /** @param {string} key @param {import("../../core/types.d.ts").Shown} shown @param {number} x @param {number} y @param {number} reach */
  #rub(key, shown, x, y, reach) {
    const near = pointsNear(shown, x, y, reach);
    if (near.length === 0 || shown.operation.kind !== "stroke") return;
    const count = shown.operation.points.length / 2;
    const copy = (/** @type {Range[]} */ ranges) => ranges.map(([start, length]) => /** @type {Range} */ ([start, length]));
    const removed = united([...copy(this.#touched.get(key) ?? []), ...near], count);
    this.#touched.set(key, removed);
    this.#desk.stage.veil([key], (mark) => ({ ...mark, removed: united([...copy(mark.removed), ...copy(removed)], count) }));
  }
}
