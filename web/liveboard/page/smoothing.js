// From what a pointer reports to the points of a stroke: steadied, thinned, with the pressure of the pen or of the pace.

/** How much of the way to the pointer the line goes at each report: less is steadier, and further behind. */
const FOLLOW = 0.55;
/** Pace, in pixels of the screen a millisecond, at which a line without a pen's pressure is half as strong. */
const FAST_PX_PER_MS = 3;
const PRESSURE_FOLLOW = 0.3;
const MIDDLE = 128;

export class Smoother {
  /** x, y, x, y, … in units of the board. @type {number[]} */
  points = [];
  /** @type {number[]} */
  pressures = [];
  #gap;
  #pixel;
  isPen;
  #x = 0;
  #y = 0;
  #time = 0;
  #pressure = MIDDLE;
  #rawX = 0;
  #rawY = 0;

  /** @param {number} pixel units of the board in a pixel of the screen @param {boolean} isPen whether it reports pressure */
  constructor(pixel, isPen) {
    this.#pixel = pixel;
    // Points closer than this say nothing that one could see.
    this.#gap = 0.8 * pixel;
    this.isPen = isPen;
  }

  get count() {
    return this.pressures.length;
  }

  /** @param {number} x @param {number} y in units @param {number} pressure 0 to 1 @param {number} time in ms */
  add(x, y, pressure, time) {
    if (this.count === 0) {
      [this.#x, this.#y, this.#rawX, this.#rawY, this.#time] = [x, y, x, y, time];
      this.#pressure = this.isPen ? 255 * pressure : MIDDLE;
      this.#push();
      return;
    }
    this.#press(x, y, pressure, time);
    [this.#rawX, this.#rawY, this.#time] = [x, y, time];
    this.#x += (x - this.#x) * FOLLOW;
    this.#y += (y - this.#y) * FOLLOW;
    if (Math.hypot(this.#x - Number(this.points.at(-2)), this.#y - Number(this.points.at(-1))) >= this.#gap) this.#push();
  }

  /** The line reaches the pointer. */
  finish() {
    [this.#x, this.#y] = [this.#rawX, this.#rawY];
    if (Math.hypot(this.#x - Number(this.points.at(-2)), this.#y - Number(this.points.at(-1))) >= this.#gap) this.#push();
  }

  /** @param {number} x @param {number} y @param {number} pressure @param {number} time */
  #press(x, y, pressure, time) {
    const pace = Math.hypot(x - this.#rawX, y - this.#rawY) / this.#pixel / Math.max(time - this.#time, 1);
    const wanted = this.isPen ? 255 * pressure : (1.15 * MIDDLE * FAST_PX_PER_MS) / (FAST_PX_PER_MS + pace);
    this.#pressure += (wanted - this.#pressure) * PRESSURE_FOLLOW;
  }

  #push() {
    this.points.push(Math.round(this.#x), Math.round(this.#y));
    this.pressures.push(Math.min(Math.max(Math.round(this.#pressure), 0), 255));
  }
}
