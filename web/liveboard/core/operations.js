// Operations: the immutable records that a board is a set of, and the order they stand in.

/** @typedef {import("./types.d.ts").Stamp} Stamp */

/** Coordinates are integers in eighths of a CSS pixel at zoom 1. */
export const UNITS_PER_PIXEL = 8;
export const COORDINATE_MAX = 2 ** 30;
export const SIZE_MAX = 65_535;
export const COLOR_MAX = 0xffffff;
export const OPERATION_BYTES_MAX = 32_768;
export const POINTS_MAX = 8192;
export const TEXT_BYTES_MAX = 4096;
export const TARGETS_MAX = 2048;
/** Ranges removed from one stroke by one erasure. */
export const RANGES_MAX = 512;
export const CLEAR_SITES_MAX = 3000;
export const IMAGE_BYTES_MAX = 16 * 2 ** 20;

/** Words by the number that stands for them in bytes. */
export const TOOLS = ["", "pen", "highlighter"];
export const SHAPES = ["", "line", "arrow", "rectangle", "ellipse"];
export const TEXTS = ["", "text", "note"];
export const IMAGES = ["", "image/png", "image/jpeg", "image/webp", "image/gif"];

/** @param {import("./types.d.ts").OpId} id the key of an operation in a Map */
export const keyOf = (id) => `${id.site}:${id.seq}`;

/** @param {import("./types.d.ts").Body} body whether it draws */
export const isMark = (body) => ["stroke", "shape", "text", "image"].includes(body.kind);

/**
 * The order of the board: clock, then site by its bytes, then number. Hex digits compare as the bytes they stand for.
 * @param {Stamp} one
 * @param {Stamp} other
 */
export function compare(one, other) {
  if (one.lamport !== other.lamport) return one.lamport - other.lamport;
  if (one.site !== other.site) return one.site < other.site ? -1 : 1;
  return one.seq - other.seq;
}

/**
 * Where a stamp stands, or would, in a list that is in order; at its end, most of the time.
 * @param {any[]} list @param {Stamp} stamp @param {(item: any) => Stamp} stampOf
 */
export function rankIn(list, stamp, stampOf) {
  let low = 0;
  let high = list.length;
  if (high > 0 && compare(stampOf(list[high - 1]), stamp) < 0) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(stampOf(list[middle]), stamp) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
