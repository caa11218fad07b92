// The page /gateway: one stream from the gateway feeds lanes, figures, lists and the proof.

import "/assets/components/copy-text.js";
import { EventLog } from "/assets/components/event-log.js";
import { LiveNumber } from "/assets/components/live-number.js";
import { PercentileStrip } from "/assets/components/percentile-strip.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { Problem } from "/assets/fetch.js";
import { counted } from "/assets/format.js";
import { follow } from "/assets/overview.js";
import { Stream } from "/assets/stream.js";
import { BreakIt } from "./break-it.js";
import { ClientCode } from "./client-code.js";
import { LanePicture } from "./lane-picture.js";
import { GatewayPlayground } from "./playground.js";
import { GatewayProof } from "./proof.js";
import { RequestList } from "./request-list.js";
import { bytes, linkWords, money, normal, stepsOf } from "./status.js";
import { SteadyStream } from "./steady-stream.js";
import { TargetList } from "./target-list.js";

const EVENTS = "/api/gateway/events";
const RUNNING = new Set(["ready", "degraded"]);

const stage = element(".stage", HTMLElement);
const picture = element("lane-picture", LanePicture);
const problems = element("main problem-note", ProblemNote);
const proof = element("gateway-proof", GatewayProof);
const steady = element("steady-stream", SteadyStream);
const breakIt = element("break-it", BreakIt);
const playground = element("gateway-playground", GatewayPlayground);
const targets = new TargetList(element(".targets", HTMLElement), (rows) => {
  picture.rows = rows;
});
const requests = new RequestList(element("#request-list", HTMLElement));
const moves = element("event-log", EventLog);

/** @type {Map<string, string>} the breakers' states as last heard */
const breakers = new Map();
/** Who is asked first, so that an answer from another one is known as a fallback. */
let first = "";
let pluginState = "ready";
/** @type {unknown} */
let shownProblem = null;

element("[data-base]", HTMLElement).textContent = `${location.origin}/v1`;
proof.problems = problems;
steady.isFallback = ({ provider }) => first !== "" && provider !== "" && provider !== first;

const stream = new Stream(EVENTS, {
  onEvent: (event) => {
    if (event.type === "status") showStatus(normal(JSON.parse(event.data)));
    if (event.type === "traffic") picture.hear(stepsOf(JSON.parse(event.data)));
  },
  onState: showLink,
});
setInterval(() => showLink(stream.state), 1000);

follow({
  onOverview: ({ host }) => {
    const plugin = host.plugins.find(({ name }) => name === "gateway");
    showPlugin(plugin?.state ?? "off", plugin?.reason ?? "");
  },
});

/** @param {import("./status.js").Status} status */
function showStatus(status) {
  const measured_at = status.at;
  const figures = /** @type {[string, number | string | null, string?][]} */ ([
    ["hit-rate", status.hit_rate === null ? null : status.hit_rate * 100],
    ["requests-per-s", status.requests_per_s],
    ["in-flight", status.in_flight],
    ["tokens-saved", status.tokens_saved],
    ["money-saved", status.saved_usd === null ? null : money(status.saved_usd)],
  ]);
  for (const [id, value] of figures) element(`#${id}`, LiveNumber).update({ value, measured_at });
  element("#latency", PercentileStrip).rows = [
    { label: "Hit", tone: "alive", percentiles: status.latency.hit },
    { label: "Miss", tone: "quiet", percentiles: status.latency.miss },
    { label: "First token", tone: "quiet", percentiles: status.latency.first_token },
  ];
  element("[data-cache]", HTMLElement).textContent = status.cache === null ? "" : `${counted(status.cache.entries, "answer")}, ${bytes(status.cache.bytes)}`;
  targets.show(status.targets);
  element("[data-no-targets]", HTMLElement).hidden = status.targets.length > 0;
  for (const target of status.targets) noteBreaker(target);
  requests.show(status.latest);
  element("#no-requests", HTMLElement).hidden = status.latest.length > 0;
  const [model] = status.models;
  first = model?.providers[0] ?? status.targets[0]?.provider ?? "";
  steady.model = playground.model = model?.id ?? "";
  element("client-code", ClientCode).model = model?.id ?? "gpt-5-mini";
  breakIt.offer(status.simulated);
  proof.progress = status.steady;
}

/** @param {import("./status.js").Target} target */
function noteBreaker({ id, breaker, last_error }) {
  const before = breakers.get(id);
  breakers.set(id, breaker);
  if (before === undefined || before === breaker) return;
  const why = breaker === "open" && last_error ? ` (${last_error.replaceAll("_", " ")})` : "";
  moves.add({ text: `${id}: ${before.replace("_", " ")} → ${breaker.replace("_", " ")}${why}`, voice: "gateway" });
}

/** @param {import("/assets/stream.js").StreamState} state */
function showLink(state) {
  if (stage.dataset.link !== state.name && state.name !== "live") picture.clear();
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
  proof.enabled = steady.enabled = playground.enabled = isUp;
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

/**
 * @template {HTMLElement} T
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
function element(selector, kind) {
  const found = document.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${selector}`);
  return found;
}
