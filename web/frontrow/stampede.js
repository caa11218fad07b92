// The page /frontrow: form, picture, result, earlier runs.

import "/assets/components/copy-text.js";
import { CopyText } from "/assets/components/copy-text.js";
import "/assets/components/percentile-strip.js";
import "/assets/components/tab-set.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { Problem } from "/assets/fetch.js";
import { count, shortMoment, span } from "/assets/format.js";
import { follow } from "/assets/overview.js";
import { wanted } from "/assets/wanted.js";
import { followPicture } from "./clock.js";
import { RunResult, stamp } from "./run-result.js";
import { runStampede } from "./runner.js";
import { StampedeForm, wishWords } from "./stampede-form.js";
import { StampedePicture } from "./stampede-picture.js";

const RUNS_SHOWN_MAX = 50;
const RUNNING = new Set(["ready", "degraded"]);

const stage = /** @type {HTMLElement} */ (document.querySelector(".stage"));
const picture = /** @type {StampedePicture} */ (document.querySelector("stampede-picture"));
const outcome = /** @type {RunResult} */ (document.querySelector("run-result"));
const problems = /** @type {ProblemNote} */ (document.querySelector("problem-note"));
const phase = /** @type {HTMLElement} */ (document.getElementById("phase"));
const form = new StampedeForm(/** @type {HTMLFormElement} */ (document.getElementById("stampede")), {
  onChange: prepare,
  onFire: (wish) => void fire(wish),
});

let isRunning = false;
let pluginState = "ready";
/** @type {unknown} what the note shows, so that only a plugin's return takes its own absence away */
let shownProblem = null;

followPicture(stage);
const lab = /** @type {HTMLElement} */ (document.getElementById("lab"));
void wanted([lab]).then(() => import("./lab/lab.js"));
for (const time of document.querySelectorAll(".runs time")) stamp(time, when);
prepare(fromAddress() ?? form.read() ?? { buyers: 1000, seats: 1, seed: null });
follow({
  onOverview: ({ host }) => {
    const plugin = host.plugins.find(({ name }) => name === "frontrow");
    showPlugin(plugin?.state ?? "off", plugin?.reason ?? "");
  },
});

/** @param {import("./stampede-form.js").Wish} wish */
function prepare(wish) {
  if (isRunning) return;
  setPhase("empty", `${wishWords(wish)}. Every dot is a buyer, every square a seat. Fire the gun.`);
  picture.gather(wish.buyers, wish.seats, wish.seed ?? 1);
  const curl = document.getElementById("curl");
  const body = JSON.stringify({ buyers: wish.buyers, seats: wish.seats, ...(wish.seed === null ? {} : { seed: wish.seed }) });
  if (curl instanceof CopyText) {
    curl.text = `curl -X POST ${location.origin}/api/frontrow/stampede \\\n  -H 'content-type: application/json' \\\n  -d '${body}'`;
  }
}

/** @param {import("./stampede-form.js").Wish} wish */
async function fire(wish) {
  isRunning = true;
  showProblem(null);
  enable();
  outcome.hidden = true;
  setPhase("running", `${wishWords(wish)}: the gun …`);
  stage.scrollIntoView({ block: "nearest" });
  picture.gather(wish.buyers, wish.seats, wish.seed ?? 1);
  /** @type {any[]} */
  const points = [];
  try {
    const run = await runStampede(wish, {
      onProgress: (point) => {
        points.push(point);
        picture.follow(points);
        setPhase("running", `${count((point.booked ?? 0) + (point.rejected ?? 0))} of ${count(wish.buyers)} have their verdict.`);
      },
      onState: (words) => setPhase("running", words),
    });
    showRun(run);
  } catch (error) {
    showProblem(error);
    if (error instanceof Problem) form.refuse(error.errors);
    setPhase("failed", "The run did not happen, or is not known to have.");
  } finally {
    isRunning = false;
    enable();
  }
}

/** @param {any} run */
function showRun(run) {
  picture.show(run, { play: true });
  outcome.show(run, { ticking: true });
  setPhase("done", `Verdict: ${run.verdict ?? "unknown"}. ${count(run.booked)} booked, ${count(run.rejected)} rejected, ${count(run.oversold)} oversold in ${span(run.elapsed_ms)}.`);
  const list = /** @type {HTMLElement} */ (document.getElementById("run-list"));
  list.prepend(runRow(run));
  while (list.children.length > RUNS_SHOWN_MAX) list.lastElementChild?.remove();
  /** @type {HTMLElement} */ (document.getElementById("no-runs")).hidden = true;
}

/** @param {any} run */
function runRow(run) {
  const row = document.createElement("tr");
  const cells = /** @type {[string, string][]} */ ([
    [`${count(run.buyers)} × ${count(run.seats)}`, "number"],
    [count(run.booked), "number wide-only"],
    [count(run.rejected), "number wide-only"],
    [count(run.oversold), "number"],
    [span(run.elapsed_ms), "number wide-only"],
  ]);
  const first = document.createElement("td");
  const link = document.createElement("a");
  link.href = `/frontrow/runs/${encodeURIComponent(run.run_id)}`;
  const time = document.createElement("time");
  time.dataset.at = String(run.started_at ?? "");
  time.textContent = String(run.run_id);
  stamp(time, when);
  link.append(time);
  first.append(link);
  const verdict = document.createElement("td");
  const mark = document.createElement("verdict-mark");
  mark.setAttribute("verdict", run.verdict ?? "unknown");
  verdict.append(mark);
  row.append(
    first,
    ...cells.map(([text, className]) => {
      const cell = document.createElement("td");
      cell.className = className;
      cell.textContent = text;
      return cell;
    }),
    verdict,
  );
  return row;
}

/**
 * @param {Date | null} date
 * @returns {string}
 */
function when(date) {
  return shortMoment(date, new Date());
}

/**
 * @param {string} state
 * @param {string} reason
 */
function showPlugin(state, reason) {
  const wasDown = !RUNNING.has(pluginState);
  pluginState = state;
  const isDown = !RUNNING.has(state);
  enable();
  if (isDown) {
    showProblem(new Problem({ kind: "http", status: 503, detail: `FrontRow is ${state}${reason === "" ? "" : `: ${reason}`}.` }));
  } else if (wasDown && shownProblem instanceof Problem && shownProblem.status === 503) showProblem(null);
}

function enable() {
  form.button.disabled = isRunning || !RUNNING.has(pluginState);
  form.button.textContent = isRunning ? "Running …" : "Fire the gun";
}

/** @param {unknown} error */
function showProblem(error) {
  if (error instanceof Problem && shownProblem instanceof Problem && error.detail === shownProblem.detail) return;
  shownProblem = error;
  problems.show(error);
}

/**
 * @param {"empty" | "running" | "done" | "failed"} name
 * @param {string} words
 */
function setPhase(name, words) {
  stage.dataset.phase = name;
  phase.textContent = words;
}

/** @returns {import("./stampede-form.js").Wish | null} values that a link brought along */
function fromAddress() {
  const query = new URLSearchParams(location.search);
  if (!query.has("buyers") && !query.has("seats")) return null;
  const number = (/** @type {string} */ name) => (query.get(name) ? Number(query.get(name)) : Number.NaN);
  const wish = {
    buyers: number("buyers") || 1000,
    seats: number("seats") || 1,
    seed: Number.isFinite(number("seed")) ? number("seed") : null,
  };
  form.set(wish);
  return form.read();
}
