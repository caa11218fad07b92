// From what a pointer reports to the points of a stroke: steadied, thinned, with the pressure of the pen or of the pace.

/** How much of the way to the pointer the line goes at each report: less is steadier, and further behind. */
const FOLLOW = 0.55;
/** Pace, in pixels of the screen a millisecond, at which a line without a pen's pressure is half as strong. */
const FAST_PX_PER_MS = 3;
const PRESSURE_FOLLOW = 0.3;
const MIDDLE = 128;
/** A hand that was faster than its pointer reports leaves gaps no wider than this. */
const DENSE_PX = 12;

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

  /** The line reaches the pointer, and has points wherever one may want to rub some out. */
  finish() {
    [this.#x, this.#y] = [this.#rawX, this.#rawY];
    if (Math.hypot(this.#x - Number(this.points.at(-2)), this.#y - Number(this.points.at(-1))) >= this.#gap) this.#push();
    [this.points, this.pressures] = dense(this.points, this.pressures, DENSE_PX * this.#pixel);
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

/**
 * The same line with more points where they are far apart: on the curve that is drawn through them.
 * @param {number[]} points x, y, … @param {number[]} pressures @param {number} gap the widest, in units
 * @returns {[points: number[], pressures: number[]]}
 */
export function dense(points, pressures, gap) {
  /** @type {number[]} */
  const more = [];
  /** @type {number[]} */
  const morePressures = [];
  const put = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ pressure) => {
    more.push(Math.round(x), Math.round(y));
    morePressures.push(Math.round(pressure));
  };
  const count = pressures.length;
  const read = (/** @type {number} */ at) => /** @type {const} */ ([Number(points[2 * at]), Number(points[2 * at + 1]), Number(pressures[at])]);
  for (let at = 0; at < count; at += 1) {
    const here = read(at);
    const [before, after] = [read(Math.max(at - 1, 0)), read(Math.min(at + 1, count - 1))];
    // From the middle before to the middle behind, bent towards the point; at the ends, to the point itself.
    const [from, to] = [at === 0 ? here : half(before, here), at === count - 1 ? here : half(here, after)];
    const far = Math.hypot(here[0] - from[0], here[1] - from[1]) + Math.hypot(to[0] - here[0], to[1] - here[1]);
    const steps = Math.ceil(far / gap);
    // The ends of the line are where they were; between them, each point stands in the middle of its step.
    if (steps < 2 || at === 0) put(...here);
    for (let step = 0.5; steps > 1 && step < steps; step += 1) {
      const part = step / steps;
      const [a, b, c] = [(1 - part) ** 2, 2 * part * (1 - part), part ** 2];
      put(a * from[0] + b * here[0] + c * to[0], a * from[1] + b * here[1] + c * to[1], a * from[2] + b * here[2] + c * to[2]);
    }
    if (steps > 1 && at === count - 1) put(...here);
  }
  return [more, morePressures];
}

/** @typedef {readonly [x: number, y: number, pressure: number]} Dot */
/** @param {Dot} one @param {Dot} other @returns {Dot} */
const half = (one, other) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2, (one[2] + other[2]) / 2];
