// What all tools work with: the board, the view, what is selected, the style to draw in, what is in the hand.

import { keyOf, TARGETS_MAX, UNITS_PER_PIXEL } from "../core/operations.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {import("../core/types.d.ts").OpId} OpId */
/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {import("./view.js").View} View */
/**
 * Where a pointer is: on the board in units, on the canvas in CSS pixels.
 * @typedef {{x: number, y: number, left: number, top: number, pressure: number, time: number, isPen: boolean, isMany: boolean,
 *   isStraight: boolean, isCopy: boolean}} Spot
 */
/**
 * A tool. `press` begins, `drag` goes on with all the places since, `lift` ends, `cancel` undoes what `press` began.
 * @typedef {object} Tool
 * @property {string} cursor of CSS
 * @property {(spot: Spot) => void} press
 * @property {(spots: Spot[]) => void} drag
 * @property {(spot: Spot) => void} lift
 * @property {() => void} cancel
 * @property {(spot: Spot) => void} [hover]
 * @property {(spot: Spot) => void} [twice] a double click
 * @property {(context: CanvasRenderingContext2D) => boolean} [draw] above the board, in CSS pixels; whether it moves by itself
 */

export class Desk extends EventTarget {
  /** `width` in pixels at zoom 1; `fill` as in operations; `isPart`: the eraser takes points, not strokes. */
  style = { color: 0x1d1b17, width: 4, fill: 0, isPart: false };
  tool = "pen";
  /** What is being drawn, and does not belong to the board yet. @type {Shown[]} */
  inHand = [];
  /** @type {Set<string>} keys of marks */
  selected = new Set();
  #otherColor = 0xd27c00;
  isDown = false;
  isLaser = false;
  /** Whether one looks at the past, which nobody changes. */
  isWatching = false;

  /**
   * Dispatches `draw` when something above the board looks different, `tool`, `selection`, and `say` (detail: words).
   * @param {Board} board @param {View} view @param {Stage} stage
   */
  constructor(board, view, stage) {
    super();
    this.board = board;
    this.view = view;
    this.stage = stage;
  }

  /** Units of the board in a CSS pixel of the screen. */
  get pixel() {
    return 1 / this.view.scale;
  }

  /** The width to draw with, in units. */
  get size() {
    return Math.max(1, Math.round(this.style.width * UNITS_PER_PIXEL));
  }

  /** @param {OpId} id whether the room lets this page change it */
  mayChange(id) {
    return this.board.role !== 0 && !this.isWatching && (this.board.mayChangeOthers || id.site === this.board.replica.identity.site);
  }

  draw() {
    this.dispatchEvent(new Event("draw"));
  }

  /** @param {string} tool */
  choose(tool) {
    if (this.tool === tool) return;
    // The highlighter has a colour of its own.
    if ((tool === "highlighter") !== (this.tool === "highlighter")) [this.style.color, this.#otherColor] = [this.#otherColor, this.style.color];
    this.tool = tool;
    if (tool !== "select") this.select([]);
    this.dispatchEvent(new Event("tool"));
  }

  /** @param {Iterable<string>} keys */
  select(keys) {
    this.selected = new Set(keys);
    this.dispatchEvent(new Event("selection"));
    this.draw();
  }

  /** @param {string} words for those who look, and those who listen */
  say(words) {
    this.dispatchEvent(new CustomEvent("say", { detail: words }));
  }

  /** The ids of marks that show, in the order operations want them. @param {Iterable<string>} keys @returns {OpId[]} */
  idsOf(keys) {
    const ids = [...keys].flatMap((key) => this.stage.scene.get(key)?.operation ?? []).map(({ site, seq }) => ({ site, seq }));
    return ids.sort((one, other) => (one.site === other.site ? one.seq - other.seq : one.site < other.site ? -1 : 1));
  }

  /**
   * Does to marks what one operation of so many targets can hold, as often as it takes, as one step.
   * @param {Iterable<string>} keys
   * @param {(targets: OpId[]) => Body} bodyOf
   */
  change(keys, bodyOf) {
    const ids = this.idsOf(keys);
    const bodies = [];
    for (let at = 0; at < ids.length; at += TARGETS_MAX) bodies.push(bodyOf(ids.slice(at, at + TARGETS_MAX)));
    if (bodies.length) this.board.doAll(bodies);
  }

  /** Removes marks whole. @param {Iterable<string>} keys */
  erase(keys) {
    this.change(keys, (targets) => ({ kind: "erase", targets: targets.map((target) => ({ ...target, ranges: [] })) }));
  }

  /** Those of the marks that this page may change; says so when some are not among them. @param {Shown[]} marks */
  changeable(marks) {
    const mine = marks.filter(({ operation }) => this.mayChange(operation));
    if (mine.length < marks.length) this.say("In this room nobody changes what others drew.");
    return mine.map(({ operation }) => keyOf(operation));
  }
}

/** A mark as it will show, that has no name yet. @param {any} body @returns {Shown} */
export function unnamed(body) {
  const { color = 0, size = 1, opacity = 100 } = body;
  const operation = { site: "", seq: 0, lamport: 0, ...body };
  return { operation, dx: 0, dy: 0, color, size, opacity, fill: body.fill ?? null, removed: [] };
}
