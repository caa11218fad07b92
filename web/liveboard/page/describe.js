// The board in words: what a mark or an operation is, for those who listen and for the bar of time.

/** @typedef {import("../core/types.d.ts").Operation} Operation */

const FORMS = /** @type {Record<string, string>} */ ({
  pen: "a pen stroke", highlighter: "a highlighter stroke", line: "a line", arrow: "an arrow", rectangle: "a rectangle", ellipse: "an ellipse", text: "a text", note: "a note",
});
const HUES = [
  [15, "red"], [42, "orange"], [68, "yellow"], [160, "green"], [195, "teal"], [245, "blue"], [290, "violet"], [340, "pink"], [361, "red"],
];
const WORDS_MAX = 80;

/** What an operation did, in a few words. @param {Operation} operation */
export function describe(operation) {
  switch (operation.kind) {
    case "stroke":
      return `${colourWord(operation.color)} ${FORMS[operation.tool]?.replace(/^an? /, "")}`;
    case "shape":
      return `${colourWord(operation.color)} ${operation.form}`;
    case "text":
      return `${operation.form === "note" ? "note" : "text"} “${short(operation.text)}”`;
    case "image":
      return "image";
    case "visibility":
      return operation.visible ? "did it again" : "undid a step";
    case "erase":
      return `erased ${counted(operation.targets.length, operation.targets.every(({ ranges }) => ranges.length) ? "stroke in part" : "mark")}`;
    case "move":
      return `moved ${counted(operation.targets.length, "mark")}`;
    case "restyle":
      return `restyled ${counted(operation.targets.length, "mark")}`;
    case "clear":
      return "cleared the board";
    default:
      return "something that was pruned";
  }
}

/** What several operations of one author were, together. @param {Operation[]} operations */
export function together(operations) {
  const [only] = operations;
  if (operations.length === 1 && only) return describe(only);
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { kind } of operations) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const names = /** @type {Record<string, string>} */ ({ visibility: "step undone or done again", erase: "erasure", move: "move", restyle: "restyling", clear: "clearing" });
  return [...counts].map(([kind, count]) => counted(count, names[kind] ?? kind)).join(", ");
}

/** The name of a colour, 0xRRGGBB, as a person would say it. @param {number} value */
export function colourWord(value) {
  const parts = [value >> 16, (value >> 8) & 255, value & 255];
  const [r = 0, g = 0, b = 0] = parts;
  const [most, least] = [Math.max(...parts), Math.min(...parts)];
  if (most - least < 28) return most < 90 ? "black" : most > 225 ? "white" : "grey";
  const sixth = most === r ? ((g - b) / (most - least) + 6) % 6 : most === g ? (b - r) / (most - least) + 2 : (r - g) / (most - least) + 4;
  return String(HUES.find(([end]) => 60 * sixth < Number(end))?.[1]);
}

/** @param {number} count @param {string} what one of them */
export function counted(count, what) {
  if (count === 1) return `one ${what}`;
  return `${count} ${what.replace(/^\S+/, (word) => (word.endsWith("s") ? word : `${word}s`))}`;
}

/** @param {string} text */
function short(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > WORDS_MAX ? `${line.slice(0, WORDS_MAX - 1)}…` : line;
}
