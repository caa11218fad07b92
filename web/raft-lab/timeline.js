// <raft-timeline>: terms as bands, below them what each node was, above them the faults.

import { svg, write } from "/assets/dom.js";

/** @typedef {import("./annals.js").Annals} Annals */

/** The page's type at its usual size. */
const TYPE_PX = 16;
const GUTTER = 30;
const MARKS = 16;
const BAND = 22;
const LANE = 11;
const AXIS = 16;
const HUES = 6;
/** How wide a character is: bands that are narrower than their words go without. */
const CHARACTER_PX = 6.4;
const SPAN_MS = 60_000;

export class RaftTimeline extends HTMLElement {
  #drawing = svg("svg", { "aria-hidden": "true" });
  #moving = svg("g");
  #standing = svg("g");
  /** In the drawing's units, which grow with the page's type. */
  #width = 0;
  #unit_px = 1;
  #drawn = "";
  /** The moment at the drawing's left: coordinates stay small however long the lab has run. */
  #origin = 0;
  /** @type {{from: number, to: number} | null} a recording's whole length; null: the last minute, live */
  #fixed = null;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  connectedCallback() {
    if (this.#width > 0) return;
    this.#drawing.append(this.#moving, this.#standing);
    this.replaceChildren(this.#drawing);
    new ResizeObserver(([entry]) => {
      this.#unit_px = parseFloat(getComputedStyle(document.documentElement).fontSize) / TYPE_PX;
      this.#width = Math.floor((entry?.contentRect.width ?? 0) / this.#unit_px);
      this.#drawn = "";
    }).observe(this);
  }

  /** @param {{from: number, to: number} | null} span */
  set fixed(span) {
    this.#fixed = span;
    this.#drawn = "";
  }

  /**
   * @param {Annals} annals
   * @param {number} t the lab's time, milliseconds
   * @param {readonly number[]} ids
   */
  show(annals, t, ids) {
    if (this.#width <= GUTTER) return;
    const to = this.#fixed?.to ?? t;
    // Without motion it moves on once a second.
    const from = this.#fixed?.from ?? (this.#still.matches ? Math.floor(t / 1000) * 1000 : t) - SPAN_MS;
    const scale = (this.#width - GUTTER) / (this.#fixed === null ? SPAN_MS : to - from || 1);
    const key = `${annals.version} ${this.#width} ${ids.join()} ${this.#fixed?.from ?? ""}`;
    if (key !== this.#drawn) {
      this.#drawn = key;
      this.#origin = from;
      this.#draw(annals, ids, (at) => (at - this.#origin) * scale);
    }
    this.#moving.setAttribute("transform", `translate(${(GUTTER - (from - this.#origin) * scale).toFixed(1)} 0)`);
    for (const open of this.#moving.querySelectorAll("rect[data-from]")) {
      open.setAttribute("width", Math.max(0, (to - Number(open.getAttribute("data-from"))) * scale).toFixed(1));
    }
    for (const words of this.#moving.querySelectorAll("text")) {
      const began = Math.max(Number(words.dataset.from), from);
      const room = ((Number(words.dataset.to ?? to) - began) * scale - 10) / CHARACTER_PX;
      words.setAttribute("x", ((began - this.#origin) * scale + 6).toFixed(1));
      write(words, [words.dataset.long, words.dataset.short].find((each) => (each?.length ?? 0) <= room) ?? "");
    }
    this.#point(GUTTER + (t - from) * scale);
  }

  /**
   * @param {Annals} annals
   * @param {readonly number[]} ids
   * @param {(t: number) => number} x
   */
  #draw(annals, ids, x) {
    const height = MARKS + BAND + ids.length * LANE + AXIS;
    this.#drawing.setAttribute("viewBox", `0 0 ${this.#width} ${height}`);
    this.#drawing.setAttribute("height", String(height * this.#unit_px));
    const parts = annals.bands.flatMap((band) => drawBand(band, x));
    for (const [place, id] of ids.entries()) {
      const y = MARKS + BAND + place * LANE;
      for (const { from, to, is } of annals.lanes.get(id) ?? []) {
        const thick = { leader: 7, candidate: 5, precandidate: 5, follower: 2 }[is] ?? 1;
        parts.push(stretch({ from, to, y: y + (LANE - thick) / 2, height: thick, class: `lane lane-${is}` }, x));
      }
    }
    for (const { t, kind, text } of annals.marks) {
      const d = kind === "heal" ? "M-4 7a4 4 0 1 0 8 0a4 4 0 1 0-8 0" : "M-5 3h10L0 12z";
      parts.push(svg("path", { d, transform: `translate(${x(t).toFixed(1)} 0)`, class: `mark mark-${kind}` }, svg("title", {}, text)));
    }
    this.#moving.replaceChildren(...parts);
    const words = ids.map((id, place) => svg("text", { x: 0, y: MARKS + BAND + place * LANE + 9, class: "lane-name" }, `n${id}`));
    const [first, last] = this.#fixed === null ? ["60 s ago", "now"] : ["0 s", `${((this.#fixed.to - this.#fixed.from) / 1000).toFixed(1)} s`];
    this.#standing.replaceChildren(
      svg("rect", { x: 0, y: 0, width: GUTTER - 2, height, class: "lane-gutter" }),
      ...words,
      svg("text", { x: GUTTER, y: height - 3, class: "axis" }, first ?? ""),
      svg("text", { x: this.#width, y: height - 3, class: "axis axis-end" }, last ?? ""),
      svg("line", { y1: 2, y2: height - AXIS, class: "cursor" }),
    );
  }

  /** @param {number} x */
  #point(x) {
    const cursor = this.#standing.querySelector(".cursor");
    cursor?.setAttribute("transform", `translate(${Math.min(x, this.#width - 1).toFixed(1)} 0)`);
    cursor?.setAttribute("visibility", this.#fixed === null ? "hidden" : "visible");
  }
}

/**
 * @param {import("./annals.js").Band} band
 * @param {(t: number) => number} x
 */
function drawBand({ from, to, term, leader }, x) {
  if (leader === 0) return [stretch({ from, to, y: MARKS + BAND / 2 - 2, height: 2, class: "band-nobody" }, x)];
  return [
    stretch({ from, to, y: MARKS + 1, height: BAND - 4, class: `band term-${term % HUES}` }, x),
    svg("text", { y: MARKS + 14, class: "band-words", "data-from": from, "data-to": to ?? undefined, "data-long": `n${leader} · term ${term}`, "data-short": `n${leader}` }),
  ];
}

/**
 * @param {{from: number, to: number | null, y: number, height: number, class: string}} what one that is open grows
 * @param {(t: number) => number} x
 */
function stretch({ from, to, ...rest }, x) {
  const width = to === null ? 0 : Math.max(1.5, x(to) - x(from)).toFixed(1);
  return svg("rect", { x: x(from).toFixed(1), width, "data-from": to === null ? from : undefined, ...rest });
}

customElements.define("raft-timeline", RaftTimeline);
