// What a page has seen of the plugins' lives: stretches of one state each. Pure.

/** @typedef {import("./overview.js").PluginState} PluginState */
/** @typedef {{state: string, from_s: number, restarts: number}} Stretch */

const STRETCHES_MAX = 200;

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
