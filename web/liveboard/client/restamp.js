// Stamping operations anew under another site: they keep their content, and what they say of one another.

import { encodeOperation } from "../core/codec.js";
import { keyOf } from "../core/operations.js";
import { entryOf } from "../core/opset.js";

/** @typedef {import("../core/types.d.ts").Entry} Entry */
/** @typedef {import("../core/types.d.ts").OpId} OpId */

/**
 * New operations with the bodies of `entries`, numbered from `seq` + 1 with clocks from `lamport`. Targets among
 * them are renamed too. A `visibility` speaks of its own site only: what it says of operations that stay with the old site
 * cannot be said any more, and it is `lost` when nothing remains.
 * @param {Entry[]} entries
 * @param {string} site
 * @param {number} seq
 * @param {number} lamport
 * @returns {{made: Entry[], lost: string[]}}
 */
export function restamped(entries, site, seq, lamport) {
  /** @type {Map<string, OpId>} */
  const renamed = new Map();
  /** @type {Entry[]} */
  const made = [];
  /** @type {string[]} */
  const lost = [];
  for (const { operation } of entries) {
    const body = renamedBody(operation, renamed);
    if (!body) {
      lost.push(keyOf(operation));
      continue;
    }
    const stamp = { site, seq: seq + made.length + 1, lamport: lamport + made.length };
    renamed.set(keyOf(operation), stamp);
    made.push(entryOf(encodeOperation({ ...body, ...stamp })));
  }
  return { made, lost };
}

/**
 * @param {import("../core/types.d.ts").Operation} operation
 * @param {Map<string, OpId>} renamed
 */
function renamedBody(operation, renamed) {
  if (operation.kind === "visibility") {
    const ids = operation.seqs.map((seq) => renamed.get(keyOf({ site: operation.site, seq })));
    const seqs = ids.flatMap((id) => (id ? [id.seq] : []));
    return seqs.length ? { ...operation, seqs: seqs.sort((one, other) => one - other) } : null;
  }
  if (!("targets" in operation)) return operation;
  const targets = operation.targets.map((target) => ({ ...target, ...idOf(renamed.get(keyOf(target)) ?? target) }));
  targets.sort((one, other) => (one.site === other.site ? one.seq - other.seq : one.site < other.site ? -1 : 1));
  return /** @type {import("../core/types.d.ts").Operation} */ ({ ...operation, targets });
}

/** @param {OpId} id without the clock of a stamp */
const idOf = ({ site, seq }) => ({ site, seq });
