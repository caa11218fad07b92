// A recording on the same page: what the live stream would have said, by a slider instead of the clock.

import { requestJson } from "/assets/fetch.js";

/** @typedef {import("./model.js").Model} Model */

/**
 * @typedef {object} Shown
 * @property {Model} model
 * @property {(messages: import("./model.js").Message[]) => void} onFrame draws the model, and what was under way
 * @property {() => void} onJump forgets what was under way
 */

export class Replay {
  #bar = /** @type {HTMLElement} */ (document.querySelector("#replay"));
  #slider = /** @type {HTMLInputElement} */ (document.querySelector("#replay-at"));
  #button = /** @type {HTMLButtonElement} */ (document.querySelector("#replay-play"));
  #where = /** @type {HTMLElement} */ (document.querySelector("#replay-where"));
  #shown;
  /** @type {any} */
  #recording = null;
  /** The frame that is shown; 0 is the state at the start. */
  #at = 0;
  #isPlaying = false;

  /** @param {Shown} shown */
  constructor(shown) {
    this.#shown = shown;
    for (const part of document.querySelectorAll("[data-live-only]")) if (part instanceof HTMLElement) part.hidden = true;
    this.#slider.addEventListener("input", () => {
      this.#play(false);
      this.#jump(Number(this.#slider.value));
    });
    this.#button.addEventListener("click", () => this.#play(!this.#isPlaying));
  }

  /**
   * @param {string} id
   * @returns {Promise<{id: number, t: number, text: string}[]>} what happened in it, oldest first
   */
  async load(id) {
    const { data } = await requestJson(`/api/raft/recordings/${encodeURIComponent(id)}`, { timeout_ms: 60_000 });
    this.#recording = data;
    this.#slider.max = String(data.frames.length);
    this.#bar.hidden = false;
    const words = /** @type {HTMLElement} */ (document.querySelector("#replay-hash"));
    words.textContent = data.verified ? `Replayed to the same hash, ${data.hash.slice(0, 16)}.` : `The replay came to ${data.replayed_hash.slice(0, 16)}, the recording to ${data.hash.slice(0, 16)}.`;
    this.#jump(0);
    return data.frames.flatMap((/** @type {any} */ frame) => frame.e ?? []);
  }

  /** @param {number} frame */
  #jump(frame) {
    const { id, state, frames, checks } = this.#recording;
    const start = structuredClone({ at: 0, epoch: id, links: {}, kv: {}, ...state, checks, scenario: null, events: [] });
    this.#shown.onJump();
    this.#shown.model.begin(start, performance.now());
    for (const delta of frames.slice(0, frame)) this.#shown.model.change(structuredClone(delta), performance.now());
    this.#at = frame;
    this.#tell([]);
  }

  /** @param {boolean} isPlaying */
  #play(isPlaying) {
    this.#isPlaying = isPlaying;
    this.#button.textContent = isPlaying ? "Pause" : "Play";
    if (!isPlaying) return;
    if (this.#at >= this.#recording.frames.length) this.#jump(0);
    const began_ms = performance.now() - this.#lab_ms();
    const next = () => {
      if (!this.#isPlaying) return;
      const { frames } = this.#recording;
      const now_ms = performance.now() - began_ms;
      const messages = [];
      while (this.#at < frames.length && frames[this.#at].t <= now_ms) {
        const delta = frames[this.#at];
        this.#shown.model.change(structuredClone(delta), performance.now());
        messages.push(...(delta.m ?? []));
        this.#at += 1;
      }
      this.#tell(messages);
      if (this.#at >= frames.length) this.#play(false);
      else requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  #lab_ms() {
    return this.#at === 0 ? this.#recording.from_ms : this.#recording.frames[this.#at - 1].t;
  }

  /** @param {import("./model.js").Message[]} messages */
  #tell(messages) {
    const { from_ms, to_ms, steps, frames } = this.#recording;
    const step = this.#at === 0 ? 0 : frames[this.#at - 1].step;
    const words = `${((this.#lab_ms() - from_ms) / 1000).toFixed(2)} of ${((to_ms - from_ms) / 1000).toFixed(2)} s, step ${step} of ${steps}`;
    this.#slider.value = String(this.#at);
    this.#slider.setAttribute("aria-valuetext", words);
    this.#where.textContent = words;
    this.#shown.onFrame(messages);
  }
}
