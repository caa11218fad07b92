// The crowd as geometry: every buyer a dot in a half circle before the gate, every seat a place behind it. Pure.
//
// How many have their verdict at which millisecond is recorded; which dot stands for whom is drawn by lot from the seed.

/** Inside this share of the radius nobody stands: there is the gate. */
export const GATE = 0.17;
const OUTER = 0.95;
const JITTER = 0.28;
/** How far the crowd has pressed towards the gate before it hears anything, as a share of its distance. */
const PRESS = 0.3;
/** Those turned away stop at this share of the way between gate and rim, at least. */
const MOAT = 0.16;
/** Motion takes this share of the run: the rush at the gun, and each way back or through. */
const RUSH = 0.3;
const RETREAT = 0.2;
const ENTRY = 0.1;

/**
 * @typedef {object} Crowd
 * @property {number} buyers
 * @property {number} seats
 * @property {number} spacing between neighbours, as a share of the radius
 * @property {Float32Array} x from the gate's middle, -1 to 1
 * @property {Float32Array} y from the gate's middle, 0 to 1
 * @property {Float32Array} eagerness 0.75 to 1.25
 * @property {Uint32Array} order the dots by when they hear their verdict: the winners first, then the others
 */

/**
 * @param {number} buyers
 * @param {number} seats
 * @param {number} seed
 * @returns {Crowd}
 */
export function gather(buyers, seats, seed) {
  const random = lottery(seed);
  const spacing = Math.sqrt(((Math.PI / 2) * (OUTER ** 2 - GATE ** 2)) / buyers);
  const crowd = {
    buyers,
    seats,
    spacing,
    x: new Float32Array(buyers),
    y: new Float32Array(buyers),
    eagerness: new Float32Array(buyers),
    order: new Uint32Array(buyers),
  };
  const rows = Math.max(1, Math.round((OUTER - GATE) / spacing));
  const radii = Array.from({ length: rows }, (_, row) => GATE + ((row + 0.5) * (OUTER - GATE)) / rows);
  const length = radii.reduce((sum, radius) => sum + radius, 0);
  let dot = 0;
  let reach = 0;
  for (const radius of radii) {
    reach += radius;
    const upTo = Math.round((buyers * reach) / length);
    const inRow = upTo - dot;
    for (let place = 0; dot < upTo; dot += 1, place += 1) {
      const angle = (Math.PI * (place + 0.5 + (random() - 0.5) * JITTER)) / inRow;
      const r = radius + (random() - 0.5) * spacing * JITTER * 2;
      crowd.x[dot] = -Math.cos(angle) * r;
      crowd.y[dot] = Math.sin(angle) * r;
      crowd.eagerness[dot] = 0.75 + random() * 0.5;
    }
  }
  crowd.order.set(drawLots(crowd, Math.min(seats, buyers), random));
  return crowd;
}

/**
 * When each dot hears its verdict; Infinity for those who have heard nothing (yet).
 * @param {Crowd} crowd
 * @param {{booked: Float64Array, rejected: Float64Array}} times
 * @returns {{heard: Float64Array, winners: number}} by dot; the first `winners` of `order` have won
 */
export function hearVerdicts(crowd, { booked, rejected }) {
  const heard = new Float64Array(crowd.buyers).fill(Infinity);
  const winners = Math.min(booked.length, crowd.buyers);
  for (let rank = 0; rank < winners; rank += 1) heard[crowd.order[rank] ?? 0] = booked[rank] ?? Infinity;
  // The dots after the expected winners; with fewer winners than seats, those who had hoped hear it last.
  const others = Math.min(rejected.length, crowd.buyers - winners);
  const hopeful = Math.max(0, Math.min(crowd.seats, crowd.buyers) - winners);
  for (let rank = 0; rank < others; rank += 1) {
    const place = winners + ((rank + hopeful) % (crowd.buyers - winners));
    heard[crowd.order[place] ?? 0] = rejected[rank] ?? Infinity;
  }
  return { heard, winners };
}

