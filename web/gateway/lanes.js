// Where the lanes run: client, cache, one gate a target. Pure geometry in CSS pixels, y downwards.

/** Answers come back beside the way that requests take. */
export const RETURN_OFFSET = 9;
const CLIENT_X = 12;
const CACHE_SHARE = 0.44;

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {readonly [Point, Point, Point, Point]} Curve a cubic Bézier
 * @typedef {object} Lanes
 * @property {Point} client
 * @property {Point} cache
 * @property {number} gateX where the gates begin
 * @property {number} endX where the providers begin
 * @property {readonly number[]} rows the middle of each target's row
 */

/**
 * @param {number} width
 * @param {number} height
 * @param {readonly number[]} rows the middle of each target's row
 * @param {number} gateWidth the gates stand on the last of the way
 * @returns {Lanes}
 */
export function layLanes(width, height, rows, gateWidth) {
  const first = rows[0] ?? height / 2;
  const last = rows.at(-1) ?? height / 2;
  const middle = (first + last) / 2;
  const gateX = width - (gateWidth * 5) / 6;
  return {
    client: { x: CLIENT_X, y: middle },
    cache: { x: width * CACHE_SHARE, y: middle },
    gateX,
    endX: width - gateWidth / 6,
    rows,
  };
}

/**
 * The way of one leg. `in`: client to cache. `back`: cache to client. `out`: cache through a gate to its target. `fail`:
 * the same way back. `home`: from a target past the cache to the client.
 * @param {Lanes} lanes
 * @param {"in" | "back" | "out" | "fail" | "home"} leg
 * @param {number} row of the target; ignored where there is none
 * @returns {readonly Curve[]} pieces, one after the other
 */
export function way(lanes, leg, row) {
  const { client, cache, gateX, endX } = lanes;
  const y = lanes.rows[row] ?? cache.y;
  const below = (/** @type {Point} */ point) => ({ x: point.x, y: point.y + RETURN_OFFSET });
  const gate = { x: gateX, y };
  const end = { x: endX, y };
  switch (leg) {
    case "in":
      return [straight(client, cache)];
    case "back":
      return [straight(below(cache), below(client))];
    case "out":
      return [bend(cache, gate), straight(gate, end)];
    case "fail":
      return [straight(end, gate), bend(gate, cache)];
    case "home":
      return [straight(below(end), below(gate)), bend(below(gate), below(cache)), straight(below(cache), below(client))];
  }
}

/**
 * @param {readonly Curve[]} pieces
 * @param {number} share of the whole way, 0 to 1
 * @returns {Point}
 */
export function pointOn(pieces, share) {
  const lengths = pieces.map(([from, , , to]) => Math.hypot(to.x - from.x, to.y - from.y));
  const whole = lengths.reduce((sum, length) => sum + length, 0);
  let left = Math.min(1, Math.max(0, share)) * whole;
  for (const [place, piece] of pieces.entries()) {
    const length = lengths[place] ?? 0;
    if (left <= length || place === pieces.length - 1) return bezier(piece, length === 0 ? 1 : Math.min(1, left / length));
    left -= length;
  }
  return { x: 0, y: 0 };
}

/**
 * @param {Point} from
 * @param {Point} to
 * @returns {Curve}
 */
function straight(from, to) {
  const at = (/** @type {number} */ share) => ({ x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share });
  return [from, at(1 / 3), at(2 / 3), to];
}

/**
 * Leaves and arrives level.
 * @param {Point} from
 * @param {Point} to
 * @returns {Curve}
 */
function bend(from, to) {
  const half = (from.x + to.x) / 2;
  return [from, { x: half, y: from.y }, { x: half, y: to.y }, to];
}

/**
 * @param {Curve} curve
 * @param {number} t
 * @returns {Point}
 */
function bezier([a, b, c, d], t) {
  const u = 1 - t;
  const mix = (/** @type {"x" | "y"} */ axis) =>
    u * u * u * a[axis] + 3 * u * u * t * b[axis] + 3 * u * t * t * c[axis] + t * t * t * d[axis];
  return { x: mix("x"), y: mix("y") };
}
