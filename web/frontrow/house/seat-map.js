// <seat-map>: a house to look around in and choose seats from, by hand, wheel, fingers and keys.

import { html } from "/assets/dom.js";
import { listen } from "./gestures.js";
import { HousePainter } from "./painter.js";
import { between, centred, fitted, kept, limitsOf, NUMBERS_PX, ROWS_PX, SEATS_PX, toPlan, zoomed } from "./view.js";

/** @typedef {import("./plan.js").Plan} Plan */
/** @typedef {import("./seats.js").Seats} Seats */
/** @typedef {import("./view.js").View} View */

const GLIDE_MS = 240;
/** When a whole picture takes longer, seats that move go without their numbers, and get them when they rest. */
const SMOOTH_MS = 10;
const REST_MS = 140;
const STEP = 1.6;
const KEY_PAN_PX = 64;
/** A finger may miss a seat by so much. */
const REACH_PX = 18;
const KEYS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] });

export class SeatMap extends HTMLElement {
  #canvas = html("canvas", { class: "house", tabindex: "0", role: "img", "aria-describedby": "map-keys" });
  /** @type {Plan | null} */
  #plan = null;
  /** @type {HousePainter | null} */
  #painter = null;
  /** @type {View} */
  #view = { scale: 1, x: 0, y: 0 };
  #size = { width: 0, height: 0 };
  #limits = { least: 1, most: 1 };
  #isHome = true;
  #marked = { section: -1, seat: -1, area: -1, tier: -1 };
  #frame = 0;
  #glide = 0;
  #cost_ms = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resting;
  #repaint = () => {
    this.#painter?.recolour();
    this.redraw();
  };

  connectedCallback() {
    document.addEventListener("themechange", this.#repaint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.#repaint);
  }

  disconnectedCallback() {
    document.removeEventListener("themechange", this.#repaint);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.#repaint);
    cancelAnimationFrame(this.#frame);
    cancelAnimationFrame(this.#glide);
  }

  /**
   * @param {Plan} plan
   * @param {Seats} seats
   * @param {string} name
   */
  open(plan, seats, name) {
    this.#plan = plan;
    this.#canvas.setAttribute("aria-label", `Seat map of ${name}`);
    this.replaceChildren(this.#canvas, this.#controls());
    this.#painter = new HousePainter(this.#canvas, plan, seats);
    this.#painter.recolour();
    new ResizeObserver(() => this.#resize()).observe(this.#canvas);
    listen(this.#canvas, {
      onPan: (dx, dy) => this.#set({ ...this.#view, x: this.#view.x + dx, y: this.#view.y + dy }),
      onZoom: (factor, at) => this.#zoom(factor, at),
      onTap: (at) => this.#tap(at),
      onPoint: (at) => this.#point(at),
    });
    this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Draws what stands now, in the next frame. */
  redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const began = performance.now();
      this.#painter?.draw(this.#view, this.#marked);
      this.#cost_ms = performance.now() - began;
    });
  }

  #redrawMoving() {
    if (this.#cost_ms < SMOOTH_MS) return this.redraw();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#resting);
    this.#frame = requestAnimationFrame(() => this.#painter?.draw(this.#view, this.#marked, true));
    this.#resting = setTimeout(() => this.redraw(), REST_MS);
  }

  /**
   * Shows the seats of one price alone.
   * @param {number} tier -1 shows all
   */
  showTier(tier) {
    this.#mark({ tier });
  }

  /**
   * Rings a seat, and brings it into sight when it is not.
   * @param {number} position -1 takes the ring away
   */
  point(position) {
    this.#mark({ seat: position });
    if (this.#plan === null || position < 0) return;
    const at = { x: this.#plan.x[position] ?? 0, y: this.#plan.y[position] ?? 0 };
    const { x, y } = this.spotOf(position);
    const isSeen = x > 20 && y > 20 && x < this.#size.width - 20 && y < this.#size.height - 20;
    const scale = Math.max(this.#view.scale, ROWS_PX / this.#plan.pitch_m);
    if (!isSeen || scale > this.#view.scale) this.#glideTo(centred(at, scale, this.#size));
  }

  /**
   * Where a seat is drawn now.
   * @param {number} position
   * @returns {{x: number, y: number}} in CSS pixels from the map's corner
   */
  spotOf(position) {
    const [x, y] = [this.#plan?.x[position] ?? 0, this.#plan?.y[position] ?? 0];
    return { x: x * this.#view.scale + this.#view.x, y: y * this.#view.scale + this.#view.y };
  }

  /**
   * Brings seats into sight together.
   * @param {readonly number[]} positions
   */
  frame(positions) {
    const [plan, first] = [this.#plan, positions[0]];
    if (plan === null || first === undefined) return;
    const middle = { x: 0, y: 0 };
    for (const each of positions) {
      middle.x += (plan.x[each] ?? 0) / positions.length;
      middle.y += (plan.y[each] ?? 0) / positions.length;
    }
    this.#glideTo(centred(middle, Math.max(this.#view.scale, this.#near), this.#size));
  }

  /** @param {number} section */
  showSection(section) {
    const found = this.#plan?.sections[section];
    if (found === undefined || this.#plan === null) return;
    const fit = fitted(found.box, this.#size, 40);
    this.#glideTo({ ...centred(found.middle, Math.min(Math.max(fit.scale, this.#near), this.#limits.most), this.#size) });
  }

  /** As large as seats are best chosen. */
  get #near() {
    return Math.min((NUMBERS_PX + 1) / (this.#plan?.pitch_m ?? 1), this.#limits.most);
  }

  get #pitch() {
    return (this.#plan?.pitch_m ?? 0) * this.#view.scale;
  }

  #controls() {
    const button = (/** @type {string} */ name, /** @type {string} */ sign, /** @type {() => void} */ act) => {
      const made = html("button", { type: "button", class: "map-button", "aria-label": name, title: name }, sign);
      made.addEventListener("click", act);
      return made;
    };
    const middle = () => ({ x: this.#size.width / 2, y: this.#size.height / 2 });
    return html(
      "div",
      { class: "map-controls" },
      button("Zoom in", "+", () => this.#glideTo(zoomed(this.#view, STEP, middle(), this.#limits))),
      button("Zoom out", "−", () => this.#glideTo(zoomed(this.#view, 1 / STEP, middle(), this.#limits))),
      button("The whole house", "⤢", () => this.#goHome()),
    );
  }

  #resize() {
    if (this.#plan === null || this.#painter === null || this.#canvas.clientWidth === 0) return;
    const before = toPlan(this.#view, { x: this.#size.width / 2, y: this.#size.height / 2 });
    this.#size = this.#painter.resize();
    this.#limits = limitsOf(this.#plan.box, this.#size, this.#plan.pitch_m);
    this.#set(this.#isHome ? fitted(this.#plan.box, this.#size) : centred(before, this.#view.scale, this.#size));
    // At once: an emptied canvas must not be seen.
    this.#painter.draw(this.#view, this.#marked);
  }

  /** @param {View} view */
  #set(view) {
    if (this.#plan === null) return;
    const { least, most } = this.#limits;
    const scale = Math.min(most, Math.max(least, view.scale));
    this.#view = kept({ ...view, scale }, this.#plan.box, this.#size);
    this.#isHome = scale <= least * 1.001;
    this.toggleAttribute("data-home", this.#isHome);
    this.dataset.level = this.#pitch < SEATS_PX ? "sections" : "seats";
    this.#redrawMoving();
  }

  /**
   * @param {number} factor
   * @param {{x: number, y: number}} at
   */
  #zoom(factor, at) {
    cancelAnimationFrame(this.#glide);
    if (factor < 1 && this.#isHome) return false;
    this.#set(zoomed(this.#view, factor, at, this.#limits));
    return true;
  }

  #goHome() {
    if (this.#plan !== null) this.#glideTo(fitted(this.#plan.box, this.#size));
  }

  /** @param {View} wanted */
  #glideTo(wanted) {
    cancelAnimationFrame(this.#glide);
    if (this.#plan === null) return;
    const { least, most } = this.#limits;
    const scale = Math.min(most, Math.max(least, wanted.scale));
    const goal = kept({ ...wanted, scale }, this.#plan.box, this.#size);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.#set(goal);
    const from = this.#view;
    const began = performance.now();
    const step = (/** @type {number} */ now) => {
      const share = Math.min(Math.max((now - began) / GLIDE_MS, 0), 1);
      this.#set(between(from, goal, share, this.#size));
      if (share < 1) this.#glide = requestAnimationFrame(step);
    };
    this.#glide = requestAnimationFrame(step);
  }

  /**
   * What is at a point of the canvas.
   * @param {{x: number, y: number}} at
   */
  #find(at) {
    const found = { section: -1, seat: -1, area: -1 };
    if (this.#plan === null) return found;
    const { x, y } = toPlan(this.#view, at);
    if (this.#pitch >= SEATS_PX) found.seat = this.#plan.seatAt(x, y, Math.max(this.#plan.pitch_m * 0.75, REACH_PX / this.#view.scale));
    if (found.seat < 0) found.section = this.#plan.sectionAt(x, y);
    if (found.seat < 0 && found.section < 0) found.area = this.#plan.areaAt(x, y)?.id ?? -1;
    return found;
  }

  /** @param {{x: number, y: number}} at */
  #tap(at) {
    const { seat, section, area } = this.#find(at);
    if (seat >= 0) this.dispatchEvent(new CustomEvent("choose", { detail: { position: seat } }));
    else if (section >= 0 && this.#pitch < ROWS_PX) this.showSection(section);
    else if (area >= 0) this.dispatchEvent(new CustomEvent("area", { detail: { id: area } }));
  }

  /** @param {{x: number, y: number} | null} at */
  #point(at) {
    const found = at === null ? { section: -1, seat: -1, area: -1 } : this.#find(at);
    const { seat, section, area } = this.#marked;
    if (found.seat === seat && found.section === section && found.area === area) return;
    this.#mark(found);
    this.toggleAttribute("data-pointing", found.seat >= 0 || found.section >= 0 || found.area >= 0);
    this.dispatchEvent(new CustomEvent("point", { detail: found }));
  }

  /** @param {Partial<{section: number, seat: number, area: number, tier: number}>} change */
  #mark(change) {
    this.#marked = { ...this.#marked, ...change };
    this.redraw();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const way = KEYS[event.key];
    const middle = { x: this.#size.width / 2, y: this.#size.height / 2 };
    if (way !== undefined) this.#set({ ...this.#view, x: this.#view.x + way[0] * KEY_PAN_PX, y: this.#view.y + way[1] * KEY_PAN_PX });
    else if (event.key === "+" || event.key === "=") this.#glideTo(zoomed(this.#view, STEP, middle, this.#limits));
    else if (event.key === "-") this.#glideTo(zoomed(this.#view, 1 / STEP, middle, this.#limits));
    else if (event.key === "0" || event.key === "Home") this.#goHome();
    else return;
    event.preventDefault();
  }
}

customElements.define("seat-map", SeatMap);
