// Selecting: one by a click, many by a box; and moving what is selected.

import { COORDINATE_MAX, keyOf } from "../../core/operations.js";
import { duplicate } from "../clipboard.js";
import { boxBetween } from "../geometry.js";
import { Resizer } from "./resizer.js";

/** @typedef {import("../desk.js").Desk} Desk */
/** @typedef {import("../desk.js").Tool} Tool */
/** @typedef {import("../desk.js").Spot} Spot */
/** @typedef {import("../../core/types.d.ts").Shown} Shown */

const REACH_PX = 6;
const START_PX = 3;
const PICTURE_SIDE_MAX = 4096;
/** More than so many marks move as one picture of them. */
const DRAWN_MAX = 150;
/** So many selected marks have a frame each. */
const SINGLE_MAX = 60;

/** @implements {Tool} */
export class SelectTool {
  cursor = "default";
  #desk;
  #words;
  #resizer;
  /** @type {Spot | null} */
  #from = null;
  /** @type {"none" | "box" | "move"} */
  #doing = "none";
  #isMany = false;
  #dx = 0;
  #dy = 0;
  /** @type {Spot | null} */
  #to = null;
  /** What is being moved, as it was. @type {Shown[]} */
  #moved = [];
  /** @type {{bitmap: ImageBitmap, left: number, top: number, scale: number} | null} */
  #picture = null;
  /** @type {{selected: Set<string>, version: number, box: import("../geometry.js").Box | null} | null} */
  #known = null;

  /** @param {Desk} desk @param {(shown: Shown) => void} words edits a text */
  constructor(desk, words) {
    this.#desk = desk;
    this.#words = words;
    this.#resizer = new Resizer(desk);
  }

