// Faults with a name: one press each, and what was measured, with and without the rules that are to help.

import { html, one, write } from "/assets/dom.js";
import { count, counted } from "/assets/format.js";
import { act, whileBusy } from "./lab.js";
import { sentence } from "./words.js";

/** @typedef {import("./model.js").Model} Model */

export class NamedFaults {
  #said = one("#scenario", HTMLElement);
  #preVote = one("#pre-vote", HTMLInputElement);
  #checkQuorum = one("#check-quorum", HTMLInputElement);
  #lease = one("#lease-reads", HTMLInputElement);
  #rules = "";
  #measured = "";

  constructor() {
    for (const button of document.querySelectorAll("[data-topology]")) {
      if (!(button instanceof HTMLButtonElement)) continue;
      const name = button.dataset.topology;
      button.addEventListener("click", () => void whileBusy(button, this.#said, `${button.textContent} …`, async () => (await act({ action: "topology", name })).text));
    }
    const apply = one("#rules-apply", HTMLButtonElement);
    apply.addEventListener("click", () =>
      void whileBusy(apply, one("#rules-said", HTMLElement), "The nodes are restarted …", async () => (await act(this.#wish())).text),
    );
  }

  #wish() {
    return { action: "rules", pre_vote: this.#preVote.checked, check_quorum: this.#checkQuorum.checked, lease_reads: this.#lease.checked };
  }

  /** @param {Model} model */
  show({ document: { cluster, scenario } }) {
    const rules = `${cluster.pre_vote} ${cluster.check_quorum} ${cluster.lease_reads}`;
    if (rules !== this.#rules) {
      this.#lease.checked = cluster.lease_reads;
      this.#rules = rules;
      this.#preVote.checked = cluster.pre_vote;
      this.#checkQuorum.checked = cluster.check_quorum;
    }
    if (scenario === null) return;
    const step = sentence(`${scenario.title}: ${scenario.step}`);
    write(this.#said, scenario.done ? step : `${step} Without a leader for ${count(scenario.leaderless_ms)} ms so far.`);
    if (!scenario.done || typeof scenario.leaderless_ms !== "number") return;
    const key = `${scenario.name} ${scenario.since}`;
    if (key === this.#measured) return;
    this.#measured = key;
    this.#note(scenario, cluster);
  }

  /**
   * @param {any} scenario
   * @param {any} cluster
   */
  #note(scenario, cluster) {
    const list = document.querySelector(`[data-measured="${CSS.escape(scenario.name)}"]`);
    if (list === null) return;
    const having = [cluster.pre_vote ? "pre-vote" : "", cluster.check_quorum ? "check-quorum" : ""].filter(Boolean);
    const rules = ["with neither", `with ${having[0]} only`, "with both"][having.length] ?? "";
    const item = html("li", { "data-rules": rules }, `${rules}: `, html("b", {}, `${count(scenario.leaderless_ms)} ms`), `, ${counted(scenario.elections ?? 0, "election")}`);
    [...list.children].find((each) => each.getAttribute("data-rules") === rules)?.remove();
    list.append(item);
  }
}
