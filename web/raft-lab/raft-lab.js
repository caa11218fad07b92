// The page /raft-lab: one stream from the lab feeds the ring, the tables, the figures and the list of events.

import { EventLog } from "/assets/components/event-log.js";
import { LiveNumber } from "/assets/components/live-number.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { Problem } from "/assets/fetch.js";
import { ago } from "/assets/format.js";
import { follow } from "/assets/overview.js";
import { Stream } from "/assets/stream.js";
import { enableButtons, enableControls, offerTargets, one } from "./controls.js";
import { Model } from "./model.js";
import { RaftProof } from "./proof.js";
import { Replay } from "./replay.js";
import { RaftRing } from "./ring.js";
import { showChecks, showKeys, showLinks, showLogs, showNodes } from "./tables.js";

const RUNNING = new Set(["ready", "degraded"]);

const model = new Model();
const stage = one(".stage", HTMLElement);
const ring = one("raft-ring", RaftRing);
const problems = one("main problem-note", ProblemNote);
const proof = one("raft-proof", RaftProof);
const log = one("event-log", EventLog);
let isDirty = false;
let pluginState = "ready";
/** @type {unknown} */
let shownProblem = null;

proof.showProblem = showProblem;
enableControls(showProblem);
offerTargets([...document.querySelectorAll("#nodes th")].map((cell) => Number((cell.textContent ?? "").slice(1))));

const recording = new URLSearchParams(location.search).get("recording");
const stream = recording === null ? new Stream("/api/raft/events", { onEvent: heard, onState: showLink }) : null;
if (stream !== null) setInterval(() => showLink(stream.state), 1000);
if (recording !== null) void replay(recording);
requestAnimationFrame(frame);

follow({
  onOverview: ({ host }) => {
    const plugin = host.plugins.find(({ name }) => name === "raft");
    showPlugin(plugin?.state ?? "off", plugin?.reason ?? "");
  },
});

/** @param {import("/assets/sse.js").ServerEvent} event */
function heard({ type, data }) {
  const now_ms = performance.now();
  if (type === "state") tell(model.begin(JSON.parse(data), now_ms));
  if (type === "delta") {
    const delta = JSON.parse(data);
    tell(model.change(delta, now_ms));
    ring.fly(delta.m ?? [], now_ms);
  }
  isDirty = true;
}

/** @param {string} id of a recording, which is shown instead of the lab */
async function replay(id) {
  const phase = one("#phase", HTMLElement);
  phase.textContent = "Loading the recording …";
  const player = new Replay({
    model,
    onFrame: (messages) => {
      ring.fly(messages, performance.now());
      isDirty = true;
    },
    onJump: () => ring.clear(),
  });
  try {
    const events = await player.load(id);
    const from_ms = model.document.t;
    const list = one("#recorded", HTMLOListElement);
    list.hidden = false;
    list.replaceChildren(
      ...events.map(({ t, text }) => {
        const item = document.createElement("li");
        const when = document.createElement("b");
        when.textContent = `${((t - from_ms) / 1000).toFixed(2)} s`;
        item.append(when, `${text}.`);
        return item;
      }),
    );
    one("#narration", HTMLElement).textContent = "";
    phase.textContent = "A recording.";
  } catch (error) {
    phase.textContent = "There is no recording to show.";
    showProblem(error);
  }
}

/** @param {import("./model.js").RaftEvent[]} events oldest first */
function tell(events) {
  for (const { t, text } of events) log.add({ text: `${text}.`, at: model.dateOf(t) });
  const latest = events.at(-1);
  if (latest !== undefined) one("#narration", HTMLElement).textContent = `${latest.text}.`;
}

/** @param {number} now_ms */
function frame(now_ms) {
  if (isDirty && model.document !== null) show();
  ring.step(model, now_ms);
  requestAnimationFrame(frame);
}

function show() {
  isDirty = false;
  const { cluster, checks, scenario, t } = model.document;
  ring.show(model);
  showNodes(model);
  showLogs(model);
  showLinks(model);
  showKeys(model);
  showChecks(checks);
  offerTargets([...model.nodes.keys()].sort((a, b) => a - b));
  const measured_at = recording === null ? model.dateOf(t).getTime() / 1000 : null;
  const figures = /** @type {[string, number | string | null][]} */ ([
    ["leader", cluster.led && cluster.leader ? `n${cluster.leader}` : "nobody"],
    ["term", cluster.term],
    ["commit", cluster.commit],
    ["failover", cluster.failover_ms],
    ["elections", cluster.elections],
    ["acknowledged", cluster.acknowledged],
    ["lost", cluster.lost],
  ]);
  for (const [id, value] of figures) one(`#f-${id}`, LiveNumber).update({ value, measured_at });
  if (scenario !== null) {
    const step = `${scenario.title}: ${scenario.step}${/[.!?]$/.test(scenario.step) ? "" : "."}`;
    const words = scenario.done ? step : `${step} Without a leader for ${scenario.leaderless_ms} ms so far.`;
    const place = one("#scenario", HTMLElement);
    if (place.textContent !== words) place.textContent = words;
  }
}

/** @param {import("/assets/stream.js").StreamState} state */
function showLink(state) {
  if (stage.dataset.link !== state.name && state.name !== "live" && state.name !== "stale") ring.clear();
  stage.dataset.link = state.name;
  const words = linkWords(state);
  const phase = one("#phase", HTMLElement);
  if (phase.textContent !== words) phase.textContent = words;
  enable();
}

/** @param {import("/assets/stream.js").StreamState} state */
function linkWords({ name, heardAt, problem }) {
  const silence = heardAt === null ? "" : ` Last heard ${ago(new Date(heardAt), new Date())}.`;
  switch (name) {
    case "connecting":
      return heardAt === null ? "Connecting …" : `Reconnecting …${silence}`;
    case "live":
      return "Live.";
    case "stale":
      return `The lab is silent.${silence}`;
    case "waiting":
      return problem?.status === 503 ? "The lab is not running; this page tries again by itself." : `The connection was lost; this page tries again by itself.${silence}`;
    case "paused":
      return "Paused while nobody looks.";
    default:
      return "";
  }
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
    stream?.retryNow();
  }
  enable();
}

function enable() {
  const isOn = RUNNING.has(pluginState) && ["live", "stale"].includes(stage.dataset.link ?? "");
  proof.enabled = isOn;
  enableButtons(isOn);
}

/** @param {unknown} error null takes it away */
function showProblem(error) {
  if (error instanceof Problem && shownProblem instanceof Problem && error.detail === shownProblem.detail) return;
  shownProblem = error;
  problems.show(error);
}
