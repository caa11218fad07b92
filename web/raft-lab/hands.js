// All that a visitor may do to the live lab, and what is further down: loaded when somebody is about to want it.

import { TabSet } from "/assets/components/tab-set.js";
import { one } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { offerExport } from "./evidence.js";
import { RaftExperiments } from "./experiments.js";
import { API } from "./lab.js";
import { NamedFaults } from "./named-faults.js";
import { NetworkPanel } from "./network-panel.js";
import { NodePanel } from "./node-panel.js";
import { showRules } from "./rules.js";
import { StorePanel } from "./store-panel.js";
import { Ticker } from "./ticker.js";

/** @typedef {import("./model.js").Model} Model */

export class Hands {
  #model;
  #tabs = one("tab-set", TabSet);
  #experiments = one("raft-experiments", RaftExperiments);
  #faults = new NamedFaults();
  #nodes;
  #network;
  #store = new StorePanel();
  #ticker = new Ticker();

  /**
   * @param {Model} model
   * @param {import("./ring.js").RaftRing} ring
   * @param {(error: unknown) => void} showProblem
   */
  constructor(model, ring, showProblem) {
    this.#model = model;
    this.#network = new NetworkPanel(model);
    this.#nodes = new NodePanel((id) => {
      ring.chosen = id;
    });
    this.#experiments.model = model;
    void requestJson(`${API}/topologies`).then(({ data }) => {
      this.#experiments.offer(data);
      this.#experiments.show();
    }, showProblem);
    offerExport(showProblem);
    void showRules(showProblem);
  }

  /** @param {number} id of a node that was pressed in the ring */
  choose(id) {
    this.#tabs.show("nodes");
    this.#nodes.choose(id);
  }

  /**
   * A link was pressed in the ring.
   * @param {number} a
   * @param {number} b
   */
  toggle(a, b) {
    void this.#network.toggle(a, b);
  }

  /** Draws the panels. */
  show() {
    this.#nodes.show(this.#model);
    this.#network.show();
    this.#store.show(this.#model);
    this.#faults.show(this.#model);
    this.#experiments.show();
  }

  /**
   * @param {readonly import("./model.js").RaftEvent[]} events
   */
  hear(events) {
    this.#experiments.hear(events);
  }

  /** @param {readonly import("./ticker.js").Step[]} steps */
  tick(steps) {
    this.#ticker.hear(steps);
  }
}
