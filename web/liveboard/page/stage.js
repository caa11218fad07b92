// What is on the screen: the board as tiles below, hands and pointers above. Says how the theme looks to both.

import { keyOf } from "../core/operations.js";
import { united } from "./geometry.js";
import { measureIn } from "./layout.js";
import { Painter } from "./painter.js";
import { Renderer } from "./renderer.js";
import { Scene } from "./scene.js";
import { Tiles } from "./tiles.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./view.js").View} View */

export class Stage extends EventTarget {
  theme = { isDark: false, font: "sans-serif" };
  /** Colours of the page itself. */
  ink = "#000";
  voice = "#000";
  paper = "#fff";
  /** What was in a hand, until the tiles show it. @type {Shown[]} */
  lingering = [];
  /** @type {Map<string, ImageBitmap>} */
  #images = new Map();
  /** Marks shown otherwise than they are, while they are in a hand. @type {Set<string>} */
  #veiled = new Set();
  renderer = new Renderer();
  #tiles;
  #marks;
  #above;
  #view;
  #measure = measureIn("sans-serif");

  /** Dispatches `tiles` when tiles have come. @param {HTMLCanvasElement} marks @param {HTMLCanvasElement} above @param {View} view */
  constructor(marks, above, view) {
    super();
    this.#marks = marks;
    this.#above = above;
    this.#view = view;
    this.painter = new Painter(this.theme, (text, size) => this.#measure(text, size), (sha256) => this.#images.get(sha256));
    this.scene = new Scene(this.measure);
    this.#tiles = new Tiles(this.renderer, this.painter, (key) => this.scene.get(key), () => this.dispatchEvent(new Event("tiles")));
    this.retheme();
  }

  /** @type {import("./layout.js").Measure} */
  measure = (text, size) => this.#measure(text, size);

  /** Reads the theme's colours and letters. */
  retheme() {
    const style = getComputedStyle(/** @type {Element} */ (this.#marks.parentElement));
    const isDark = (style.backgroundColor.match(/[\d.]+/g) ?? []).slice(0, 3).every((part) => Number(part) < 128);
    this.ink = style.color;
    this.paper = style.backgroundColor;
    this.voice = getComputedStyle(/** @type {Element} */ (document.querySelector(".board-dot"))).borderTopColor;
    this.theme = { isDark, font: style.fontFamily };
    this.painter.theme = this.theme;
    this.#measure = measureIn(style.fontFamily);
    this.renderer.dress(this.theme);
    this.#tiles.spoilAll();
    // Widths of texts may be others now.
    for (const shown of [...this.scene.marks()]) this.scene.put(keyOf(shown.operation), shown);
  }

  resize() {
    const { clientWidth, clientHeight } = this.#above;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.#marks, this.#above]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
    }
    Object.assign(this.#view, { width: clientWidth, height: clientHeight, ratio });
  }

  /** Takes over how marks look. @param {Map<string, Shown | undefined>} marks */
  put(marks) {
    const changes = [...marks].flatMap(([key, shown]) => this.scene.put(key, shown));
    for (const key of marks.keys()) this.#veiled.delete(key);
    this.renderer.put(marks);
    this.#tiles.change(changes);
  }

  /**
   * Shows marks otherwise than they are, until `unveil` or until they change.
   * @param {Iterable<string>} keys
   * @param {(shown: Shown) => Shown | undefined} look
   */
  veil(keys, look) {
    /** @type {Map<string, Shown | undefined>} */
    const veiled = new Map();
    for (const key of keys) {
      const shown = this.scene.get(key);
      if (!shown) continue;
      this.#veiled.add(key);
      veiled.set(key, look(shown));
    }
    this.#again(veiled);
  }

  unveil() {
    this.#again(new Map([...this.#veiled].map((key) => [key, this.scene.get(key)])));
    this.#veiled.clear();
  }

  /** An image is here: it shows wherever it is. @param {string} sha256 @param {ImageBitmap} bitmap */
  async image(sha256, bitmap) {
    this.#images.set(sha256, bitmap);
    await this.renderer.image(sha256, bitmap);
    const marks = [...this.scene.marks()].filter(({ operation }) => operation.kind === "image" && operation.sha256 === sha256);
    this.#tiles.spoil(marks.flatMap(({ operation }) => this.scene.boxOf(keyOf(operation)) ?? []));
    this.dispatchEvent(new Event("tiles"));
  }

  /** @param {string} sha256 */
  hasImage(sha256) {
    return this.#images.has(sha256);
  }

  /** The box around marks; null when none of them shows. @param {Iterable<string>} keys */
  around(keys) {
    return united([...keys].flatMap((key) => this.scene.boxOf(key) ?? []));
  }

  /** Draws the lower canvas; whether it shows the board as it is. */
  drawMarks() {
    this.#tiles.draw(contextOf(this.#marks), this.#view);
    if (this.#tiles.isWhole) this.lingering = [];
    return this.#tiles.isWhole;
  }

  /** The upper canvas, empty, in CSS pixels. */
  clearAbove() {
    const context = contextOf(this.#above);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#above.width, this.#above.height);
    return context;
  }

  /** @param {Map<string, Shown | undefined>} looks */
  #again(looks) {
    const boxes = [...looks.keys()].flatMap((key) => this.scene.boxOf(key) ?? []);
    this.renderer.put(looks);
    this.#tiles.spoil(boxes);
  }
}

/** @param {HTMLCanvasElement} canvas */
const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
