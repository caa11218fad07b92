// The host's page: keeps the rendered plugins live, and logs what changes.

import { EventLog } from "/assets/components/event-log.js";
import "/assets/components/host-score.js";
import { SparkLine } from "/assets/components/spark-line.js";
import { counted } from "/assets/format.js";
import "/assets/host-figures.js";
import { follow } from "/assets/overview.js";

/** @typedef {import("/assets/overview.js").PluginState} PluginState */

/** @type {Map<string, PluginState>} */
const before = new Map();

follow({
  onOverview: ({ host }) => {
    const line = document.getElementById("lag-line");
    if (line instanceof SparkLine) line.push(host.loop_lag_ms ?? Number.NaN);
    for (const plugin of host.plugins) {
      update(plugin);
      record(plugin);
    }
  },
});

/** @param {PluginState} plugin */
function update(plugin) {
  const article = document.querySelector(`[data-plugin="${CSS.escape(plugin.name)}"].plugin`);
  if (article === null) return;
  const dot = /** @type {HTMLElement | null} */ (article.querySelector(".state-dot"));
  if (dot !== null) dot.dataset.state = plugin.state;
  write(article, "[data-state-word]", plugin.enabled === false ? "not enabled" : plugin.state);
  write(article, "[data-restarts]", String(plugin.restarts ?? 0));
  const reason = /** @type {HTMLElement | null} */ (article.querySelector("[data-reason]"));
  if (reason !== null && plugin.enabled !== false) {
    reason.textContent = plugin.reason ?? "";
    reason.hidden = (plugin.reason ?? "") === "";
  }
  const checks = (plugin.checks ?? []).map(({ name, error }) => `${name}: ${error || "well"}`).join(", ");
  if (checks !== "") write(article, "[data-checks]", checks);
}

/** @param {PluginState} plugin */
function record(plugin) {
  const known = before.get(plugin.name);
  before.set(plugin.name, plugin);
  const log = document.querySelector("event-log");
  if (known === undefined || known.state === plugin.state || !(log instanceof EventLog)) return;
  const restarts = (plugin.restarts ?? 0) > (known.restarts ?? 0) ? `, ${counted(plugin.restarts ?? 0, "restart")}` : "";
  const reason = plugin.reason ? `: ${plugin.reason}` : "";
  log.add({ text: `${plugin.name}: ${known.state} → ${plugin.state}${restarts}${reason}`, voice: plugin.name });
}

/**
 * @param {Element} root
 * @param {string} selector
 * @param {string} words
 */
function write(root, selector, words) {
  const element = root.querySelector(selector);
  if (element !== null && element.textContent !== words) element.textContent = words;
}
