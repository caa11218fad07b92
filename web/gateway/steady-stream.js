// <steady-stream>: this browser as a client that asks the gateway at a steady rate, and counts.

import "/assets/components/verdict-mark.js";
import { count, counted } from "/assets/format.js";
import { ask } from "./chat.js";
import { faultOf, questionFor, SteadyClient, verdictOf } from "./steady.js";

const EVERY_MS = 200;

/** @typedef {import("/assets/components/verdict-mark.js").VerdictMark} VerdictMark */

export class SteadyStream extends HTMLElement {
  /** What is asked for; the page sets it. */
  model = "";
  /** The provider that is asked first, "" when that is not known. */
  first = "";
  /** Nobody but simulated providers answers; otherwise nothing is sent, for it would cost money. */
  simulated = false;
  /** @type {SteadyClient | null} */
  #client = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #stopping = new AbortController();
  #frame = 0;

  connectedCallback() {
    this.#toggle.addEventListener("click", () => (this.#timer === undefined ? this.start() : this.stop()));
    // A hidden tab's timers are slowed down, and its requests would be counted for a rate that is not there.
    document.addEventListener("visibilitychange", this.#onVisibility);
  }

  disconnectedCallback() {
    this.stop();
    document.removeEventListener("visibilitychange", this.#onVisibility);
  }

  get #toggle() {
    return /** @type {HTMLButtonElement} */ (this.querySelector("[data-toggle]"));
  }

  /** @param {boolean} isOn */
  set enabled(isOn) {
    this.#toggle.disabled = !isOn && this.#timer === undefined;
  }

  start() {
    if (!this.simulated) return this.#note("Real providers answer here. A steady stream would spend your money, so this page sends none.");
    const session = Math.random().toString(36).slice(2, 8);
    const isStreamed = /** @type {HTMLInputElement} */ (this.querySelector("[data-streamed]")).checked;
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    const client = new SteadyClient(
      async (number) => {
        const question = questionFor(number, session);
        const answer = await ask({ model: this.model, messages: [{ role: "user", content: question }], stream: isStreamed }, { signal });
        const fault = faultOf(answer, question);
        if (fault !== "") throw new Error(fault);
        if (answer.cache === "hit") return { from: "cache", isFallback: false };
        return { from: answer.provider, isFallback: Number(answer.attempts) > 1 || (this.first !== "" && answer.provider !== this.first) };
      },
      () => this.#change(),
    );
    this.#client = client;
    this.#timer = setInterval(() => client.turn(), EVERY_MS);
    client.turn();
    this.#toggle.textContent = "Stop the stream";
    this.#toggle.setAttribute("aria-pressed", "true");
    this.#note(isStreamed ? "A stream that is cut after its first token cannot be taken over: the client is told." : "");
  }

  stop() {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stopping.abort();
    this.#toggle.textContent = "Send a steady stream";
    this.#toggle.setAttribute("aria-pressed", "false");
    const { answered = 0, failed = 0 } = this.#client?.counts ?? {};
    this.#note(`Stopped. ${counted(answered, "request")} answered, ${count(failed)} failed.`);
  }

  #onVisibility = () => {
    if (document.hidden) this.stop();
  };

  #change() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    if (this.#client === null) return;
    const { counts, latest } = this.#client;
    for (const element of this.querySelectorAll("[data-count]")) {
      const name = /** @type {keyof typeof counts} */ (element.getAttribute("data-count"));
      element.textContent = count(counts[name]);
    }
    /** @type {VerdictMark} */ (this.querySelector("verdict-mark")).verdict = verdictOf(counts);
    const cells = /** @type {HTMLElement} */ (this.querySelector(".cells"));
    cells.replaceChildren(...latest.map(cellOf));
    const failure = latest.findLast(({ state }) => state === "failed");
    if (failure !== undefined) this.#note(`Request ${count(failure.number)} failed: ${failure.reason}`);
    else if (counts.heldBack > 0 && counts.running > 0) {
      this.#note(`${counted(counts.heldBack, "turn")} left out, because four requests were still under way.`);
    }
  }

  /** @param {string} words */
  #note(words) {
    const note = this.querySelector("[data-note]");
    if (note !== null && note.textContent !== words) note.textContent = words;
  }
}

/** @param {import("./steady.js").Asked} asked */
function cellOf({ number, state, origin, reason }) {
  const cell = document.createElement("li");
  cell.dataset.state = state;
  if (origin !== null) cell.dataset.from = origin.from === "cache" ? "cache" : origin.isFallback ? "fallback" : "first";
  cell.title = `${number}: ${origin?.from ?? (reason || state)}`;
  return cell;
}

customElements.define("steady-stream", SteadyStream);