  /** @param {Spot} spot */
  press(spot) {
    const { stage, selected } = this.#desk;
    const whole = this.#around();
    const corner = this.#resizer.cornerAt(spot, whole);
    if (corner >= 0 && whole) return this.#resizer.press(corner, whole);
    this.#from = spot;
    this.#isMany = spot.isMany;
    const [mark] = stage.scene.at(spot.x, spot.y, REACH_PX * this.#desk.pixel);
    const around = selected.size > 1 ? this.#around() : null;
    const isInside = around && spot.x >= around.x0 && spot.x <= around.x1 && spot.y >= around.y0 && spot.y <= around.y1;
    const key = mark ? keyOf(mark.operation) : "";
    if (mark && spot.isMany) {
      const keys = new Set(selected);
      if (!keys.delete(key)) for (const each of this.#desk.changeable([mark])) keys.add(each);
      this.#desk.select(keys);
    } else if (mark && !selected.has(key)) this.#desk.select(this.#desk.changeable([mark]));
    else if (!mark && !isInside && !spot.isMany) this.#desk.select([]);
    this.#doing = this.#desk.selected.size && (mark || isInside) ? "move" : "box";
  }

  /** @param {Spot[]} spots */
  drag(spots) {
    const to = spots.at(-1);
    if (to && this.#resizer.isHeld) return this.#resizer.drag(to);
    if (!to || !this.#from) return;
    this.#to = to;
    if (this.#doing === "move") {
      if (!this.#moved.length) {
        if (Math.hypot(to.left - this.#from.left, to.top - this.#from.top) < START_PX) return;
        this.#take();
      }
      [this.#dx, this.#dy] = [to.x - this.#from.x, to.y - this.#from.y];
      if (to.isStraight && Math.abs(this.#dx) < Math.abs(this.#dy)) this.#dx = 0;
      else if (to.isStraight) this.#dy = 0;
    }
    this.#desk.draw();
  }

  /** @param {Spot} spot */
  lift(spot) {
    this.drag([spot]);
    if (this.#resizer.isHeld) return this.#resizer.lift();
    const [from, doing, moved] = [this.#from, this.#doing, this.#moved];
    const most = (/** @type {number} */ by) => Math.min(Math.max(Math.round(by), -COORDINATE_MAX), COORDINATE_MAX);
    const [dx, dy] = [most(this.#dx), most(this.#dy)];
    if (moved.length && (dx || dy) && spot.isCopy) {
      this.#desk.stage.unveil();
      duplicate(this.#desk, dx, dy);
    } else if (moved.length && (dx || dy)) {
      if (moved.length <= DRAWN_MAX) this.#desk.stage.lingering = moved.map((shown) => ({ ...shown, dx: shown.dx + dx, dy: shown.dy + dy }));
      this.#desk.change(this.#desk.selected, (targets) => ({ kind: "move", targets, dx, dy }));
    } else if (moved.length) this.#desk.stage.unveil();
    this.#rest();
    if (doing !== "box" || !from) return;
    const within = this.#desk.stage.scene.within(boxBetween(from.x, from.y, spot.x, spot.y));
    this.#desk.select([...(this.#isMany ? this.#desk.selected : []), ...this.#desk.changeable(within)]);
  }

  cancel() {
    if (this.#resizer.isHeld) this.#resizer.cancel();
    if (this.#moved.length) this.#desk.stage.unveil();
    this.#rest();
    this.#desk.draw();
  }

  /** @param {Spot} spot */
  twice(spot) {
    const [mark] = this.#desk.stage.scene.at(spot.x, spot.y, REACH_PX * this.#desk.pixel);
    if (mark?.operation.kind === "text" && this.#desk.changeable([mark]).length) this.#words(mark);
  }

  /** @param {Spot} spot */
  hover(spot) {
    const [mark] = this.#desk.stage.scene.at(spot.x, spot.y, REACH_PX * this.#desk.pixel);
    const corner = this.#resizer.cornerAt(spot, this.#around());
    this.cursor = corner >= 0 ? (corner === 0 || corner === 3 ? "nwse" : "nesw") : mark ? "move" : "default";
  }

  /** @param {CanvasRenderingContext2D} context */
  draw(context) {
    const { stage, view, selected } = this.#desk;
    context.strokeStyle = stage.voice;
    context.lineWidth = 1.5;
    if (this.#picture) this.#drawPicture(context, this.#picture);
    else this.#drawMoved(context);
    if (this.#doing === "box" && this.#from && this.#to) {
      const { left, top } = this.#from;
      context.setLineDash([4, 4]);
      context.strokeRect(left, top, this.#to.left - left, this.#to.top - top);
      context.setLineDash([]);
    }
    const [ratio, edge] = [view.ratio, 5];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.#resizer.isHeld) return false;
    const single = selected.size > 1 && selected.size <= SINGLE_MAX ? [...selected].map((key) => stage.scene.boxOf(key)) : [];
    const around = this.#around();
    for (const box of [...single, around]) {
      if (!box) continue;
      const [left, top] = view.toCanvas(box.x0 + this.#dx, box.y0 + this.#dy);
      const [right, bottom] = view.toCanvas(box.x1 + this.#dx, box.y1 + this.#dy);
      context.globalAlpha = box === around ? 1 : 0.4;
      context.beginPath();
      context.roundRect(left - edge, top - edge, right - left + 2 * edge, bottom - top + 2 * edge, 4);
      context.stroke();
    }
    context.globalAlpha = 1;
    if (around && !this.#moved.length) this.#resizer.draw(context, around);
    return false;
  }

  /** The box of what is selected, which does not change while one moves it. */
  #around() {
    const { stage, selected } = this.#desk;
    const { version } = stage.scene;
    if (this.#known?.selected !== selected || this.#known.version !== version) this.#known = { selected, version, box: stage.around(selected) };
    return this.#known.box;
  }

  /** Takes the marks out of the tiles, into the hand. */
  #take() {
    const { stage, selected } = this.#desk;
    const moved = [...selected].flatMap((key) => stage.scene.get(key) ?? []);
    this.#moved = moved;
    const box = this.#around();
    if (moved.length <= DRAWN_MAX || !box) return stage.veil(selected, () => undefined);
    // Until there is a picture of so many, they stay where they are.
    const part = this.#partInSight(box);
    void stage.renderer.picture({ ...part, only: [...selected] }).then((bitmap) => {
      if (this.#moved !== moved) return bitmap.close();
      this.#picture = { bitmap, left: part.x, top: part.y, scale: part.scale };
      stage.veil(selected, () => undefined);
      this.#desk.draw();
    });
  }

  /** As much of a box as may come into sight, in pixels of the screen. @param {import("../geometry.js").Box} box */
  #partInSight(box) {
    const { view } = this.#desk;
    const scale = view.scale * view.ratio;
    const [wide, high] = [2 * view.width * view.ratio, 2 * view.height * view.ratio];
    const x = Math.max(Math.floor(box.x0 * scale), -view.originLeft - wide);
    const y = Math.max(Math.floor(box.y0 * scale), -view.originTop - high);
    const most = (/** @type {number} */ length) => Math.max(1, Math.min(length, PICTURE_SIDE_MAX));
    return { scale, x, y, width: most(Math.ceil(box.x1 * scale) - x), height: most(Math.ceil(box.y1 * scale) - y) };
  }

  /** @param {CanvasRenderingContext2D} context */
  #drawMoved(context) {
    const { view, stage } = this.#desk;
    const to = { scale: view.scale * view.ratio, left: view.originLeft, top: view.originTop };
    if (this.#moved.length > DRAWN_MAX) return;
    for (const shown of this.#moved) stage.painter.draw(context, { ...shown, dx: shown.dx + this.#dx, dy: shown.dy + this.#dy }, to);
  }

  /** @param {CanvasRenderingContext2D} context @param {{bitmap: ImageBitmap, left: number, top: number, scale: number}} picture */
  #drawPicture(context, { bitmap, left, top, scale }) {
    const { view } = this.#desk;
    const factor = (view.scale * view.ratio) / scale;
    context.setTransform(1, 0, 0, 1, 0, 0);
    const place = [view.originLeft + (left + this.#dx * scale) * factor, view.originTop + (top + this.#dy * scale) * factor];
    context.drawImage(bitmap, Math.round(Number(place[0])), Math.round(Number(place[1])), bitmap.width * factor, bitmap.height * factor);
  }

  #rest() {
    this.#picture?.bitmap.close();
    this.#picture = null;
    [this.#from, this.#to, this.#doing, this.#moved] = [null, null, "none", []];
    [this.#dx, this.#dy] = [0, 0];
  }
}
