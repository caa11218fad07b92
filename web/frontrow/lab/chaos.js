// Faults in the middle of a stampede: the buttons, the run as it goes, and what it came to.

import { ProblemNote } from "/assets/components/problem-note.js";
import { VerdictMark } from "/assets/components/verdict-mark.js";
import { html, one, write } from "/assets/dom.js";
import { Problem, requestJson } from "/assets/fetch.js";
import { ago, count, MISSING, toDate } from "/assets/format.js";
import { followRun } from "../runner.js";
import { RunTimeline } from "./run-timeline.js";
import { figuresOf, struckWords } from "./verdict-words.js";

const URL = "/api/frontrow/chaos";
const RUNS = "/api/frontrow/runs?limit=1";
const SIZE = { buyers: 20_000, seats: 500 };
/** A run, its recovery and its verification, at their longest. */
const TIMEOUT_MS = 300_000;
const LOOK_MS = 250;

/** @typedef {{name: string, title: string, sentence: string}} Fault */

export class Chaos {
  #bar = one("#faults", HTMLElement);
  #phase = one("#chaos-phase", HTMLElement);
  #timeline = one("#chaos-timeline", RunTimeline);
  #result = one("#chaos-result", HTMLElement);
  #problem = one("#chaos-problem", ProblemNote);
  #onAudit;
  /** Counts strikes: what belongs to an earlier one is not shown any more. */
  #strike = 0;

  /** @param {(audit: any) => void} onAudit */
  constructor(onAudit) {
    this.#onAudit = onAudit;
    void this.#offer();
  }

  async #offer() {
    try {
      const { data } = await requestJson(URL);
      this.#bar.replaceChildren(...data.faults.map((/** @type {Fault} */ fault) => this.#button(fault)));
    } catch (error) {
      this.#problem.show(error);
    }
  }

  /** @param {Fault} fault */
  #button(fault) {
    const button = html("button", { type: "button", class: "button button-fault", "data-fault": fault.name }, html("span", {}, fault.title), html("small", {}, fault.sentence));
    button.addEventListener("click", () => void this.#break(fault, button));
    return button;
  }

  /**
   * @param {Fault} fault
   * @param {HTMLElement} button
   */
  async #break(fault, button) {
    const strike = (this.#strike += 1);
    this.#enable(false);
    this.#problem.show(null);
    this.#result.hidden = true;
    this.#timeline.hidden = true;
    write(this.#phase, `${fault.title}: ${count(SIZE.buyers)} buyers are on their way …`);
    this.#phase.scrollIntoView({ block: "center" });
    const { data: before } = await requestJson(RUNS).catch(() => ({ data: { runs: [] } }));
    void this.#watch(before.runs[0]?.run_id ?? "", strike);
    try {
      const { data } = await requestJson(URL, { method: "POST", body: { fault: fault.name, ...SIZE }, timeout_ms: TIMEOUT_MS });
      this.#strike += 1;
      this.#show(data);
    } catch (error) {
      this.#strike += 1;
      this.#refused(error);
    } finally {
      this.#enable(true);
      button.focus({ preventScroll: true });
    }
  }

  /**
   * Shows the run while it goes; it is found as the newest one that was not there before.
   * @param {string} before
   * @param {number} strike
   */
  async #watch(before, strike) {
    while (strike === this.#strike) {
      try {
        const run = (await requestJson(RUNS)).data.runs[0];
        if (run?.state === "running" && run.run_id !== before) return await this.#follow(run, strike);
      } catch {
        // The servers may be what was broken.
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /**
   * @param {any} run
   * @param {number} strike
   */
  async #follow(run, strike) {
    const timeline = /** @type {any[]} */ ([]);
    await followRun(run, {
      onProgress: (point) => {
        if (strike !== this.#strike) return;
        timeline.push(point);
        this.#timeline.show({ ...run, timeline, elapsed_ms: point.t_ms });
        write(this.#phase, `${count((point.booked ?? 0) + (point.rejected ?? 0))} of ${count(run.buyers)} have their verdict.`);
      },
      onState: () => {},
    });
    if (strike === this.#strike) write(this.#phase, "All have their verdict. Everything is being counted …");
  }

  /** @param {any} answer */
  #show(answer) {
    const { run, audit, verdict } = answer;
    write(this.#phase, `${answer.title}: ${answer.sentence}`);
    // Of a run whose host died there is no course, and of its figures only those that the tables know.
    if (run?.timeline.length > 1) this.#timeline.show(run);
    else this.#timeline.hidden = true;
    const known = figuresOf(answer).filter(([, value]) => value !== MISSING);
    const tally = html("dl", { class: "tally chaos-tally" }, ...known.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
    const page = run === null ? "" : html("a", { href: `/frontrow/runs/${encodeURIComponent(run.run_id)}` }, "its page");
    const counted = audit === null ? "the house could not be counted" : `the whole house, counted ${ago(toDate(audit.checked_at), new Date())}`;
    const judged = html(
      "ul",
      { class: "judged" },
      html("li", {}, mark(run?.verdict ?? "unknown"), html("span", {}, "the run", page)),
      html("li", {}, mark(audit?.verdict ?? "unknown"), html("span", {}, counted)),
    );
    this.#result.replaceChildren(html("div", { class: "verdict-line" }, mark(verdict), html("p", {}, struckWords(answer))), tally, judged);
    this.#result.hidden = false;
    if (audit !== null) this.#onAudit(audit);
  }

  /** @param {unknown} error */
  #refused(error) {
    if (error instanceof Problem && error.type.endsWith("not-ours")) {
      write(this.#phase, "This host did not start these servers, so it does not break them: others may keep their data there. Run Quartet with its own (postgres and redis “embedded”), or try a fault that needs no server of its own.");
      return;
    }
    write(this.#phase, "");
    this.#problem.show(error);
  }

  /** @param {boolean} isFree */
  #enable(isFree) {
    for (const button of this.#bar.querySelectorAll("button")) button.disabled = !isFree;
  }
}

/** @param {string} verdict */
function mark(verdict) {
  const made = new VerdictMark();
  made.verdict = verdict;
  return made;
}
