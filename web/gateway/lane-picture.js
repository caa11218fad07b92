// <lane-picture>: the lanes from the client to the targets, and the requests under way on them, on a canvas.

import { layLanes, pointOn, RETURN_OFFSET, way } from "./lanes.js";
import { Sparks } from "./sparks.js";

const PIXELS_MAX = 4_000_000;
const SPARK_RADIUS = 3.2;
const SPREAD = 7;

/** @typedef {import("./lanes.js").Lanes} Lanes */

export class LanePicture extends HTMLElement {
  #canvas = document.createElement("canvas");
  /** @type {CanvasRenderingContext2D | null} */
  #context = null;
  #motion = matchMedia("(prefers-reduced-motion: reduce)");
  #sparks = new Sparks({ isStill: this.#motion.matches });
  /** @type {Lanes} */
  #lanes = layLanes(1, 1, [], 0);
  /** @type {readonly string[]} */
  #targets = [];
  /** @type {Map<string, number>} the row of each target */
  #rowOf = new Map();
  #frame = 0;
  #colours = { ink: "", soft: "", line: "", voice: "", broke: "", paper: "" };
  /** @type {ResizeObserver | null} */
  #resizes = null;
  #recolour = () => {
    this.#readColours();
    this.#draw();
  };

  connectedCallback() {
    this.#canvas.setAttribute("role", "img");
    this.#canvas.setAttribute("aria-label", "The lanes: client, cache, and a gate before each provider of the list beside it");
    this.replaceChildren(this.#canvas);
    this.#context = this.#canvas.getContext("2d");
    this.#readColours();
    this.#resizes = new ResizeObserver(() => this.#measure());
    this.#resizes.observe(this);
    document.addEventListener("themechange", this.#recolour);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.#recolour);
  }

  disconnectedCallback() {
    this.#resizes?.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    document.removeEventListener("themechange", this.#recolour);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.#recolour);
  }

  /**
   * Runs one lane to each of these.
   * @param {readonly {id: string, element: HTMLElement}[]} rows
   */
  set rows(rows) {
    this.#targets = rows.map(({ id }) => id);
    this.#rowOf = new Map(this.#targets.map((id, row) => [id, row]));
    this.#resizes?.disconnect();
    this.#resizes?.observe(this);
    for (const { element } of rows) this.#resizes?.observe(element);
    this.#elements = rows.map(({ element }) => element);
    this.#measure();
  }

  /** @type {HTMLElement[]} */
  #elements = [];

  /** @param {readonly import("./sparks.js").Step[]} steps */
  hear(steps) {
    this.#sparks.hear(steps, performance.now());
    this.#wake();
  }

  /** Takes all sparks away, for what becomes of them will not be heard. */
  clear() {
    this.#sparks.clear();
    this.#draw();
  }

  #wake() {
    if (this.#frame !== 0) return;
    const step = () => {
      this.#draw();
      this.#frame = this.#sparks.size > 0 ? requestAnimationFrame(step) : 0;
    };
    this.#frame = requestAnimationFrame(step);
  }

  #measure() {
    const { width, height, top } = this.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(PIXELS_MAX / (width * height)));
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#context?.setTransform(ratio, 0, 0, ratio, 0, 0);
    const middles = this.#elements.map((element) => {
      const box = element.getBoundingClientRect();
      return box.top + box.height / 2 - top;
    });
    this.#lanes = layLanes(width, height, middles, this.#elements[0]?.querySelector(".gate")?.getBoundingClientRect().width ?? 0);
    this.#draw();
  }

  #draw() {
    const context = this.#context;
    if (context === null) return;
    const { width, height } = this.getBoundingClientRect();
    context.clearRect(0, 0, width, height);
    const sights = this.#sparks.sights(performance.now());
    this.#drawLanes(context);
    const flowing = new Set(sights.filter(({ isFlowing }) => isFlowing).map(({ target }) => target));
    for (const target of flowing) this.#stroke(context, way(this.#lanes, "home", this.#rowOf.get(target) ?? 0), this.#colours.voice, 2);
    this.#drawStations(context);
    for (const sight of sights) this.#drawSpark(context, sight);
  }

  /** @param {CanvasRenderingContext2D} context */
  #drawLanes(context) {
    const lanes = this.#lanes;
    this.#stroke(context, way(lanes, "in", 0), this.#colours.line, 1.5);
    this.#stroke(context, way(lanes, "back", 0), this.#colours.line, 1);
    for (const row of lanes.rows.keys()) {
      // The gate is part of the page and may stand open: the lane ends before it.
      const [approach] = way(lanes, "out", row);
      if (approach !== undefined) this.#stroke(context, [approach], this.#colours.line, 1.5);
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  #drawStations(context) {
    const { client, cache } = this.#lanes;
    context.fillStyle = this.#colours.paper;
    context.strokeStyle = this.#colours.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(client.x, client.y + RETURN_OFFSET / 2, 10, 0, Math.PI * 2);
    context.fill();
    context.stroke();
    context.beginPath();
    context.roundRect(cache.x - 7, cache.y - 30, 14, 60 + RETURN_OFFSET, 5);
    context.fill();
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./sparks.js").Sight} sight
   */
  #drawSpark(context, sight) {
    const row = this.#rowOf.get(sight.target);
    if (sight.target !== "" && row === undefined) return;
    const point = pointOn(way(this.#lanes, sight.leg, row ?? 0), sight.share);
    const y = point.y + (sight.lot - 0.5) * SPREAD;
    const colours = this.#colours;
    context.globalAlpha = sight.strength;
    switch (sight.kind) {
      case "asking":
        dot(context, point.x, y, SPARK_RADIUS, colours.ink);
        break;
      case "answer":
        dot(context, point.x, y, SPARK_RADIUS + 0.6, colours.voice);
        break;
      case "failed-try":
        cross(context, point.x, y, SPARK_RADIUS, colours.ink);
        break;
      case "failure":
        cross(context, point.x, y, SPARK_RADIUS + 2, colours.broke);
        break;
      case "cancelled":
        ring(context, point.x, y, SPARK_RADIUS, colours.soft);
        break;
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {readonly import("./lanes.js").Curve[]} pieces
   * @param {string} colour
   * @param {number} width
   */
  #stroke(context, pieces, colour, width) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const [a, b, c, d] of pieces) {
      context.moveTo(a.x, a.y);
      context.bezierCurveTo(b.x, b.y, c.x, c.y, d.x, d.y);
    }
    context.stroke();
  }

  #readColours() {
    const read = (/** @type {string} */ name) => {
      // Only a real property resolves light-dark().
      this.#canvas.style.color = `var(${name})`;
      return getComputedStyle(this.#canvas).color;
    };
    this.#colours = {
      ink: read("--ink"),
      soft: read("--ink-soft"),
      line: read("--hairline-strong"),
      voice: read("--voice"),
      broke: read("--broke"),
      paper: read("--paper"),
    };
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} colour
 */
function dot(context, x, y, radius, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.fill();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} colour
 */
function ring(context, x, y, radius, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {string} colour
 */
function cross(context, x, y, radius, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - radius, y - radius);
  context.lineTo(x + radius, y + radius);
  context.moveTo(x + radius, y - radius);
  context.lineTo(x - radius, y + radius);
  context.stroke();
}

customElements.define("lane-picture", LanePicture);
