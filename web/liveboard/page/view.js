// Where on the board this page looks, and how close. Coordinates of the board are eighths of a pixel at zoom 1.

import { COORDINATE_MAX, UNITS_PER_PIXEL } from "../core/operations.js";

export const ZOOM_MIN = 0.05;
export const ZOOM_MAX = 16;
const FIT_MARGIN_PX = 48;

/** @typedef {import("./geometry.js").Box} Box */

export class View {
  /** The board's point in the middle of the canvas, in pixels at zoom 1. */
  x = 0;
  y = 0;
  zoom = 1;
  width = 1;
  height = 1;
  /** Pixels of the screen in a CSS pixel. */
  ratio = 1;

  /** CSS pixels per unit of the board. */
  get scale() {
    return this.zoom / UNITS_PER_PIXEL;
  }

  /** Where the board's origin is on the canvas, in whole pixels of the screen: so tiles are copied, not blurred. */
  get originLeft() {
    return Math.round((this.width / 2 - this.x * this.zoom) * this.ratio);
  }

  get originTop() {
    return Math.round((this.height / 2 - this.y * this.zoom) * this.ratio);
  }

  /** @param {number} left @param {number} top in CSS pixels of the canvas @returns {[number, number]} on the board, in its units */
  toBoard(left, top) {
    const { scale, ratio } = this;
    return [bounded((left - this.originLeft / ratio) / scale), bounded((top - this.originTop / ratio) / scale)];
  }

  /** @param {number} x @param {number} y in units @returns {[number, number]} */
  toCanvas(x, y) {
    return [x * this.scale + this.originLeft / this.ratio, y * this.scale + this.originTop / this.ratio];
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    this.#look(this.x - dx / this.zoom, this.y - dy / this.zoom);
  }

  /** Keeps the board's point under (left, top) where it is. @param {number} factor */
  zoomBy(factor, left = this.width / 2, top = this.height / 2) {
    const [dx, dy] = [left - this.width / 2, top - this.height / 2];
    const zoom = Math.min(Math.max(this.zoom * factor, ZOOM_MIN), ZOOM_MAX);
    const [x, y] = [this.x + dx / this.zoom - dx / zoom, this.y + dy / this.zoom - dy / zoom];
    this.zoom = zoom;
    this.#look(x, y);
  }

  /** @param {Box} box comes into sight whole, no closer than zoom 1 */
  fit({ x0, y0, x1, y1 }) {
    const margin = 2 * Math.min(FIT_MARGIN_PX, this.width / 4, this.height / 4);
    const zoom = Math.min((this.width - margin) / Math.max(x1 - x0, 1), (this.height - margin) / Math.max(y1 - y0, 1)) * UNITS_PER_PIXEL;
    this.zoom = Math.min(Math.max(zoom, ZOOM_MIN), 1);
    this.goTo((x0 + x1) / 2, (y0 + y1) / 2);
  }

  /** @param {number} x @param {number} y in units: comes into the middle */
  goTo(x, y) {
    this.#look(x / UNITS_PER_PIXEL, y / UNITS_PER_PIXEL);
  }

  reset() {
    [this.x, this.y, this.zoom] = [0, 0, 1];
  }

  /** What shows, in units. */
  get box() {
    const [x, y] = this.toBoard(0, 0);
    return { x, y, width: Math.round(this.width / this.scale), height: Math.round(this.height / this.scale) };
  }

  /** @param {number} x @param {number} y in pixels at zoom 1 */
  #look(x, y) {
    const most = COORDINATE_MAX / UNITS_PER_PIXEL;
    this.x = Math.min(Math.max(x, -most), most);
    this.y = Math.min(Math.max(y, -most), most);
  }
}

/** @param {number} value */
const bounded = (value) => Math.min(Math.max(Math.round(value), -COORDINATE_MAX), COORDINATE_MAX);
