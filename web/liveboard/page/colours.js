// Colours of the board in both themes: what is too dark for a dark board is shown as light as it was dark, in its own hue.

/** @type {Map<string, string>} */
const known = new Map();

/**
 * A line's or a text's colour as the theme shows it, for canvas and CSS.
 * @param {number} value 0xRRGGBB
 * @param {boolean} isDark
 */
export const inkOf = (value, isDark) => shade(value, isDark, "ink", 0.68, (light) => Math.max(light, 0.95 - 0.6 * light));

/** The same for areas: pale paper becomes deep paper. @param {number} value @param {boolean} isDark */
export const fillOf = (value, isDark) => shade(value, isDark, "fill", 0.4, (light) => (light > 0.45 ? 0.72 - 0.56 * light : light));

/** @param {number} value `#rrggbb` */
export const hexOf = (value) => `#${value.toString(16).padStart(6, "0")}`;

/**
 * @param {number} value @param {boolean} isDark @param {string} use @param {number} vivid the most saturation that does not glare
 * @param {(light: number) => number} turned how light it is on a dark board
 */
function shade(value, isDark, use, vivid, turned) {
  if (!isDark) return hexOf(value);
  const name = `${use}${value}`;
  const found = known.get(name);
  if (found) return found;
  const parts = [value >> 16, (value >> 8) & 255, value & 255].map((part) => part / 255);
  const [most, least] = [Math.max(...parts), Math.min(...parts)];
  const light = (most + least) / 2;
  const wanted = turned(light);
  // In HSL: the same hue and saturation, another lightness.
  const room = 1 - Math.abs(2 * light - 1);
  const saturation = room ? (most - least) / room : 0;
  const chroma = (1 - Math.abs(2 * wanted - 1)) * Math.min(saturation, vivid);
  const scaled = parts.map((part) => (most > least ? (part - least) / (most - least) : 0));
  const shown = scaled.map((part) => Math.round(255 * (wanted + (part - 0.5) * chroma)));
  const colour = hexOf((Number(shown[0]) << 16) | (Number(shown[1]) << 8) | Number(shown[2]));
  known.set(name, colour);
  return colour;
}
