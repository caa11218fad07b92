// Who is on the board, and following one of them: one sees what they see.

import { UNITS_PER_PIXEL } from "../core/operations.js";
import { inkOf } from "./colours.js";
import { ZOOM_MAX, ZOOM_MIN } from "./view.js";

/** @typedef {import("./desk.js").Desk} Desk */

const SHOWN_MAX = 5;
const SVG = "http://www.w3.org/2000/svg";

export class People {
  /** The number of the person one follows. @type {number | null} */
  #followed = null;
  #listed = "";
  #desk;
  #list;
  #banner;
  #viewChanged;

  /** @param {Desk} desk @param {HTMLElement} list @param {HTMLElement} banner @param {() => void} viewChanged */
  constructor(desk, list, banner, viewChanged) {
    this.#desk = desk;
    this.#list = list;
    this.#banner = banner;
    this.#viewChanged = viewChanged;
    banner.querySelector("button")?.addEventListener("click", () => this.stop());
    desk.board.addEventListener("moves", () => this.#see());
  }

  /** Lists them anew. */
  list() {
    const { board } = this.#desk;
    const people = [...board.others.people.values()].sort((one, other) => Number(other.number === board.me) - Number(one.number === board.me));
    // Their digests come several times a second, and change nothing here.
    const listed = JSON.stringify([people, board.me, this.#followed, this.#desk.stage.theme.isDark]);
    if (listed === this.#listed) return;
    this.#listed = listed;
    const items = people.slice(0, SHOWN_MAX).map((person) => this.#item(person));
    if (people.length > SHOWN_MAX) {
      const more = people.slice(SHOWN_MAX);
      items.push(Object.assign(document.createElement("li"), { className: "people-more", textContent: `+${more.length}`, title: more.map(({ name }) => name).join(", ") }));
    }
    const focused = this.#list.contains(document.activeElement) ? document.activeElement?.getAttribute("data-person") : null;
    this.#list.replaceChildren(...items);
    if (focused) /** @type {HTMLElement | null} */ (this.#list.querySelector(`[data-person="${focused}"]`))?.focus();
    if (this.#followed !== null && !board.others.people.has(this.#followed)) this.stop();
  }

  /** @param {number} number */
  follow(number) {
    const person = this.#desk.board.others.people.get(number);
    if (!person || number === this.#desk.board.me) return;
    this.#followed = number;
    this.#banner.hidden = false;
    /** @type {HTMLElement} */ (this.#banner.firstElementChild).textContent = `You see what ${person.name} sees`;
    this.list();
    this.#see();
  }

  /** One looks by oneself again. */
  stop() {
    if (this.#followed === null) return;
    this.#followed = null;
    this.#banner.hidden = true;
    this.list();
  }

  #see() {
    const sight = this.#followed === null ? undefined : this.#desk.board.others.sights.get(this.#followed);
    if (!sight) return;
    const { view } = this.#desk;
    const zoom = Math.min(view.width / Math.max(sight.width, 1), view.height / Math.max(sight.height, 1)) * UNITS_PER_PIXEL;
    view.zoom = Math.min(Math.max(zoom, ZOOM_MIN), ZOOM_MAX);
    view.goTo(sight.x + sight.width / 2, sight.y + sight.height / 2);
    this.#viewChanged();
  }

  /** @param {{number: number, name: string, color: number, role: number}} person */
  #item({ number, name, color, role }) {
    const isMe = number === this.#desk.board.me;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "person";
    button.dataset.person = String(number);
    const what = isMe ? `${name} (you)` : `${name}: see what they see`;
    button.title = role === 0 ? `${what}; may only look` : what;
    if (!isMe) button.setAttribute("aria-pressed", String(number === this.#followed));
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", "0 0 32 32");
    picture.setAttribute("aria-hidden", "true");
    const circle = document.createElementNS(SVG, "circle");
    for (const [attribute, value] of [["cx", "16"], ["cy", "16"], ["r", "15"], ["fill", inkOf(color, this.#desk.stage.theme.isDark)]]) circle.setAttribute(String(attribute), String(value));
    const letters = document.createElementNS(SVG, "text");
    letters.setAttribute("x", "16");
    letters.setAttribute("y", "20.5");
    letters.textContent = initials(name);
    picture.append(circle, letters);
    const words = document.createElement("span");
    words.className = "visually-hidden";
    words.textContent = button.title;
    button.append(picture, words);
    button.addEventListener("click", () => (this.#followed === number ? this.stop() : this.follow(number)));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}

/** Two letters for a name: Ada Lovelace is AL, Guest 1234 is G4. @param {string} name */
export function initials(name) {
  const words = name.trim().split(/\s+/);
  const first = [...(words[0] ?? "?")][0] ?? "?";
  const last = words.length > 1 ? (/^\d+$/.test(words.at(-1) ?? "") ? (words.at(-1) ?? "").slice(-1) : ([...(words.at(-1) ?? "")][0] ?? "")) : "";
  return (first + last).toUpperCase();
}
