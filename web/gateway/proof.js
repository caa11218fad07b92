// <gateway-proof>: kills the primary while a client asks on, and says what the client saw.

import { ProblemNote } from "/assets/components/problem-note.js";
import { VerdictMark } from "/assets/components/verdict-mark.js";
import { requestJson } from "/assets/fetch.js";
import { ProofCount, proofWords } from "./proof-words.js";

const URL_PATH = "/api/gateway/proof";
const TIMEOUT_MS = 120_000;
/** Long enough to be watched: the kill comes after a third of it, the return after two. */
const BODY = { rate: 200, seconds: 6 };

export class GatewayProof extends HTMLElement {
  /** @type {ProblemNote | null} where failures are told; the page sets it */
  problems = null;
  #count = new ProofCount();
  #isRunning = false;
  #isEnabled = true;

  connectedCallback() {
    this.#button.addEventListener("click", () => void this.#prove());
  }

  get #button() {
    return /** @type {HTMLButtonElement} */ (this.querySelector("[data-prove]"));
  }

  /** @param {boolean} isOn */
  set enabled(isOn) {
    this.#isEnabled = isOn;
    this.#button.disabled = !isOn || this.#isRunning;
  }

  /** @param {readonly import("./sparks.js").Step[]} steps what happened to any requests */
  hear(steps) {
    if (!this.#isRunning) return;
    this.#count.hear(steps);
    this.#say("running", this.#count.words);
  }

  async #prove() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#count = new ProofCount();
    this.enabled = this.#isEnabled;
    this.#button.textContent = "Killing …";
    this.problems?.show(null);
    this.dispatchEvent(new CustomEvent("proving"));
    this.#say("running", "Asking; the first provider is about to be killed.");
    try {
      const { data } = await requestJson(URL_PATH, { method: "POST", body: BODY, timeout_ms: TIMEOUT_MS });
      this.#say(String(data?.verdict ?? "unknown"), proofWords(data));
    } catch (error) {
      this.#say("unknown", "The proof did not happen, or is not known to have.");
      this.problems?.show(error);
    } finally {
      this.#isRunning = false;
      this.#button.textContent = "Kill the primary under load";
      this.enabled = this.#isEnabled;
    }
  }

  /**
   * @param {string} verdict
   * @param {string} words
   */
  #say(verdict, words) {
    /** @type {HTMLElement} */ (this.querySelector("[data-outcome]")).hidden = false;
    const mark = this.querySelector("verdict-mark");
    if (mark instanceof VerdictMark && mark.verdict !== verdict) mark.verdict = verdict;
    const sentence = this.querySelector("[data-sentence]");
    if (sentence !== null && sentence.textContent !== words) sentence.textContent = words;
  }
}

customElements.define("gateway-proof", GatewayProof);
