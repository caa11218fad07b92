// <raft-ring>: the nodes on a circle, what ails the links between them, and the messages on their way.

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Message} Message */

const NS = "http://www.w3.org/2000/svg";
const SIZE = 380;
const RING = 132;
const NODE = 47;
/** A message travels for about a millisecond: nobody would see it. */
const FLIGHT_MS = 420;
const FLIGHTS_MAX = 120;
/** Heartbeats leave room for what matters more. */
const QUIET_MAX = 70;

/**
 * @typedef {object} Drawn
 * @property {SVGGElement} group
 * @property {SVGElement} timer
 * @property {SVGElement} name
 * @property {SVGElement} role
 * @property {SVGElement} term
 * @property {SVGElement} entries
 */

/** @typedef {{dot: SVGElement, from: number, to: number, since: number, isLost: boolean}} Flight */

export class RaftRing extends HTMLElement {
  #svg = make("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, "aria-hidden": "true" });
  #lines = make("g", { class: "ring-lines" });
  #flights = make("g", { class: "ring-flights" });
  #nodes = make("g", {});
  /** @type {Map<number, Drawn>} */
  #drawn = new Map();
  /** @type {Flight[]} */
  #flying = [];
  #linesShown = "";
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  connectedCallback() {
    this.#svg.replaceChildren(this.#lines, this.#flights, this.#nodes);
    this.replaceChildren(this.#svg);
  }

  /** @param {Model} model */
  show(model) {
    const ids = [...model.nodes.keys()].sort((a, b) => a - b);
    if (ids.join() !== [...this.#drawn.keys()].join()) this.#rebuild(ids);
    for (const [id, node] of model.nodes) {
      const drawn = this.#drawn.get(id);
      if (drawn === undefined) continue;
      const isUp = node.state === "up";
      drawn.group.setAttribute("class", "ring-node");
      drawn.group.dataset.state = node.state;
      drawn.group.dataset.role = isUp ? node.role : "";
      write(drawn.role, isUp ? node.role : node.state);
      write(drawn.term, `term ${node.term}`);
      write(drawn.entries, `${node.commit}/${node.last}`);
    }
    this.#showLines(model);
  }

  /**
   * @param {Message[]} messages
   * @param {number} now_ms
   */
  fly(messages, now_ms) {
    if (this.#still.matches) return;
    for (const [kind, from, to, , takes_ms, flag] of messages) {
      const isQuiet = kind === "H" || kind === "a" || kind === "R" || kind === "r";
      if (this.#flying.length >= (isQuiet ? QUIET_MAX : FLIGHTS_MAX) || !this.#drawn.has(from) || !this.#drawn.has(to)) continue;
      const isLost = takes_ms < 0;
      const dot = isLost ? make("path", { d: "M-4-4L4 4M4-4L-4 4" }) : make("circle", { r: isQuiet ? "2.5" : "4.5" });
      dot.setAttribute("class", isLost ? "flight-lost" : flag === 1 ? "flight flight-refused" : isQuiet ? "flight flight-quiet" : "flight");
      dot.setAttribute("transform", `translate(${this.#place(from).join(" ")})`);
      this.#flights.append(dot);
      this.#flying.push({ dot, from, to, since: now_ms, isLost });
    }
  }

  /**
   * Moves what moves.
   * @param {Model} model
   * @param {number} now_ms
   */
  step(model, now_ms) {
    this.#flying = this.#flying.filter((flight) => {
      const done = (now_ms - flight.since) / FLIGHT_MS;
      if (done >= 1) {
        flight.dot.remove();
        return false;
      }
      const [x1, y1] = this.#place(flight.from);
      const [x2, y2] = this.#place(flight.to);
      const along = 0.22 + (flight.isLost ? Math.min(done, 0.5) : done) * 0.56;
      flight.dot.setAttribute("transform", `translate(${(x1 + (x2 - x1) * along).toFixed(1)} ${(y1 + (y2 - y1) * along).toFixed(1)})`);
      return true;
    });
    const lab_ms = model.labTime_ms(now_ms);
    for (const [id, { timer }] of this.#drawn) {
      const node = model.nodes.get(id);
      const isTimed = node?.state === "up" && node.deadline !== null && node.timeout !== null && node.timeout > 0;
      const left = isTimed ? Math.max(0, Math.min(1, (Number(node.deadline) - lab_ms) / Number(node.timeout))) : 0;
      timer.setAttribute("stroke-dasharray", `${(this.#still.matches ? 0 : left * 100).toFixed(1)} 100`);
    }
  }

  /** Takes away what was under way. */
  clear() {
    for (const { dot } of this.#flying) dot.remove();
    this.#flying = [];
  }

  /** @param {number[]} ids */
  #rebuild(ids) {
    this.clear();
    this.#drawn.clear();
    this.#linesShown = "";
    for (const id of ids) this.#drawn.set(id, drawNode(id));
    for (const [id, { group }] of this.#drawn) group.setAttribute("transform", `translate(${this.#place(id).map((n) => n.toFixed(1)).join(" ")})`);
    this.#nodes.replaceChildren(...[...this.#drawn.values()].map(({ group }) => group));
  }

  /** @param {Model} model */
  #showLines(model) {
    const ids = [...this.#drawn.keys()];
    const key = JSON.stringify([...model.links]) + ids.join();
    if (key === this.#linesShown) return;
    this.#linesShown = key;
    const parts = [];
    for (const a of ids) {
      for (const b of ids.filter((id) => id > a)) {
        const [there, back] = [model.links.get(`${a}>${b}`), model.links.get(`${b}>${a}`)];
        const [x1, y1] = this.#place(a);
        const [x2, y2] = this.#place(b);
        const kind = there?.cut && back?.cut ? "cut" : there !== undefined || back !== undefined ? "odd" : "well";
        parts.push(make("line", { x1, y1, x2, y2, class: `link-${kind}` }));
        if (there?.cut) parts.push(cross(x1 + (x2 - x1) * 0.6, y1 + (y2 - y1) * 0.6));
        if (back?.cut) parts.push(cross(x1 + (x2 - x1) * 0.4, y1 + (y2 - y1) * 0.4));
      }
    }
    this.#lines.replaceChildren(...parts);
  }

  /**
   * @param {number} id
   * @returns {[number, number]}
   */
  #place(id) {
    const ids = [...this.#drawn.keys()];
    const angle = (ids.indexOf(id) / ids.length) * 2 * Math.PI - Math.PI / 2;
    return [SIZE / 2 + RING * Math.cos(angle), SIZE / 2 + RING * Math.sin(angle)];
  }
}

/**
 * @param {number} id
 * @returns {Drawn}
 */
function drawNode(id) {
  const group = /** @type {SVGGElement} */ (make("g", { class: "ring-node" }));
  const timer = make("circle", { r: NODE + 4, class: "node-timer", pathLength: 100, transform: "rotate(-90)" });
  const name = make("text", { y: -17, class: "node-name" });
  const role = make("text", { y: 1, class: "node-role" });
  const term = make("text", { y: 17, class: "node-term" });
  const entries = make("text", { y: 31 });
  write(name, `n${id}`);
  group.append(make("circle", { r: NODE, class: "node-disc" }), timer, name, role, term, entries);
  return { group, timer, name, role, term, entries };
}

/**
 * @param {number} x
 * @param {number} y
 */
function cross(x, y) {
  return make("path", { d: `M${x - 5} ${y - 5}l10 10m0-10l-10 10`, class: "link-cross" });
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
function make(tag, attributes) {
  const element = /** @type {SVGElement} */ (document.createElementNS(NS, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * @param {Element} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

customElements.define("raft-ring", RaftRing);
