// The page /raft-lab: one stream from the lab, or one recording, feeds the ring, the timeline, the panels and the lists.

import { EventLog } from "/assets/components/event-log.js";
import { LiveNumber } from "/assets/components/live-number.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { one, write } from "/assets/dom.js";
import { Problem } from "/assets/fetch.js";
import { follow } from "/assets/overview.js";
import { wanted } from "/assets/wanted.js";
import { Annals } from "./annals.js";
import { Lab } from "./live.js";
import { Model } from "./model.js";
import { RaftRing } from "./ring.js";
import { RaftTimeline } from "./timeline.js";
import { sentence } from "./words.js";

const RUNNING = new Set(["ready", "degraded"]);
const KEPT_MS = 90_000;

const model = new Model();
const stage = one(".stage", HTMLElement);
const ring = one("raft-ring", RaftRing);
const timeline = one("raft-timeline", RaftTimeline);
const problems = one("main problem-note", ProblemNote);
const log = one("event-log", EventLog);
/** @type {import("./below.js").Below | null} null until it is wanted */
let below = null;
let annals = new Annals(KEPT_MS);
let isDirty = false;
let pluginState = "ready";
/** @type {unknown} */
let shownProblem = null;

const recording = new URLSearchParams(location.search).get("recording");
const lab = recording === null ? new Lab(model, { onDelta: heard, onState: began, onLink: linked, showProblem }) : null;
if (recording !== null) void replay(recording);
requestAnimationFrame(frame);
void wanted([one("#logs", HTMLElement), one("#below", HTMLElement)]).then(() => import("./below.js")).then(({ Below }) => {
  below = new Below();
  isDirty = true;
}, showProblem);

follow({
  onOverview: ({ host }) => {
    const plugin = host.plugins.find(({ name }) => name === "raft");
    showPlugin(plugin?.state ?? "off", plugin?.reason ?? "");
  },
});

/** @param {any} state */
function began(state) {
  const { events, isAnother } = model.begin(state, performance.now());
  if (isAnother) {
    annals.clear();
    ring.clear();
    log.add({ text: "The host was restarted: this is a fresh cluster, and what stood here before is gone." });
    one("#restarted", HTMLElement).hidden = false;
  }
  if (annals.bands.length === 0) annals.begin(events);
  tell(events);
}

/** @param {any} delta */
function heard(delta) {
  const now_ms = performance.now();
  tell(model.change(delta, now_ms));
  ring.fly(delta.m ?? [], now_ms);
}

/** @param {import("./model.js").RaftEvent[]} events oldest first */
function tell(events) {
  for (const { t, text, action } of events) log.add({ text: sentence(text), detail: action ?? "", at: model.dateOf(t) });
  const latest = events.at(-1);
  if (latest !== undefined) narrate(latest.text, latest.action ?? null);
  lab?.hear(events);
  annals.hear(events);
  annals.note(model);
  isDirty = true;
}

/**
 * @param {string} text
 * @param {string | null} action of the specification
 */
function narrate(text, action) {
  write(one("#narration", HTMLElement), sentence(text));
  write(one("#spec-action", HTMLElement), action === null ? "" : `raft.tla: ${action}`);
}

/** @param {string} id of a recording, which is shown instead of the lab */
async function replay(id) {
  const phase = one("#phase", HTMLElement);
  phase.textContent = "Loading the recording …";
  try {
    const { Replay } = await import("./replay.js");
    const { offerBranch } = await import("./branch.js");
    const player = new Replay({
      model,
      onFrame: (messages) => {
        ring.fly(messages, performance.now());
        narrate(player.latest?.text ?? "", player.latest?.action ?? null);
        isDirty = true;
      },
      onJump: () => ring.clear(),
    });
    const begin = () => {
      annals = player.annals;
      timeline.fixed = player.span;
      phase.textContent = "A recording.";
      isDirty = true;
    };
    await player.load(id);
    offerBranch(player, begin);
    begin();
  } catch (error) {
    phase.textContent = "There is no recording to show.";
    showProblem(error);
  }
}

/** @param {number} now_ms */
function frame(now_ms) {
  if (model.document !== null) {
    if (isDirty) show();
    ring.step(model, now_ms);
    timeline.show(annals, lab === null ? model.document.t : model.labTime_ms(now_ms), model.ids);
  }
  requestAnimationFrame(frame);
}

function show() {
  isDirty = false;
  const { cluster, t } = model.document;
  ring.show(model);
  below?.show(model);
  lab?.show();
  const measured_at = recording === null ? model.dateOf(t).getTime() / 1000 : null;
  const figures = /** @type {[string, number | string | null][]} */ ([
    ["leader", model.leader === 0 ? "nobody" : `n${model.leader}`],
    ["term", cluster.term],
    ["commit", cluster.commit],
    ["failover", cluster.failover_ms],
    ["elections", cluster.elections],
    ["acknowledged", cluster.acknowledged],
    ["lost", cluster.lost],
  ]);
  for (const [id, value] of figures) one(`#f-${id}`, LiveNumber).update({ value, measured_at });
}

/** @param {string} name of the connection's state */
function linked(name) {
  if (stage.dataset.link !== name && name !== "live" && name !== "stale") ring.clear();
  stage.dataset.link = name;
  enable();
}

/**
 * @param {string} state
 * @param {string} reason
 */
function showPlugin(state, reason) {
  const wasDown = !RUNNING.has(pluginState);
  pluginState = state;
  if (!RUNNING.has(state)) {
    showProblem(new Problem({ kind: "http", status: 503, detail: `The lab is ${state}${reason === "" ? "" : `: ${reason}`}.` }));
  } else if (wasDown) {
    if (shownProblem instanceof Problem && shownProblem.status === 503) showProblem(null);
    lab?.retryNow();
  }
  enable();
}

function enable() {
  lab?.enable(RUNNING.has(pluginState) && ["live", "stale"].includes(stage.dataset.link ?? ""));
}

/** @param {unknown} error null takes it away */
function showProblem(error) {
  if (error instanceof Problem && shownProblem instanceof Problem && error.detail === shownProblem.detail) return;
  shownProblem = error;
  problems.show(error);
}

lab?.connect(ring);
