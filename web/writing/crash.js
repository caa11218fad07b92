// A plugin is killed under the eyes of the reader: it comes back by itself, and the others stay where they were.

import { one } from "/assets/dom.js";
import { explain, requestJson } from "/assets/fetch.js";
import { counted, span } from "/assets/format.js";
import { follow } from "/assets/overview.js";

const PLUGIN = "liveboard";
const URL_PATH = "/api/liveboard/faults/crash";
const PATIENCE_MS = 60_000;
const UP = new Set(["ready", "degraded"]);

/** @typedef {import("/assets/overview.js").PluginState} PluginState */

/**
 * @param {HTMLElement} section
 * @param {(words: string) => void} say
 */
export async function crash(section, say) {
  const button = one("button", HTMLButtonElement, section);
  button.disabled = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const before = await plugins();
      const began_ms = performance.now();
      await requestJson(URL_PATH, { method: "POST", body: {} });
      say("Killed. Waiting for the supervisor …");
      const after = await restarted(restartsOf(before, PLUGIN));
      const others = after.filter(({ name }) => name !== PLUGIN);
      const hit = others.filter(({ name, restarts }) => (restarts ?? 0) !== restartsOf(before, name));
      say(
        `${PLUGIN} was back after ${span(performance.now() - began_ms)}. ` +
          (hit.length === 0 ? `None of the ${counted(others.length, "other plugin")} was restarted.` : `Restarted with it: ${hit.map(({ name }) => name).join(", ")}.`),
      );
    } catch (error) {
      const { headline, detail, next } = explain(error);
      say(`${headline}. ${detail} ${next}`);
    } finally {
      button.disabled = false;
    }
  });
}

/** @returns {Promise<PluginState[]>} */
async function plugins() {
  return (await requestJson("/-/plugins.json")).data.host.plugins;
}

/**
 * @param {PluginState[]} all
 * @param {string} plugin
 */
function restartsOf(all, plugin) {
  return all.find(({ name }) => name === plugin)?.restarts ?? 0;
}

/**
 * Waits until the plugin is up with more restarts than it had.
 * @param {number} restarts
 * @returns {Promise<PluginState[]>}
 */
function restarted(restarts) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      unfollow();
      reject(new Error(`it was not back after ${span(PATIENCE_MS)}`));
    }, PATIENCE_MS);
    const unfollow = follow({
      onOverview: ({ host }) => {
        const state = host.plugins.find(({ name }) => name === PLUGIN);
        if (state === undefined || (state.restarts ?? 0) <= restarts || !UP.has(state.state)) return;
        clearTimeout(timer);
        // What follows is told at once to who begins to follow, before there is a way to stop.
        queueMicrotask(() => unfollow());
        resolve(host.plugins);
      },
    });
  });
}
