// Where logs differ from the one that counts. Pure.

/** @typedef {import("./model.js").Entry} Entry */
/** @typedef {{last: number, log: Entry[], isLeader: boolean}} Column */

/**
 * The log that the others are compared with: the leader's, or else that of the node that would win an election.
 * @template {Column} T
 * @param {readonly T[]} columns
 * @returns {T | undefined}
 */
export function reference(columns) {
  const rank = (/** @type {T} */ { log, last }) => (log.at(-1)?.[1] ?? 0) * 1e9 + last;
  return columns.find(({ isLeader }) => isLeader) ?? [...columns].sort((a, b) => rank(b) - rank(a))[0];
}

/**
 * Whether an entry is not what the reference has at its index.
 * @param {Entry} entry
 * @param {Column | undefined} truth
 * @returns {boolean}
 */
export function isApart([index, term], truth) {
  if (truth === undefined) return false;
  if (index > truth.last) return true;
  const there = truth.log.find(([at]) => at === index);
  return there !== undefined && there[1] !== term;
}
