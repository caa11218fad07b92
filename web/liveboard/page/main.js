// The page of a board: puts its parts together, draws when something changed, and says how things stand.

import "/assets/components/verdict-mark.js";
import { write } from "/assets/dom.js";
import { explain, Problem, requestJson } from "/assets/fetch.js";
import { Board } from "./board.js";
import { commandsOf } from "./commands.js";
import { Desk } from "./desk.js";
import { byId, fieldById } from "./elements.js";
import { Minimap } from "./minimap.js";
import { tellNews } from "./news.js";
import { Overlay } from "./overlay.js";
import { People } from "./people.js";
import { Pictures } from "./pictures.js";
import { placeOf, recall, remember } from "./place.js";
import { Pointers } from "./pointers.js";
import { Proof } from "./proof.js";
import { passwordFor } from "./password.js";
import { isTyping, meaningOf } from "./shortcuts.js";
import { Stage } from "./stage.js";
import { Teller } from "./teller.js";
import { Toolbar } from "./toolbar.js";
import { EraserTool } from "./tools/eraser.js";
import { InkTool } from "./tools/ink.js";
import { HandTool, LaserTool } from "./tools/pointing.js";
import { SelectTool } from "./tools/select.js";
import { ShapeTool } from "./tools/shape.js";
import { Editor, WordsTool } from "./tools/words.js";
import { transfers } from "./transfer.js";
import { View } from "./view.js";

const SAID_MS = 2800;
const COLOURS = [0x2468cf, 0x0c8577, 0x7247d6, 0xb97300, 0xc2417c];

const frame = /** @type {HTMLElement} */ (document.querySelector(".board"));
const above = /** @type {HTMLCanvasElement} */ (byId("above"));

const place = placeOf(location);
const chance = crypto.getRandomValues(new Uint16Array(2));
const name = recall("liveboard-name") || `Guest ${1000 + (Number(chance[0]) % 9000)}`;
const color = COLOURS[Number(chance[1]) % COLOURS.length] ?? 0;
const board = new Board(place.socket, why, { key: place.key, password: recall(`liveboard-password-${place.room}`, "sessionStorage"), name, color });
const view = new View();
const stage = new Stage(/** @type {HTMLCanvasElement} */ (byId("marks")), above, view);
const desk = new Desk(board, view, stage);
const editor = new Editor(desk, /** @type {HTMLTextAreaElement} */ (byId("words")));
const ink = { pen: new InkTool(desk, "pen"), highlighter: new InkTool(desk, "highlighter") };
/** @type {Record<string, import("./desk.js").Tool>} */
const tools = {
  ...ink,
  select: new SelectTool(desk, (shown) => editor.edit(shown)),
  hand: new HandTool(desk),
  eraser: new EraserTool(desk),
  line: new ShapeTool(desk, "line"),
  arrow: new ShapeTool(desk, "arrow"),
  rectangle: new ShapeTool(desk, "rectangle"),
  ellipse: new ShapeTool(desk, "ellipse"),
  text: new WordsTool(desk, "text", editor),
  note: new WordsTool(desk, "note", editor),
  laser: new LaserTool(desk),
};
const toolOf = (/** @type {string} */ tool) => tools[tool] ?? ink.pen;
const overlay = new Overlay(stage, view, board);
const pointers = new Pointers(above, desk, toolOf, (isByHand) => look(isByHand));
const people = new People(desk, byId("people"), byId("follow"), () => look(false));
const pictures = new Pictures(desk, place.room, () => draw());
const map = new Minimap(desk, /** @type {HTMLCanvasElement} */ (byId("map")), () => look(true));
const teller = new Teller(desk, pointers, () => {
  const tool = ink.highlighter.line ? ink.highlighter : ink.pen;
  return { strokes: ink.pen.strokes + ink.highlighter.strokes, body: tool.line ? tool.body() : null };
});
const toolbar = new Toolbar(frame, desk);
const proof = new Proof(board, desk, place);
const around = { frame, desk, toolbar, editor, pictures, proof, map, pointers, toolOf, room: place.room, look, follow: () => people.stop() };
const commands = commandsOf(around);
let asked = 0;
let isAll = true;
let isWhole = false;
let sayTimer = 0;

