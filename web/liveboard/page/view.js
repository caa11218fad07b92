// Where on the board this page looks, and how close. Coordinates of the board are eighths of a pixel at zoom 1.

import { COORDINATE_MAX, UNITS_PER_PIXEL } from "../core/operations.js";

const ZOOM_MIN = 0.1;
const ZOOM_MAX = 8;

export class View {
  /** The board's point in the middle of the canvas, in pixels at zoom 1. */
  x = 0;
  y = 0;
  zoom = 1;
  width = 1;
  height = 1;

  /** Canvas pixels per unit of the board. */
  get scale() {
    return this.zoom / UNITS_PER_PIXEL;
  }

  /** @param {number} x @param {number} y in CSS pixels of the canvas @returns {[number, number]} on the board, in its units */
  toBoard(x, y) {
    return [bounded(((x - this.width / 2) / this.zoom + this.x) * 8), bounded(((y - this.height / 2) / this.zoom + this.y) * 8)];
  }

  /** @param {number} x @param {number} y in units @returns {[number, number]} */
  toCanvas(x, y) {
    return [(x / 8 - this.x) * this.zoom + this.width / 2, (y / 8 - this.y) * this.zoom + this.height / 2];
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    this.x -= dx / this.zoom;
    this.y -= dy / this.zoom;
  }

  /** Keeps the board's point under (x, y) where it is. @param {number} factor */
  zoomBy(factor, x = this.width / 2, y = this.height / 2) {
    const [dx, dy] = [x - this.width / 2, y - this.height / 2];
    const zoom = Math.min(Math.max(this.zoom * factor, ZOOM_MIN), ZOOM_MAX);
    this.x += dx / this.zoom - dx / zoom;
    this.y += dy / this.zoom - dy / zoom;
    this.zoom = zoom;
  }

  reset() {
    [this.x, this.y, this.zoom] = [0, 0, 1];
  }

  /** What shows, in units. */
  get box() {
    const [x, y] = this.toBoard(0, 0);
    return { x, y, width: Math.round(this.width / this.scale), height: Math.round(this.height / this.scale) };
  }
}

/** @param {number} value */
const bounded = (value) => Math.min(Math.max(Math.round(value), -COORDINATE_MAX), COORDINATE_MAX);
