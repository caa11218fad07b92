// A house's seat map as numbers: where each seat is, of which row, section and price, and what is at a point. Pure.
//
// Seats are named by their position, as in the server's letters of `/state`; their ids are for the box office alone.

import { around, boxOf, hull, isInside, PointGrid } from "./shapes.js";

/** @typedef {import("./shapes.js").Box} Box */
/** @typedef {{code: string, name: string, price: number | null}} Tier */
/** @typedef {{id: number, name: string, tier: number, x: number, y: number, radius: number, capacity: number}} Area */
/** @typedef {"standard" | "accessible" | "companion"} Kind */
/**
 * @typedef {object} Row
 * @property {string} label
 * @property {number} tier place in `tiers`
 * @property {number} first position of its first seat; the others follow
 * @property {number} count
 * @property {number} section place in `sections`
 * @property {number} pitch_m between neighbours
 */
/**
 * @typedef {object} Section
 * @property {string} name
 * @property {number} first
 * @property {number} count
 * @property {Row[]} rows
 * @property {number[]} outline x and y in turn
 * @property {{x: number, y: number}} middle
 * @property {Box} box
 */

/** Where a house says nothing of its rows. */
const PITCH_M = 0.5;
/** A seat is so much narrower than its neighbour is away, and at most so many times as deep as wide. */
const WIDTH_SHARE = 0.8;
const DEEPEST = 1.3;
const STAGE_SHARE_MAX = 0.42;
const AREA_SHARE = 0.62;
/** An area far from any seat. */
const AREA_RADIUS_M = 5;

export class Plan {
  /** @type {Section[]} */
  sections = [];
  /** @type {Row[]} */
  rows = [];
  /** @type {Map<number, number>} the position of each id */
  positionOf = new Map();
  /** @type {Map<number, Kind>} of the seats that are not standard */
  kinds = new Map();
  /** @type {string[]} */
  numbers = [];
  #grid;

