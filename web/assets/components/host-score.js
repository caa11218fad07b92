// <host-score>: the host as a picture: a line a plugin, drawn from left to right as it lives, breaks and comes back.

import { counted, uptime } from "../format.js";
import { follow } from "../overview.js";

/** @typedef {import("../overview.js").PluginState} PluginState */
/** @typedef {{state: string, from_s: number, restarts: number}} Stretch */

const SVG = "http://www.w3.org/2000/svg";
const WINDOW_S = 120;
const WIDTH = 600;
const ROW = 40;
const STRETCHES_MAX = 200;

/** What a state looks like; the legend says it in words. */
const LINES = /** @type {Record<string, string>} */ ({
  ready: "solid",
  degraded: "dashed",
  starting: "dotted",
  configured: "dotted",
  discovered: "gap",
  stopping: "dotted",
  backoff: "gap",
  failed: "gap",
  stopped: "gap",
});

export class HostScore extends HTMLElement {
  /** @type {Map<string, Stretch[]>} */
  #lives = new Map();
  /** @type {(() => void) | null} */
  #unfollow = null;
  #list = document.createElement("ul");

  connectedCallback() {
    this.#unfollow = follow({
      onOverview: (overview) => {
        const now_s = Date.now() / 1000;
        for (const plugin of overview.host.plugins) remember(this.#lives, plugin, now_s);
        this.#draw(overview.host.plugins, now_s);
      },
    });
  }

  disconnectedCallback() {
    this.#unfollow?.();
  }

  /**
   * @param {PluginState[]} plugins
   * @param {number} now_s
   */
  #draw(plugins, now_s) {
    if (!this.#list.isConnected) {
      this.#list.className = "score";
      this.#list.setAttribute("aria-label", this.getAttribute("label") ?? "Plugins");
      this.replaceChildren(this.#list, legend());
    }
    this.#list.replaceChildren(...plugins.map((plugin) => this.#row(plugin, now_s)));
  }

  /**
   * @param {PluginState} plugin
   * @param {number} now_s
   */
  #row(plugin, now_s) {
    const row = document.createElement("li");
    row.dataset.voice = plugin.name;
    row.dataset.state = plugin.state;
    const name = document.createElement("span");
    name.className = "score-name";
    name.textContent = plugin.name;
    const words = document.createElement("span");
    words.className = "score-words";
    const life = this.#lives.get(plugin.name) ?? [];
    const since = life.at(-1)?.from_s;
    const restarts = plugin.restarts ?? 0;
    words.textContent =
      plugin.enabled === false
        ? "not enabled"
        : [
            since === undefined ? plugin.state : `${plugin.state} for ${uptime(now_s - since)}`,
            restarts > 0 ? counted(restarts, "restart") : "",
            plugin.reason ?? "",
          ]
            .filter((part) => part !== "")
            .join(" · ");
    row.append(name, draw(stretchesSeen(life, now_s, WINDOW_S)), words);
    return row;
  }
}

/**
 * Adds what is heard of a plugin to its life so far.
 * @param {Map<string, Stretch[]>} lives
 * @param {PluginState} plugin
 * @param {number} now_s
 */
export function remember(lives, plugin, now_s) {
  const life = lives.get(plugin.name) ?? [];
  const restarts = plugin.restarts ?? 0;
  const last = life.at(-1);
  if (last === undefined || last.state !== plugin.state || last.restarts !== restarts) {
    // What never ran has been down for ever.
    const since_s = plugin.since_s ?? (plugin.enabled === false ? Infinity : 0);
    const from_s = Math.max(now_s - since_s, last?.from_s ?? -Infinity);
    life.push({ state: plugin.state, from_s, restarts });
    if (life.length > STRETCHES_MAX) life.shift();
  }
  lives.set(plugin.name, life);
}

/**
 * The part of a life that falls into the window, each stretch from and to as a share of it (0 oldest, 1 now).
 * @param {readonly Stretch[]} life
 * @param {number} now_s
 * @param {number} window_s
 * @returns {{state: string, from: number, to: number, isRestart: boolean}[]}
 */
export function stretchesSeen(life, now_s, window_s) {
  const share = (/** @type {number} */ at_s) => Math.min(1, Math.max(0, 1 - (now_s - at_s) / window_s));
  return life
    .map((stretch, place) => ({
      state: stretch.state,
      from: share(stretch.from_s),
      to: share(life[place + 1]?.from_s ?? now_s),
      isRestart: place > 0 && stretch.restarts > (life[place - 1]?.restarts ?? 0),
    }))
    .filter(({ from, to }) => to > from || to === 1);
}

/** @param {ReturnType<typeof stretchesSeen>} stretches */
function draw(stretches) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${ROW}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const { state, from, to, isRestart } of stretches) {
    svg.append(line(from * WIDTH, to * WIDTH, ROW / 2, ROW / 2, `life life-${LINES[state] ?? "gap"}`));
    if (isRestart) svg.append(line(from * WIDTH, from * WIDTH, 9, ROW - 9, "life-restart"));
  }
  return svg;
}

/**
 * @param {number} x1
 * @param {number} x2
 * @param {number} y1
 * @param {number} y2
 * @param {string} className
 */
function line(x1, x2, y1, y2, className) {
  const element = document.createElementNS(SVG, "line");
  for (const [key, value] of Object.entries({ x1, x2, y1, y2 })) element.setAttribute(key, String(value));
  element.setAttribute("class", className);
  return element;
}

function legend() {
  const words = document.createElement("p");
  words.className = "score-legend";
  const kinds = /** @type {[string, string][]} */ ([
    ["solid", "serving"],
    ["dashed", "degraded"],
    ["dotted", "starting or stopping"],
    ["gap", "down"],
  ]);
  for (const [kind, meaning] of kinds) {
    const sample = document.createElementNS(SVG, "svg");
    sample.setAttribute("viewBox", "0 0 32 8");
    sample.setAttribute("aria-hidden", "true");
    sample.append(line(0, 32, 4, 4, `life life-${kind}`));
    const item = document.createElement("span");
    item.append(sample, meaning);
    words.append(item);
  }
  const span = document.createElement("span");
  span.textContent = `last ${WINDOW_S / 60} minutes, now at the right`;
  words.append(span);
  return words;
}

customElements.define("host-score", HostScore);
