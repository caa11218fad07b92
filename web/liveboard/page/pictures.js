// Images on the board: fetched when a mark shows one, put there by paste, by drop, or from a file.

import { explain } from "/assets/fetch.js";
import { Images } from "../client/images.js";
import { headersOf } from "./place.js";

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("../core/types.d.ts").Image["type"]} ImageType */

/** An image comes onto the board no larger than this share of the view. */
const SHARE_MAX = 0.6;
/** Larger ones are made smaller before they are sent, in pixels of the longer side. */
const SIDE_MAX = 2048;
/** Of all images together; what comes after has no more than so many on its longer side. */
const PIXELS_MAX = 64 * 2 ** 20;
const SIDE_OF_MANY = 256;
const BYTES_MAX = 2 * 2 ** 20;
const TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif"];

export class Pictures {
  #desk;
  #room;
  #changed;
  #images;
  #credentials = "";
  /** @type {Set<string>} hashes that are on their way */
  #awaited = new Set();
  /** Decoded so far. */
  #pixels = 0;

  /** @param {Desk} desk @param {string} room @param {() => void} changed an awaited one has come, or will not */
  constructor(desk, room, changed) {
    this.#desk = desk;
    this.#room = room;
    this.#changed = changed;
    this.#images = new Images(room, headersOf(desk.board.person));
  }

  get areAwaited() {
    return this.#awaited.size > 0;
  }

  /** Of the key and password as they are now. */
  get images() {
    const { person } = this.#desk.board;
    const credentials = `${person.key} ${person.password}`;
    if (credentials !== this.#credentials) this.#images = new Images(this.#room, headersOf(person));
    this.#credentials = credentials;
    return this.#images;
  }

  /** Fetches what these marks show, unless it is here. @param {Iterable<string>} keys */
  fetch(keys) {
    const { stage, board } = this.#desk;
    for (const key of keys) {
      const operation = board.replica.picture.get(key)?.operation;
      if (operation?.kind !== "image" || stage.hasImage(operation.sha256) || this.#awaited.has(operation.sha256)) continue;
      this.#awaited.add(operation.sha256);
      void this.#take(operation.sha256);
    }
  }

  /**
   * Puts files onto the board, around a point of it.
   * @param {Iterable<Blob>} files @param {number} x @param {number} y in units
   */
  async add(files, x, y) {
    /** @type {string[]} */
    const keys = [];
    for (const file of files) {
      try {
        const { blob, width, height } = await bounded(file);
        const { sha256, bytes, type } = await this.images.put(blob);
        const { view } = this.#desk;
        const factor = Math.min(1, (SHARE_MAX * view.width) / width, (SHARE_MAX * view.height) / height) / view.scale;
        const [w, h] = [Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor))];
        const shift = 160 * keys.length;
        const box = { x: Math.round(x - w / 2 + shift), y: Math.round(y - h / 2 + shift), width: w, height: h };
        keys.push(this.#desk.board.do({ kind: "image", type: /** @type {ImageType} */ (type), sha256, fileBytes: bytes, ...box }));
      } catch (error) {
        const { headline } = explain(error);
        this.#desk.say(error instanceof DOMException ? "This is no image that the browser can read." : headline);
      }
    }
    if (!keys.length) return;
    this.#desk.choose("select");
    this.#desk.select(keys);
  }

  /** @param {string} sha256 */
  async #take(sha256) {
    const bitmap = await this.images.get(sha256).catch(() => null);
    if (bitmap) await this.#desk.stage.image(sha256, await this.#shrunk(bitmap));
    this.#awaited.delete(sha256);
    this.#changed();
  }

  /** A small file may unpack to any size: no larger than it can be shown, and small once there are many. @param {ImageBitmap} bitmap */
  async #shrunk(bitmap) {
    const [width, height] = within(bitmap, this.#pixels > PIXELS_MAX ? SIDE_OF_MANY : SIDE_MAX);
    this.#pixels += width * height;
    if (width === bitmap.width && height === bitmap.height) return bitmap;
    return createImageBitmap(bitmap, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
  }
}

/** @param {ImageBitmap} bitmap @param {number} side the longest it may be @returns {[width: number, height: number]} */
function within({ width, height }, side) {
  const shrink = Math.min(1, side / Math.max(width, height));
  return [Math.max(1, Math.round(width * shrink)), Math.max(1, Math.round(height * shrink))];
}

/** The file, or a smaller picture of it when it is too large. Throws when it is no image. @param {Blob} file */
async function bounded(file) {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  const [wide, high] = within(bitmap, SIDE_MAX);
  if (wide === width && file.size <= BYTES_MAX && TYPES.includes(file.type)) return { blob: file, width, height };
  const canvas = new OffscreenCanvas(wide, high);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  let blob = await canvas.convertToBlob({ type: "image/webp", quality: 0.9 });
  if (blob.size > BYTES_MAX) blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.75 });
  return { blob, width: canvas.width, height: canvas.height };
}
