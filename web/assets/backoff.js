// When to try again. Pure: randomness is passed in.

export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 15_000;

/**
 * The wait before attempt number `attempt` + 1: it doubles up to a bound, and half of it is drawn by lot, so that
 * the pages of one host do not all come back in the same instant after a restart.
 * @param {number} attempt failures so far in a row, from 1
 * @param {{random?: () => number, atLeast_ms?: number}} [options] `atLeast_ms` is what the server asked for
 * @returns {number} milliseconds
 */
export function delay_ms(attempt, { random = Math.random, atLeast_ms = 0 } = {}) {
  const doublings = Math.min(Math.max(attempt, 1) - 1, 20);
  const bound = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** doublings);
  return Math.max(bound / 2 + random() * (bound / 2), atLeast_ms);
}

/**
 * What a Retry-After header asks for.
 * @param {string | null} header seconds or an HTTP date
 * @param {number} now_ms Unix milliseconds
 * @returns {number | null} milliseconds, at most ten minutes; null when it says nothing
 */
export function retryAfter_ms(header, now_ms) {
  if (header === null || header.trim() === "") return null;
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now_ms;
  return Number.isNaN(wait) ? null : Math.min(Math.max(wait, 0), 600_000);
}
