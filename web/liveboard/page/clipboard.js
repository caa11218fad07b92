// Copy, paste and duplicate: marks as the text of a board file, words as words, images as images.

import { keyOf } from "../core/operations.js";
import { exportBoard, importBoard, ImportError } from "../client/board_file.js";
import { lettersOf } from "./restyle.js";

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("../core/types.d.ts").Body} Body */
/** @typedef {import("../core/types.d.ts").Mark} Mark */

const SHIFT_UNITS = 160;
const PASTED_CHARACTERS_MAX = 2000;

/** What is selected, as the text of a board file; empty when nothing is. @param {Desk} desk */
export function textOf(desk) {
  const marks = desk.stage.scene.in(desk.stage.around(desk.selected) ?? { x0: 0, y0: 0, x1: 0, y1: 0 });
  const chosen = marks.filter(({ operation }) => desk.selected.has(keyOf(operation)));
  if (chosen.length === 0) return "";
  const { title, replica } = desk.board;
  return JSON.stringify(exportBoard({ shown: () => chosen }, { title, rev: replica.rev, digest: replica.saved.digest }));
}

/** Makes what is selected once more, elsewhere. @param {Desk} desk @param {number} [dx] @param {number} [dy] in units */
export function duplicate(desk, dx = SHIFT_UNITS, dy = SHIFT_UNITS) {
  put(desk, importBoard(textOf(desk)).bodies.map((body) => shifted(body, dx, dy)));
}

/**
 * Puts a text onto the board: marks if it is a board file, else the words.
 * @param {Desk} desk @param {string} text @param {{x: number, y: number}} at where their middle is to be
 */
export function pasteText(desk, text, at) {
  try {
    const { bodies } = importBoard(text);
    const [x, y] = middleOf(bodies);
    put(desk, bodies.map((body) => shifted(body, Math.round(at.x - x), Math.round(at.y - y))));
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    const words = text.replaceAll("\r", "").trim().slice(0, PASTED_CHARACTERS_MAX);
    const { color, width } = desk.style;
    if (words) put(desk, [{ kind: "text", form: "text", color, size: lettersOf(width), opacity: 100, fill: 0, ...at, width: 0, text: words }]);
  }
}

/** @param {Desk} desk @param {Body[]} bodies */
function put(desk, bodies) {
  if (!bodies.length) return;
  const keys = desk.board.doAll(bodies);
  desk.choose("select");
  desk.select(keys);
}

/** The same mark elsewhere. @template {Mark} T @param {T} body @param {number} dx @param {number} dy @returns {T} */
export function shifted(body, dx, dy) {
  if (body.kind === "stroke") return { ...body, points: Array.from(body.points, (value, at) => value + (at % 2 ? dy : dx)) };
  if (body.kind === "shape") return { ...body, x0: body.x0 + dx, y0: body.y0 + dy, x1: body.x1 + dx, y1: body.y1 + dy };
  return { ...body, x: body.x + dx, y: body.y + dy };
}

/** The middle of where marks begin and end. @param {Mark[]} bodies @returns {[number, number]} */
export function middleOf(bodies) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  const take = (/** @type {number} */ x, /** @type {number} */ y) => {
    [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
  };
  for (const body of bodies) {
    if (body.kind === "stroke") for (let at = 0; at < body.points.length; at += 2) take(Number(body.points[at]), Number(body.points[at + 1]));
    else if (body.kind === "shape") {
      take(body.x0, body.y0);
      take(body.x1, body.y1);
    } else {
      take(body.x, body.y);
      take(body.x + body.width, body.y + ("height" in body ? body.height : 0));
    }
  }
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}
