// The lab as the page's parts use it: do something, see what comes of it, say how it went.

import { explain, requestJson } from "/assets/fetch.js";
import { write } from "/assets/dom.js";
import { sentence } from "./words.js";

export const API = "/api/raft";
export const ACTIONS = `${API}/actions`;
const LOOK_EVERY_MS = 25;
const ACT_TIMEOUT_MS = 20_000;

/**
 * Does one of the lab's actions.
 * @param {Record<string, unknown>} body
 * @returns {Promise<any>} what the lab says: at least `text`
 * @throws {import("/assets/fetch.js").Problem} when it refuses
 */
export async function act(body) {
  const { data } = await requestJson(ACTIONS, { method: "POST", body, timeout_ms: ACT_TIMEOUT_MS });
  return data;
}

/**
 * Waits until something holds.
 * @param {() => boolean} holds
 * @param {number} within_ms
 * @returns {Promise<boolean>} whether it came to hold in time
 */
export async function until(holds, within_ms) {
  const end = performance.now() + within_ms;
  while (!holds()) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return true;
}

/**
 * Runs what a button stands for: the button rests meanwhile, and the outcome is told, be it good or bad.
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} place
 * @param {string} meanwhile
 * @param {() => Promise<string>} work
 */
export async function whileBusy(button, place, meanwhile, work) {
  button.disabled = true;
  write(place, meanwhile);
  try {
    write(place, sentence(await work()));
  } catch (error) {
    const { headline, detail, next } = explain(error);
    write(place, `${headline}. ${sentence(detail)} ${next}`);
  } finally {
    button.disabled = false;
    button.focus({ preventScroll: true });
  }
}