/** Why there is no connection. A socket that is refused says nothing, so this asks. */
async function why() {
  const words = board.outbox?.isKept ? "Draw on: it is kept in this browser and sent later." : "Draw on: it is kept on this page and sent later.";
  try {
    await requestJson("/api/liveboard/figures", { timeout_ms: 4000 });
    return { state: "offline", words: `The connection was lost. ${words}` };
  } catch (error) {
    const isOff = error instanceof Problem && (error.status === 503 || error.status === 404);
    if (isOff) return { state: "off", words: "Liveboard is not running on this host just now." };
    return { state: "offline", words: `${explain(error).headline}. ${words}` };
  }
}

/** Asks for one frame of the screen. @param {boolean} [all] the board too, not only what lies above it */
function draw(all = true) {
  isAll ||= all;
  if (all) frame.dataset.painted = "";
  asked ||= requestAnimationFrame(paint);
}

function paint() {
  asked = 0;
  if (isAll) isWhole = stage.drawMarks();
  isAll = false;
  const isMoving = overlay.draw(desk.inHand, toolOf(desk.tool));
  frame.dataset.painted = isWhole && !pictures.areAwaited && !frame.dataset.travel ? board.replica.saved.digest : "";
  if (isMoving) draw(false);
}

/** The view is another. @param {boolean} isByHand and not because of somebody one follows */
function look(isByHand) {
  if (isByHand) people.stop();
  write(byId("zoom-reset"), `${Math.round(view.zoom * 100)}%`);
  editor.place();
  teller.tell();
  map.draw();
  draw();
}

function say() {
  const sent = board.sent.size;
  const counts = /** @type {Record<string, number>} */ ({ local: board.replica.unsaved.length - sent, sent, saved: board.savedCount });
  for (const each of frame.querySelectorAll("[data-light]")) {
    write(each, String(counts[/** @type {HTMLElement} */ (each).dataset.light ?? ""] ?? 0));
  }
  /** @type {HTMLButtonElement} */ (byId("undo")).disabled = !board.steps.canUndo;
  /** @type {HTMLButtonElement} */ (byId("redo")).disabled = !board.steps.canRedo;
  frame.dataset.rev = String(board.replica.rev);
  frame.dataset.digest = board.replica.saved.digest;
  byId("empty").hidden = stage.scene.size > 0 || board.replica.rev > 0 || desk.inHand.length > 0 || !board.replica.isSynced;
  proof.draw();
}

/** @param {{state: string, words: string}} detail */
function showState({ state, words }) {
  const short = /** @type {Record<string, string>} */ ({ live: "Live", connecting: "Connecting …", offline: "Offline", off: "Plugin off", error: "Stopped" });
  const isViewer = state === "live" && board.role === 0;
  frame.dataset.role = board.role === 0 ? "view" : "edit";
  if (isViewer && desk.tool !== "laser") desk.choose("hand");
  frame.dataset.state = state;
  byId("state").textContent = isViewer ? "View only" : (short[state] ?? state);
  byId("title").textContent = board.title || place.room;
  if (state === "live" && board.title) document.title = `${board.title} · Liveboard`;
  if (state !== "connecting") trouble(state === "live" ? "" : words);
  say();
}

/** @param {string} words none: there is no trouble */
function trouble(words) {
  byId("trouble").hidden = words === "";
  /** @type {HTMLElement} */ (byId("trouble").firstElementChild).textContent = words;
}

