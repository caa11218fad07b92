// <gateway-proof>: kills the primary while a client asks on, and says what the client saw.

import { ProblemNote } from "/assets/components/problem-note.js";
import { VerdictMark } from "/assets/components/verdict-mark.js";
import { requestJson } from "/assets/fetch.js";
import { count } from "/assets/format.js";
import { proofWords } from "./proof-words.js";

const URL_PATH = "/api/gateway/proof";
const TIMEOUT_MS = 120_000;

export class GatewayProof extends HTMLElement {
  /** @type {ProblemNote | null} where failures are told; the page sets it */
  problems = null;
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

  /**
   * How far the client is; nothing when none is at work.
   * @param {{sent: number, answered: number, failed: number} | null} progress
   */
  set progress(progress) {
    if (!this.#isRunning || progress === null) return;
    this.#say("running", `${count(progress.sent)} sent, ${count(progress.answered)} answered, ${count(progress.failed)} failed so far.`);
  }

  async #prove() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.enabled = this.#isEnabled;
    this.#button.textContent = "Killing …";
    this.problems?.show(null);
    this.#say("running", "A client is asking; its first provider is about to be killed.");
    try {
      const { data } = await requestJson(URL_PATH, { method: "POST", body: {}, timeout_ms: TIMEOUT_MS });
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
