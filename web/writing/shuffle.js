// Two replicas in this page, on the board's own core: the same operations, each in an order of its own, some of them twice.

import { html, one } from "/assets/dom.js";
import { counted } from "/assets/format.js";

const SITES = 3;
const STROKES = 40;

/**
 * @param {HTMLElement} section
 * @param {(words: string) => void} say
 * @param {(path: string) => Promise<any>} fromPlugin
 */
export async function shuffle(section, say, fromPlugin) {
  const core = await Promise.all(["codec", "opset", "picture"].map((name) => fromPlugin(`/liveboard/core/${name}.js`)));
  const [{ encodeOperation }, { entryOf, OperationSet }, { Picture }] = core;
  const button = one("button", HTMLButtonElement, section);
  const list = one("dl", HTMLDListElement, section);
  button.disabled = false;
  button.addEventListener("click", () => {
    const entries = operations().map((operation) => entryOf(encodeOperation(operation)));
    const boards = ["Replica A", "Replica B"].map((name) => {
      const [set, picture] = [new OperationSet(), new Picture()];
      for (const entry of arrivals(entries)) if (set.add(entry) === "new") picture.add(entry.operation);
      return { name, digest: set.digest, root: set.root, look: picture.digest(), shown: [...picture.shown()].length };
    });
    list.replaceChildren(
      ...boards.flatMap(({ name, digest, shown }) => [html("dt", {}, name), html("dd", {}, `${digest} · ${counted(shown, "mark")} in sight`)]),
    );
    const [first, other] = /** @type {[any, any]} */ (boards);
    const isSame = first.digest === other.digest && first.root === other.root && first.look === other.look;
    say(`${counted(entries.length, "operation")}, two orders, copies among them: ${isSame ? "the digests, the roots and what shows are the same." : "the boards differ."}`);
    section.dataset.verdict = isSame ? "holds" : "broke";
  });
}

/** Strokes of a few sites, and an erasure, a move and an undo that speak of some of them. */
function operations() {
  const sites = Array.from({ length: SITES }, () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join(""));
  const seqs = new Map(sites.map((site) => [site, 0]));
  let lamport = 0;
  const stamp = (/** @type {string} */ site) => {
    const seq = (seqs.get(site) ?? 0) + 1;
    seqs.set(site, seq);
    return { site, seq, lamport: (lamport += 1) };
  };
  const strokes = Array.from({ length: STROKES }, (_, number) => {
    const points = Array.from({ length: 12 }, () => Math.floor(Math.random() * 8000));
    const style = { color: 0x0c8577, size: 16, opacity: 100 };
    return { kind: "stroke", ...stamp(/** @type {string} */ (sites[number % SITES])), tool: "pen", ...style, points, pressures: null };
  });
  const [first, second] = /** @type {[string, string]} */ (sites);
  return [
    ...strokes,
    { kind: "visibility", ...stamp(first), visible: false, seqs: [2] },
    { kind: "move", ...stamp(second), targets: [{ site: first, seq: 1 }, { site: first, seq: 3 }], dx: 80, dy: -40 },
    { kind: "erase", ...stamp(second), targets: [{ site: first, seq: 4, ranges: [[2, 5]] }] },
  ];
}

/**
 * @template T
 * @param {T[]} list
 * @returns {T[]} in an order drawn by lot, each fourth one twice
 */
function arrivals(list) {
  const result = [...list, ...list.filter((_, at) => at % 4 === 0)];
  for (let at = result.length - 1; at > 0; at -= 1) {
    const other = Math.floor(Math.random() * (at + 1));
    [result[at], result[other]] = [/** @type {T} */ (result[other]), /** @type {T} */ (result[at])];
  }
  return result;
}
