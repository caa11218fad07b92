// How figures and times are written, everywhere the same. Pure: no DOM, no clock unless it is passed in.

const counts = new Intl.NumberFormat("en");
const NARROW_SPACE = "\u202f";
export const MISSING = "–";

/**
 * A whole number with its thousands apart.
 * @param {unknown} value
 * @returns {string} `MISSING` when it is no number
 */
export function count(value) {
  return isNumber(value) ? counts.format(value) : MISSING;
}

/**
 * A figure of any size with about three significant digits.
 * @param {unknown} value a number, or a word that is shown as it stands
 * @returns {string}
 */
export function figure(value) {
  if (typeof value === "string" && value !== "") return value;
  if (!isNumber(value)) return MISSING;
  if (Number.isInteger(value)) return counts.format(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return counts.format(Number(value.toFixed(digits)));
}

/**
 * A span of time as number and unit, apart so that each can be set in its own type.
 * @param {unknown} ms
 * @returns {{value: string, unit: string}}
 */
export function spanParts(ms) {
  if (!isNumber(ms)) return { value: MISSING, unit: "ms" };
  if (Math.abs(ms) >= 1000) return { value: (ms / 1000).toFixed(2), unit: "s" };
  return { value: ms.toFixed(Math.abs(ms) >= 100 ? 0 : Math.abs(ms) >= 10 ? 1 : 2), unit: "ms" };
}

/**
 * A span of time: "7.12 ms", "1.30 s".
 * @param {unknown} ms
 * @returns {string}
 */
export function span(ms) {
  const { value, unit } = spanParts(ms);
  return value === MISSING ? MISSING : value + NARROW_SPACE + unit;
}

/**
 * A long span in its two largest units: "3 h 12 min".
 * @param {unknown} seconds
 * @returns {string}
 */
export function uptime(seconds) {
  if (!isNumber(seconds)) return MISSING;
  const whole = Math.max(0, Math.floor(seconds));
  const parts = /** @type {[number, string][]} */ ([
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ]);
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0" + NARROW_SPACE + "s";
  return parts
    .slice(first, first + 2)
    .filter(([amount], place) => place === 0 || amount > 0)
    .map(([amount, unit]) => amount + NARROW_SPACE + unit)
    .join(" ");
}

/**
 * How long ago something was: "just now", "4 s ago", "2 h ago".
 * @param {Date | null} then
 * @param {Date} now
 * @returns {string}
 */
export function ago(then, now) {
  if (then === null) return MISSING;
  const seconds = Math.round((now.getTime() - then.getTime()) / 1000);
  if (seconds < 2) return "just now";
  if (seconds < 100) return `${seconds}${NARROW_SPACE}s ago`;
  if (seconds < 6000) return `${Math.round(seconds / 60)}${NARROW_SPACE}min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}${NARROW_SPACE}h ago`;
  return `${Math.round(seconds / 86400)}${NARROW_SPACE}days ago`;
}

/**
 * The moment that a document names: Unix seconds or ISO 8601.
 * @param {unknown} value
 * @returns {Date | null} null when it names none
 */
export function toDate(value) {
  if (isNumber(value)) return new Date(value * 1000);
  if (typeof value !== "string" || value === "") return null;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? null : date;
}

/**
 * The time of day in the reader's own zone: "14:03:22".
 * @param {Date | null} date
 * @returns {string}
 */
export function timeOfDay(date) {
  return date === null ? MISSING : date.toLocaleTimeString("en-GB");
}

/**
 * A moment in the reader's own zone: "22 Nov 2025, 14:03:22".
 * @param {Date | null} date
 * @returns {string}
 */
export function moment(date) {
  if (date === null) return MISSING;
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  return `${day}, ${timeOfDay(date)}`;
}

/**
 * A moment in few characters: the time today, else the day: "14:03", "22 Nov".
 * @param {Date | null} date
 * @param {Date} now
 * @returns {string}
 */
export function shortMoment(date, now) {
  if (date === null) return MISSING;
  if (date.toDateString() === now.toDateString()) return timeOfDay(date);
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

/**
 * The share of something: "99.9 %".
 * @param {unknown} ratio 0 to 1
 * @returns {string}
 */
export function percent(ratio) {
  return isNumber(ratio) ? figure(ratio * 100) + NARROW_SPACE + "%" : MISSING;
}

/**
 * A number and its noun: "1 seat", "5 seats".
 * @param {number} amount
 * @param {string} singular
 * @param {string} [plural]
 * @returns {string}
 */
export function counted(amount, singular, plural = singular + "s") {
  return `${count(amount)} ${amount === 1 ? singular : plural}`;
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
