// What the cluster is doing, in words. Pure.

/** @typedef {import("./model.js").RaftNode} RaftNode */
/** @typedef {import("./model.js").Link} Link */

/** A link as the lab makes it takes a millisecond or two: less than this is as usual. */
const USUAL_MS = 2;

/**
 * A node's condition: "leader", "down", "follower, learner, disk full".
 * @param {RaftNode} node
 * @returns {string}
 */
export function nodeWords(node) {
  return [node.state === "up" ? node.role : node.state, ...ailments(node)].join(", ");
}

/**
 * What is not as usual about a node, but for its state.
 * @param {RaftNode} node
 * @returns {string[]}
 */
export function ailments({ member, disk, clock }) {
  return [member === "voter" ? "" : member === "none" ? "no member" : member, disk === "ok" ? "" : `disk ${disk}`, clock === 1000 ? "" : `clock ×${clock / 1000}`].filter(Boolean);
}

/**
 * What is not as usual about a link that is not cut: "+80 ms ±20 ms, loses 30 %". Empty when all is.
 * @param {Link} link
 * @returns {string}
 */
export function linkWords({ delay_ms = 0, jitter_ms = 0, loss = 0, duplicate = 0 }) {
  const slow = delay_ms > USUAL_MS || jitter_ms > USUAL_MS;
  return [slow ? `${delay_ms} ms${jitter_ms > USUAL_MS ? ` ±${jitter_ms} ms` : ""}` : "", loss ? `loses ${loss / 10} %` : "", duplicate ? `doubles ${duplicate / 10} %` : ""].filter(Boolean).join(", ");
}

/**
 * All links in a sentence.
 * @param {ReadonlyMap<string, Link>} links only those that are not as usual
 * @returns {string}
 */
export function networkWords(links) {
  const cut = [...links].filter(([, link]) => link.cut).map(([name]) => name);
  const back = (/** @type {string} */ name) => name.split(">").reverse().join(">");
  const words = [];
  for (const name of cut) {
    if (!cut.includes(back(name))) words.push(`${arrow(name)} cut`);
    else if (name < back(name)) words.push(`${arrow(name, "–")} cut`);
  }
  const odd = [...links].filter(([, link]) => !link.cut && linkWords(link) !== "");
  if (odd.length > 4) words.push(`${odd.length} ways ${linkWords(odd[0]?.[1] ?? {})}`);
  else words.push(...odd.map(([name, link]) => `${arrow(name)} ${linkWords(link)}`));
  return words.length === 0 ? "All links pass." : `Links: ${words.join("; ")}.`;
}

/**
 * The ring for those who do not see it: "n3 leads term 7. n1, n2 and n4 follow. n5 is down. All links pass."
 * @param {ReadonlyMap<number, RaftNode>} nodes
 * @param {ReadonlyMap<string, Link>} links
 * @returns {string}
 */
export function ringWords(nodes, links) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const [id, node] of [...nodes].sort(([a], [b]) => a - b)) {
    const is = node.state !== "up" ? `down: ${node.state}` : node.role === "leader" ? `leads term ${node.term}` : node.role;
    groups.set(is, [...(groups.get(is) ?? []), `n${id}`]);
  }
  const byRank = [...groups].sort(([a], [b]) => Number(b.startsWith("leads")) - Number(a.startsWith("leads")));
  const sentences = byRank.map(([is, names]) => {
    const verb = { follower: names.length > 1 ? "follow" : "follows", "down: down": names.length > 1 ? "are down" : "is down" }[is];
    if (verb !== undefined) return `${listed(names)} ${verb}.`;
    return is.startsWith("leads") ? `${listed(names)} ${is}.` : `${listed(names)}: ${is.replace("down: ", "")}.`;
  });
  return [...sentences, networkWords(links)].join(" ");
}

/**
 * @param {readonly string[]} names
 * @returns {string} "n1, n2 and n4"
 */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/**
 * A text as a sentence: with a capital and an end.
 * @param {string} text
 * @returns {string}
 */
export function sentence(text) {
  if (text === "") return "";
  const begun = /^n\d/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/**
 * @param {string} name "1>2"
 * @param {string} sign
 */
function arrow(name, sign = "→") {
  const [from, to] = name.split(">");
  return `n${from}${sign}n${to}`;
}
