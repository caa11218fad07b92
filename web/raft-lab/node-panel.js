// The panel of the nodes: who is who, and what may be done to the one that is chosen.

import { FaultBar } from "/assets/components/fault-bar.js";
import { html, one, write } from "/assets/dom.js";
import { ACTIONS } from "./lab.js";
import { nodeWords } from "./words.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("/assets/components/fault-bar.js").Fault} Fault */

const AT_ONCE = "at\u00a0once";
const HEALED = "until healed";
/** @type {[string, string, string, Record<string, unknown>][]} label, effect, lasts, body */
const PROCESS = [
  ["Kill", "the process ends; its disk stays", "until restarted", { action: "kill" }],
  ["Restart", "starts again from its disk", AT_ONCE, { action: "restart" }],
  ["Pause", "stands still, links stay open", "until resumed", { action: "pause" }],
  ["Resume", "goes on where it stood", AT_ONCE, { action: "resume" }],
  ["Isolate", "cuts all its links", HEALED, { action: "isolate" }],
  ["Campaign", "stands for election now", AT_ONCE, { action: "campaign" }],
  ["Make leader", "the leader hands over to it", AT_ONCE, { action: "transfer" }],
  ["Snapshot", "its log is cut short", AT_ONCE, { action: "snapshot" }],
];
/** @type {typeof PROCESS} */
const DISK_AND_CLOCK = [
  ["Disk full", "its next write fails", HEALED, { action: "disk", state: "full" }],
  ["Disk slow", "100 ms more a write", HEALED, { action: "disk", state: "slow", slow_ms: 100 }],
  ["Torn tail", "half a record; kill it first", AT_ONCE, { action: "disk", state: "torn" }],
  ["Bit flip", "a durable bit; kill it first", HEALED, { action: "disk", state: "flipped" }],
  ["Disk well", "takes writes again", AT_ONCE, { action: "disk", state: "ok" }],
  ["Clock ×0.5", "its timers run late", HEALED, { action: "skew", permille: 500 }],
  ["Clock ×2", "its timers run early", HEALED, { action: "skew", permille: 2000 }],
  ["Clock well", "as fast as the others", AT_ONCE, { action: "skew", permille: 1000 }],
];
/** @type {typeof PROCESS[number]} */
const REMOVE = ["Remove", "leaves the members, disk and all", "for good", { action: "remove" }];
/** What makes no sense for whoever leads. */
const NOT_FOR_LEADER = new Set(["restart", "resume", "transfer"]);

export class NodePanel {
  /** @type {number | "leader"} */
  #target = "leader";
  /** @type {Map<number | "leader", {row: HTMLTableRowElement, cells: HTMLTableCellElement[], radio: HTMLInputElement}>} */
  #rows = new Map();
  #body = one("#nodes", HTMLTableSectionElement);
  #onChoice;

  /** @param {(id: number | null) => void} onChoice null: whoever leads */
  constructor(onChoice) {
    this.#onChoice = onChoice;
    this.#offer();
    one("#member-actions", FaultBar).offer(
      [
        { label: "Add a voter", effect: "learns first, then votes", lasts: "until removed", url: ACTIONS, body: { action: "add" } },
        { label: "Add a learner", effect: "gets the log, has no vote", lasts: "until removed", url: ACTIONS, body: { action: "add", learner: true } },
        { label: "Fresh cluster", effect: "all nodes and disks anew", lasts: AT_ONCE, url: ACTIONS, body: { action: "reset" } },
      ],
      null,
    );
  }

  /** @param {number} id */
  choose(id) {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    row.radio.checked = true;
    this.#chosen(id);
  }

  /** @param {Model} model */
  show(model) {
    const wanted = ["leader", ...model.ids].join();
    if (wanted !== [...this.#rows.keys()].join()) this.#rebuild(model.ids);
    write(/** @type {Element} */ (this.#rows.get("leader")?.cells[0]), model.leader === 0 ? "nobody now" : `n${model.leader} now`);
    for (const [id, node] of model.nodes) {
      const { row, cells } = this.#rows.get(id) ?? {};
      if (row === undefined || cells === undefined) continue;
      row.dataset.state = node.state;
      row.dataset.role = node.role;
      const words = [nodeWords(node), node.term, node.vote ? `n${node.vote}` : "–", node.last, node.commit];
      for (const [place, value] of words.entries()) write(/** @type {Element} */ (cells[place]), String(value));
      row.title = node.reason;
    }
  }

  /** @param {readonly number[]} ids */
  #rebuild(ids) {
    this.#rows.clear();
    for (const id of /** @type {const} */ (["leader", ...ids])) {
      const radio = html("input", { type: "radio", name: "target", value: id, checked: id === this.#target });
      radio.addEventListener("change", () => this.#chosen(id));
      const cells = (id === "leader" ? [5] : [1, 1, 1, 1, 1]).map((span, place) => html("td", { colspan: span > 1 && span, class: place > 0 && "number" }));
      const name = html("label", { class: "pick" }, radio, html("span", {}, id === "leader" ? "leader" : `n${id}`));
      this.#rows.set(id, { row: html("tr", {}, html("th", { scope: "row" }, name), ...cells), cells, radio });
    }
    this.#body.replaceChildren(...[...this.#rows.values()].map(({ row }) => row));
    if (!this.#rows.has(this.#target)) this.#chosen("leader");
  }

  /** @param {number | "leader"} target */
  #chosen(target) {
    this.#target = target;
    const row = this.#rows.get(target);
    if (row !== undefined) row.radio.checked = true;
    this.#offer();
    this.#onChoice(target === "leader" ? null : target);
  }

  #offer() {
    const isAny = this.#target === "leader";
    const faults = (/** @type {typeof PROCESS} */ list) =>
      list
        .filter(([, , , { action }]) => !isAny || !NOT_FOR_LEADER.has(String(action)))
        .map(([label, effect, lasts, body]) => ({ label, effect, lasts, url: ACTIONS, body: { ...body, node: this.#target } }));
    const process = faults(isAny ? PROCESS : [...PROCESS, REMOVE]);
    one("#node-faults", FaultBar).offer(process, null);
    one("#disk-faults", FaultBar).offer(faults(DISK_AND_CLOCK), null);
    for (const place of document.querySelectorAll("[data-target]")) write(place, isAny ? "the leader" : `n${this.#target}`);
  }
}
