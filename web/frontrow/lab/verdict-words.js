// What a fault came to, in sentences and figures. Pure.

import { count, MISSING, span } from "../../assets/format.js";

/**
 * @param {any} answer of POST /api/frontrow/chaos
 * @returns {string}
 */
export function struckWords({ struck, run }) {
  if (typeof struck.sold_when_killed === "number") return `The other host was killed when ${count(struck.sold_when_killed)} seats were sold. What its buyers heard died with it; the tables were counted.`;
  const when = `It struck ${span(struck.at_ms)} after the gun`;
  if (struck.in_time === false) return `${when}, when all had their verdict: this run was faster. Try it with more buyers, or again.`;
  return run?.elapsed_ms > 0 ? `${when}; the last verdict came at ${span(run.elapsed_ms)}.` : `${when}.`;
}

/**
 * @param {any} answer
 * @returns {[string, string][]} name and figure
 */
export function figuresOf({ run, recovered_ms }) {
  return [
    ["booked", count(run?.booked)],
    ["turned away", count(run?.rejected)],
    ["sold twice", count(run?.oversold)],
    ["left over", count(run?.undersold)],
    ["holds lost", count(run?.holds_lost)],
    ["claims unanswered", count(run?.unknowns)],
    ["outcomes found out", count(run?.unknowns_resolved)],
    ["servers back after", recovered_ms === null ? MISSING : span(recovered_ms)],
  ];
}
