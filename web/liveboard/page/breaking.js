// The controls that break things: what arrives, the connection, the server; and drawing on both sides of the break.

import { explain, requestJson } from "/assets/fetch.js";
import { Board } from "./board.js";
import { byId, fieldById } from "./elements.js";
import { seeded } from "./place.js";

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("../core/types.d.ts").Stroke} Stroke */

const STROKES = 20;
const STROKE_EVERY_MS = 90;
/** So long the second client stays after its last stroke. */
const SECOND_STAYS_MS = 15_000;
const SEED_MAX = 999_999_999;

/** @param {Desk} desk @param {ReturnType<typeof import("./place.js").placeOf>} place */
export function breaking(desk, place) {
  const { link } = desk.board;
  const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-break]"));
  /** @param {string} none what to say when nothing is broken */
  const note = (none) => {
    const on = [...buttons].filter((each) => each.getAttribute("aria-pressed") === "true");
    byId("break-note").textContent = on.length ? `On now: ${on.map((each) => each.querySelector("small")?.textContent).join("; ")}.` : none;
  };
  /** @param {HTMLButtonElement} button @param {boolean} on */
  const set = (button, on) => {
    button.setAttribute("aria-pressed", String(on));
    link.setFault(/** @type {"delay" | "shuffle" | "duplicate" | "cut"} */ (button.dataset.break), on);
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      set(button, button.getAttribute("aria-pressed") !== "true");
      note("");
    });
  }
  byId("heal").addEventListener("click", () => {
    for (const button of buttons) if (button.getAttribute("aria-pressed") === "true") set(button, false);
    note("Healed.");
  });
  byId("draw-both").addEventListener("click", () => void drawBoth(desk, place, Number(seedField.value) || 0, note));
  byId("kill").addEventListener("click", () => void kill(note));
  const seedField = fieldById("seed");
  seedField.value = String(place.seed ?? Number(crypto.getRandomValues(new Uint32Array(1))[0]) % 10_000);
  link.chance = seeded(Number(seedField.value));
  byId("seed-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const seed = Math.min(Math.max(Number.parseInt(seedField.value, 10) || 0, 0), SEED_MAX);
    seedField.value = String(seed);
    link.chance = seeded(seed);
    const address = new URL(location.href);
    address.searchParams.set("seed", String(seed));
    history.replaceState(null, "", address);
    note(`From here on chance follows seed ${seed}; the address says so.`);
  });
}

/** @param {(words: string) => void} note */
async function kill(note) {
  try {
    await requestJson("/api/liveboard/faults/crash", { method: "POST", body: {} });
    note("Killed: its sockets drop, the host starts it again, everybody comes back. What was saved is in the database.");
  } catch (error) {
    note(explain(error).headline);
  }
}

/**
 * Strokes of the seed, here and by a second client with a connection of its own, at once: the one goes on where the other
 * is cut off.
 * @param {Desk} desk @param {ReturnType<typeof import("./place.js").placeOf>} place @param {number} seed
 * @param {(words: string) => void} note
 */
async function drawBoth(desk, place, seed, note) {
  const { board } = desk;
  if (board.role === 0) return note("This link only lets one look.");
  const second = new Board(place.socket, async () => ({ state: "offline", words: "" }), { ...board.person, name: "Second client", color: 0xb97300 });
  second.link.connect();
  const [here, there] = [strokes(desk, seeded(seed), 0x0c8577), strokes(desk, seeded(seed + 1), 0xb97300)];
  for (let at = 0; at < STROKES; at += 1) {
    board.do(/** @type {Stroke} */ (here[at]));
    second.do(/** @type {Stroke} */ (there[at]));
    await new Promise((done) => setTimeout(done, STROKE_EVERY_MS));
  }
  note(`${STROKES} strokes here, ${STROKES} by the second client, from seed ${seed}.`);
  setTimeout(() => second.link.setFault("cut", true), SECOND_STAYS_MS);
}

/** Curves across what one sees. @param {Desk} desk @param {() => number} chance @param {number} color @returns {Stroke[]} */
function strokes({ view }, chance, color) {
  const { x, y, width, height } = view.box;
  return Array.from({ length: STROKES }, () => {
    const [left, top, turn, bend] = [x + width * (0.15 + 0.7 * chance()), y + height * (0.15 + 0.7 * chance()), 2 * Math.PI * chance(), 0.4 * (chance() - 0.5)];
    const [points, pressures] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    for (let at = 0, [px, py, way] = [left, top, turn]; at < 24; at += 1, px += 64 * Math.cos(way), py += 64 * Math.sin(way), way += bend) {
      points.push(Math.round(px), Math.round(py));
      pressures.push(Math.round(60 + 130 * Math.sin((Math.PI * at) / 23)));
    }
    return { kind: "stroke", tool: "pen", color, size: 36, opacity: 100, points, pressures };
  });
}