  /** @param {any} map the document of `/api/frontrow/events/{id}/map` */
  constructor(map) {
    const count = map.sections.flatMap((/** @type {any} */ section) => section.rows).reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + row.ids.length, 0);
    this.currency = /** @type {string | null} */ (map.currency);
    this.tiers = /** @type {Tier[]} */ (map.tiers.length > 0 ? map.tiers : [{ code: "seat", name: "Seat", price: null }]);
    this.count = count;
    this.ids = new Float64Array(count);
    this.x = new Float32Array(count);
    this.y = new Float32Array(count);
    this.rowOf = new Uint32Array(count);
    /** Half the width of each seat as a vector along its row; a quarter turn of it, `depth` times as long, looks to the stage. */
    this.half = { x: new Float32Array(count), y: new Float32Array(count), depth: new Float32Array(count) };
    this.#read(map.sections);
    this.#grid = new PointGrid(this.x, this.y, 2 * Math.max(PITCH_M, ...this.rows.slice(0, 100).map(({ pitch_m }) => pitch_m)));
    const { x, y } = map.stage;
    const seats = count > 0 ? around(this.sections.map(({ box }) => box)) : boxOf([[x, y]]);
    const width = Math.min(1.3 * this.#clearing(x, y), STAGE_SHARE_MAX * Math.max(seats.right - seats.left, 1));
    this.stage = { x, y, width: Number.isFinite(width) ? width : 10 };
    this.areas = /** @type {Area[]} */ (map.areas.map((/** @type {any} */ area) => this.#area(area)));
    const round = this.areas.map((area) => boxOf([[area.x - area.radius, area.y - area.radius], [area.x + area.radius, area.y + area.radius]]));
    const stage = boxOf([[x - this.stage.width / 2, y - this.stage.width / 6], [x + this.stage.width / 2, y]]);
    /** @type {Box} */
    this.box = around([seats, stage, ...round]);
    /** The closest that seats stand, which is what must be told apart. */
    this.pitch_m = Math.min(...this.rows.map(({ pitch_m }) => pitch_m), PITCH_M);
  }

  /**
   * The nearest seat to a point of the plan.
   * @param {number} x
   * @param {number} y
   * @param {number} reach_m
   * @returns {number} -1 when there is none within reach
   */
  seatAt(x, y, reach_m) {
    return this.#grid.nearest(x, y, reach_m);
  }

  /**
   * The section whose outline is around a point.
   * @param {number} x
   * @param {number} y
   * @returns {number} -1 when there is none
   */
  sectionAt(x, y) {
    return this.sections.findIndex(({ outline }) => isInside(outline, x, y));
  }

  /**
   * @param {number} x
   * @param {number} y
   * @returns {Area | null}
   */
  areaAt(x, y) {
    return this.areas.find((area) => Math.hypot(area.x - x, area.y - y) <= area.radius) ?? null;
  }

  /**
   * @param {Box} box
   * @param {(position: number) => void} visit
   */
  forEachIn(box, visit) {
    this.#grid.forEachIn(box, visit);
  }

  /** @param {number} position */
  rowAt(position) {
    return /** @type {Row} */ (this.rows[this.rowOf[position] ?? 0]);
  }

  /**
   * @param {number} position
   * @returns {number} in the currency's smallest unit
   */
  priceOf(position) {
    return this.tiers[this.rowAt(position).tier]?.price ?? 0;
  }

  /**
   * What a seat is called: "Section 104, row 3, seat 12".
   * @param {number} position
   */
  labelOf(position) {
    const row = this.rowAt(position);
    const section = this.sections[row.section]?.name ?? "";
    const where = this.sections.length > 1 && section !== "" ? `Section ${section}, row` : "Row";
    return `${where} ${row.label}, seat ${this.numbers[position] ?? ""}`;
  }

  /** @param {any[]} sections */
  #read(sections) {
    let position = 0;
    for (const { name, rows } of sections) {
      const first = position;
      const own = /** @type {Row[]} */ ([]);
      for (const row of rows) {
        const begin = position;
        this.#seats(begin, this.rows.length + own.length, row);
        position += row.ids.length;
        const tier = Math.max(0, this.tiers.findIndex(({ code }) => code === row.tier));
        own.push({ label: row.label, tier, first: begin, count: position - begin, section: this.sections.length, pitch_m: this.#pitch(begin, position) });
      }
      this.rows.push(...own);
      this.#turn(own);
      this.sections.push({ name, first, count: position - first, rows: own, ...this.#shape(first, position, own[0]?.pitch_m ?? PITCH_M) });
    }
  }

  /**
   * Reads a row: of ids and coordinates the first is itself, the others are differences to the seat before.
   * @param {number} first position of its first seat
   * @param {number} row place in `rows`
   * @param {{ids: number[], numbers: string[], x_cm: number[], y_cm: number[], kinds: [number, Kind][]}} seats
   */
  #seats(first, row, { ids, numbers, x_cm, y_cm, kinds }) {
    let [id, x, y] = [0, 0, 0];
    for (const [place, step] of ids.entries()) {
      id += step;
      x += x_cm[place] ?? 0;
      y += y_cm[place] ?? 0;
      const position = first + place;
      this.ids[position] = id;
      this.positionOf.set(id, position);
      this.x[position] = x / 100;
      this.y[position] = y / 100;
      this.rowOf[position] = row;
    }
    this.numbers.push(...numbers);
    for (const [place, kind] of kinds) this.kinds.set(first + place, kind);
  }

  /**
   * The median distance between neighbours.
   * @param {number} from
   * @param {number} to
   */
  #pitch(from, to) {
    const gaps = [];
    for (let seat = from + 1; seat < to; seat += 1) gaps.push(this.#distance(seat - 1, seat));
    gaps.sort((a, b) => a - b);
    return gaps[gaps.length >> 1] || PITCH_M;
  }

  /**
   * Turns each seat along its row.
   * @param {readonly Row[]} rows of one section
   */
  #turn(rows) {
    for (const [place, row] of rows.entries()) {
      const next = rows[place + 1] ?? rows[place - 1];
      const gap = next === undefined ? row.pitch_m : Math.abs(this.#distance(row.first, next.first)) || row.pitch_m;
      const half = (row.pitch_m * WIDTH_SHARE) / 2;
      const depth = Math.min(DEEPEST, Math.max((gap * 0.4) / half, 0.8));
      const last = row.first + row.count - 1;
      for (let seat = row.first; seat <= last; seat += 1) {
        const [a, b] = [Math.max(seat - 1, row.first), Math.min(seat + 1, last)];
        const length = this.#distance(a, b);
        this.half.x[seat] = length > 0 ? (((this.x[b] ?? 0) - (this.x[a] ?? 0)) / length) * half : half;
        this.half.y[seat] = length > 0 ? (((this.y[b] ?? 0) - (this.y[a] ?? 0)) / length) * half : 0;
        this.half.depth[seat] = depth;
      }
    }
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {number} margin_m
   */
  #shape(from, to, margin_m) {
    const points = /** @type {[number, number][]} */ ([]);
    for (let seat = from; seat < to; seat += 1) points.push([this.x[seat] ?? 0, this.y[seat] ?? 0]);
    const box = boxOf(points);
    const middle = { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
    const corners = points.flatMap(([x, y]) => [[x - margin_m, y - margin_m], [x + margin_m, y - margin_m], [x - margin_m, y + margin_m], [x + margin_m, y + margin_m]]);
    return { box, middle, outline: hull(/** @type {[number, number][]} */ (corners)).flat() };
  }

  /** @param {any} area */
  #area(area) {
    const free = Math.min(this.#clearing(area.x, area.y), Math.hypot(area.x - this.stage.x, area.y - this.stage.y) || Infinity);
    return { ...area, tier: Math.max(0, this.tiers.findIndex(({ code }) => code === area.tier)), radius: Number.isFinite(free) ? free * AREA_SHARE : AREA_RADIUS_M };
  }

  /**
   * How far it is from a point to the nearest seat.
   * @param {number} x
   * @param {number} y
   */
  #clearing(x, y) {
    let least = Infinity;
    for (let seat = 0; seat < this.count; seat += 1) least = Math.min(least, Math.hypot((this.x[seat] ?? 0) - x, (this.y[seat] ?? 0) - y));
    return least;
  }

  /**
   * @param {number} a
   * @param {number} b
   */
  #distance(a, b) {
    return Math.hypot((this.x[a] ?? 0) - (this.x[b] ?? 0), (this.y[a] ?? 0) - (this.y[b] ?? 0));
  }
}
