// Files: a board saved as JSON, SVG or PNG, and boards, drawings and images opened.

import { exportBoard, importBoard, ImportError } from "../client/board_file.js";
import { keyOf } from "../core/operations.js";
import { fieldById } from "./elements.js";
import { grown } from "./geometry.js";
import { svgOf } from "./svg.js";

/** @typedef {import("./commands.js").Around} Around */
/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("../core/types.d.ts").Shown} Shown */

const MARGIN_UNITS = 320;
const PNG_SCALE = 2 / 8;
const PNG_SIDE_MAX = 8192;
const BODIES_AT_ONCE = 500;

/** @param {Around} around */
export async function saveJson({ desk, pictures, room }) {
  const { board } = desk;
  const files = await imageFiles([...board.replica.picture.shown()], pictures);
  const about = { title: board.title, rev: board.replica.rev, digest: board.replica.saved.digest };
  save(new Blob([JSON.stringify(exportBoard(board.replica.picture, about, files))], { type: "application/json" }), `${room}.json`);
}

/** @param {Around} around */
export async function saveSvg({ desk, pictures, room }) {
  const marks = chosen(desk);
  const files = await imageFiles(marks, pictures);
  const box = desk.stage.around(marks.map(({ operation }) => keyOf(operation)));
  if (!box) return desk.say("There is nothing on the board.");
  save(new Blob([svgOf(marks, grown(box, MARGIN_UNITS), desk.stage.measure, files)], { type: "image/svg+xml" }), `${room}.svg`);
}

/** In the colours of the theme. @param {Around} around */
export async function savePng({ desk, room }) {
  const marks = chosen(desk);
  const keys = marks.map(({ operation }) => keyOf(operation));
  const around = desk.stage.around(keys);
  if (!around) return desk.say("There is nothing on the board.");
  const box = grown(around, MARGIN_UNITS);
  const scale = Math.min(PNG_SCALE, PNG_SIDE_MAX / Math.max(box.x1 - box.x0, box.y1 - box.y0));
  const part = { x: Math.floor(box.x0 * scale), y: Math.floor(box.y0 * scale), width: Math.ceil((box.x1 - box.x0) * scale), height: Math.ceil((box.y1 - box.y0) * scale) };
  const bitmap = await desk.stage.renderer.picture({ scale, ...part, only: keys, paper: desk.stage.paper });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("bitmaprenderer")?.transferFromImageBitmap(bitmap);
  save(await canvas.convertToBlob({ type: "image/png" }), `${room}.png`);
}

/** Asks for a file, and puts it onto the board. @param {Around} around */
export function openFile(around) {
  choose(".json,.excalidraw,application/json,image/*", (files) => void take(around, files));
}

/** @param {Around} around */
export function chooseImage(around) {
  if (around.desk.board.role !== 0) choose("image/*", (files) => void take(around, files));
}

/**
 * Takes files that were chosen or dropped: images and boards.
 * @param {Around} around @param {File[]} files @param {{x: number, y: number}} [at] in units; the middle of the view
 */
export async function take(around, files, at) {
  const { desk, pictures } = around;
  const [x, y] = desk.view.toBoard(desk.view.width / 2, desk.view.height / 2);
  const place = at ?? { x, y };
  const images = files.filter(({ type }) => type.startsWith("image/") && type !== "image/svg+xml");
  if (images.length) await pictures.add(images, place.x, place.y);
  for (const file of files.filter((each) => !images.includes(each))) {
    try {
      await open(around, await file.text());
    } catch (error) {
      if (!(error instanceof ImportError)) throw error;
      desk.say(error.message);
    }
  }
}

/** @param {Around} around @param {string} text of a board file or an .excalidraw file */
async function open({ desk, pictures, look }, text) {
  const { bodies, skipped, images } = importBoard(text);
  for (const { bytes, type } of images) await pictures.images.put(new Blob([new Uint8Array(bytes)], { type })).catch(() => null);
  // All of it is one step to undo, unless it is more than one step may hold.
  for (let at = 0; at < bodies.length; at += BODIES_AT_ONCE) desk.board.doAll(bodies.slice(at, at + BODIES_AT_ONCE));
  if (desk.stage.scene.bounds) desk.view.fit(desk.stage.scene.bounds);
  look(true);
  const left = skipped.map(({ what, count }) => `${count} ${what}`).join(", ");
  desk.say(`${bodies.length} marks came in.${left ? ` Left out: ${left}.` : ""}`);
}

/** What is selected, or everything; the lowest first. @param {Desk} desk @returns {Shown[]} */
function chosen({ stage, selected }) {
  const bounds = stage.scene.bounds;
  const marks = bounds ? stage.scene.in(bounds) : [];
  return selected.size ? marks.filter(({ operation }) => selected.has(keyOf(operation))) : marks;
}

/** @param {Shown[]} marks @param {import("./pictures.js").Pictures} pictures @returns {Promise<Map<string, Uint8Array>>} by hash */
async function imageFiles(marks, pictures) {
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  for (const { operation } of marks) {
    if (operation.kind !== "image" || files.has(operation.sha256)) continue;
    const file = await pictures.images.file(operation.sha256);
    if (file) files.set(operation.sha256, file);
  }
  return files;
}

/** @param {string} accept @param {(files: File[]) => void} done */
function choose(accept, done) {
  const field = fieldById("file");
  field.accept = accept;
  field.multiple = true;
  field.value = "";
  field.onchange = () => done([...(field.files ?? [])]);
  field.click();
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
