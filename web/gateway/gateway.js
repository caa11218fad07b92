// The page /gateway: one stream from the gateway feeds lanes, figures, lists and the proof.

import { EventLog } from "/assets/components/event-log.js";
import { LiveNumber } from "/assets/components/live-number.js";
import { PercentileStrip } from "/assets/components/percentile-strip.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { one as element } from "/assets/dom.js";
import { Problem, requestJson } from "/assets/fetch.js";
import { counted } from "/assets/format.js";
import { follow } from "/assets/overview.js";
import { Stream } from "/assets/stream.js";
import { wanted } from "/assets/wanted.js";
import { LanePicture } from "./lane-picture.js";
import { GatewayProof } from "./proof.js";
import { RequestList, ROWS_MAX } from "./request-list.js";
import { isOfProof, normal, Pace, requestsOf, stepsOf, Tries } from "./status.js";
import { TargetList } from "./target-list.js";
import { bytes, linkWords, money } from "./words.js";

const API = "/api/gateway";
const RUNNING = new Set(["ready", "degraded"]);
/** For so long the proof's providers keep their lanes after it. */
const PROOF_LINGERS_MS = 8000;

const stage = element(".stage", HTMLElement);
const picture = element("lane-picture", LanePicture);
const problems = element("main problem-note", ProblemNote);
const proof = element("gateway-proof", GatewayProof);
const targets = new TargetList(element(".targets", HTMLElement), (rows) => {
  picture.rows = rows;
});
const requests = new RequestList(element("#request-list", HTMLElement));
const moves = element("event-log", EventLog);

/** @type {Map<string, string>} the breakers' states as last heard */
const breakers = new Map();
/** @type {import("./status.js").GatewayRequest[]} newest first */
let latest = [];
const tries = new Tries();
const pace = new Pace();
let proofSeen_ms = -Infinity;
let proofRequests = 0;
let pluginState = "ready";
/** @type {import("./status.js").Status | null} */
let lastStatus = null;
/** @type {typeof import("./below.js") | null} null until somebody gets near to it */
let below = null;
/** @type {unknown} */
let shownProblem = null;

element("[data-base]", HTMLElement).textContent = `${location.origin}/v1`;
proof.problems = problems;
proof.enabled = true;
proof.addEventListener("proving", () => {
  proofSeen_ms = performance.now();
  stage.scrollIntoView({ block: "nearest" });
});

const stream = new Stream(`${API}/events`, { onEvent: heard, onState: showLink });
setInterval(() => showLink(stream.state), 1000);

void wanted([".break", "gateway-playground", "client-code"].map((selector) => element(selector, HTMLElement))).then(async () => {
  below = await import("./below.js");
  below.enable(RUNNING.has(pluginState));
  if (lastStatus !== null) below.show(lastStatus);
});

follow({
  onOverview: ({ host }) => {
    const plugin = host.plugins.find(({ name }) => name === "gateway");
    showPlugin(plugin?.state ?? "off", plugin?.reason ?? "");
  },
});

/** @param {import("/assets/sse.js").ServerEvent} event */
function heard({ type, data }) {
  if (type === "stats") showStatus(normal(JSON.parse(data)));
  if (type === "requests") showRequests([...requestsOf(JSON.parse(data)), ...latest]);
  if (type === "steps") {
    const steps = stepsOf(JSON.parse(data));
    picture.hear(steps);
    tries.hear(steps);
    proof.hear(steps);
  }
}

/** @param {import("./status.js").Status} status */
function showStatus(status) {
  const measured_at = status.at;
  const figures = /** @type {[string, number | string | null][]} */ ([
    ["hit-rate", status.hit_rate === null ? null : status.hit_rate * 100],
    ["requests-per-s", pace.perSecond(status.at, status.total)],
    ["in-flight", status.in_flight],
    ["tokens-saved", status.saved_tokens],
    ["money-saved", status.saved_usd === null ? null : money(status.saved_usd)],
  ]);
  for (const [id, value] of figures) element(`#${id}`, LiveNumber).update({ value, measured_at });
  element("#latency", PercentileStrip).rows = [
    { label: "Hit", tone: "alive", percentiles: status.latency.hit },
    { label: "Miss", tone: "quiet", percentiles: status.latency.miss },
    { label: "First token", tone: "quiet", percentiles: status.latency.first_token },
  ];
  element("[data-cache]", HTMLElement).textContent = status.cache === null ? "" : `${counted(status.cache.entries, "answer")}, ${bytes(status.cache.bytes)}`;
  showTargets(status.targets);
  lastStatus = status;
  below?.show(status);
}

/** @param {readonly import("./status.js").Target[]} all */
function showTargets(all) {
  const ofProof = all.filter(isOfProof).reduce((sum, target) => sum + target.requests, 0);
  if (ofProof !== proofRequests) proofSeen_ms = performance.now();
  proofRequests = ofProof;
  const isProving = performance.now() - proofSeen_ms < PROOF_LINGERS_MS;
  const shown = all.filter((target) => isProving || !isOfProof(target));
  targets.show(shown);
  element("[data-no-targets]", HTMLElement).hidden = shown.length > 0;
  for (const target of all) noteBreaker(target);
}

/** @param {import("./status.js").GatewayRequest[]} all newest first */
function showRequests(all) {
  latest = all.slice(0, ROWS_MAX);
  requests.show(latest, (id) => tries.of(id));
  element("#no-requests", HTMLElement).hidden = latest.length > 0;
}

/** Fills in what happened while nothing was heard. */
async function catchUp() {
  try {
    const { data } = await requestJson(`${API}/stats`);
    showRequests(normal(data).latest);
  } catch {
    // The stream brings what comes from now on.
  }
}

/** @param {import("./status.js").Target} target */
function noteBreaker({ id, breaker, last_failure }) {
  const before = breakers.get(id);
  breakers.set(id, breaker);
  if (before === undefined || before === breaker) return;
  const why = breaker === "open" && last_failure !== "" ? ` (${last_failure.replaceAll("_", " ")})` : "";
  moves.add({ text: `${id}: ${before.replace("_", " ")} → ${breaker.replace("_", " ")}${why}`, voice: "gateway" });
}

/** @param {import("/assets/stream.js").StreamState} state */
function showLink(state) {
  if (stage.dataset.link !== state.name) {
    if (state.name === "live") void catchUp();
    else if (state.name !== "stale") picture.clear();
  }
  stage.dataset.link = state.name;
  const words = linkWords(state, Date.now());
  const phase = element("#phase", HTMLElement);
  if (phase.textContent !== words) phase.textContent = words;
}

/**
 * @param {string} state
 * @param {string} reason
 */
function showPlugin(state, reason) {
  const wasDown = !RUNNING.has(pluginState);
  pluginState = state;
  const isUp = RUNNING.has(state);
  proof.enabled = isUp;
  below?.enable(isUp);
  if (!isUp) {
    showProblem(new Problem({ kind: "http", status: 503, detail: `The gateway is ${state}${reason === "" ? "" : `: ${reason}`}.` }));
  } else if (wasDown && shownProblem instanceof Problem && shownProblem.status === 503) {
    showProblem(null);
    stream.retryNow();
  }
}

/** @param {unknown} error */
function showProblem(error) {
  if (error instanceof Problem && shownProblem instanceof Problem && error.detail === shownProblem.detail) return;
  shownProblem = error;
  problems.show(error);
}
