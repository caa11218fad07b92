// Where the lines of a text stand. Widths come from whoever can measure; everything is in units of the board.

export const LINE_HEIGHT = 1.3;
/** The margin inside a note, in heights of its letters. */
const NOTE_MARGIN = 0.8;

/** @typedef {import("../core/types.d.ts").Text} Text */
/** @typedef {(text: string, size: number) => number} Measure the width of a line in letters of that height */
/** @typedef {{lines: string[], margin: number, width: number, height: number}} Layout */

/**
 * @param {Text} text @param {number} size the height of its letters, as restyled
 * @param {Measure} measure
 * @returns {Layout}
 */
export function layoutOf({ text, form, width }, size, measure) {
  const margin = form === "note" ? NOTE_MARGIN * size : 0;
  const room = width ? Math.max(width - 2 * margin, size) : Infinity;
  const lines = text.split("\n").flatMap((line) => wrapped(line, room, size, measure));
  const widest = Math.max(size / 2, ...lines.map((line) => measure(line, size)));
  const height = lines.length * size * LINE_HEIGHT + 2 * margin;
  return { lines, margin, width: width || widest, height: form === "note" ? Math.max(height, width) : height };
}

/** @param {string} line @param {number} room @param {number} size @param {Measure} measure */
function wrapped(line, room, size, measure) {
  if (room === Infinity || measure(line, size) <= room) return [line];
  const lines = [];
  let current = "";
  for (const word of line.split(/(?<=\s)/)) {
    let rest = word;
    if (current && measure((current + rest).trimEnd(), size) > room) {
      lines.push(current.trimEnd());
      current = "";
    }
    // A word longer than a line is cut.
    while (measure(rest.trimEnd(), size) > room && [...rest].length > 1) {
      const letters = [...rest];
      let fits = letters.length;
      while (fits > 1 && measure(letters.slice(0, fits).join(""), size) > room) fits -= 1;
      lines.push(letters.slice(0, fits).join(""));
      rest = letters.slice(fits).join("");
    }
    current += rest;
  }
  return [...lines, current.trimEnd()];
}

/** @type {OffscreenCanvasRenderingContext2D | null} */
let ruler = null;
let font = "";
/** @type {Map<string, number>} */
const widths = new Map();
const WIDTHS_MAX = 5000;
const RULER_PX = 64;

/** The widths of the browser's letters. @param {string} family as of CSS @returns {Measure} */
export function measureIn(family) {
  return (text, size) => {
    if (font !== family) widths.clear();
    font = family;
    let width = widths.get(text);
    if (width === undefined) {
      ruler ??= new OffscreenCanvas(1, 1).getContext("2d");
      if (!ruler) return text.length * size * 0.55;
      ruler.font = `${RULER_PX}px ${family}`;
      width = ruler.measureText(text).width / RULER_PX;
      if (widths.size > WIDTHS_MAX) widths.clear();
      widths.set(text, width);
    }
    return width * size;
  };
}
