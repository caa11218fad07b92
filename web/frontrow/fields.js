// What may be typed into a field. Pure.

/**
 * What is wrong with a typed whole number.
 * @param {string} text
 * @param {{min: number, max: number, isRequired: boolean, isGarbled?: boolean}} rule
 * @returns {string} "" when nothing is
 */
export function fault(text, { min, max, isRequired, isGarbled = false }) {
  if (isGarbled) return "A whole number, please.";
  if (text.trim() === "") return isRequired ? `A number from ${min.toLocaleString("en")} to ${max.toLocaleString("en")}.` : "";
  const value = Number(text);
  if (!Number.isFinite(value) || !Number.isInteger(value)) return "A whole number, please.";
  if (value < min) return `At least ${min.toLocaleString("en")}.`;
  if (value > max) return `At most ${max.toLocaleString("en")}.`;
  return "";
}
