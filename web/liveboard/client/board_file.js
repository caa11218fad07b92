// Boards as files: what shows, out as JSON; such a file, or the freehand of an .excalidraw file, in as new operations.

import { CodecError, toHex } from "../core/bytes.js";
import { decodeOperation, encodeOperation } from "../core/codec.js";
import { isMark } from "../core/operations.js";
import { sha256 } from "../core/sha256.js";
import { excalidrawMarks } from "./excalidraw.js";

/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {import("../core/types.d.ts").Mark} Mark */
/** @typedef {import("../core/types.d.ts").Range} Range */
/** @typedef {import("../core/types.d.ts").Shown} Shown */

export const FORMAT = "liveboard-board-1";
export const FILE_CHARACTERS_MAX = 64 * 2 ** 20;
export const MARKS_MAX = 50_000;

/** It is no board. The message is a sentence for people. */
export class ImportError extends Error {
  /** @override */
  name = "ImportError";
}

/** @typedef {{sha256: string, type: string, bytes: Uint8Array}} ImageFile */

/**
 * A board's marks as they show, moved, restyled and erased as they are, as a value for `JSON.stringify`.
 * @param {{shown: () => Iterable<Shown>}} picture
 * @param {{title: string, rev: number, digest: string}} about
 * @param {Map<string, Uint8Array>} [files] of the images that are to go along, by hash
 */
export function exportBoard(picture, about, files = new Map()) {
  const marks = [...picture.shown()].flatMap(marksOf);
  const images = marks.flatMap((mark) => {
    const bytes = mark.kind === "image" && files.get(mark.sha256);
    return bytes ? [[mark.sha256, { type: mark.type, base64: toBase64(bytes) }]] : [];
  });
  return { format: FORMAT, ...about, marks, images: Object.fromEntries(images) };
}

/**
 * What a file comes to: bodies for operations of one's own, in their order; what was left out, and why; and the images
 * to be kept beside the board before they are drawn.
 * @param {string} text
 * @returns {{bodies: Mark[], skipped: {what: string, count: number}[], images: ImageFile[]}}
 * @throws {ImportError}
 */
export function importBoard(text) {
  const file = parsed(text);
  /** @type {Map<string, number>} */
  const skipped = new Map();
  /** @param {string} what */
  const skip = (what) => void skipped.set(what, (skipped.get(what) ?? 0) + 1);
  const candidates = file.format === FORMAT ? file.marks : excalidrawMarks(file.elements, skip);
  if (!Array.isArray(candidates)) throw new ImportError("This file has no marks.");
  if (candidates.length > MARKS_MAX) throw new ImportError(`This file has more than ${MARKS_MAX} marks.`);
  /** @type {Mark[]} */
  const bodies = [];
  for (const candidate of candidates) {
    const body = checked(candidate);
    if (body) bodies.push(body);
    else skip("what is no mark, or is too large");
  }
  const images = file.format === FORMAT ? imagesOf(file.images, skip) : [];
  return { bodies, skipped: [...skipped].map(([what, count]) => ({ what, count })), images };
}

/** @param {string} text @returns {Record<string, any>} */
function parsed(text) {
  if (text.length > FILE_CHARACTERS_MAX) throw new ImportError("This file is too large.");
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new ImportError("This file is no JSON.");
  }
  if (file?.format !== FORMAT && file?.type !== "excalidraw") {
    throw new ImportError("This is neither an exported board nor an .excalidraw file.");
  }
  return file;
}

/** A mark as the codec reads it, null when it is none. @param {any} candidate @returns {Mark | null} */
function checked(candidate) {
  try {
    const { site, seq, lamport, ...body } = decodeOperation(encodeOperation({ ...candidate, site: "0".repeat(16), seq: 1, lamport: 1 }));
    return isMark(body) ? /** @type {Mark} */ (body) : null;
  } catch (error) {
    // A field that is missing, or of another type, is met in many ways.
    if (error instanceof CodecError || error instanceof TypeError) return null;
    throw error;
  }
}

/** A mark as it shows: a stroke in the pieces that are left of it. @param {Shown} shown @returns {Mark[]} */
function marksOf({ operation, dx, dy, color, size, opacity, fill, removed }) {
  const { site, seq, lamport, ...mark } = operation;
  if (mark.kind === "image") return [{ ...mark, x: mark.x + dx, y: mark.y + dy }];
  const style = { color, size, opacity, ...(fill === null ? {} : { fill }) };
  if (mark.kind === "text") return [{ ...mark, ...style, x: mark.x + dx, y: mark.y + dy }];
  if (mark.kind === "shape") return [{ ...mark, ...style, x0: mark.x0 + dx, y0: mark.y0 + dy, x1: mark.x1 + dx, y1: mark.y1 + dy }];
  const { points, pressures } = mark;
  return keptRanges(removed, points.length / 2).map(([start, length]) => ({
    ...mark,
    ...style,
    points: Array.from({ length: 2 * length }, (_, at) => Number(points[2 * start + at]) + (at % 2 ? dy : dx)),
    pressures: pressures && Array.from({ length }, (_, at) => Number(pressures[start + at])),
  }));
}

/** @param {Range[]} removed @param {number} count @returns {Range[]} what is between them */
function keptRanges(removed, count) {
  /** @type {Range[]} */
  const kept = [];
  let start = 0;
  for (const [gone, length] of [...removed, /** @type {Range} */ ([count, 0])]) {
    if (gone > start) kept.push([start, gone - start]);
    start = gone + length;
  }
  return kept;
}

/** @param {any} images @param {(what: string) => void} skip @returns {ImageFile[]} */
function imagesOf(images, skip) {
  return Object.entries(images ?? {}).flatMap(([name, image]) => {
    const bytes = fromBase64(image?.base64);
    if (bytes && toHex(sha256(bytes)) === name) return [{ sha256: name, type: String(image.type), bytes }];
    skip("images that are not what they say");
    return [];
  });
}

/** @param {Uint8Array} bytes */
function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param {any} text @returns {Uint8Array | null} */
function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
