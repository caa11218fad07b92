// What a visitor may do: break nodes and links, play a named fault, write and read, export.

import { FaultBar } from "/assets/components/fault-bar.js";
import { explain, requestJson } from "/assets/fetch.js";

const API = "/api/raft";
const ACTIONS = `${API}/actions`;
const UNTIL_HEALED = "until healed";
const HEAL = { label: "Heal all", effect: "links, clocks, disks; starts the dead", lasts: "at\u00a0once", url: ACTIONS, body: { action: "heal" } };

/** @type {[string, string, string, string][]} action, label, effect, lasts */
const ON_NODE = [
  ["kill", "Kill", "the process ends; its disk stays", "until restarted"],
  ["restart", "Restart", "starts again from its disk", "at\u00a0once"],
  ["pause", "Pause", "stands still, links stay open", "until resumed"],
  ["resume", "Resume", "goes on where it stood", "at\u00a0once"],
  ["isolate", "Isolate", "cuts all its links", UNTIL_HEALED],
  ["campaign", "Campaign", "stands for election now", "at\u00a0once"],
  ["transfer", "Make leader", "the leader hands over to it", "at\u00a0once"],
  ["snapshot", "Snapshot", "its log is cut short", "at\u00a0once"],
];
/** @type {[string, string, Record<string, unknown>][]} */
const ON_LINKS = [
  ["Split 1 2 | 3 4 5", "two groups that do not hear each other", { action: "partition", groups: [[1, 2], [3, 4, 5]] }],
  ["Split 1 2 3 | 4 5", "two groups that do not hear each other", { action: "partition", groups: [[1, 2, 3], [4, 5]] }],
  ["Lose 30 %", "of all messages", { action: "link", loss: 300 }],
  ["Slow", "80 ms ± 20 ms on every link", { action: "link", delay_ms: 80, jitter_ms: 20 }],
];

let target = /** @type {number | "leader"} */ ("leader");

/** @param {readonly number[]} ids */
export function offerTargets(ids) {
  const place = one("#targets", HTMLElement);
  const wanted = ["leader", ...ids].join();
  if (place.dataset.shown === wanted) return;
  place.dataset.shown = wanted;
  if (target !== "leader" && !ids.includes(target)) target = "leader";
  place.replaceChildren(
    ...["leader", ...ids].map((each) => {
      const label = document.createElement("label");
      label.className = "preset";
      const input = document.createElement("input");
      input.type = "radio";
      input.name = "target";
      input.checked = each === target;
      input.addEventListener("change", () => {
        target = /** @type {number | "leader"} */ (each);
        offerNodeFaults();
      });
      const words = document.createElement("span");
      words.textContent = each === "leader" ? "the leader" : `n${each}`;
      label.append(input, words);
      return label;
    }),
  );
  offerNodeFaults();
}

function offerNodeFaults() {
  const faults = ON_NODE.filter(([action]) => target !== "leader" || !["restart", "resume", "transfer"].includes(action)).map(
    ([action, label, effect, lasts]) => ({ label, effect, lasts, url: ACTIONS, body: { action, node: target } }),
  );
  for (const [state, effect] of [["full", "writes fail"], ["slow", "100 ms a write"]]) {
    faults.push({ label: `Disk ${state}`, effect: effect ?? "", lasts: UNTIL_HEALED, url: ACTIONS, body: /** @type {any} */ ({ action: "disk", node: target, state }) });
  }
  one("#node-faults", FaultBar).offer(faults, HEAL);
}

/** @param {(error: unknown) => void} showProblem */
export function enableControls(showProblem) {
  one("#link-faults", FaultBar).offer(ON_LINKS.map(([label, effect, body]) => ({ label, effect, lasts: UNTIL_HEALED, url: ACTIONS, body })), HEAL);
  for (const button of document.querySelectorAll("[data-topology]")) {
    if (!(button instanceof HTMLButtonElement)) continue;
    button.addEventListener("click", () => void whileBusy(button, "#scenario", `${button.textContent} …`, async () => {
      const { data } = await requestJson(ACTIONS, { method: "POST", body: { action: "topology", name: button.dataset.topology } });
      return data.text;
    }));
  }
  const form = one("#kv-form", HTMLFormElement);
  const key = one("#key", HTMLInputElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void kv({ action: "propose", key: key.value, value: one("#value", HTMLInputElement).value }, event.submitter);
  });
  one("[data-read]", HTMLButtonElement).addEventListener("click", ({ currentTarget }) => void kv({ action: "read", key: key.value }, currentTarget));
  const exporter = one("#export", HTMLButtonElement);
  exporter.addEventListener("click", () => void exportIt(exporter, showProblem));
}

/** @param {boolean} isOn */
export function enableButtons(isOn) {
  for (const button of document.querySelectorAll("[data-topology], #export, #kv-form button")) {
    if (button instanceof HTMLButtonElement && button.dataset.busy === undefined) button.disabled = !isOn;
  }
  for (const bar of document.querySelectorAll("fault-bar")) bar.toggleAttribute("inert", !isOn);
}

/**
 * @param {Record<string, string>} body
 * @param {EventTarget | null} button
 */
async function kv(body, button) {
  if (!(button instanceof HTMLButtonElement)) return;
  await whileBusy(button, "#kv-said", "Asking the leader …", async () => {
    const { data } = await requestJson(ACTIONS, { method: "POST", body });
    return data.text;
  });
}

/**
 * @param {HTMLButtonElement} button
 * @param {string} place
 * @param {string} meanwhile
 * @param {() => Promise<string>} work
 */
async function whileBusy(button, place, meanwhile, work) {
  const words = one(place, HTMLElement);
  button.disabled = true;
  button.dataset.busy = "";
  words.textContent = meanwhile;
  try {
    words.textContent = await work();
  } catch (error) {
    const { headline, detail, next } = explain(error);
    words.textContent = `${headline}. ${detail} ${next}`;
  } finally {
    delete button.dataset.busy;
    button.disabled = false;
    button.focus();
  }
}

/**
 * @param {HTMLButtonElement} button
 * @param {(error: unknown) => void} showProblem
 */
async function exportIt(button, showProblem) {
  const place = one("#exported", HTMLElement);
  button.disabled = true;
  place.textContent = "Writing it down, and replaying it …";
  try {
    const { data } = await requestJson(`${API}/recordings`, { method: "POST", body: { seconds: 30 }, timeout_ms: 60_000 });
    const link = document.createElement("a");
    link.href = data.file_url;
    link.download = "";
    link.textContent = "Download the recording";
    const hash = document.createElement("code");
    hash.textContent = data.hash;
    const replayed = data.verified ? "The replay came to the same hash" : `The replay came to another hash, ${data.replayed_hash}, than`;
    const watch = document.createElement("a");
    watch.href = data.url;
    watch.textContent = "watch it here";
    place.replaceChildren(link, " or ", watch, ` (${data.steps.toLocaleString("en")} steps, ${data.bytes.toLocaleString("en")} bytes). ${replayed} `, hash, ".");
  } catch (error) {
    place.textContent = "";
    showProblem(error);
  } finally {
    button.disabled = false;
    button.focus();
  }
}

/**
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
export function one(selector, kind) {
  const found = document.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${selector}`);
  return found;
}
