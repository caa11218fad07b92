// What the menu, the buttons and the keys do, by name. What is rarely needed is loaded when it is.

import { one } from "/assets/dom.js";

/** @typedef {import("./desk.js").Desk} Desk */

/** Tools whose marks Enter puts into the middle, and half how wide, in pixels. */
const PLACED = ["text", "note", "line", "arrow", "rectangle", "ellipse"];
const PLACED_PX = 80;

/**
 * What commands work with.
 * @typedef {object} Around
 * @property {HTMLElement} frame
 * @property {Desk} desk
 * @property {import("./toolbar.js").Toolbar} toolbar
 * @property {import("./tools/words.js").Editor} editor
 * @property {import("./pictures.js").Pictures} pictures
 * @property {import("./proof.js").Proof} proof
 * @property {import("./minimap.js").Minimap} map
 * @property {import("./pointers.js").Pointers} pointers
 * @property {(name: string) => import("./desk.js").Tool} toolOf
 * @property {string} room
 * @property {(isByHand: boolean) => void} look the view has changed
 * @property {() => void} follow stops following
 */

/** @param {Around} around @returns {Record<string, () => void>} */
export function commandsOf(around) {
  const { desk, toolbar } = around;
  return {
    ...viewing(around),
    ...editing(around),
    undo: () => desk.board.undo(),
    redo: () => desk.board.redo(),
    thinner: () => toolbar.widthBy(-1),
    broader: () => toolbar.widthBy(1),
    image: () => void import("./files.js").then(({ chooseImage }) => chooseImage(around)),
    "open-file": () => void import("./files.js").then(({ openFile }) => openFile(around)),
    "save-json": () => void import("./files.js").then(({ saveJson }) => saveJson(around)),
    "save-svg": () => void import("./files.js").then(({ saveSvg }) => saveSvg(around)),
    "save-png": () => void import("./files.js").then(({ savePng }) => savePng(around)),
    rooms: () => void import("./rooms.js").then(({ showRooms }) => showRooms(around.room)),
    "new-board": () => void import("./rooms.js").then(({ makeRoom }) => makeRoom(desk, {})),
    share: () => void import("./rooms.js").then(({ showSharing }) => showSharing(desk, around.room)),
    travel: () => void import("./travel.js").then(({ travel }) => travel(around)),
    listing: () => void import("./listing.js").then(({ showListing }) => showListing(around)),
    proof: () => around.proof.toggle(),
    help: () => showSheet("help"),
  };
}

/** Opens a sheet that is closed by its button, by Escape, and by a press beside it. @param {string} id */
export function showSheet(id) {
  const sheet = one(`#${id}`, HTMLDialogElement);
  sheet.querySelector("[data-close]")?.addEventListener("click", () => sheet.close(), { once: true });
  sheet.onclick = (event) => {
    if (event.target === sheet) sheet.close();
  };
  if (!sheet.open) sheet.showModal();
  return sheet;
}

/** @param {Around} around @returns {Record<string, () => void>} */
function viewing({ desk, look, map }) {
  const { view, stage } = desk;
  /** @param {number} factor */
  const zoom = (factor) => {
    view.zoomBy(factor);
    look(true);
  };
  /** @param {import("./geometry.js").Box | null} box */
  const fit = (box) => {
    if (box) view.fit(box);
    else view.reset();
    look(true);
  };
  return {
    "zoom-in": () => zoom(1.25),
    "zoom-out": () => zoom(0.8),
    "zoom-reset": () => {
      view.reset();
      look(true);
    },
    fit: () => fit(stage.scene.bounds),
    "fit-selection": () => desk.selected.size && fit(stage.around(desk.selected)),
    map: () => map.toggle(),
  };
}

/** @param {Around} around @returns {Record<string, () => void>} */
function editing(around) {
  const { desk, editor, pointers } = around;
  const isFree = () => desk.board.role !== 0 && !desk.isWatching;
  return {
    delete: () => {
      if (desk.selected.size && isFree()) desk.erase(desk.selected);
    },
    duplicate: () => {
      if (desk.selected.size && isFree()) void import("./clipboard.js").then(({ duplicate }) => duplicate(desk));
    },
    "select-all": () => {
      if (!isFree()) return;
      desk.choose("select");
      desk.select(desk.changeable([...desk.stage.scene.marks()]));
    },
    "edit-words": () => {
      const [key = ""] = desk.selected;
      const shown = desk.stage.scene.get(key);
      if (!isFree()) return;
      if (desk.selected.size === 1 && shown) editor.edit(shown);
      else if (PLACED.includes(desk.tool)) place(around);
    },
    "let-go": () => {
      pointers.cancel();
      around.follow();
      desk.select([]);
    },
    clear: () => {
      if (isFree()) clear(desk);
    },
  };
}

/** Without a pointer: the tool in use, in the middle of what one sees. @param {Around} around */
function place({ desk, toolOf }) {
  const { view } = desk;
  const spot = (/** @type {number} */ dx, /** @type {number} */ dy) => {
    const [left, top] = [view.width / 2 + dx, view.height / 2 + dy];
    const [x, y] = view.toBoard(left, top);
    const hand = { pressure: 0.5, time: 0, isPen: false, isMany: false, isStraight: false, isCopy: false };
    return { x, y, left, top, ...hand };
  };
  const tool = toolOf(desk.tool);
  tool.press(spot(-PLACED_PX, -PLACED_PX / 2));
  tool.lift(spot(PLACED_PX, PLACED_PX / 2));
}

/** What was seen here goes; what others draw at the same time stays. @param {Desk} desk */
function clear(desk) {
  const { board, stage } = desk;
  if (stage.scene.size === 0) return desk.say("There is nothing on the board.");
  if (!board.mayChangeOthers) desk.erase([...stage.scene.marks()].filter(({ operation }) => desk.mayChange(operation)).map(({ operation }) => `${operation.site}:${operation.seq}`));
  else {
    const seen = new Map(board.replica.saved.versions);
    for (const { operation } of board.replica.unsaved) seen.set(operation.site, Math.max(seen.get(operation.site) ?? 0, operation.seq));
    board.do({ kind: "clear", seen: [...seen].sort(([one], [other]) => (one < other ? -1 : 1)) });
  }
  desk.say("Cleared, for everybody. Undo brings it back.");
}
