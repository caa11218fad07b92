// The board as a list, for reading aloud, for keyboards, and for finding things again.

import { keyOf } from "../core/operations.js";
import { counted, describe } from "./describe.js";
import { byId } from "./elements.js";

/** @typedef {import("./commands.js").Around} Around */

const LISTED_MAX = 200;

/** Opens the list, the latest first; pressing one goes there. @param {Around} around */
export function showListing(around) {
  const drawer = byId("listing");
  drawer.hidden = false;
  fill(around);
  const end = new AbortController();
  const close = () => {
    drawer.hidden = true;
    end.abort();
    byId("above").focus();
  };
  const { signal } = end;
  around.desk.board.addEventListener("picture", () => fill(around), { signal });
  drawer.addEventListener("keydown", (event) => event.key === "Escape" && close(), { signal });
  const button = /** @type {HTMLElement} */ (drawer.querySelector("[data-close]"));
  button.addEventListener("click", close, { signal });
  button.focus();
}

/** @param {Around} around */
function fill({ desk, look }) {
  const { stage, board, view } = desk;
  const bounds = stage.scene.bounds;
  const marks = bounds ? stage.scene.in(bounds).reverse() : [];
  const count = counted(marks.length, "mark");
  const rest = marks.length > LISTED_MAX ? `; the latest ${LISTED_MAX} are listed` : "";
  byId("listing-count").textContent = marks.length ? `${count} on the board${rest}. Press one to go there and select it.` : "Nothing is on the board.";
  const items = marks.slice(0, LISTED_MAX).map(({ operation }) => {
    const [what, who] = [document.createElement("span"), document.createElement("span")];
    what.textContent = describe(operation);
    who.textContent = operation.site === board.replica.identity.site ? "you" : (board.others.names.get(operation.site) ?? "");
    const button = document.createElement("button");
    button.type = "button";
    button.append(what, who);
    button.addEventListener("click", () => {
      const key = keyOf(operation);
      const box = stage.scene.boxOf(key);
      const shown = stage.scene.get(key);
      if (!box || !shown) return;
      view.goTo((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2);
      if (desk.mayChange(operation)) {
        desk.choose("select");
        desk.select([key]);
      }
      look(true);
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  const at = [...byId("listing-items").querySelectorAll("button")].indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  byId("listing-items").replaceChildren(...items);
  if (at >= 0) byId("listing-items").querySelectorAll("button")[Math.min(at, items.length - 1)]?.focus();
}
