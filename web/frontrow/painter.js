// Draws a moment of a stampede on a canvas: the seats, the gate, the crowd.

import { entry, GATE, gather, hearVerdicts, reach, seatPlaces } from "./crowd.js";
import { verdictTimes } from "./timeline.js";

/** @typedef {import("./timeline.js").Point} Point */
/** @typedef {import("./crowd.js").Crowd} Crowd */

const PIXELS_MAX = 4_000_000;
/** Beyond this many, dots are squares: the eye no longer sees a difference, the processor does. */
const ROUND_DOTS_MAX = 6000;
const TRACES_MAX = 40;
/** The half circle becomes at most this much wider than it is deep; the corners below it are for the numbers. */
const WIDEST = 1.45;

/** Keeps what a frame needs, so that drawing one makes no garbage per dot. */
export class Painter {
  #canvas;
  #context;
  /** @type {Crowd} */
  #crowd;
  /** @type {Float64Array} */
  #heard = new Float64Array(0);
  /** Where each dot is in this frame: x and y in turn. */
  #spots = new Float32Array(0);
  #winners = 0;
  #elapsed_ms = 0;
  #width = 0;
  #height = 0;
  #seatsHeight = 0;
  /** @type {{x: Float32Array, y: Float32Array, size: number}} */
  #seats = { x: new Float32Array(0), y: new Float32Array(0), size: 0 };
  #colours = { waiting: "", away: "", winner: "", line: "", seat: "" };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("this browser has no canvas");
    this.#canvas = canvas;
    this.#context = context;
    this.#crowd = gather(1, 1, 0);
  }

  /**
   * Another crowd before the gate; nobody has heard anything.
   * @param {number} buyers
   * @param {number} seats
   * @param {number} seed
   */
  gather(buyers, seats, seed) {
    this.#crowd = gather(buyers, seats, seed);
    this.#spots = new Float32Array(2 * buyers);
    this.hear([], 0);
    this.#placeSeats();
  }

  /**
   * @param {readonly Point[]} points what is known of the run
   * @param {number} elapsed_ms
   */
  hear(points, elapsed_ms) {
    const times = { booked: verdictTimes(points, "booked"), rejected: verdictTimes(points, "rejected") };
    const { heard, winners } = hearVerdicts(this.#crowd, times);
    this.#heard = heard;
    this.#winners = winners;
    this.#elapsed_ms = elapsed_ms;
  }

  /** Takes on the canvas' size and the theme's colours. */
  resize() {
    const { clientWidth, clientHeight } = this.#canvas;
    if (clientWidth === 0) return;
    const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(PIXELS_MAX / (clientWidth * clientHeight)));
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#seatsHeight = clientHeight * 0.2;
    this.#placeSeats();
    this.recolour();
  }

  recolour() {
    this.#colours = {
      waiting: this.#colour("--ink"),
      away: this.#colour("--hairline-strong"),
      winner: this.#colour("--voice"),
      line: this.#colour("--hairline-strong"),
      seat: this.#colour("--paper"),
    };
  }

  /** @param {number} t_ms since the gun; negative before it */
  draw(t_ms) {
    const context = this.#context;
    context.clearRect(0, 0, this.#width, this.#height);
    this.#drawGate(t_ms >= 0);
    this.#drawSeats(t_ms);
    this.#drawCrowd(t_ms);
    this.#drawWinners(t_ms);
  }

  get #focus() {
    return { x: this.#width / 2, y: this.#seatsHeight + 10 };
  }

  get #radius() {
    const y = this.#height - this.#focus.y - 8;
    return { x: Math.min(this.#width / 2 - 6, y * WIDEST), y };
  }

  /** @param {boolean} isOpen */
  #drawGate(isOpen) {
    const context = this.#context;
    const { focus, radius } = { focus: this.#focus, radius: this.#radius };
    context.strokeStyle = this.#colours.line;
    context.lineWidth = isOpen ? 1 : 1.5;
    context.setLineDash(isOpen ? [2, 7] : []);
    context.beginPath();
    const inset = GATE - this.#crowd.spacing * 0.4 > 0.1 ? GATE - this.#crowd.spacing * 0.4 : 0.1;
    context.ellipse(focus.x, focus.y, radius.x * inset, radius.y * inset, 0, 0, Math.PI);
    context.stroke();
    context.setLineDash([]);
  }

  /** @param {number} t_ms */
  #drawSeats(t_ms) {
    const context = this.#context;
    const { x, y, size } = this.#seats;
    context.lineWidth = size > 8 ? 1.5 : 1;
    for (let seat = 0; seat < x.length; seat += 1) {
      const dot = this.#crowd.order[seat] ?? 0;
      const isTaken = seat < this.#winners && entry(t_ms, this.#heard[dot] ?? Infinity, this.#elapsed_ms) >= 0.98;
      context.fillStyle = isTaken ? this.#colours.winner : this.#colours.seat;
      context.strokeStyle = isTaken ? this.#colours.winner : this.#colours.line;
      context.beginPath();
      context.roundRect((x[seat] ?? 0) - size / 2, (y[seat] ?? 0) - size / 2, size, size, [size * 0.42, size * 0.42, size * 0.16, size * 0.16]);
      context.fill();
      context.stroke();
    }
  }

  /** @param {number} t_ms */
  #drawCrowd(t_ms) {
    const crowd = this.#crowd;
    const { focus, radius } = { focus: this.#focus, radius: this.#radius };
    const dotSize = Math.max(0.8, Math.min(5, Math.min(radius.x, radius.y) * crowd.spacing * 0.34));
    let waiting = 0;
    let away = 0;
    for (let rank = this.#winners; rank < crowd.buyers; rank += 1) {
      const dot = crowd.order[rank] ?? 0;
      const cx = crowd.x[dot] ?? 0;
      const cy = crowd.y[dot] ?? 0;
      const heard_ms = this.#heard[dot] ?? Infinity;
      const share = reach(Math.hypot(cx, cy), crowd.eagerness[dot] ?? 1, t_ms, heard_ms, this.#elapsed_ms);
      // Those who wait fill the list from its start, those turned away from its end.
      const at = t_ms >= heard_ms ? crowd.buyers - (away += 1) : (waiting += 1) - 1;
      this.#spots[2 * at] = focus.x + cx * share * radius.x;
      this.#spots[2 * at + 1] = focus.y + cy * share * radius.y;
    }
    this.#drawSpots(crowd.buyers - away, crowd.buyers, dotSize * 0.72, this.#colours.away);
    this.#drawSpots(0, waiting, dotSize, this.#colours.waiting);
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {number} size half a dot's width
   * @param {string} colour
   */
  #drawSpots(from, to, size, colour) {
    const context = this.#context;
    const spots = this.#spots;
    context.fillStyle = colour;
    if (this.#crowd.buyers > ROUND_DOTS_MAX) {
      for (let at = from; at < to; at += 1) {
        context.fillRect((spots[2 * at] ?? 0) - size, (spots[2 * at + 1] ?? 0) - size, 2 * size, 2 * size);
      }
      return;
    }
    context.beginPath();
    for (let at = from; at < to; at += 1) {
      const [x, y] = [spots[2 * at] ?? 0, spots[2 * at + 1] ?? 0];
      context.moveTo(x + size, y);
      context.arc(x, y, size, 0, Math.PI * 2);
    }
    context.fill();
  }

  /** @param {number} t_ms */
  #drawWinners(t_ms) {
    const crowd = this.#crowd;
    const context = this.#context;
    const { focus, radius } = { focus: this.#focus, radius: this.#radius };
    const size = Math.max(2.2, Math.min(7, Math.min(radius.x, radius.y) * crowd.spacing * 0.5));
    for (let rank = 0; rank < this.#winners; rank += 1) {
      const dot = crowd.order[rank] ?? 0;
      const heard_ms = this.#heard[dot] ?? Infinity;
      const cx = crowd.x[dot] ?? 0;
      const cy = crowd.y[dot] ?? 0;
      const share = reach(Math.hypot(cx, cy), crowd.eagerness[dot] ?? 1, Math.min(t_ms, heard_ms), heard_ms, this.#elapsed_ms);
      const from = { x: focus.x + cx * share * radius.x, y: focus.y + cy * share * radius.y };
      const to = { x: this.#seats.x[rank] ?? focus.x, y: this.#seats.y[rank] ?? 0 };
      const come = entry(t_ms, heard_ms, this.#elapsed_ms);
      const now = { x: from.x + (to.x - from.x) * come, y: from.y + (to.y - from.y) * come };
      context.fillStyle = t_ms >= heard_ms ? this.#colours.winner : this.#colours.waiting;
      if (t_ms >= heard_ms && this.#winners <= TRACES_MAX) {
        context.strokeStyle = this.#colours.winner;
        context.lineWidth = 1.5;
        context.beginPath();
        context.moveTo(from.x, from.y);
        context.lineTo(now.x, now.y);
        context.stroke();
        context.beginPath();
        context.arc(from.x, from.y, size * 0.6, 0, Math.PI * 2);
        context.stroke();
      }
      if (come >= 0.98) continue;
      context.beginPath();
      context.arc(now.x, now.y, size, 0, Math.PI * 2);
      context.fill();
    }
  }

  #placeSeats() {
    const places = seatPlaces(this.#crowd.seats, this.#width * 0.8, this.#seatsHeight - 8);
    for (let seat = 0; seat < places.x.length; seat += 1) {
      places.x[seat] = (places.x[seat] ?? 0) + this.#width * 0.1;
      places.y[seat] = (places.y[seat] ?? 0) + 2;
    }
    this.#seats = places;
  }

  /**
   * @param {string} name of a token
   * @returns {string} what the browser makes of it here; only a real property resolves `light-dark()`
   */
  #colour(name) {
    this.#canvas.style.color = `var(${name})`;
    return getComputedStyle(this.#canvas).color;
  }
}
