// A recording on the same page: played, scrubbed, and gone through step by step, forwards and back.

import { html, one, write } from "/assets/dom.js";
import { count } from "/assets/format.js";
import { requestJson } from "/assets/fetch.js";
import { Annals } from "./annals.js";
import { API } from "./lab.js";
import { Model } from "./model.js";
import { sends } from "./sends.js";
import { StepCard } from "./steps.js";

/** @typedef {import("./model.js").Message} Message */

const LOAD_TIMEOUT_MS = 60_000;

/**
 * @typedef {object} Shown
 * @property {Model} model
 * @property {(messages: readonly Message[]) => void} onFrame draws the model, and what was under way
 * @property {() => void} onJump forgets what was under way
 */

export class Replay {
  annals = new Annals(Infinity);
  #slider = one("#replay-at", HTMLInputElement);
  #button = one("#replay-play", HTMLButtonElement);
  #speed = one("#replay-speed", HTMLSelectElement);
  #where = one("#replay-where", HTMLElement);
  #shown;
  #steps;
  /** @type {any} */
  #recording = null;
  #id = "";
  /** Frames that are shown; 0 is the state at the start. */
  #at = 0;
  /** The step that is shown: behind the last frame's, or any after single steps. */
  #step = 0;
  #isPlaying = false;
  /** @type {import("./model.js").RaftEvent[]} oldest first */
  #events = [];
  /** Steps that were asked for one after the other: only the last answer counts. */
  #asked = 0;

