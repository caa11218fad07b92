// The board as an SVG: the same shapes that the canvas is drawn from. No browser needed.

import { hexOf } from "./colours.js";
import { layoutOf, LINE_HEIGHT } from "./layout.js";
import { trace } from "./painter.js";

/** @typedef {import("../core/types.d.ts").Shown} Shown */
/** @typedef {import("./geometry.js").Box} Box */

const FONT = "system-ui, sans-serif";
const BASE64_STEP = 0x8000;

/** Writes a path as text. @implements {Sink} */
class PathText {
  text = "";

  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.text += `M${short(x)} ${short(y)}`;
  }

  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.text += `L${short(x)} ${short(y)}`;
  }

  /** @param {number} cx @param {number} cy @param {number} x @param {number} y */
  quadraticCurveTo(cx, cy, x, y) {
    this.text += `Q${short(cx)} ${short(cy)} ${short(x)} ${short(y)}`;
  }

  closePath() {
    this.text += "Z";
  }
}
/** @typedef {import("./outline.js").Sink} Sink */

/**
 * @param {Shown[]} marks the lowest first
 * @param {Box} box what of the board it shows, in units
 * @param {import("./layout.js").Measure} measure
 * @param {Map<string, Uint8Array>} files of the images, by hash; those that are missing are left out
 */
export function svgOf(marks, box, measure, files) {
  const [width, height] = [box.x1 - box.x0, box.y1 - box.y0];
  const size = `width="${short(width / 8)}" height="${short(height / 8)}" viewBox="${short(box.x0)} ${short(box.y0)} ${short(width)} ${short(height)}"`;
  const body = marks.map((shown) => elementOf(shown, measure, files)).join("\n");
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} stroke-linecap="round" stroke-linejoin="round">\n${body}\n</svg>\n`;
}

/** @param {Shown} shown @param {import("./layout.js").Measure} measure @param {Map<string, Uint8Array>} files */
function elementOf(shown, measure, files) {
  const { operation, dx, dy, color, size, opacity, fill } = shown;
  const faint = opacity < 100 ? ` opacity="${opacity / 100}"` : "";
  if (operation.kind === "image") {
    const file = files.get(operation.sha256);
    const { x, y, width, height, type } = operation;
    if (!file) return "";
    return `<image x="${x + dx}" y="${y + dy}" width="${width}" height="${height}" href="data:${type};base64,${base64(file)}"/>`;
  }
  if (operation.kind === "text") {
    const { lines, margin, width, height } = layoutOf(operation, size, measure);
    const [x, y] = [operation.x + dx, operation.y + dy];
    const paper = fill ? `<rect x="${x}" y="${y}" width="${short(width)}" height="${short(height)}" rx="${operation.form === "note" ? 48 : 0}" fill="${hexOf(fill - 1)}"/>` : "";
    const words = lines.map((line, at) => `<tspan x="${short(x + margin)}" y="${short(y + margin + size * (1.02 + LINE_HEIGHT * at))}">${escaped(line)}</tspan>`);
    return `<g${faint}>${paper}<text font-family="${FONT}" font-size="${size}" fill="${hexOf(color)}" xml:space="preserve">${words.join("")}</text></g>`;
  }
  const path = new PathText();
  const { origin, isArea } = trace(path, shown);
  const place = ` transform="translate(${origin[0] + dx} ${origin[1] + dy})"`;
  const look = isArea ? `fill="${hexOf(color)}"` : `fill="${fill ? hexOf(fill - 1) : "none"}" stroke="${hexOf(color)}" stroke-width="${size}"`;
  return `<path d="${path.text}" ${look}${faint}${place}/>`;
}

/** @param {number} value to a hundredth */
const short = (value) => String(Math.round(value * 100) / 100);

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += BASE64_STEP) text += String.fromCharCode(...bytes.subarray(at, at + BASE64_STEP));
  return btoa(text);
}
