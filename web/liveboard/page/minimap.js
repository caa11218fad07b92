// The small map: the whole board, where one looks, and where the others do.

import { inkOf } from "./colours.js";
import { grown, united } from "./geometry.js";

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("./geometry.js").Box} Box */

const AGAIN_MS = 700;

export class Minimap {
  #desk;
  #canvas;
  #viewChanged;
  /** @type {{bitmap: ImageBitmap, box: Box} | null} */
  #picture = null;
  #timer = 0;
  #isAsked = false;

  /** @param {Desk} desk @param {HTMLCanvasElement} canvas @param {() => void} viewChanged */
  constructor(desk, canvas, viewChanged) {
    this.#desk = desk;
    this.#canvas = canvas;
    this.#viewChanged = viewChanged;
    new ResizeObserver(() => this.#size()).observe(canvas);
    for (const name of /** @type {const} */ (["pointerdown", "pointermove"])) {
      canvas.addEventListener(name, (event) => {
        if (event.buttons & 1) this.#go(event);
      });
    }
  }

  toggle() {
    const frame = /** @type {HTMLElement} */ (this.#canvas.parentElement);
    frame.hidden = !frame.hidden;
  }

  /** The board is another: its small picture follows, not at once. */
  changed() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      void this.#render();
    }, AGAIN_MS);
  }

  /** Draws it, at the next frame. */
  draw() {
    if (this.#isAsked || !this.#isShown) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#paint();
    });
  }

  get #isShown() {
    return this.#canvas.width > 0;
  }

  /** What it shows: all marks, and what one sees. @returns {Box} */
  get #box() {
    const { view, stage } = this.#desk;
    const { x, y, width, height } = view.box;
    const box = /** @type {Box} */ (united([{ x0: x, y0: y, x1: x + width, y1: y + height }, ...(stage.scene.bounds ? [stage.scene.bounds] : [])]));
    return grown(box, 0.04 * Math.max(box.x1 - box.x0, box.y1 - box.y0));
  }

  /** @param {Box} box @returns {{scale: number, left: number, top: number}} device pixels of the map */
  #fit({ x0, y0, x1, y1 }) {
    const { width, height } = this.#canvas;
    const scale = Math.min(width / (x1 - x0), height / (y1 - y0));
    return { scale, left: (width - scale * (x1 - x0)) / 2 - scale * x0, top: (height - scale * (y1 - y0)) / 2 - scale * y0 };
  }

  async #render() {
    const { stage } = this.#desk;
    const bounds = stage.scene.bounds;
    if (!this.#isShown || !bounds) {
      this.#picture = null;
      this.draw();
      return;
    }
    const box = grown(bounds, 8);
    const { scale } = this.#fit(box);
    const [x, y] = [Math.floor(box.x0 * scale), Math.floor(box.y0 * scale)];
    const [width, height] = [Math.ceil(box.x1 * scale) - x + 1, Math.ceil(box.y1 * scale) - y + 1];
    const bitmap = await stage.renderer.picture({ scale, x, y, width, height });
    this.#picture?.bitmap.close();
    this.#picture = { bitmap, box: { x0: x / scale, y0: y / scale, x1: (x + width) / scale, y1: (y + height) / scale } };
    this.draw();
  }

  /** Not shown, it has no size: read when it changes, for reading it is work. */
  #size() {
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.round(this.#canvas.clientWidth * ratio);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * ratio);
    this.changed();
    this.draw();
  }

  #paint() {
    const { view, stage, board } = this.#desk;
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const { scale, left, top } = this.#fit(this.#box);
    if (this.#picture) {
      const { bitmap, box } = this.#picture;
      context.drawImage(bitmap, left + box.x0 * scale, top + box.y0 * scale, (box.x1 - box.x0) * scale, (box.y1 - box.y0) * scale);
    }
    /** @param {{x: number, y: number, width: number, height: number}} sight @param {string} colour @param {number} line */
    const outline = ({ x, y, width, height }, colour, line) => {
      context.strokeStyle = colour;
      context.lineWidth = line * view.ratio;
      context.strokeRect(left + x * scale, top + y * scale, width * scale, height * scale);
    };
    for (const [number, sight] of board.others.sights) {
      outline(sight, inkOf(board.others.people.get(number)?.color ?? 0, stage.theme.isDark), 1);
    }
    outline(view.box, stage.voice, 2);
  }

  /** @param {PointerEvent} event looks there */
  #go(event) {
    const ratio = devicePixelRatio || 1;
    const { scale, left, top } = this.#fit(this.#box);
    this.#desk.view.goTo((event.offsetX * ratio - left) / scale, (event.offsetY * ratio - top) / scale);
    this.#viewChanged();
  }
}
