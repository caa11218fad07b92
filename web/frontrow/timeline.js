// A run's recorded timeline: what stood at which millisecond, and how much slower than it happened it is shown. Pure.

/**
 * @typedef {object} Point
 * @property {number} t_ms from the gun
 * @property {number} waiting
 * @property {number} [holding]
 * @property {number} booked so far
 * @property {number} rejected so far
 */

/** How long a replay should take; a run that took about as long is shown as it was. */
const REPLAY_MS = 4000;
const SLOWDOWNS = [1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 800, 1000, 2000, 5000, 10_000];

/**
 * The points in order, from the gun on, with whatever a document lacks filled in.
 * @param {unknown} timeline
 * @param {number} buyers
 * @returns {Point[]} starts at 0 ms with everybody waiting
 */
export function cleaned(timeline, buyers) {
  const points = (Array.isArray(timeline) ? timeline : [])
    .filter((point) => Number.isFinite(point?.t_ms) && point.t_ms >= 0)
    .map((point) => ({
      t_ms: point.t_ms,
      waiting: point.waiting ?? 0,
      holding: point.holding ?? 0,
      booked: point.booked ?? 0,
      rejected: point.rejected ?? 0,
    }))
    .sort((a, b) => a.t_ms - b.t_ms);
  const first = points[0];
  if (first === undefined || first.t_ms > 0) points.unshift({ t_ms: 0, waiting: buyers, holding: 0, booked: 0, rejected: 0 });
  return points;
}

/**
 * What stood at a moment; between two points it is drawn straight.
 * @param {readonly Point[]} points as `cleaned` returns them
 * @param {number} t_ms
 * @returns {Point} counts are whole
 */
export function sampleAt(points, t_ms) {
  const after = points.findIndex((point) => point.t_ms > t_ms);
  const last = /** @type {Point} */ (points.at(-1));
  if (after < 0) return { ...last, t_ms: Math.max(t_ms, 0) };
  const b = /** @type {Point} */ (points[after]);
  const a = points[after - 1] ?? b;
  const share = b.t_ms === a.t_ms ? 1 : Math.max(0, (t_ms - a.t_ms) / (b.t_ms - a.t_ms));
  const between = (/** @type {number} */ from, /** @type {number} */ to) => Math.floor(from + (to - from) * share);
  const booked = between(a.booked, b.booked);
  const rejected = between(a.rejected, b.rejected);
  const all = a.waiting + (a.holding ?? 0) + a.booked + a.rejected;
  const holding = between(a.holding ?? 0, b.holding ?? 0);
  return { t_ms: Math.max(t_ms, 0), waiting: all - holding - booked - rejected, holding, booked, rejected };
}

/**
 * When each of the verdicts of one kind was given: entry k is the moment the count passed k.
 * @param {readonly Point[]} points
 * @param {"booked" | "rejected"} kind
 * @returns {Float64Array} milliseconds, ascending, as long as the last count
 */
export function verdictTimes(points, kind) {
  const times = new Float64Array(points.at(-1)?.[kind] ?? 0);
  let given = 0;
  for (let place = 1; place < points.length; place += 1) {
    const a = /** @type {Point} */ (points[place - 1]);
    const b = /** @type {Point} */ (points[place]);
    const step = b[kind] - a[kind];
    for (; given < b[kind] && given < times.length; given += 1) {
      times[given] = a.t_ms + ((given - a[kind] + 1) / step) * (b.t_ms - a.t_ms);
    }
  }
  return times;
}

/**
 * How many times slower a run is shown.
 * @param {number} elapsed_ms
 * @returns {number} 1 when it is shown as it happened
 */
export function slowdown(elapsed_ms) {
  if (!(elapsed_ms > 0)) return 1;
  const wanted = REPLAY_MS / elapsed_ms;
  let best = 1;
  for (const factor of SLOWDOWNS) {
    if (Math.abs(Math.log(factor / wanted)) < Math.abs(Math.log(best / wanted))) best = factor;
  }
  return best;
}

/**
 * @param {number} factor
 * @returns {string}
 */
export function slowdownWords(factor) {
  return factor === 1 ? "shown as fast as it happened" : `shown ${factor.toLocaleString("en")}× slower`;
}
