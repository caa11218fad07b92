// <raft-ring>: the nodes on a circle, what ails the links between them, and the messages on their way.
// A pointer may press nodes and links; for the keyboard, the same stands in the panels beside it.

import { svg, write } from "/assets/dom.js";
import { Flights } from "./flights.js";
import { ailments, linkWords, ringWords } from "./words.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./model.js").Message} Message */

const SIZE = 420;
/** Below the lowest nodes nothing is left free. */
const HEIGHT = 406;
const RING = 148;
const NODE = 52;
/** More links with words on them could not be told apart. */
const LINK_WORDS_MAX = 6;

/** @typedef {{group: SVGElement, timer: SVGElement, ails: SVGElement, lines: SVGElement[]}} Drawn */

export class RaftRing extends HTMLElement {
  /** @type {(id: number) => void} */
  onNode = () => {};
  /** @type {(a: number, b: number) => void} */
  onLink = () => {};
  #svg = svg("svg", { viewBox: `0 0 ${SIZE} ${HEIGHT}`, "aria-hidden": "true" });
  #lines = svg("g", { class: "ring-lines" });
  #nodes = svg("g");
  /** @type {Map<number, Drawn>} */
  #drawn = new Map();
  /** @type {Map<number, [number, number]>} */
  #places = new Map();
  #flights = new Flights(svg("g", { class: "ring-flights" }), (id) => this.#places.get(id) ?? null);
  #linesShown = "";
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  connectedCallback() {
    this.setAttribute("role", "img");
    this.#svg.replaceChildren(this.#lines, this.#flights.group, this.#nodes);
    this.replaceChildren(this.#svg);
    this.#svg.addEventListener("click", (event) => this.#pressed(event));
  }

  /** @param {Model} model */
  show(model) {
    if (model.ids.join() !== [...this.#drawn.keys()].join()) this.#rebuild(model.ids);
    for (const [id, node] of model.nodes) {
      const drawn = this.#drawn.get(id);
      if (drawn === undefined) continue;
      const isUp = node.state === "up";
      drawn.group.dataset.state = node.state;
      drawn.group.dataset.role = isUp ? node.role : "";
      const words = [isUp ? node.role : node.state, `term ${node.term}`, node.vote ? `voted n${node.vote}` : "no vote", `${node.commit}/${node.last}`];
      for (const [place, text] of words.entries()) write(/** @type {SVGElement} */ (drawn.lines[place]), text);
      write(drawn.ails, ailments(node).join(", "));
    }
    this.#showLines(model);
    const label = ringWords(model.nodes, model.links);
    if (this.getAttribute("aria-label") !== label) this.setAttribute("aria-label", label);
  }

  /** @param {number | null} id of the node to mark */
  set chosen(id) {
    for (const [each, { group }] of this.#drawn) group.toggleAttribute("data-chosen", each === id);
  }

  /**
   * @param {readonly Message[]} messages
   * @param {number} now_ms
   */
  fly(messages, now_ms) {
    if (!this.#still.matches) this.#flights.add(messages, now_ms);
  }

  /**
   * Moves what moves.
   * @param {Model} model
   * @param {number} now_ms
   */
  step(model, now_ms) {
    this.#flights.step(now_ms);
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
    this.#flights.clear();
  }

  /** @param {Event} event */
  #pressed(event) {
    const pressed = event.target instanceof Element ? event.target.closest("[data-node], [data-link]") : null;
    const link = pressed?.getAttribute("data-link")?.split("-").map(Number);
    if (link !== undefined) this.onLink(Number(link[0]), Number(link[1]));
    else if (pressed !== null) this.onNode(Number(pressed?.getAttribute("data-node")));
  }

  /** @param {number[]} ids */
  #rebuild(ids) {
    this.clear();
    this.#linesShown = "";
    this.#drawn = new Map(ids.map((id) => [id, drawNode(id)]));
    this.#places = new Map(ids.map((id, place) => {
      const angle = (place / ids.length) * 2 * Math.PI - Math.PI / 2;
      return [id, [SIZE / 2 + RING * Math.cos(angle), SIZE / 2 + RING * Math.sin(angle)]];
    }));
    for (const [id, { group }] of this.#drawn) group.setAttribute("transform", `translate(${this.#places.get(id)?.map((at) => at.toFixed(1)).join(" ")})`);
    this.#nodes.replaceChildren(...[...this.#drawn.values()].map(({ group }) => group));
  }

  /** @param {Model} model */
  #showLines(model) {
    const key = JSON.stringify([...model.links]) + model.ids.join();
    if (key === this.#linesShown) return;
    this.#linesShown = key;
    const odd = [...model.links.values()].filter((link) => !link.cut && linkWords(link) !== "");
    const parts = [];
    const words = [];
    for (const a of model.ids) {
      for (const b of model.ids.filter((id) => id > a)) {
        const ways = /** @type {const} */ ([model.links.get(`${a}>${b}`), model.links.get(`${b}>${a}`)]);
        const said = [...new Set(ways.map((link) => (link === undefined || link.cut ? "" : linkWords(link))))].filter(Boolean).join("; ");
        parts.push(this.#drawLink(a, b, ways, said));
        if (said !== "" && odd.length <= LINK_WORDS_MAX) words.push(this.#label(a, b, said.replace(/ ±\d+ ms/g, "")));
      }
    }
    this.#lines.replaceChildren(...parts, ...words);
  }

  /**
   * @param {number} a
   * @param {number} b
   * @param {readonly [import("./model.js").Link | undefined, import("./model.js").Link | undefined]} ways
   * @param {string} said
   */
  #drawLink(a, b, [there, back], said) {
    const [[x1, y1], [x2, y2]] = [this.#places.get(a) ?? [0, 0], this.#places.get(b) ?? [0, 0]];
    const kind = there?.cut && back?.cut ? "cut" : there?.cut || back?.cut ? "half" : said !== "" ? "odd" : "well";
    const group = svg("g", { "data-link": `${a}-${b}`, class: `link link-${kind}` });
    const does = kind === "cut" || kind === "half" ? "mends" : "cuts";
    group.append(
      svg("title", {}, `n${a}–n${b}${said === "" ? "" : `, ${said}`}: a press ${does} it`),
      svg("line", { x1, y1, x2, y2, class: "link-hit" }),
      svg("line", { x1, y1, x2, y2, class: "link-line" }),
    );
    if (there?.cut && back?.cut) group.append(cross(x1, y1, x2, y2, 0.5));
    else if (there?.cut) group.append(cross(x1, y1, x2, y2, 0.62), arrowHead(x2, y2, x1, y1));
    else if (back?.cut) group.append(cross(x1, y1, x2, y2, 0.38), arrowHead(x1, y1, x2, y2));
    return group;
  }

  /**
   * @param {number} a
   * @param {number} b
   * @param {string} words
   */
  #label(a, b, words) {
    const [[x1, y1], [x2, y2]] = [this.#places.get(a) ?? [0, 0], this.#places.get(b) ?? [0, 0]];
    return svg("text", { x: (x1 + x2) / 2, y: (y1 + y2) / 2 + 4, class: "link-words" }, words);
  }
}

/**
 * @param {number} id
 * @returns {Drawn}
 */
function drawNode(id) {
  const group = svg("g", { class: "ring-node", "data-node": id });
  const timer = svg("circle", { r: NODE + 4, class: "node-timer", pathLength: 100, transform: "rotate(-90)" });
  const lines = /** @type {[number, string][]} */ ([[-9, "node-role"], [7, "node-term"], [21, "node-vote"], [36, "node-log"]]).map(([y, name]) => svg("text", { y, class: name }));
  const ails = svg("text", { y: NODE + 18, class: "node-ails" });
  group.append(svg("circle", { r: NODE + 9, class: "node-chosen" }), svg("circle", { r: NODE, class: "node-disc" }), timer, svg("text", { y: -26, class: "node-name" }, `n${id}`), ...lines, ails);
  return { group, timer, ails, lines };
}

/**
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @param {number} share
 */
function cross(x1, y1, x2, y2, share) {
  return svg("path", { d: "M-5-5L5 5M5-5L-5 5", transform: `translate(${x1 + (x2 - x1) * share} ${y1 + (y2 - y1) * share})`, class: "link-cross" });
}

/**
 * The way that is left, as an arrow: from the first point towards the second.
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
function arrowHead(x1, y1, x2, y2) {
  const angle = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const share = 1 - (NODE + 14) / (Math.hypot(x2 - x1, y2 - y1) || 1);
  return svg("path", { d: "M-8-5L2 0L-8 5", transform: `translate(${x1 + (x2 - x1) * share} ${y1 + (y2 - y1) * share}) rotate(${angle})`, class: "link-arrow" });
}

customElements.define("raft-ring", RaftRing);
