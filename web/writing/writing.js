// What is alive in an article: the proof in one line, the host's own figures, and the demonstrations.

import "/assets/components/proof-card.js";
import { one, write } from "/assets/dom.js";
import { explain } from "/assets/fetch.js";
import "/assets/host-figures.js";
import { follow } from "/assets/overview.js";
import { wanted } from "/assets/wanted.js";

/**
 * A part of a page, set up once its plugin runs and somebody is about to look. Scripts of a plugin are its own: they are
 * served only while it runs, which is why they are named here and not imported.
 * @typedef {(section: HTMLElement, say: (words: string) => void) => Promise<void>} Demo
 */

/** @type {Record<string, Demo>} */
const DEMOS = {
  comparison: async () => {
    const { Comparison } = await fromPlugin("/frontrow/lab/comparison.js");
    new Comparison();
  },
  rules: async (_, say) => {
    const { showRules } = await fromPlugin("/raft-lab/rules.js");
    await showRules((/** @type {unknown} */ error) => say(inWords(error)));
  },
  shuffle: async (section, say) => (await import("./shuffle.js")).shuffle(section, say, fromPlugin),
  cache: async (section, say) => (await import("./ask.js")).ask(section, say),
  crash: async (section, say) => (await import("./crash.js")).crash(section, say),
};
const RUNNING = new Set(["ready", "degraded"]);

if (document.querySelector("host-score") !== null) void import("/assets/components/host-score.js");

/** Those that are wanted and not set up yet. @type {Set<HTMLElement>} */
const waiting = new Set();
for (const section of document.querySelectorAll("[data-demo]")) {
  if (!(section instanceof HTMLElement) || section.querySelector("[data-said]") === null) continue;
  void wanted([section]).then(() => waiting.add(section));
}

follow({
  onOverview: ({ host }) => {
    const states = new Map(host.plugins.map(({ name, state }) => [name, state]));
    for (const section of [...waiting]) {
      const plugin = section.dataset.plugin ?? "";
      const state = states.get(plugin) ?? "gone";
      if (!RUNNING.has(state)) {
        write(saidIn(section), `${plugin} is ${state}: this can be run once it is ready.`);
        continue;
      }
      waiting.delete(section);
      void begin(section);
    }
  },
});

/** @param {HTMLElement} section */
async function begin(section) {
  const said = saidIn(section);
  write(said, "");
  const demo = DEMOS[section.dataset.demo ?? ""];
  try {
    await demo?.(section, (words) => write(said, words));
    section.dataset.is = "ready";
  } catch (error) {
    write(said, `The demonstration could not be set up. ${inWords(error)}`);
  }
}

/** @param {HTMLElement} section */
function saidIn(section) {
  return one("[data-said]", HTMLElement, section);
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
function fromPlugin(path) {
  return import(path);
}

/** @param {unknown} error */
function inWords(error) {
  const { headline, detail, next } = explain(error);
  return `${headline}. ${detail} ${next}`;
}