/**
 * How far from the gate a dot stands, as a multiple of its first distance; for those who wait or were turned away.
 * @param {number} distance its first one
 * @param {number} eagerness
 * @param {number} t_ms since the gun; negative before it
 * @param {number} heard_ms
 * @param {number} elapsed_ms the whole run
 * @returns {number}
 */
export function reach(distance, eagerness, t_ms, heard_ms, elapsed_ms) {
  if (t_ms <= 0 || elapsed_ms <= 0) return 1;
  const pressed = 1 - PRESS * eagerness * eased(Math.min(t_ms, heard_ms) / (RUSH * elapsed_ms));
  if (t_ms <= heard_ms) return pressed;
  const away = (MOAT + (1 - MOAT) * distance) / distance;
  return pressed + (away - pressed) * eased((t_ms - heard_ms) / (RETREAT * elapsed_ms));
}

/**
 * How far a winner has come on the way to the seat: 0 not yet, 1 seated.
 * @param {number} t_ms
 * @param {number} heard_ms
 * @param {number} elapsed_ms
 * @returns {number}
 */
export function entry(t_ms, heard_ms, elapsed_ms) {
  if (t_ms < heard_ms) return 0;
  return elapsed_ms <= 0 ? 1 : eased((t_ms - heard_ms) / (ENTRY * elapsed_ms));
}

/** After the last verdict the picture goes on for this share of the run, until the last has walked back. */
export const AFTERMATH = RETREAT;

/**
 * Where the seats are: rows of the same length, centred, in a box of that width and height.
 * @param {number} seats
 * @param {number} width
 * @param {number} height
 * @returns {{x: Float32Array, y: Float32Array, size: number}} centres from the box's top left corner
 */
export function seatPlaces(seats, width, height) {
  const largest = Math.min(height * 0.62, 34);
  let rows = 1;
  while (Math.min(width / Math.ceil(seats / rows), height / rows, largest) < Math.min(width / Math.ceil(seats / (rows + 1)), height / (rows + 1), largest)) {
    rows += 1;
  }
  const columns = Math.ceil(seats / rows);
  const pitch = Math.min(width / columns, height / rows, largest * 1.3);
  const x = new Float32Array(seats);
  const y = new Float32Array(seats);
  for (let seat = 0; seat < seats; seat += 1) {
    const row = Math.floor(seat / columns);
    const inRow = Math.min(columns, seats - row * columns);
    x[seat] = width / 2 + ((seat % columns) - (inRow - 1) / 2) * pitch;
    y[seat] = height - (rows - row - 0.5) * pitch;
  }
  return { x, y, size: Math.min(pitch * 0.74, largest) };
}

/**
 * Winners come from the inner half of the crowd; the others hear their verdict about as soon as they stand near.
 * @param {Crowd} crowd
 * @param {number} winners
 * @param {() => number} random
 * @returns {number[]}
 */
function drawLots(crowd, winners, random) {
  const dots = Array.from({ length: crowd.buyers }, (_, dot) => dot);
  const inner = Math.max(winners, Math.ceil(crowd.buyers / 2));
  for (let rank = 0; rank < winners; rank += 1) {
    const other = rank + Math.floor(random() * (inner - rank));
    [dots[rank], dots[other]] = [dots[other] ?? 0, dots[rank] ?? 0];
  }
  const nearness = new Float32Array(crowd.buyers);
  for (let dot = 0; dot < crowd.buyers; dot += 1) {
    nearness[dot] = Math.hypot(crowd.x[dot] ?? 0, crowd.y[dot] ?? 0) + random() * 0.55;
  }
  const others = dots.slice(winners).sort((a, b) => (nearness[a] ?? 0) - (nearness[b] ?? 0));
  return [...dots.slice(0, winners), ...others];
}

/**
 * @param {number} share
 * @returns {number} 0 to 1, slow at both ends
 */
function eased(share) {
  const s = Math.min(1, Math.max(0, share));
  return s * s * (3 - 2 * s);
}

/**
 * Numbers from 0 to 1 that follow from the seed (mulberry32).
 * @param {number} seed
 * @returns {() => number}
 */
export function lottery(seed) {
  let state = Math.trunc(seed) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
