// The hand that moves the view, and the laser pointer, which leaves nothing behind.

import { TRAIL_MS } from "../presence.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Tool} Tool */
/** @typedef {import("../desk.js").Spot} Spot */

/** @implements {Tool} */
export class HandTool {
  cursor = "grab";
  #desk;
  /** @type {Spot | null} */
  #last = null;

  /** @param {Desk} desk */
  constructor(desk) {
    this.#desk = desk;
  }

  /** @param {Spot} spot */
  press(spot) {
    this.#last = spot;
  }

  /** @param {Spot[]} spots */
  drag(spots) {
    const to = spots.at(-1);
    if (!to || !this.#last) return;
    this.#desk.view.pan(to.left - this.#last.left, to.top - this.#last.top);
    this.#last = to;
    this.#desk.dispatchEvent(new Event("view"));
  }

  lift() {
    this.#last = null;
  }

  cancel() {
    this.#last = null;
  }
}

/** @implements {Tool} */
export class LaserTool {
  cursor = "crosshair";
  #desk;
  /** @type {import("../presence.js").Spot[]} */
  #trail = [];

  /** @param {Desk} desk */
  constructor(desk) {
    this.#desk = desk;
  }

  /** @param {Spot} spot */
  press(spot) {
    this.#desk.isLaser = true;
    this.drag([spot]);
  }

  /** @param {Spot[]} spots */
  drag(spots) {
    const at = performance.now();
    for (const { x, y } of spots) this.#trail.push({ x, y, at });
    this.#desk.draw();
  }

  lift() {
    this.#desk.isLaser = false;
  }

  cancel() {
    this.#desk.isLaser = false;
    this.#trail = [];
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    const now = performance.now();
    while (this.#trail[0] && now - this.#trail[0].at > TRAIL_MS) this.#trail.shift();
    drawTrail(context, this.#desk.view, this.#trail, this.#desk.stage.voice);
    return this.#trail.length > 0;
  }
}

/**
 * A line that fades from its beginning.
 * @param {CanvasRenderingContext2D} context @param {import("../view.js").View} view
 * @param {import("../presence.js").Spot[]} trail @param {string} colour
 */
export function drawTrail(context, view, trail, colour) {
  const now = performance.now();
  context.strokeStyle = colour;
  // Round ends would lie over one another, and show through.
  context.lineCap = "butt";
  for (let at = 1; at < trail.length; at += 1) {
    const [from, to] = [/** @type {any} */ (trail[at - 1]), /** @type {any} */ (trail[at])];
    const life = 1 - (now - to.at) / TRAIL_MS;
    if (life <= 0) continue;
    context.globalAlpha = life;
    context.lineWidth = 1.5 + 4 * life;
    context.beginPath();
    context.moveTo(...view.toCanvas(from.x, from.y));
    context.lineTo(...view.toCanvas(to.x, to.y));
    context.stroke();
  }
  context.globalAlpha = 1;
}
