// Sums and times as a customer reads them. Pure.

/**
 * A sum in the smallest unit of its currency: "€72.00".
 * @param {number} amount
 * @param {string | null} currency null: nothing to pay
 * @returns {string}
 */
export function money(amount, currency) {
  if (currency === null || currency === "") return "free";
  const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "narrowSymbol" });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

/**
 * What is left of a time: "4:59", never below "0:00".
 * @param {number} ms
 * @returns {string}
 */
export function clock(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * How long something takes, roughly: "about 40 s", "about 12 min".
 * @param {number} seconds
 * @returns {string}
 */
export function roughly(seconds) {
  if (seconds < 1) return "a moment";
  if (seconds < 90) return `about ${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 3600)} h`;
}
