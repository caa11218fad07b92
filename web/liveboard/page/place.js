// Which board this page is of, how it may be entered, and the seed of the faults: all from the address.

const OPEN_ROOM = "lobby";

/** @param {{pathname: string, hash: string, search: string, origin: string}} location */
export function placeOf({ pathname, hash, search, origin }) {
  const room = pathname.split("/")[2] || OPEN_ROOM;
  const key = new URLSearchParams(hash.slice(1)).get("key") ?? "";
  const seed = Number.parseInt(new URLSearchParams(search).get("seed") ?? "", 10);
  return { room, key, seed: Number.isFinite(seed) ? seed : null, socket: `${origin.replace(/^http/, "ws")}/api/liveboard/rooms/${room}/socket` };
}

/** The headers that a room's API asks for. @param {{key: string, password: string}} person @returns {Record<string, string>} */
export function headersOf({ key, password }) {
  return { ...(key && { "x-liveboard-key": key }), ...(password && { "x-liveboard-password": password }) };
}

/** Chance that is the same for the same seed (mulberry32). @param {number} seed @returns {() => number} from 0 to 1 */
export function seeded(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @typedef {"localStorage" | "sessionStorage"} Storage how long: for ever, or as long as the tab */

/** What was kept in this browser; nothing without storage. @param {string} item @param {Storage} [storage] */
export function recall(item, storage = "localStorage") {
  try {
    return globalThis[storage].getItem(item) ?? "";
  } catch {
    return "";
  }
}

/** Keeps it in this browser; without storage it lasts as long as the page. @param {string} item @param {string} value @param {Storage} [storage] */
export function remember(item, value, storage = "localStorage") {
  try {
    globalThis[storage].setItem(item, value);
  } catch {
    // A private window may have none.
  }
}
