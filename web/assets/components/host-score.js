// <host-score>: the host as a picture: a line a plugin, drawn from left to right as it lives, breaks and comes back.

import { counted, uptime } from "../format.js";
import { remember, stretchesSeen } from "../lives.js";
import { follow } from "../overview.js";

/** @typedef {import("../overview.js").PluginState} PluginState */
/** @typedef {import("../lives.js").Stretch} Stretch */

const SVG = "http://www.w3.org/2000/svg";
const WINDOW_S = 120;
const WIDTH = 600;
const ROW = 40;

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
