// Says what others do, for those who listen: gathered, so that it is said no more often than one can hear it.

import { together } from "./describe.js";

/** @typedef {import("../core/types.d.ts").Operation} Operation */

const EVERY_MS = 3000;

/**
 * @param {import("./board.js").Board} board
 * @param {HTMLElement} region a live region
 */
export function tellNews(board, region) {
  /** @type {Map<string, Operation[]>} by author */
  const heard = new Map();
  let timer = 0;
  const say = () => {
    timer = 0;
    const parts = [...heard].map(([who, operations]) => `${who}: ${together(operations)}.`);
    heard.clear();
    region.textContent = parts.join(" ");
  };
  board.addEventListener("fresh", (event) => {
    for (const operation of /** @type {CustomEvent<Operation[]>} */ (event).detail) {
      const who = board.others.names.get(operation.site) ?? "Somebody";
      heard.set(who, [...(heard.get(who) ?? []), operation]);
    }
    timer ||= setTimeout(say, EVERY_MS);
  });
  /** @type {Set<number>} */
  let here = new Set();
  board.addEventListener("people", () => {
    const now = new Set(board.others.people.keys());
    const came = [...now].filter((number) => !here.has(number) && number !== board.me);
    if (here.size && came.length) region.textContent = `${came.map((number) => board.others.people.get(number)?.name).join(", ")} came in.`;
    here = now;
  });
}
