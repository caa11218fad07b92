// <stampede-picture>: a stampede as a picture, replayed from its recorded timeline slower than it happened.

import { count } from "/assets/format.js";
import { AFTERMATH } from "./crowd.js";
import { Painter } from "./painter.js";
import { cleaned, sampleAt, slowdown, slowdownWords } from "./timeline.js";

/** @typedef {import("./timeline.js").Point} Point */

const SCRUB_STEPS = 1000;
/** The crowd stands still for a moment before the gun, so that one sees what it was. */
const BEFORE_GUN_MS = 450;

export class StampedePicture extends HTMLElement {
  /** @type {Painter | null} */
  #painter = null;
  #canvas = document.createElement("canvas");
  #scrubber = document.createElement("input");
  #button = document.createElement("button");
  #pace = document.createElement("span");
  /** @type {Point[]} */
  #points = [];
  #elapsed_ms = 0;
  #slowdown = 1;
  #buyers = 1000;
  #seats = 1;
  #t_ms = -1;
  #frame = 0;
  /** @type {ResizeObserver | null} */
  #resizes = null;
  #recolour = () => {
    this.#painter?.recolour();
    this.#painter?.draw(this.#t_ms);
  };

  connectedCallback() {
    if (this.#painter === null) this.#build();
    this.#resizes = new ResizeObserver(() => {
      this.#painter?.resize();
      this.#painter?.draw(this.#t_ms);
    });
    this.#resizes.observe(this.#canvas);
    document.addEventListener("themechange", this.#recolour);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.#recolour);
  }

  disconnectedCallback() {
    this.#resizes?.disconnect();
    cancelAnimationFrame(this.#frame);
    document.removeEventListener("themechange", this.#recolour);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.#recolour);
  }

  /**
   * The crowd at the gate, before anything happens.
   * @param {number} buyers
   * @param {number} seats
   * @param {number} seed
   */
  gather(buyers, seats, seed) {
    cancelAnimationFrame(this.#frame);
    [this.#buyers, this.#seats] = [buyers, seats];
    [this.#points, this.#elapsed_ms] = [cleaned([], buyers), 0];
    this.#painter?.gather(buyers, seats, seed);
    this.#offerReplay(false);
    this.#show(-1);
    this.#canvas.setAttribute("aria-label", `${count(buyers)} buyers wait at the gate for ${count(seats)} ${seats === 1 ? "seat" : "seats"}.`);
  }

  /**
   * A run under way, as it happens.
   * @param {Point[]} points so far
   */
  follow(points) {
    this.#points = cleaned(points, this.#buyers);
    const last = /** @type {Point} */ (this.#points.at(-1));
    // Not known yet; what moves is in proportion to the run so far.
    this.#elapsed_ms = Math.max(last.t_ms, 1);
    this.#painter?.hear(this.#points, this.#elapsed_ms);
    this.#show(last.t_ms);
  }

  /**
   * A finished run.
   * @param {any} run a result document
   * @param {{play: boolean}} options
   */
  show(run, { play }) {
    this.gather(run.buyers ?? 1, run.seats ?? 1, run.seed ?? 0);
    this.#points = cleaned(run.timeline, this.#buyers);
    this.#elapsed_ms = Math.max(run.elapsed_ms ?? 0, this.#points.at(-1)?.t_ms ?? 0);
    this.#slowdown = slowdown(this.#elapsed_ms);
    this.#painter?.hear(this.#points, this.#elapsed_ms);
    this.#offerReplay(this.#points.length > 1);
    this.#canvas.setAttribute(
      "aria-label",
      `${count(run.buyers)} buyers, ${count(run.seats)} seats: ${count(run.booked)} booked and took a seat, ${count(run.rejected)} were turned away.`,
    );
    if (play && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.#play();
    else this.#show(this.#end_ms);
  }

  get #end_ms() {
    return this.#elapsed_ms * (1 + AFTERMATH);
  }

  #play() {
    cancelAnimationFrame(this.#frame);
    const began = performance.now() + BEFORE_GUN_MS;
    const step = (/** @type {number} */ now) => {
      const t_ms = (now - began) / this.#slowdown;
      this.#show(Math.min(t_ms, this.#end_ms));
      if (t_ms < this.#end_ms) this.#frame = requestAnimationFrame(step);
      else this.dispatchEvent(new CustomEvent("replayed"));
    };
    this.#show(-1);
    this.#frame = requestAnimationFrame(step);
  }

  /** @param {number} t_ms */
  #show(t_ms) {
    this.#t_ms = t_ms;
    this.#painter?.draw(t_ms);
    const at_ms = Math.min(Math.max(t_ms, 0), this.#elapsed_ms);
    const part = this.#elapsed_ms > 0 ? at_ms / this.#elapsed_ms : 0;
    this.#scrubber.value = String(Math.round(part * SCRUB_STEPS));
    this.#scrubber.setAttribute("aria-valuetext", `${at_ms.toFixed(2)} ms after the gun`);
    this.dispatchEvent(new CustomEvent("moment", { detail: sampleAt(this.#points, at_ms) }));
  }

  /** @param {boolean} isOffered */
  #offerReplay(isOffered) {
    this.#button.disabled = !isOffered;
    this.#scrubber.disabled = !isOffered;
    this.toggleAttribute("data-replayable", isOffered);
    this.#pace.textContent = isOffered ? slowdownWords(this.#slowdown) : "";
  }

  #build() {
    this.#canvas.setAttribute("role", "img");
    this.#canvas.className = "crowd";
    this.#button.type = "button";
    this.#button.className = "button button-small";
    this.#button.textContent = "Replay";
    this.#button.addEventListener("click", () => this.#play());
    this.#scrubber.type = "range";
    this.#scrubber.min = "0";
    this.#scrubber.max = String(SCRUB_STEPS);
    this.#scrubber.setAttribute("aria-label", "Moment of the run");
    this.#scrubber.addEventListener("input", () => {
      cancelAnimationFrame(this.#frame);
      const part = Number(this.#scrubber.value) / SCRUB_STEPS;
      this.#show(part === 1 ? this.#end_ms : part * this.#elapsed_ms);
    });
    this.#pace.className = "pace";
    const controls = document.createElement("div");
    controls.className = "picture-controls";
    controls.append(this.#button, this.#scrubber, this.#pace);
    this.replaceChildren(this.#canvas, controls);
    this.#painter = new Painter(this.#canvas);
    this.#painter.resize();
    this.gather(this.#buyers, this.#seats, 0);
  }
}

customElements.define("stampede-picture", StampedePicture);
