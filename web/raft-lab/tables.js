// The cluster in words and cells: nodes, logs, links, keys, promises. Each is drawn anew only when it changed.

/** @typedef {import("./model.js").Model} Model */

const ROWS_MAX = 14;
const HUES = 6;
/** @type {WeakMap<Element, string>} what an element shows, so that it is not drawn twice */
const shown = new WeakMap();

/** @param {Model} model */
export function showNodes(model) {
  const rows = [...model.nodes].sort(([a], [b]) => a - b).map(([id, node]) => {
    const ails = [node.member === "voter" ? "" : node.member, node.disk === "ok" ? "" : `disk ${node.disk}`, node.clock === 1000 ? "" : `clock ×${node.clock / 1000}`];
    const is = [node.state === "up" ? node.role : node.state, ...ails].filter(Boolean).join(", ");
    return { id, state: node.state, role: node.role, cells: [is, node.term, node.vote ? `n${node.vote}` : "–", node.last, node.commit] };
  });
  draw("#nodes", rows, () =>
    rows.map(({ id, state, role, cells }) => {
      const row = make("tr", "", [make("th", `n${id}`), ...cells.map((cell, place) => make("td", String(cell), [], place > 0 ? "number" : ""))]);
      row.firstElementChild?.setAttribute("scope", "row");
      row.dataset.state = state;
      row.dataset.role = role;
      return row;
    }),
  );
}

/** @param {Model} model */
export function showLogs(model) {
  const columns = [...model.nodes].sort(([a], [b]) => a - b).map(([id, { last, commit, snapshot, log, role, state }]) => ({ id, last, commit, snapshot, log, isLeader: state === "up" && role === "leader" }));
  draw("#logs", columns, () => {
    const newest = Math.max(0, ...columns.map(({ last }) => last));
    const oldest = Math.max(1, newest - ROWS_MAX + 1);
    const head = make("tr", "", [make("th", "no.", [], "number"), ...columns.map(({ id, isLeader }) => make("th", `n${id}`, isLeader ? [make("span", " leads")] : [], isLeader ? "leads" : ""))]);
    const rows = [];
    for (let index = oldest; index <= newest; index += 1) {
      rows.push(make("tr", "", [make("th", String(index), [], "number"), ...columns.map((column) => logCell(column, index))]));
    }
    return [make("thead", "", [head]), make("tbody", "", rows)];
  });
  /** @type {HTMLElement} */ (document.querySelector("#no-logs")).hidden = true;
}

/**
 * @param {{last: number, commit: number, snapshot: number, log: import("./model.js").Entry[]}} column
 * @param {number} index
 */
function logCell({ commit, snapshot, log }, index) {
  const entry = log.find(([at]) => at === index);
  const cell = make("td", "");
  if (index === commit) cell.classList.add("commit-line");
  if (entry === undefined) {
    if (index <= snapshot) cell.append(make("i", "in snapshot", [], "faint"));
    return cell;
  }
  const [, term, , text] = entry;
  const isCommitted = index <= commit;
  cell.classList.add("entry", `term-${term % HUES}`, isCommitted ? "is-committed" : "is-open");
  cell.title = `entry ${index} of term ${term}: ${text}${isCommitted ? "" : " (not known to be committed)"}`;
  cell.append(make("b", String(term)), make("span", text));
  return cell;
}

/** @param {Model} model */
export function showLinks(model) {
  const cut = [...model.links].filter(([, link]) => link.cut).map(([name]) => name);
  const pairs = cut.filter((name) => cut.includes(name.split(">").reverse().join(">")));
  const words = [
    ...pairs.filter((name) => Number(name.split(">")[0]) < Number(name.split(">")[1])).map((name) => `${name.replace(">", "–")} cut`),
    ...cut.filter((name) => !pairs.includes(name)).map((name) => `${name.replace(">", "→")} cut`),
  ];
  const odd = [...model.links].filter(([, link]) => !link.cut);
  if (odd.length > 4) words.push(`${odd.length} links ${linkWords(odd[0]?.[1] ?? {})}`);
  else words.push(...odd.map(([name, link]) => `${name.replace(">", "→")} ${linkWords(link)}`));
  const text = model.links.size === 0 ? "All links pass." : `Links: ${words.join(", ")}.`;
  const place = /** @type {HTMLElement} */ (document.querySelector("#links"));
  if (place.textContent !== text) place.textContent = text;
}

/** @param {import("./model.js").Link} link */
function linkWords({ delay_ms, jitter_ms, loss, duplicate }) {
  return [
    delay_ms ? `+${delay_ms} ms` : "",
    jitter_ms ? `±${jitter_ms} ms` : "",
    loss ? `lose ${loss / 10} %` : "",
    duplicate ? `double ${duplicate / 10} %` : "",
  ].filter(Boolean).join(" ");
}

/** @param {Model} model */
export function showKeys(model) {
  const pairs = [...model.kv].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, 50);
  draw("#kv", pairs, () => (pairs.length === 0 ? [make("p", "No key is set.", [], "faint")] : pairs.map(([key, value]) => make("div", "", [make("dt", key), make("dd", value)]))));
}

/** @param {any} checks */
export function showChecks(checks) {
  document.querySelector("#verdict")?.setAttribute("verdict", checks.verdict);
  draw("#invariants", checks.invariants, () =>
    checks.invariants.map((/** @type {any} */ { statement, holds, checked, found }) => {
      const item = make("li", "", [make("b", holds ? "✓" : "✗"), make("span", found ? `${statement}: ${found}` : statement), make("small", `${checked.toLocaleString("en")} checks`, [], "faint")]);
      item.dataset.holds = holds ? "yes" : "no";
      return item;
    }),
  );
  if (checks.linearizable === undefined) return; // a recording holds what the nodes did, not what clients saw
  const { verdict, operations, open, found } = checks.linearizable;
  const said = verdict === "ok" ? "a legal order exists" : verdict === "illegal" ? `no legal order exists (${JSON.stringify(found)})` : "unknown";
  const text = `Linearizability of ${operations} client operations, ${open} open: ${said}.`;
  const place = /** @type {HTMLElement} */ (document.querySelector("#linearizable"));
  if (place.textContent !== text) place.textContent = text;
}

/**
 * @param {string} selector
 * @param {unknown} what
 * @param {() => Node[]} build
 */
function draw(selector, what, build) {
  const place = document.querySelector(selector);
  const key = JSON.stringify(what);
  if (place === null || shown.get(place) === key) return;
  shown.set(place, key);
  place.replaceChildren(...build());
}

/**
 * @param {string} tag
 * @param {string} text
 * @param {Node[]} [children]
 * @param {string} [className]
 */
function make(tag, text, children = [], className = "") {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...(text === "" ? [] : [text]), ...children);
  return element;
}
