// Draws the seats of a house: dots from far away, from near each as the chair that it is.

import { tierColour } from "./ink.js";
import { BLOCKED, HELD, SOLD } from "./seats.js";
import { NUMBERS_PX, ROWS_PX, SEATS_PX } from "./view.js";

/** @typedef {import("./view.js").View} View */

/** What is told apart by more than its price: each a pile of its own after those of the prices. */
const [OF_HELD, OF_SOLD, OF_BLOCKED, OF_CHOSEN, OF_OWN] = [0, 1, 2, 3, 4];

export class SeatPainter {
  #context;
  #plan;
  #seats;
  /** @type {number[][]} the seats in sight, in piles that are drawn alike */
  #piles;

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./plan.js").Plan} plan
   * @param {import("./seats.js").Seats} seats
   * @param {import("./ink.js").Ink} ink
   */
  constructor(context, plan, seats, ink) {
    this.#context = context;
    this.#plan = plan;
    this.#seats = seats;
    this.ink = ink;
    this.#piles = Array.from({ length: plan.tiers.length + OF_OWN + 1 }, () => []);
  }

  /**
   * @param {View} view
   * @param {import("./shapes.js").Box} part of the plan that is seen
   * @param {number} pitch between neighbours, in CSS pixels
   * @param {number} tier shown alone; -1 all
   * @param {boolean} isQuick
   */
  draw(view, part, pitch, tier, isQuick) {
    this.#sort(part, tier);
    if (pitch < SEATS_PX) this.#drawDots(view, pitch);
    else this.#drawSeats(view, pitch);
    if (pitch >= ROWS_PX && !isQuick) this.#signSeats(view, pitch);
  }

