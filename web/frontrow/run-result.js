// <run-result>: a run's verdict, numbers and invariants. The server renders it; this fills it from a document.

import { PercentileStrip } from "/assets/components/percentile-strip.js";
import { VerdictMark } from "/assets/components/verdict-mark.js";
import { count, counted, MISSING, moment, span, timeOfDay, toDate } from "/assets/format.js";

/** One invariant after the other is shown, this far apart. */
const TICK_MS = 110;

export class RunResult extends HTMLElement {
  /** @type {ReturnType<typeof setTimeout>[]} */
  #ticks = [];

  connectedCallback() {
    for (const time of this.querySelectorAll("time[data-at]")) stamp(time, timeOfDay);
  }

  disconnectedCallback() {
    this.#ticks.forEach(clearTimeout);
  }

  /**
   * @param {any} run a result document
   * @param {{ticking: boolean}} options whether the invariants come one by one
   */
  show(run, { ticking }) {
    this.hidden = false;
    const mark = this.querySelector(".verdict-line verdict-mark");
    if (mark instanceof VerdictMark) mark.verdict = run.state === "running" ? "running" : (run.verdict ?? "unknown");
    write(this, "[data-sentence]", sentence(run));
    for (const cell of this.querySelectorAll("[data-count]")) {
      cell.textContent = count(run[/** @type {HTMLElement} */ (cell).dataset.count ?? ""]);
    }
    write(this, '[data-span="elapsed_ms"]', span(run.elapsed_ms));
    for (const entry of /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll("[data-when]"))) {
      entry.hidden = !run[entry.dataset.when ?? ""];
    }
    const strip = this.querySelector("percentile-strip");
    if (strip instanceof PercentileStrip) {
      strip.rows = [
        { label: "Winners", tone: "alive", percentiles: run.winners },
        { label: "Losers", tone: "quiet", percentiles: run.losers },
      ];
    }
    this.#showFacts(run);
    this.#showLinks(run.run_id);
    this.#showInvariants(run.invariants ?? [], ticking);
  }

  /** @param {any} run */
  #showFacts(run) {
    const host = run.host ?? {};
    const facts = /** @type {[string, unknown][]} */ ([
      ["Seed", run.seed],
      ["Redis", run.redis],
      ["Holds lost", run.holds_lost],
      ["Host", run.host?.version && `${host.version} · ${host.engine} · Python ${host.python} · ${counted(host.cores, "core")}`],
    ]);
    this.querySelector("[data-facts]")?.replaceChildren(
      ...facts
        .filter(([, value]) => value !== undefined && value !== null)
        .map(([name, value]) => {
          const entry = document.createElement("div");
          const term = document.createElement("dt");
          const definition = document.createElement("dd");
          term.textContent = name;
          definition.textContent = String(value);
          entry.append(term, definition);
          return entry;
        }),
    );
  }

  /** @param {unknown} id */
  #showLinks(id) {
    const links = /** @type {HTMLElement | null} */ (this.querySelector("[data-links]"));
    if (links === null || typeof id !== "string") return;
    const run = encodeURIComponent(id);
    const targets = { page: `/frontrow/runs/${run}`, json: `/api/frontrow/runs/${run}`, history: `/api/frontrow/runs/${run}/history` };
    for (const [name, target] of Object.entries(targets)) links.querySelector(`[data-link="${name}"]`)?.setAttribute("href", target);
    links.hidden = false;
  }

  /**
   * @param {any[]} invariants
   * @param {boolean} ticking
   */
  #showInvariants(invariants, ticking) {
    this.#ticks.forEach(clearTimeout);
    const list = this.querySelector("[data-invariants]");
    if (list === null) return;
    const items = invariants.map(invariantItem);
    list.replaceChildren(...items.map(({ item }) => item));
    const isSlow = ticking && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#ticks = items.map(({ reveal }, place) => setTimeout(reveal, isSlow ? (place + 1) * TICK_MS : 0));
  }
}

/**
 * A run in one sentence.
 * @param {any} run
 * @returns {string}
 */
function sentence(run) {
  if (typeof run.booked !== "number" && run.state !== "running") return "What the buyers heard died with the host that ran it.";
  const told = `${count(run.booked)} booked, ${count(run.rejected)} turned away, ${count(run.oversold)} oversold.`;
  if (run.state === "running") return "Still running.";
  if (run.verdict === "broke") return `${told} The promise is broken; what is marked says how.`;
  if (run.verdict === "holds") return told;
  return `${told} Not everything could be checked; what is marked is open, not proved.`;
}

/** @param {any} invariant */
function invariantItem(invariant) {
  const item = document.createElement("li");
  const mark = document.createElement("verdict-mark");
  mark.setAttribute("verdict", "none");
  const statement = document.createElement("p");
  statement.textContent = invariant.statement ?? invariant.name ?? "";
  const found = document.createElement("p");
  found.className = "found";
  found.textContent = `found ${invariant.found ?? "nothing"}, expected ${invariant.expected ?? MISSING} · ${timeOfDay(toDate(invariant.checked_at))}`;
  found.title = `Checked ${moment(toDate(invariant.checked_at))} in this host’s database (${invariant.name})`;
  item.append(mark, statement, found);
  const reveal = () => {
    const isOpen = typeof invariant.holds !== "boolean";
    mark.setAttribute("verdict", isOpen ? "unknown" : invariant.holds ? "holds" : "broke");
    item.dataset.holds = isOpen ? "unknown" : String(invariant.holds);
  };
  return { item, reveal };
}

/**
 * Writes a rendered moment in the reader's own zone.
 * @param {Element} time with `data-at`: Unix seconds or ISO 8601
 * @param {(date: Date | null) => string} write
 */
export function stamp(time, write) {
  const at = /** @type {HTMLElement} */ (time).dataset.at ?? "";
  const date = toDate(at !== "" && Number.isFinite(Number(at)) ? Number(at) : at);
  if (date === null) return;
  time.textContent = write(date);
  time.setAttribute("datetime", date.toISOString());
  time.setAttribute("title", moment(date));
}

/**
 * @param {Element} root
 * @param {string} selector
 * @param {string} words
 */
function write(root, selector, words) {
  const element = root.querySelector(selector);
  if (element !== null) element.textContent = words;
}

customElements.define("run-result", RunResult);
