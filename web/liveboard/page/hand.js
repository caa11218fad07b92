// The hand on the board: pen, eraser, moving and zooming, by mouse, touch, pen and keys.

import { keyOf, POINTS_MAX } from "../core/operations.js";
import { inkBytes, stateBytes } from "./presence.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./view.js").View} View */

const TELL_EVERY_MS = 40;
const STEP_PX = 60;
const ERASER_PX = 8;
/** Points of one operation: it has to stay below 32,768 bytes, and a point takes at most ten. */
const STROKE_POINTS_MAX = Math.min(POINTS_MAX, 3000);

export class Hand {
  tool = "pen";
  color = 0x1d1b17;
  width = 4;
  /** The stroke that is being drawn. @type {{points: number[], color: number, size: number, lamport: number} | null} */
  stroke = null;
  /** Keys of marks that the eraser has touched since it went down. @type {Set<string>} */
  erasing = new Set();
  #board;
  #view;
  #canvas;
  #draw;
  /** @type {Map<number, {x: number, y: number}>} pointers that are down */
  #down = new Map();
  #isPanning = false;
  #isErasing = false;
  #place = { x: 0, y: 0 };
  #strokes = 0;
  #told = 0;
  #toldAt = 0;

  /**
   * @param {HTMLCanvasElement} canvas @param {Board} board @param {View} view
   * @param {(all: boolean) => void} draw asks for a frame; `all` when what lies below the hand changes too
   */
  constructor(canvas, board, view, draw) {
    this.#canvas = canvas;
    this.#board = board;
    this.#view = view;
    this.#draw = draw;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
      canvas.addEventListener(name, (event) => this.#lift(event));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.#down.size > 1) {
      // A second finger: it was no stroke.
      this.stroke = null;
      this.#isErasing = false;
      this.erasing.clear();
      this.#isPanning = true;
    } else if (event.button !== 0 || this.tool === "hand" || this.#board.role === 0) this.#isPanning = true;
    else if (this.tool === "eraser") {
      this.#isErasing = true;
      this.#erase(event.offsetX, event.offsetY);
    } else {
      const points = this.#view.toBoard(event.offsetX, event.offsetY);
      const lamport = this.#board.replica.nextLamport;
      this.stroke = { points, color: this.color, size: Math.max(1, Math.round(this.width * 8)), lamport };
      this.#strokes += 1;
      this.#told = 0;
    }
    this.#draw(true);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#down.get(event.pointerId);
    const [x, y] = this.#view.toBoard(event.offsetX, event.offsetY);
    this.#place = { x, y };
    if (before && this.#isPanning) this.#drag(event, before);
    else if (this.#isErasing) this.#erase(event.offsetX, event.offsetY);
    else if (this.stroke) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) this.#extend(this.#view.toBoard(each.offsetX, each.offsetY));
    }
    if (before) this.#down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.#tellOthers();
    this.#draw(this.#isPanning || this.#isErasing);
  }

  /** @param {[number, number]} point */
  #extend([x, y]) {
    const stroke = this.stroke;
    if (!stroke || (stroke.points.at(-2) === x && stroke.points.at(-1) === y)) return;
    stroke.points.push(x, y);
    if (stroke.points.length < 2 * STROKE_POINTS_MAX) return;
    this.#finish();
    this.stroke = { ...stroke, points: [x, y], lamport: this.#board.replica.nextLamport };
    this.#strokes += 1;
    this.#told = 0;
  }

  /** @param {PointerEvent} event */
  #lift(event) {
    this.#down.delete(event.pointerId);
    if (this.#down.size) return;
    this.#isPanning = false;
    if (this.stroke) this.#finish();
    this.stroke = null;
    if (this.#isErasing) this.#wipe();
    this.#isErasing = false;
    this.#tellOthers();
    this.#draw(true);
  }

  #finish() {
    const stroke = this.stroke;
    if (!stroke) return;
    const { points, color, size, lamport } = stroke;
    this.#tellOthers(true);
    this.#board.do({ kind: "stroke", tool: "pen", color, size, opacity: 100, points, pressures: null }, lamport);
  }

  /** @param {PointerEvent} event @param {{x: number, y: number}} before */
  #drag(event, before) {
    const other = [...this.#down].find(([id]) => id !== event.pointerId)?.[1];
    if (!other) this.#view.pan(event.offsetX - before.x, event.offsetY - before.y);
    else {
      const far = (/** @type {{x: number, y: number}} */ one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      const now = { x: event.offsetX, y: event.offsetY };
      this.#view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
      this.#view.zoomBy(far(now) / far(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
  }

  /** @param {number} left @param {number} top */
  #erase(left, top) {
    const [x, y] = this.#view.toBoard(left, top);
    const reach = ERASER_PX / this.#view.scale;
    for (const { operation, dx, dy, size } of this.#board.replica.picture.shown()) {
      if (operation.kind !== "stroke") continue;
      if (!this.#board.mayChangeOthers && operation.site !== this.#board.replica.identity.site) continue;
      if (isNear(operation.points, x - dx, y - dy, reach + size / 2)) this.erasing.add(keyOf(operation));
    }
  }

  #wipe() {
    const ids = [...this.erasing].flatMap((key) => this.#board.replica.picture.get(key)?.operation ?? []);
    this.erasing.clear();
    const targets = ids.map(({ site, seq }) => ({ site, seq, ranges: [] })).slice(0, 2000);
    targets.sort((one, other) => (one.site === other.site ? one.seq - other.seq : one.site < other.site ? -1 : 1));
    if (targets.length) this.#board.do({ kind: "erase", targets });
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    if (event.shiftKey) this.#view.pan(-event.deltaY - event.deltaX, 0);
    else this.#view.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
    this.#draw(true);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const steps = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [STEP_PX, 0],
      ArrowRight: [-STEP_PX, 0],
      ArrowUp: [0, STEP_PX],
      ArrowDown: [0, -STEP_PX],
    });
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#view.pan(...step);
    this.#draw(true);
  }

  #tellOthers(isLast = false) {
    const now = performance.now();
    if (!isLast && now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    const state = stateBytes({ ...this.#place, tool: this.tool, isDown: this.stroke !== null, view: this.#view.box });
    let ink = new Uint8Array();
    const { stroke } = this;
    const points = stroke?.points.slice(this.#told, this.#told + 400) ?? [];
    if (stroke && points.length) {
      ink = inkBytes(this.#strokes, this.#told / 2, { ...stroke, tool: "pen", opacity: 100, points, pressures: null });
      this.#told += points.length;
    }
    if (this.#board.replica.isSynced) this.#board.link.send({ type: "presence", state, ink });
  }
}

/** @param {ArrayLike<number>} points @param {number} x @param {number} y @param {number} reach */
function isNear(points, x, y, reach) {
  for (let at = 0; at < points.length; at += 2) {
    const [x0, y0] = [Number(points[at]), Number(points[at + 1])];
    const [x1, y1] = [Number(points[at + 2] ?? x0), Number(points[at + 3] ?? y0)];
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const part = length ? Math.min(Math.max(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0), 1) : 0;
    if (Math.hypot(x - x0 - part * (x1 - x0), y - y0 - part * (y1 - y0)) <= reach) return true;
  }
  return false;
}