/** @param {string} words */
function tell(words) {
  byId("say").textContent = words;
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => (byId("say").textContent = ""), SAID_MS);
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  if (isTyping(event.target)) return;
  const meaning = meaningOf(event);
  // Where a button has the focus, Enter presses it.
  if (!meaning || (meaning.command === "edit-words" && event.target !== above)) return;
  if (meaning.tool && !(board.role === 0 && !["hand", "laser"].includes(meaning.tool))) desk.choose(meaning.tool);
  else if (meaning.colour !== undefined) toolbar.colourAt(meaning.colour);
  else if (!commands[meaning.command ?? ""]) return;
  else commands[meaning.command ?? ""]?.();
  event.preventDefault();
}

for (const button of frame.querySelectorAll("[data-command]")) {
  button.addEventListener("click", () => {
    byId("menu").hidePopover();
    commands[/** @type {HTMLElement} */ (button).dataset.command ?? ""]?.();
  });
}
byId("undo").addEventListener("click", () => board.undo());
byId("redo").addEventListener("click", () => board.redo());
byId("share").addEventListener("click", () => commands.share?.());
byId("add-image").addEventListener("click", () => commands.image?.());
byId("trouble").querySelector("button")?.addEventListener("click", () => {
  // Cut off by oneself, one comes back by healing.
  if (board.link.faults.cut) byId("heal").click();
  else board.link.connect();
});
byId("menu").addEventListener("beforetoggle", () => {
  byId("menu").style.top = `${byId("open-menu").getBoundingClientRect().bottom + 8}px`;
});
const nameField = fieldById("name");
nameField.value = name;
byId("about").addEventListener("submit", (event) => {
  event.preventDefault();
  const wish = nameField.value.trim().slice(0, 24);
  if (!wish) return;
  remember("liveboard-name", wish);
  byId("menu").hidePopover();
  board.enter({ name: wish });
});

board.addEventListener("picture", (event) => {
  const keys = /** @type {CustomEvent<Set<string>>} */ (event).detail;
  if (!frame.dataset.travel) stage.put(new Map([...keys].map((key) => [key, board.replica.picture.get(key)])));
  const gone = [...desk.selected].filter((key) => !stage.scene.get(key));
  if (gone.length) desk.select([...desk.selected].filter((key) => !gone.includes(key)));
  pictures.fetch(keys);
  map.changed();
  say();
  draw();
});
board.addEventListener("moves", () => (map.draw(), draw(false)));
board.addEventListener("people", () => (people.list(), map.draw(), say(), draw(false)));
board.addEventListener("change", () => (say(), draw(false)));
board.addEventListener("state", (event) => showState(/** @type {CustomEvent} */ (event).detail));
board.addEventListener("bye", (event) => passwordFor(board, place.room, /** @type {CustomEvent} */ (event).detail));
board.addEventListener("lost", (event) => {
  const reasons = new Set(/** @type {CustomEvent} */ (event).detail.map((/** @type {{reason: string}} */ each) => each.reason));
  trouble(`The server refused some of what you drew: ${[...reasons].join(", ")}.`);
});
stage.addEventListener("tiles", () => draw());
desk.addEventListener("draw", () => draw(false));
desk.addEventListener("view", () => look(true));
desk.addEventListener("tool", () => (teller.tell(), draw(false)));
desk.addEventListener("moved", () => (teller.tell(), draw(false)));
desk.addEventListener("say", (event) => tell(/** @type {CustomEvent} */ (event).detail));
addEventListener("keydown", shortcut);
addEventListener("hashchange", () => location.reload());
addEventListener("beforeunload", (event) => {
  // What the browser keeps is sent by the next page.
  if (board.replica.unsaved.length && !board.outbox?.isKept) event.preventDefault();
});
addEventListener("pagehide", () => {
  editor.close();
  pointers.finish();
});
new ResizeObserver(() => (stage.resize(), look(false))).observe(above);
const retheme = () => (stage.retheme(), toolbar.retheme(), people.list(), map.changed(), draw());
new MutationObserver(retheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", retheme);
setInterval(() => draw(false), 1000);
transfers(around, above);
tellNews(board, byId("news"));
toolbar.retheme();
void board.keep(place.room).finally(() => board.link.connect());
