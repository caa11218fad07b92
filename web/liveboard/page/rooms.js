// Boards: the list of open ones, making one, and the links to this one.

import { one } from "/assets/dom.js";
import { explain, requestJson } from "/assets/fetch.js";
import { showSheet } from "./commands.js";
import { byId, fieldById } from "./elements.js";
import { headersOf, recall, remember } from "./place.js";

/** @typedef {import("./desk.js").Desk} Desk */

/** @param {string} here the board that is open */
export async function showRooms(here) {
  showSheet("rooms");
  byId("rooms-note").textContent = "";
  const form = one("#new-room", HTMLFormElement);
  form.onsubmit = (event) => {
    event.preventDefault();
    const access = new FormData(form).get("access");
    const wish = { title: fieldById("room-title").value.trim(), access, others: fieldById("room-others").checked, password: fieldById("room-password").value };
    void make(wish).catch((error) => (byId("rooms-note").textContent = explain(error).headline));
  };
  try {
    const { data } = await requestJson("/api/liveboard/rooms");
    const items = data.rooms.map((/** @type {any} */ room) => itemOf(room, here));
    byId("room-list").replaceChildren(...items);
    if (!items.length) byId("room-list").textContent = "There is none yet that anybody may enter.";
  } catch (error) {
    byId("room-list").textContent = explain(error).headline;
  }
}

/** Makes a board and goes there. @param {Desk} desk @param {object} wish */
export async function makeRoom(desk, wish) {
  try {
    await make(wish);
  } catch (error) {
    desk.say(explain(error).headline);
  }
}

/**
 * The links into this board: to draw, and, where this browser knows it, to look only.
 * @param {Desk} desk @param {string} room
 */
export async function showSharing(desk, room) {
  showSheet("sharing");
  const { board } = desk;
  const links = JSON.parse(recall(`liveboard-links-${room}`) || "{}");
  const here = `/liveboard/${room}${location.hash}`;
  try {
    const { data } = await requestJson(`/api/liveboard/rooms/${room}`, { headers: headersOf(board.person) });
    if (data.view_url) Object.assign(links, { view: data.view_url, edit: data.edit_url });
    byId("sharing-words").textContent = data.access === "open" ? "Anybody may draw here who knows the address; the board is listed." : "Only whoever has a link may enter.";
  } catch {
    byId("sharing-words").textContent = "The server does not answer just now; the link works once it does.";
  }
  const rows = board.role === 0 ? [linkRow("To look", here)] : [linkRow("To draw", links.edit ?? here)];
  if (links.view && board.role !== 0) rows.push(linkRow("To look only", links.view));
  byId("sharing-links").replaceChildren(...rows);
}

/** @param {object} wish */
async function make(wish) {
  const { data } = await requestJson("/api/liveboard/rooms", { method: "POST", body: { access: "link", ...wish } });
  remember(`liveboard-links-${data.room}`, JSON.stringify({ edit: data.edit_url, view: data.view_url }));
  location.assign(data.edit_url);
}

/** @param {{room: string, title: string, operations: number, clients: number}} room @param {string} here */
function itemOf({ room, title, operations, clients }, here) {
  const link = document.createElement("a");
  link.href = `/liveboard/${room}`;
  if (room === here) link.setAttribute("aria-current", "page");
  const [name, about] = [document.createElement("span"), document.createElement("span")];
  name.textContent = title;
  about.textContent = `${operations} operations${clients ? `, ${clients} here` : ""}`;
  link.append(name, about);
  const item = document.createElement("li");
  item.append(link);
  return item;
}

/** @param {string} label @param {string} path */
function linkRow(label, path) {
  const row = document.createElement("div");
  row.className = "link-row";
  const [words, field, button] = [document.createElement("label"), document.createElement("input"), document.createElement("button")];
  field.type = "text";
  field.readOnly = true;
  field.value = location.origin + path;
  field.id = `link-${label.toLowerCase().replaceAll(" ", "-")}`;
  words.htmlFor = field.id;
  words.textContent = label;
  button.type = "button";
  button.className = "button button-small";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    field.select();
    // Without a secure context there is no clipboard to write to: the link is selected, to be copied by hand.
    await navigator.clipboard?.writeText(field.value).then(() => (button.textContent = "Copied"), () => {});
  });
  row.append(words, document.createElement("span"), field, button);
  return row;
}
