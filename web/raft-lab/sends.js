// The messages that a single step of a recording sent, read off its effects. Pure.

/** @typedef {import("./model.js").Message} Message */

/** @type {Record<string, string>} letters as in the live frames */
const LETTERS = { AppendEntries: "A", AppendResponse: "a", RequestVote: "V", VoteResponse: "v", InstallSnapshot: "S", SnapshotResponse: "s", TimeoutNow: "T", ReadIndex: "R", ReadIndexResponse: "r" };
const TAKES_MS = 1;

/**
 * @param {{node: number, t: number, effects: readonly string[]}} step
 * @returns {Message[]}
 */
export function sends({ node, t, effects }) {
  return effects.flatMap((effect) => {
    const [, name = "", to, refuses] = /^send (\w+) to n(\d+)( \(no\))?/.exec(effect) ?? [];
    const letter = LETTERS[name];
    return letter === undefined ? [] : [/** @type {Message} */ ([letter, node, Number(to), t, TAKES_MS, refuses === undefined ? 0 : 1, 0, 0])];
  });
}
