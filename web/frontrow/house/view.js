// What part of a plan is seen, and how large: fit, zoom about a point, move, and the way from one view to another. Pure.

/** @typedef {import("./shapes.js").Box} Box */
/** @typedef {{scale: number, x: number, y: number}} View a point of the plan is drawn at `point * scale + (x, y)` */
/** @typedef {{width: number, height: number}} Size in CSS pixels */

/** A seat is never drawn wider than this; and at home, all of the plan is seen. */
const PITCH_PX_MAX = 46;
/** From here on seats are told apart, have numbers, and rows have names. */
export const SEATS_PX = 4.5;
export const ROWS_PX = 8;
export const NUMBERS_PX = 19;

/**
 * All of a box, in the middle.
 * @param {Box} box
 * @param {Size} size
 * @param {number} [margin] in CSS pixels
 * @returns {View}
 */
export function fitted(box, size, margin = 14) {
  const [wide, high] = [Math.max(box.right - box.left, 1e-3), Math.max(box.bottom - box.top, 1e-3)];
  const scale = Math.max(Math.min((size.width - 2 * margin) / wide, (size.height - 2 * margin) / high), 1e-3);
  return { scale, x: size.width / 2 - ((box.left + box.right) / 2) * scale, y: size.height / 2 - ((box.top + box.bottom) / 2) * scale };
}

/**
 * How far one may zoom.
 * @param {Box} box
 * @param {Size} size
 * @param {number} pitch_m the closest that seats stand
 * @returns {{least: number, most: number}} pixels a metre
 */
export function limitsOf(box, size, pitch_m) {
  const least = fitted(box, size).scale;
  return { least, most: Math.max(PITCH_PX_MAX / pitch_m, least) };
}

/**
 * Larger or smaller, with the point under the hand where it is.
 * @param {View} view
 * @param {number} factor
 * @param {{x: number, y: number}} at in CSS pixels
 * @param {{least: number, most: number}} limits
 * @returns {View}
 */
export function zoomed(view, factor, at, { least, most }) {
  const scale = Math.min(most, Math.max(least, view.scale * factor));
  const real = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * real, y: at.y - (at.y - view.y) * real };
}

/**
 * The nearest view that does not lose the plan: where there is room the plan stays inside, else it fills the window.
 * @param {View} view
 * @param {Box} box
 * @param {Size} size
 * @param {number} [margin]
 * @returns {View}
 */
export function kept(view, box, size, margin = 14) {
  const along = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ room) => {
    const [first, last] = [margin - from * view.scale, room - margin - to * view.scale];
    // With room to spare the plan sits in the middle.
    return first <= last ? (first + last) / 2 : Math.min(first, Math.max(last, at));
  };
  return { scale: view.scale, x: along(view.x, box.left, box.right, size.width), y: along(view.y, box.top, box.bottom, size.height) };
}

/**
 * @param {View} view
 * @param {{x: number, y: number}} at in CSS pixels
 * @returns {{x: number, y: number}} on the plan
 */
export function toPlan(view, at) {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/**
 * The part of the plan that is seen.
 * @param {View} view
 * @param {Size} size
 * @returns {Box}
 */
export function seen(view, size) {
  const [a, b] = [toPlan(view, { x: 0, y: 0 }), toPlan(view, { x: size.width, y: size.height })];
  return { left: a.x, top: a.y, right: b.x, bottom: b.y };
}

/**
 * A point of the way from one view to another: the scale grows evenly, and what is in the middle moves evenly.
 * @param {View} from
 * @param {View} to
 * @param {number} share 0 to 1
 * @param {Size} size
 * @returns {View}
 */
export function between(from, to, share, size) {
  if (share >= 1) return to;
  const s = share * share * (3 - 2 * share);
  const scale = from.scale * (to.scale / from.scale) ** s;
  const middle = { x: size.width / 2, y: size.height / 2 };
  const [a, b] = [toPlan(from, middle), toPlan(to, middle)];
  // As the scale grows, equal steps on the plan look ever larger: go by what is left of the zoom instead.
  const gone = Math.abs(to.scale - from.scale) < 1e-9 ? s : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
  return { scale, x: middle.x - (a.x + (b.x - a.x) * gone) * scale, y: middle.y - (a.y + (b.y - a.y) * gone) * scale };
}

/**
 * A point of the plan in the middle, at least so large.
 * @param {{x: number, y: number}} point
 * @param {number} scale
 * @param {Size} size
 * @returns {View}
 */
export function centred(point, scale, size) {
  return { scale, x: size.width / 2 - point.x * scale, y: size.height / 2 - point.y * scale };
}
