// The live lab: its stream, how much of it the page hears, and its hands once they are wanted.

import "/assets/components/tab-set.js";
import { one, write } from "/assets/dom.js";
import { ago, counted } from "/assets/format.js";
import { Stream } from "/assets/stream.js";
import { wanted } from "/assets/wanted.js";
import { API, act, whileBusy } from "./lab.js";
import { Meter } from "./meter.js";
import { RaftProof } from "./proof.js";

/** @typedef {import("./model.js").Model} Model */

/**
 * @typedef {object} Heard
 * @property {(state: any) => void} onState
 * @property {(delta: any) => void} onDelta
 * @property {(name: string) => void} onLink
 * @property {(error: unknown) => void} showProblem
 */

const METER_EVERY_MS = 1000;

export class Lab {
  #model;
  #heard;
  #meter = new Meter();
  #proof = one("raft-proof", RaftProof);
  /** @type {import("./hands.js").Hands | null} */
  #hands = null;
  /** @type {Stream | null} */
  #stream = null;
  #isOn = false;

  /**
   * @param {Model} model
   * @param {Heard} heard
   */
  constructor(model, heard) {
    this.#model = model;
    this.#heard = heard;
    this.#proof.showProblem = heard.showProblem;
    const heal = one("#heal", HTMLButtonElement);
    heal.addEventListener("click", () => void whileBusy(heal, one("#heals", HTMLElement), "Healing …", async () => (await act({ action: "heal" })).text));
  }

  /**
   * Opens the stream; the hands come when they are wanted, and then the ring's nodes and links can be pressed.
   * @param {import("./ring.js").RaftRing} ring
   */
  connect(ring) {
    this.#stream = new Stream(`${API}/events`, { onEvent: (event) => this.#hear(event), onState: (state) => this.#link(state) });
    setInterval(() => {
      if (this.#stream !== null) this.#link(this.#stream.state);
    }, METER_EVERY_MS);
    void wanted([one("tab-set", HTMLElement), one("#below", HTMLElement)])
      .then(() => import("./hands.js"))
      .then(({ Hands }) => {
        const hands = new Hands(this.#model, ring, this.#heard.showProblem);
        this.#hands = hands;
        ring.onNode = (id) => hands.choose(id);
        ring.onLink = (a, b) => this.#isOn && hands.toggle(a, b);
        if (this.#model.document !== null) hands.show();
        this.enable(this.#isOn);
      }, this.#heard.showProblem);
  }

  /** Draws what changed. */
  show() {
    this.#hands?.show();
    const { heals_at, viewers } = this.#model.document.cluster;
    const rest_s = heals_at === null || heals_at === undefined ? null : Math.max(0, Math.round((heals_at - this.#model.document.t) / 1000));
    write(one("#viewers", HTMLElement), `${counted(viewers, "page")} ${viewers === 1 ? "watches" : "watch"}.`);
    write(one("#heals", HTMLElement), rest_s === null ? "" : `Heals by itself in ${rest_s} s.`);
  }

  /** @param {readonly import("./model.js").RaftEvent[]} events */
  hear(events) {
    this.#hands?.hear(events);
  }

  /** @param {boolean} isOn whether anything can be done */
  enable(isOn) {
    this.#isOn = isOn;
    this.#proof.enabled = isOn;
    one("#heal", HTMLButtonElement).disabled = !isOn;
    for (const place of document.querySelectorAll("fieldset[data-needs-lab]")) if (place instanceof HTMLFieldSetElement) place.disabled = !isOn || this.#hands === null;
  }

  /** Tries to connect now. */
  retryNow() {
    this.#stream?.retryNow();
  }

  /** @param {import("/assets/sse.js").ServerEvent} event */
  #hear(event) {
    this.#meter.hear(event, performance.now());
    if (event.type === "state") this.#heard.onState(JSON.parse(event.data));
    if (event.type !== "delta") return;
    const delta = JSON.parse(event.data);
    this.#hands?.tick(delta.st ?? []);
    this.#heard.onDelta(delta);
  }

  /** @param {import("/assets/stream.js").StreamState} state */
  #link(state) {
    if (state.name !== "live") this.#meter.clear();
    write(one("#phase", HTMLElement), linkWords(state));
    const { frames_per_s, bytes_per_s } = this.#meter.read(performance.now());
    write(one("#meter", HTMLElement), state.name === "live" ? `${frames_per_s.toFixed(0)} frames/s, ${(bytes_per_s / 1000).toFixed(1)} kB/s` : "");
    this.#heard.onLink(state.name);
  }
}

/** @param {import("/assets/stream.js").StreamState} state */
function linkWords({ name, heardAt, problem }) {
  const silence = heardAt === null ? "" : ` Last heard ${ago(new Date(heardAt), new Date())}.`;
  switch (name) {
    case "connecting":
      return heardAt === null ? "Connecting …" : `Reconnecting …${silence}`;
    case "live":
      return "Live.";
    case "stale":
      return `The lab is silent.${silence}`;
    case "waiting":
      return problem?.status === 503 ? "The lab is not running; this page tries again by itself." : `The connection was lost; this page tries again by itself.${silence}`;
    case "paused":
      return "Paused while nobody looks.";
    default:
      return "";
  }
}
