// The colours and the letters of a drawing, as the theme has them now.

export const TIER_COLOURS = 6;

/**
 * @typedef {object} Ink
 * @property {string[]} tiers
 * @property {string} ink
 * @property {string} soft
 * @property {string} strong
 * @property {string} paper
 * @property {string} voice
 * @property {string} font
 */

/**
 * What the tokens come to here; only a real property resolves `light-dark()`.
 * @param {HTMLElement} element
 * @returns {Ink}
 */
export function inkOf(element) {
  const colour = (/** @type {string} */ name) => {
    element.style.color = `var(${name})`;
    return getComputedStyle(element).color;
  };
  return {
    tiers: Array.from({ length: TIER_COLOURS }, (_, tier) => colour(`--tier-${tier}`)),
    ink: colour("--ink"),
    soft: colour("--ink-soft"),
    strong: colour("--hairline-strong"),
    paper: colour("--paper"),
    voice: colour("--voice"),
    font: getComputedStyle(element).fontFamily,
  };
}

/**
 * @param {Ink} ink
 * @param {number} tier
 * @returns {string}
 */
export function tierColour(ink, tier) {
  return ink.tiers[tier % TIER_COLOURS] ?? ink.ink;
}

/**
 * A word with its middle at a point.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {{size: number, colour: string, font: string, weight?: number}} type
 */
export function word(context, text, x, y, { size, colour, font, weight = 400 }) {
  context.font = `${weight} ${size}px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