  /** @param {Shown} shown */
  constructor(shown) {
    this.#shown = shown;
    shown.model.pace = 0;
    one(".stage", HTMLElement).dataset.recording = "";
    for (const part of document.querySelectorAll("[data-live-only]")) if (part instanceof HTMLElement) part.hidden = true;
    for (const part of document.querySelectorAll("[data-replay-only]")) if (part instanceof HTMLElement) part.hidden = false;
    this.#steps = new StepCard();
    this.#slider.addEventListener("input", () => this.#jump(Number(this.#slider.value)));
    this.#button.addEventListener("click", () => this.#play(!this.#isPlaying));
    this.#speed.addEventListener("change", () => this.#isPlaying && this.#play(true));
    one("#replay-back", HTMLButtonElement).addEventListener("click", () => void this.goTo(this.#step - 1));
    one("#replay-on", HTMLButtonElement).addEventListener("click", () => void this.goTo(this.#step + 1));
  }

  /** @returns {{id: string, step: number}} where the recording stands */
  get place() {
    return { id: this.#id, step: this.#step };
  }

  /** @returns {import("./model.js").RaftEvent | undefined} what happened last, as the recording stands */
  get latest() {
    const { t } = this.#shown.model.document;
    return this.#events.findLast((event) => event.t <= t);
  }

  /** @returns {{from: number, to: number}} lab milliseconds */
  get span() {
    return { from: this.#recording.from_ms, to: this.#recording.to_ms };
  }

  /** @param {string} id of a recording */
  async load(id) {
    const { data } = await requestJson(`${API}/recordings/${encodeURIComponent(id)}`, { timeout_ms: LOAD_TIMEOUT_MS });
    this.show(data, id);
  }

  /**
   * Shows a replay document: a recording's, or a branch's.
   * @param {any} data
   * @param {string} id of the recording
   */
  show(data, id) {
    this.#play(false);
    this.#recording = data;
    this.#id = id;
    this.#steps.begin(id);
    this.#slider.max = String(data.frames.length);
    this.#tellHash();
    this.#takeDown();
    this.#jump(0);
  }

  #tellHash() {
    const { hash, replayed_hash, verified, of } = this.#recording;
    const place = one("#replay-hash", HTMLElement);
    const mark = document.createElement("verdict-mark");
    mark.setAttribute("verdict", verified ? "holds" : "broke");
    place.replaceChildren(
      mark,
      verified ? `${of === undefined ? "" : " A branch, which was never live."} Recorded = replayed: both came to ` : " The replay came to another hash: ",
      html("code", {}, `${(verified ? hash : replayed_hash).slice(0, 16)}…`),
      ` after ${count(this.#recording.steps)} steps.`,
    );
  }

  /** Goes through all of it once, for the timeline and the list of events. */
  #takeDown() {
    this.annals.clear();
    const model = new Model();
    model.begin(this.#start(), 0);
    this.annals.note(model);
    const events = [];
    for (const frame of this.#recording.frames) {
      events.push(...model.change(structuredClone(frame), 0));
      this.annals.note(model);
    }
    this.annals.hear(events);
    this.#events = events;
    const { from_ms } = this.#recording;
    one("#recorded", HTMLOListElement).replaceChildren(
      ...events.map(({ t, text }) => {
        const button = html("button", { type: "button" }, `${((t - from_ms) / 1000).toFixed(2)} s`);
        button.addEventListener("click", () => this.#jump(this.#frameAt(t)));
        return html("li", {}, button, ` ${text}.`);
      }),
    );
  }

  #start() {
    const { state, checks } = this.#recording;
    return structuredClone({ at: 0, epoch: "recording", links: {}, kv: {}, ...state, checks, scenario: null, events: [] });
  }

  /** @param {number} t lab milliseconds */
  #frameAt(t) {
    const place = this.#recording.frames.findIndex((/** @type {any} */ frame) => frame.t >= t);
    return place < 0 ? this.#recording.frames.length : place + 1;
  }

  /**
   * Goes to the state after so many steps.
   * @param {number} step
   */
  async goTo(step) {
    const { frames, steps } = this.#recording;
    const wanted = Math.min(Math.max(step, 0), steps);
    this.#play(false);
    this.#step = wanted;
    this.#asked += 1;
    const asked = this.#asked;
    const [state, found] = await Promise.all([
      requestJson(`${API}/recordings/${encodeURIComponent(this.#id)}/state?step=${wanted}`, { timeout_ms: LOAD_TIMEOUT_MS }),
      this.#steps.of(wanted),
    ]);
    if (asked !== this.#asked) return;
    const place = frames.findIndex((/** @type {any} */ frame) => frame.step >= wanted);
    this.#at = place < 0 ? frames.length : place;
    this.#shown.onJump();
    this.#shown.model.begin({ ...this.#start(), ...state.data, checks: this.#recording.checks, scenario: null, events: [] }, performance.now());
    this.#steps.show(found, wanted, this.#recording);
    this.#tell(found === null ? [] : sends(found));
  }

  /** @param {number} frame */
  #jump(frame) {
    this.#play(false);
    this.#asked += 1;
    this.#shown.onJump();
    const { model } = this.#shown;
    model.begin(this.#start(), performance.now());
    for (const delta of this.#recording.frames.slice(0, frame)) model.change(structuredClone(delta), performance.now());
    this.#at = frame;
    this.#step = frame === 0 ? 0 : this.#recording.frames[frame - 1].step;
    this.#tell([]);
    this.#showStep();
  }

  #showStep() {
    const step = this.#step;
    void this.#steps.of(step).then((found) => {
      if (step === this.#step && !this.#isPlaying) this.#steps.show(found, step, this.#recording);
    });
  }

  /** @param {boolean} isPlaying */
  #play(isPlaying) {
    this.#isPlaying = isPlaying;
    const speed = Number(this.#speed.value);
    const { model } = this.#shown;
    model.pace = isPlaying ? speed : 0;
    write(this.#button, isPlaying ? "Pause" : "Play");
    if (!isPlaying || this.#recording === null) return;
    if (this.#at >= this.#recording.frames.length) {
      this.#jump(0);
      this.#isPlaying = true;
      model.pace = speed;
      write(this.#button, "Pause");
    }
    const [began, began_ms] = [model.document.t, performance.now()];
    const next = () => {
      if (!this.#isPlaying || speed !== Number(this.#speed.value)) return;
      const { frames } = this.#recording;
      const until = began + (performance.now() - began_ms) * speed;
      const messages = [];
      while (this.#at < frames.length && frames[this.#at].t <= until) {
        const delta = frames[this.#at];
        model.change(structuredClone(delta), performance.now());
        messages.push(...(delta.m ?? []));
        this.#at += 1;
        this.#step = delta.step;
      }
      this.#tell(messages);
      if (this.#at < frames.length) requestAnimationFrame(next);
      else {
        this.#play(false);
        this.#showStep();
      }
    };
    requestAnimationFrame(next);
  }

  /** @param {readonly Message[]} messages */
  #tell(messages) {
    const { from_ms, to_ms, steps } = this.#recording;
    const t = this.#shown.model.document.t;
    const words = `${(Math.max(0, t - from_ms) / 1000).toFixed(2)} of ${((to_ms - from_ms) / 1000).toFixed(2)} s, step ${count(this.#step)} of ${count(steps)}`;
    this.#slider.value = String(this.#at);
    this.#slider.setAttribute("aria-valuetext", words);
    write(this.#where, words);
    this.#shown.onFrame(messages);
  }
}
