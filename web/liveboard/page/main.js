// The page of a board: puts its parts together and says how things stand.

import "/assets/components/verdict-mark.js";
import { explain, Problem, requestJson } from "/assets/fetch.js";
import { keyOf } from "../core/operations.js";
import { Board } from "./board.js";
import { Hand } from "./hand.js";
import { colourOf, Painter } from "./painter.js";
import { Proof } from "./proof.js";
import { View } from "./view.js";

const LIGHT_MS = 900;
const SAID_MS = 2500;
const COLOURS = [0x2468cf, 0x0c8577, 0x7247d6, 0xb97300, 0xc2417c];
const OPEN_ROOM = "lobby";

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const frame = /** @type {HTMLElement} */ (document.querySelector(".board"));
const above = /** @type {HTMLCanvasElement} */ (byId("above"));

const room = location.pathname.split("/")[2] || OPEN_ROOM;
const key = new URLSearchParams(location.hash.slice(1)).get("key") ?? "";
const chance = crypto.getRandomValues(new Uint16Array(2));
const name = stored("liveboard-name") || `Guest ${1000 + (Number(chance[0]) % 9000)}`;
const color = COLOURS[Number(chance[1]) % COLOURS.length] ?? 0;
const socketUrl = `${location.origin.replace(/^http/, "ws")}/api/liveboard/rooms/${room}/socket`;

const board = new Board(socketUrl, why, { key, name, color });
const view = new View();
const painter = new Painter(/** @type {HTMLCanvasElement} */ (byId("marks")), above, view);
const hand = new Hand(above, board, view, draw);
const proof = new Proof(board, room, key);
/** Strokes saved a moment ago, for their light. @type {Map<string, number>} */
const savedAt = new Map();
let asked = 0;
let isAll = true;

/** Why there is no connection. A socket that is refused says nothing, so this asks. */
async function why() {
  try {
    await requestJson("/api/liveboard/figures", { timeout_ms: 4000 });
    return { state: "offline", words: "The connection was lost. Draw on: it is kept on this page and sent later." };
  } catch (error) {
    const isOff = error instanceof Problem && (error.status === 503 || error.status === 404);
    if (isOff) return { state: "off", words: "Liveboard is not running on this host just now." };
    return { state: "offline", words: `${explain(error).headline}. Draw on: it is kept on this page and sent later.` };
  }
}

/** Asks for one frame of the screen. */
function draw(all = true) {
  isAll ||= all;
  asked ||= requestAnimationFrame(paint);
}

function paint() {
  asked = 0;
  if (isAll) painter.marks(board.replica.picture.shown(), hand.erasing);
  isAll = false;
  board.others.tidy();
  painter.above(hand.stroke, board.others, lights());
  byId("zoom-reset").textContent = `${Math.round(view.zoom * 100)}%`;
}

/** How far each of one's own strokes has come, at its end. */
function lights() {
  const now = performance.now();
  /** @type {{x: number, y: number, stage: "local" | "sent" | "saved"}[]} */
  const found = [];
  for (const { operation } of board.replica.unsaved) {
    if (operation.kind !== "stroke" || !board.replica.picture.get(keyOf(operation))) continue;
    found.push({ ...endOf(operation), stage: board.sent.has(keyOf(operation)) ? "sent" : "local" });
  }
  for (const [saved, at] of savedAt) {
    const mark = board.replica.picture.get(saved)?.operation;
    if (now - at > LIGHT_MS) savedAt.delete(saved);
    else if (mark?.kind === "stroke") found.push({ ...endOf(mark), stage: "saved" });
  }
  return found;
}

/** @param {{points: ArrayLike<number>}} stroke */
const endOf = ({ points }) => ({ x: Number(points[points.length - 2]), y: Number(points[points.length - 1]) });

function say() {
  const sent = board.sent.size;
  const counts = /** @type {Record<string, number>} */ ({ local: board.replica.unsaved.length - sent, sent, saved: board.savedCount });
  for (const each of frame.querySelectorAll("[data-light]")) {
    each.textContent = String(counts[/** @type {HTMLElement} */ (each).dataset.light ?? ""] ?? 0);
  }
  /** @type {HTMLButtonElement} */ (byId("undo")).disabled = !board.canUndo;
  /** @type {HTMLButtonElement} */ (byId("redo")).disabled = !board.canRedo;
  frame.dataset.rev = String(board.replica.rev);
  frame.dataset.digest = board.replica.saved.digest;
  proof.draw();
}

function listPeople() {
  const items = [...board.others.people.values()].map((person) => {
    const item = document.createElement("li");
    item.title = person.role === 0 ? `${person.name}, may only look` : person.name;
    item.innerHTML = '<svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="5"/></svg>';
    item.querySelector("circle")?.setAttribute("fill", colourOf(person.color));
    item.append(person.number === board.me ? `${person.name} (you)` : person.name);
    return item;
  });
  byId("people").replaceChildren(...items.slice(0, 6));
  if (items.length > 6) byId("people").append(Object.assign(document.createElement("li"), { textContent: `+${items.length - 6}` }));
}

