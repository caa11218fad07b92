// <proof-card plugin="…">: a promise, the button that tests it, the verdict, and the way to the evidence.

import { write } from "../dom.js";
import { explain, requestJson } from "../fetch.js";
import { OUTCOMES } from "../outcomes.js";
import { follow } from "../overview.js";
import { LiveNumber } from "./live-number.js";
import "./verdict-mark.js";

/** @typedef {import("../overview.js").Card} Card */
/** @typedef {import("./verdict-mark.js").VerdictMark} VerdictMark */

const RUNNING = new Set(["ready", "degraded"]);
const PROOF_TIMEOUT_MS = 120_000;

/** The server renders the card's words; this fills its figures, runs its proof, and follows its plugin's state. */
export class ProofCard extends HTMLElement {
  /** @type {(() => void) | null} */
  #unfollow = null;
  /** @type {Card | null} */
  #card = null;
  #isBusy = false;

  connectedCallback() {
    this.#button?.addEventListener("click", () => void this.#prove());
    this.#unfollow = follow({
      onOverview: (overview) => {
        const plugin = this.getAttribute("plugin");
        const found = overview.host.plugins.find(({ name }) => name === plugin);
        this.#card = overview.cards.find((card) => card.plugin === plugin) ?? this.#card;
        this.#showState(found?.state ?? this.#card?.state ?? "off", found?.reason ?? "");
        if (this.#card !== null) this.#showFigures(this.#card);
      },
    });
  }

  disconnectedCallback() {
    this.#unfollow?.();
  }

  get #button() {
    return /** @type {HTMLButtonElement | null} */ (this.querySelector("[data-prove]"));
  }

  /**
   * @param {string} state
   * @param {string} reason
   */
  #showState(state, reason) {
    const isUp = RUNNING.has(state);
    this.#write("[data-down-reason]", reason);
    if (this.dataset.state === state) return;
    this.dataset.state = state;
    this.#write("[data-state-word]", state);
    this.#write("[data-down-state]", state);
    const down = /** @type {HTMLElement | null} */ (this.querySelector("[data-down]"));
    if (down !== null) down.hidden = isUp;
    const dot = /** @type {HTMLElement | null} */ (this.querySelector(".state-dot"));
    if (dot !== null) dot.dataset.state = state;
    if (this.#button !== null && !this.#isBusy) this.#button.disabled = !isUp;
  }

  /**
   * @param {string} selector
   * @param {string} words
   */
  #write(selector, words) {
    const element = this.querySelector(selector);
    if (element !== null) write(element, words);
  }

  /** @param {Card} card */
  #showFigures(card) {
    const list = this.querySelector("[data-figures]");
    if (list === null) return;
    for (const item of card.figures ?? []) {
      let number = [...list.querySelectorAll("live-number")].find((each) => each.getAttribute("label") === item.label);
      if (number === undefined) {
        number = document.createElement("live-number");
        number.setAttribute("label", item.label);
        list.append(number);
      }
      if (number instanceof LiveNumber) number.update(item);
    }
  }

  async #prove() {
    const url = this.dataset.proofUrl ?? this.#card?.proof_url ?? "";
    if (url === "" || this.#isBusy) return;
    const body = this.#card?.proof_body ?? JSON.parse(this.dataset.proofBody ?? "{}");
    this.#isBusy = true;
    if (this.#button !== null) this.#button.disabled = true;
    this.#say("running", "");
    try {
      const { data } = await requestJson(url, { method: "POST", body, timeout_ms: PROOF_TIMEOUT_MS });
      this.#say(String(data?.verdict ?? "unknown"), OUTCOMES[this.getAttribute("plugin") ?? ""]?.(data) ?? "");
      this.#showEvidence(data?.url);
      this.dispatchEvent(new CustomEvent("proved", { bubbles: true, detail: data }));
    } catch (error) {
      const { headline, detail, next } = explain(error);
      this.#say("unknown", [`${headline}.`, detail, next].join(" "));
    } finally {
      this.#isBusy = false;
      if (this.#button !== null) this.#button.disabled = !RUNNING.has(this.dataset.state ?? "");
    }
  }

  /**
   * @param {string} verdict
   * @param {string} words
   */
  #say(verdict, words) {
    this.dataset.verdict = verdict;
    const mark = /** @type {VerdictMark | null} */ (this.querySelector("verdict-mark"));
    if (mark !== null) {
      mark.hidden = false;
      mark.verdict = verdict;
    }
    this.#write("[data-outcome]", words);
  }

  /** @param {unknown} url */
  #showEvidence(url) {
    const link = /** @type {HTMLAnchorElement | null} */ (this.querySelector("[data-evidence]"));
    if (link === null || typeof url !== "string" || !url.startsWith("/")) return;
    link.href = url;
    link.hidden = false;
  }
}

customElements.define("proof-card", ProofCard);
