// <raft-proof>: kills the leader, and tells what came of it.

import "/assets/components/verdict-mark.js";
import { requestJson } from "/assets/fetch.js";
import { OUTCOMES } from "/assets/outcomes.js";

export class RaftProof extends HTMLElement {
  /** @type {(error: unknown) => void} */
  showProblem = () => {};
  #isBusy = false;

  connectedCallback() {
    this.#button.addEventListener("click", () => void this.#prove());
  }

  /** @param {boolean} isOn */
  set enabled(isOn) {
    if (!this.#isBusy) this.#button.disabled = !isOn;
  }

  async #prove() {
    const outcome = /** @type {HTMLElement} */ (this.querySelector("[data-outcome]"));
    const sentence = /** @type {HTMLElement} */ (this.querySelector("[data-sentence]"));
    const mark = this.querySelector("verdict-mark");
    this.#isBusy = true;
    this.#button.disabled = true;
    outcome.hidden = false;
    mark?.setAttribute("verdict", "running");
    sentence.textContent = "The leader was killed; waiting for the next one …";
    this.showProblem(null);
    try {
      const { data } = await requestJson("/api/raft/failover", { method: "POST", body: {}, timeout_ms: 30_000 });
      mark?.setAttribute("verdict", data.verdict);
      sentence.textContent = OUTCOMES.raft?.(data) ?? "";
    } catch (error) {
      mark?.setAttribute("verdict", "unknown");
      sentence.textContent = "There is no result.";
      this.showProblem(error);
    } finally {
      this.#isBusy = false;
      this.#button.disabled = false;
      this.#button.focus({ preventScroll: true });
    }
  }

  get #button() {
    return /** @type {HTMLButtonElement} */ (this.querySelector("[data-prove]"));
  }
}

customElements.define("raft-proof", RaftProof);