/** @param {{state: string, words: string}} detail */
function showState({ state, words }) {
  frame.dataset.state = state;
  const short = /** @type {Record<string, string>} */ ({ live: "Live", connecting: "Connecting …", offline: "Offline", off: "Plugin off", error: "Stopped" });
  const isViewer = state === "live" && board.role === 0;
  byId("state").textContent = isViewer ? "Live, view only" : (short[state] ?? state);
  if (state !== "connecting") trouble(state === "live" ? "" : words);
  say();
}

/** @param {string} words none: there is no trouble */
function trouble(words) {
  byId("trouble").hidden = words === "";
  /** @type {HTMLElement} */ (byId("trouble").firstElementChild).textContent = words;
}

/** @param {HTMLElement} button @param {string} words for a moment */
function flash(button, words) {
  const before = button.dataset.words ?? button.textContent ?? "";
  button.dataset.words = before;
  button.textContent = words;
  setTimeout(() => (button.textContent = before), SAID_MS);
}

async function share() {
  const link = `${location.origin}/liveboard/${room}${location.hash}`;
  try {
    await navigator.clipboard.writeText(link);
    flash(byId("share"), "Copied");
  } catch {
    prompt("The link to this board", link);
  }
}

async function makeBoard() {
  try {
    const { data } = await requestJson("/api/liveboard/rooms", { method: "POST", body: { access: "link" } });
    location.assign(data.edit_url);
  } catch (error) {
    flash(byId("new-board"), explain(error).headline);
  }
}

/** @param {string} tool */
function choose(tool) {
  hand.tool = frame.dataset.tool = tool;
  press("[data-tool].tool", (button) => button.dataset.tool === tool);
}

/** @param {string} selector @param {(button: HTMLElement) => boolean} isOn */
function press(selector, isOn) {
  for (const button of frame.querySelectorAll(selector)) {
    button.setAttribute("aria-pressed", String(isOn(/** @type {HTMLElement} */ (button))));
  }
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  if (event.target instanceof HTMLInputElement) return;
  const control = event.ctrlKey || event.metaKey;
  const pressed = event.key.toLowerCase();
  const actions = /** @type {Record<string, () => void>} */ (
    control
      ? { z: () => (event.shiftKey ? board.redo() : board.undo()), y: () => board.redo() }
      : { p: () => choose("pen"), e: () => choose("eraser"), h: () => choose("hand"), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => zoom(0) }
  );
  const action = event.altKey ? undefined : actions[pressed];
  if (!action) return;
  event.preventDefault();
  action();
}

/** @param {number} factor 0 goes back to the start */
function zoom(factor) {
  if (factor) view.zoomBy(factor);
  else view.reset();
  draw();
}

/** @param {string} item */
function stored(item) {
  try {
    return localStorage.getItem(item) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} selector @param {(button: HTMLElement) => void} action */
function onClick(selector, action) {
  for (const button of frame.querySelectorAll(selector)) button.addEventListener("click", () => action(/** @type {HTMLElement} */ (button)));
}

onClick("[data-tool].tool", (button) => choose(button.dataset.tool ?? "pen"));
onClick("[data-color]", (button) => {
  hand.color = parseInt(button.dataset.color ?? "0", 16);
  press("[data-color]", (each) => each === button);
  choose("pen");
});
onClick("[data-width]", (button) => {
  hand.width = Number(button.dataset.width);
  press("[data-width]", (each) => each === button);
});
onClick("#undo", () => board.undo());
onClick("#redo", () => board.redo());
onClick("#zoom-in", () => zoom(1.25));
onClick("#zoom-out", () => zoom(0.8));
onClick("#zoom-reset", () => zoom(0));
onClick("#share", () => void share());
onClick("#new-board", () => void makeBoard());
onClick("#trouble button", () => board.link.connect());
const nameField = /** @type {HTMLInputElement} */ (byId("name"));
nameField.value = name;
byId("about").addEventListener("submit", (event) => {
  event.preventDefault();
  const wish = nameField.value.trim().slice(0, 24);
  if (!wish) return;
  try {
    localStorage.setItem("liveboard-name", wish);
  } catch {
    // Without storage it lasts as long as the page.
  }
  board.rename(wish);
});

board.addEventListener("picture", () => draw());
board.addEventListener("moves", () => draw(false));
board.addEventListener("people", () => (listPeople(), say(), draw(false)));
board.addEventListener("change", () => (say(), draw(false)));
board.addEventListener("state", (event) => showState(/** @type {CustomEvent} */ (event).detail));
board.addEventListener("saved", (event) => {
  for (const each of /** @type {CustomEvent} */ (event).detail) savedAt.set(each, performance.now());
});
board.addEventListener("lost", (event) => {
  const reasons = new Set(/** @type {CustomEvent} */ (event).detail.map((/** @type {{reason: string}} */ each) => each.reason));
  trouble(`The server refused some of what you drew: ${[...reasons].join(", ")}.`);
});
addEventListener("keydown", shortcut);
addEventListener("hashchange", () => location.reload());
addEventListener("beforeunload", (event) => {
  if (board.replica.unsaved.length) event.preventDefault();
});
new ResizeObserver(() => (painter.resize(), draw())).observe(above);
const retheme = () => (painter.retheme(), listPeople(), draw());
new MutationObserver(retheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", retheme);
setInterval(() => draw(false), 1000);
choose("pen");
board.link.connect();
