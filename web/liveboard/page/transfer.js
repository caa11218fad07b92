// Copy, cut, paste and drop on the board.

import { pasteText, textOf } from "./clipboard.js";
import { isTyping } from "./shortcuts.js";

/** @param {import("./commands.js").Around} around @param {HTMLElement} canvas where things are dropped */
export function transfers(around, canvas) {
  const { desk, pointers } = around;
  const isFree = () => desk.board.role !== 0 && !desk.isWatching;
  for (const name of /** @type {const} */ (["copy", "cut"])) {
    addEventListener(name, (event) => {
      const text = isTyping(event.target) || !desk.selected.size ? "" : textOf(desk);
      if (!text) return;
      event.clipboardData?.setData("text/plain", text);
      event.preventDefault();
      if (name === "cut" && isFree()) desk.erase(desk.selected);
    });
  }
  addEventListener("paste", (event) => {
    if (isTyping(event.target) || !isFree() || !event.clipboardData) return;
    event.preventDefault();
    give(around, event.clipboardData, pointers.place);
  });
  canvas.addEventListener("dragover", (event) => event.preventDefault());
  canvas.addEventListener("drop", (event) => {
    event.preventDefault();
    const [x, y] = desk.view.toBoard(event.offsetX, event.offsetY);
    if (isFree() && event.dataTransfer) give(around, event.dataTransfer, { x, y });
  });
}

/** @param {import("./commands.js").Around} around @param {DataTransfer} data @param {{x: number, y: number}} at */
function give(around, data, at) {
  const files = [...data.files];
  if (files.length) void import("./files.js").then(({ take }) => take(around, files, at));
  else pasteText(around.desk, data.getData("text/plain"), at);
}
