// The live lab: its stream, what the page hears of it, and all that a visitor may do.

import { TabSet } from "/assets/components/tab-set.js";
import { one, write } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { ago, counted } from "/assets/format.js";
import { Stream } from "/assets/stream.js";
import { offerExport } from "./evidence.js";
import { RaftExperiments } from "./experiments.js";
import { API, act, whileBusy } from "./lab.js";
import { Meter } from "./meter.js";
import { NamedFaults } from "./named-faults.js";
import { NetworkPanel } from "./network-panel.js";
import { NodePanel } from "./node-panel.js";
import { RaftProof } from "./proof.js";
import { showRules } from "./rules.js";
import { StorePanel } from "./store-panel.js";
import { Ticker } from "./ticker.js";

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
  #experiments = one("raft-experiments", RaftExperiments);
  #faults = new NamedFaults();
  #network;
  #store = new StorePanel();
  #ticker = new Ticker();
  /** @type {NodePanel | null} */
  #nodes = null;
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
    this.#network = new NetworkPanel(model);
    this.#proof.showProblem = heard.showProblem;
    this.#experiments.model = model;
    const heal = one("#heal", HTMLButtonElement);
    heal.addEventListener("click", () => void whileBusy(heal, one("#heals", HTMLElement), "Healing …", async () => (await act({ action: "heal" })).text));
    offerExport(heard.showProblem);
    if (one("#rules-table", HTMLElement).dataset.offered !== undefined) void showRules();
    void requestJson(`${API}/topologies`).then(({ data }) => this.#experiments.offer(data), heard.showProblem);
  }

  /**
   * Opens the stream; the ring's nodes and links can be pressed from now on.
   * @param {import("./ring.js").RaftRing} ring
   */
  connect(ring) {
    const tabs = one("tab-set", TabSet);
    this.#nodes = new NodePanel((id) => {
      ring.chosen = id;
    });
    ring.onNode = (id) => {
      tabs.show("nodes");
      this.#nodes?.choose(id);
    };
    ring.onLink = (a, b) => {
      if (this.#isOn) void this.#network.toggle(a, b);
    };
    this.#stream = new Stream(`${API}/events`, { onEvent: (event) => this.#hear(event), onState: (state) => this.#link(state) });
    setInterval(() => {
      if (this.#stream !== null) this.#link(this.#stream.state);
    }, METER_EVERY_MS);
  }

  /** Draws the panels. */
  show() {
    this.#nodes?.show(this.#model);
    this.#network.show();
    this.#store.show(this.#model);
    this.#faults.show(this.#model);
    this.#experiments.show();
    const { heals_at, viewers } = this.#model.document.cluster;
    const rest_s = heals_at === null || heals_at === undefined ? null : Math.max(0, Math.round((heals_at - this.#model.document.t) / 1000));
    write(one("#viewers", HTMLElement), `${counted(viewers, "page")} ${viewers === 1 ? "watches" : "watch"}.`);
    write(one("#heals", HTMLElement), rest_s === null ? "" : `Heals by itself in ${rest_s} s.`);
  }

  /** @param {readonly import("./model.js").RaftEvent[]} events */
  hear(events) {
    this.#experiments.hear(events);
  }

  /** @param {boolean} isOn whether anything can be done */
  enable(isOn) {
    this.#isOn = isOn;
    this.#proof.enabled = isOn;
    for (const place of document.querySelectorAll("fieldset[data-needs-lab]")) if (place instanceof HTMLFieldSetElement) place.disabled = !isOn;
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
    this.#ticker.hear(delta.st ?? []);
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
