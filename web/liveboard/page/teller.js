// Tells others where this page's pointer is, what it sees, and the stroke in its hand; a few times a second.

import { inkBytes, stateBytes } from "./presence.js";

const TELL_EVERY_MS = 40;
const INK_POINTS_MAX = 400;

export class Teller {
  #desk;
  #pointers;
  #inkOf;
  #told = 0;
  #stroke = 0;
  #toldAt = 0;
  #timer = 0;

  /**
   * @param {import("./desk.js").Desk} desk @param {{place: {x: number, y: number}}} pointers
   * @param {() => {strokes: number, body: import("../core/types.d.ts").Stroke | null}} inkOf the stroke in the hand
   */
  constructor(desk, pointers, inkOf) {
    this.#desk = desk;
    this.#pointers = pointers;
    this.#inkOf = inkOf;
  }

  /** Now, or as soon as it is time again: the last word is always told. */
  tell() {
    if (this.#timer) return;
    const wait = TELL_EVERY_MS - (performance.now() - this.#toldAt);
    if (wait <= 0) this.#send();
    else {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        this.#send();
      }, wait);
    }
  }

  #send() {
    this.#toldAt = performance.now();
    const { board, tool, isDown, isLaser, view } = this.#desk;
    if (!board.replica.isSynced) return;
    const state = stateBytes({ ...this.#pointers.place, tool, isDown, isLaser, view: view.box });
    const { strokes, body } = this.#inkOf();
    if (strokes !== this.#stroke) [this.#stroke, this.#told] = [strokes, 0];
    let ink = new Uint8Array();
    const count = body ? body.points.length / 2 : 0;
    if (body && count > this.#told) {
      const end = Math.min(count, this.#told + INK_POINTS_MAX);
      const points = Array.from(body.points).slice(2 * this.#told, 2 * end);
      const pressures = body.pressures && Array.from(body.pressures).slice(this.#told, end);
      ink = inkBytes(strokes, this.#told, { ...body, points, pressures });
      this.#told = end;
    }
    board.link.send({ type: "presence", state, ink });
  }
}