  /**
   * @param {import("./shapes.js").Box} part
   * @param {number} tier shown alone; -1 all
   */
  #sort(part, tier) {
    const { rows, rowOf, tiers } = this.#plan;
    const { states, chosen, own } = this.#seats;
    for (const pile of this.#piles) pile.length = 0;
    const others = tiers.length;
    this.#plan.forEachIn({ left: part.left - 1, top: part.top - 1, right: part.right + 1, bottom: part.bottom + 1 }, (position) => {
      const state = states[position];
      const ofTier = rows[rowOf[position] ?? 0]?.tier ?? 0;
      let pile = ofTier;
      if (own.has(position)) pile = others + OF_OWN;
      else if (chosen.has(position)) pile = others + OF_CHOSEN;
      else if (state === HELD) pile = others + OF_HELD;
      else if (state === SOLD || (tier >= 0 && tier !== ofTier)) pile = others + OF_SOLD;
      else if (state === BLOCKED) pile = others + OF_BLOCKED;
      this.#piles[pile]?.push(position);
    });
  }

  /**
   * @param {View} view
   * @param {number} pitch
   */
  #drawDots(view, pitch) {
    const context = this.#context;
    const side = Math.max(pitch * 0.9, 1.5);
    const others = this.#plan.tiers.length;
    for (const [pile, positions] of this.#piles.entries()) {
      const isMine = pile >= others + OF_CHOSEN;
      context.fillStyle = pile < others ? tierColour(this.ink, pile) : isMine ? this.ink.voice : pile === others + OF_HELD ? this.ink.ink : this.ink.strong;
      context.globalAlpha = pile < others || isMine ? 1 : pile === others + OF_HELD ? 0.9 : 0.28;
      const width = isMine ? Math.max(side, 5) : side;
      for (const position of positions) {
        context.fillRect((this.#plan.x[position] ?? 0) * view.scale + view.x - width / 2, (this.#plan.y[position] ?? 0) * view.scale + view.y - width / 2, width, width);
      }
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {View} view
   * @param {number} pitch
   */
  #drawSeats(view, pitch) {
    const context = this.#context;
    const others = this.#plan.tiers.length;
    context.lineJoin = "round";
    const soft = Math.min(pitch * 0.2, 5);
    for (const [pile, positions] of this.#piles.entries()) {
      if (positions.length === 0) continue;
      const kind = pile - others;
      const isSmall = kind === OF_SOLD || kind === OF_BLOCKED;
      context.beginPath();
      for (const position of positions) this.#trace(position, view, isSmall ? 0.5 : kind === OF_HELD ? 0.86 : 1, soft);
      const colour = kind < 0 ? tierColour(this.ink, pile) : kind === OF_CHOSEN || kind === OF_OWN ? this.ink.voice : isSmall ? this.ink.strong : this.ink.soft;
      context.fillStyle = kind === OF_HELD ? this.ink.paper : colour;
      context.strokeStyle = colour;
      context.lineWidth = kind === OF_HELD ? Math.max(1, soft * 0.5) : soft;
      context.globalAlpha = isSmall ? 0.45 : 1;
      if (kind !== OF_BLOCKED) context.fill();
      if (kind !== OF_SOLD) context.stroke();
      context.globalAlpha = 1;
    }
  }

  /**
   * A seat's four corners; the stroke rounds them off.
   * @param {number} position
   * @param {View} view
   * @param {number} share of its size
   * @param {number} soft
   */
  #trace(position, view, share, soft) {
    const { half, x, y } = this.#plan;
    const [ax, ay, depth] = [(half.x[position] ?? 0) * view.scale, (half.y[position] ?? 0) * view.scale, half.depth[position] ?? 1];
    const inner = share * Math.max(0.2, 1 - soft / 2 / Math.max(Math.hypot(ax, ay), 1));
    const [wx, wy, dx, dy] = [ax * inner, ay * inner, -ay * depth * inner, ax * depth * inner];
    const [cx, cy] = [(x[position] ?? 0) * view.scale + view.x, (y[position] ?? 0) * view.scale + view.y];
    this.#context.moveTo(cx - wx - dx, cy - wy - dy);
    this.#context.lineTo(cx + wx - dx, cy + wy - dy);
    this.#context.lineTo(cx + wx + dx, cy + wy + dy);
    this.#context.lineTo(cx - wx + dx, cy - wy + dy);
    this.#context.closePath();
  }

  /**
   * What stands on seats: a check on one's own, numbers, a dot where a wheelchair fits, a ring for who comes along.
   * @param {View} view
   * @param {number} pitch
   */
  #signSeats(view, pitch) {
    const { x, y, kinds, numbers, tiers } = this.#plan;
    const context = this.#context;
    const size = Math.min(pitch * 0.42, 14);
    for (const [pile, positions] of this.#piles.entries()) {
      const kind = pile - tiers.length;
      if (kind === OF_SOLD || kind === OF_BLOCKED) continue;
      const isMine = kind === OF_CHOSEN || kind === OF_OWN;
      const colour = kind === OF_HELD ? this.ink.soft : this.ink.paper;
      // Once for all of a pile: reading a font costs more than writing with it.
      context.font = `500 ${size}px ${this.ink.font}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillStyle = context.strokeStyle = colour;
      for (const position of positions) {
        const [cx, cy] = [(x[position] ?? 0) * view.scale + view.x, (y[position] ?? 0) * view.scale + view.y];
        const special = kinds.get(position);
        if (isMine) {
          context.beginPath();
          context.moveTo(cx - pitch * 0.18, cy);
          context.lineTo(cx - pitch * 0.04, cy + pitch * 0.14);
          context.lineTo(cx + pitch * 0.2, cy - pitch * 0.15);
          context.strokeStyle = this.ink.paper;
          context.lineWidth = Math.max(1.4, pitch * 0.09);
          context.stroke();
        } else if (special !== undefined) {
          context.beginPath();
          context.arc(cx, cy, pitch * 0.16, 0, 2 * Math.PI);
          context.lineWidth = Math.max(1, pitch * 0.07);
          if (special === "accessible") context.fill();
          else context.stroke();
        } else if (pitch >= NUMBERS_PX) context.fillText(numbers[position] ?? "", cx, cy + 0.5);
      }
    }
  }

  /**
   * @param {number} seat
   * @param {View} view
   */
  ring(seat, view) {
    const context = this.#context;
    context.beginPath();
    this.#trace(seat, view, 1.34, 0);
    context.strokeStyle = this.ink.ink;
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.stroke();
  }
}
