// Going through the board's history by revision, with the digest at each, and as a film.

import { one } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { entriesOf } from "../client/certificate.js";
import { History } from "../client/history.js";
import { describe } from "./describe.js";
import { byId, fieldById } from "./elements.js";
import { headersOf } from "./place.js";

/** @typedef {import("./commands.js").Around} Around */

const FILM_MS_LEAST = 4000;
const FILM_MS_MOST = 30_000;
const FILM_MS_A_REVISION = 180;
const ASK_AFTER_MS = 250;

/** Opens the bar of time. @param {Around} around */
export async function travel(around) {
  const { desk, frame, room } = around;
  if ("travel" in frame.dataset) return;
  const { replica, person } = desk.board;
  try {
    // A board that was merged after a loss has no revisions of its own: the server's certificate has them.
    const entries = replica.history ?? entriesOf((await requestJson(`/api/liveboard/rooms/${room}/certificate`, { headers: headersOf(person) })).data);
    if (entries.length === 0) return desk.say("Nothing has happened here yet.");
    new Travel(around, new History(entries)).start();
  } catch {
    desk.say("The server does not answer just now, and this page does not have the history.");
  }
}

class Travel {
  #around;
  #history;
  #rev = 0;
  #film = 0;
  #asking = 0;
  #end = new AbortController();

  /** @param {Around} around @param {History} history */
  constructor(around, history) {
    this.#around = around;
    this.#history = history;
  }

  start() {
    const { frame, desk, pointers } = this.#around;
    pointers.cancel();
    desk.select([]);
    desk.isWatching = true;
    frame.dataset.travel = "on";
    byId("travel").hidden = false;
    const { signal } = this.#end;
    fieldById("travel-rev").addEventListener("input", () => {
      this.#stop();
      this.#go(Number(fieldById("travel-rev").value));
    }, { signal });
    byId("travel-play").addEventListener("click", () => (this.#film ? this.#stop() : this.#play()), { signal });
    byId("travel-close").addEventListener("click", () => this.#close(), { signal });
    byId("travel").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.#close();
    }, { signal });
    desk.board.addEventListener("change", () => this.#grow(), { signal });
    this.#grow();
    this.#go(this.#history.length);
    fieldById("travel-rev").focus();
  }

  /** The board grows while one looks back. */
  #grow() {
    const { replica } = this.#around.desk.board;
    for (const entry of replica.history?.slice(this.#history.length) ?? []) this.#history.push(entry);
    fieldById("travel-rev").max = String(this.#history.length);
    byId("travel-of").textContent = String(this.#history.length);
  }

  /** @param {number} rev */
  #go(rev) {
    const { desk, look } = this.#around;
    const { rev: at, digest, picture, operation } = this.#history.at(rev);
    const { stage, board } = desk;
    stage.put(stage.scene.differences(picture.shown()));
    this.#rev = at;
    fieldById("travel-rev").value = String(at);
    fieldById("travel-rev").setAttribute("aria-valuetext", `revision ${at} of ${this.#history.length}`);
    byId("travel-at").textContent = String(at);
    const who = operation ? (board.others.names.get(operation.site) ?? (operation.site === board.replica.identity.site ? "You" : "")) : "";
    byId("travel-what").textContent = operation ? `${who ? `${who}: ` : ""}${describe(operation)}` : "the empty board";
    byId("travel-digest").textContent = `${digest.slice(0, 12)}…`;
    byId("travel-digest").title = digest;
    byId("travel-verdict").setAttribute("verdict", "none");
    clearTimeout(this.#asking);
    if (!this.#film) this.#asking = setTimeout(() => void this.#compare(at, digest), ASK_AFTER_MS);
    look(false);
  }

  /** The server has its own word on the digest at that revision. @param {number} rev @param {string} digest */
  async #compare(rev, digest) {
    const { desk, room } = this.#around;
    try {
      const { data } = await requestJson(`/api/liveboard/rooms/${room}/digests/${rev}`, { headers: headersOf(desk.board.person) });
      if (this.#rev === rev) byId("travel-verdict").setAttribute("verdict", data.digest === digest ? "holds" : "broke");
    } catch {
      if (this.#rev === rev) byId("travel-verdict").setAttribute("verdict", "unknown");
    }
  }

  #play() {
    const first = this.#rev === this.#history.length ? 0 : this.#rev;
    const count = this.#history.length - first;
    const lasts = Math.min(Math.max(count * FILM_MS_A_REVISION, FILM_MS_LEAST), FILM_MS_MOST);
    const began = performance.now();
    const step = () => {
      const rev = first + Math.round(((performance.now() - began) / lasts) * count);
      if (rev >= this.#history.length) this.#stop();
      else this.#film = requestAnimationFrame(step);
      if (rev !== this.#rev) this.#go(Math.min(rev, this.#history.length));
    };
    this.#film = requestAnimationFrame(step);
    this.#say("Pause");
  }

  #stop() {
    cancelAnimationFrame(this.#film);
    this.#film = 0;
    this.#say("Play");
  }

  /** @param {string} what the button does */
  #say(what) {
    const button = byId("travel-play");
    button.title = what;
    one("span", HTMLElement, button).textContent = what;
    one("path", SVGPathElement, button).setAttribute("d", what === "Play" ? "M8 5.5v13l10.5-6.5z" : "M8.5 5.5v13M15.5 5.5v13");
  }

  #close() {
    this.#stop();
    this.#end.abort();
    clearTimeout(this.#asking);
    const { frame, desk, look } = this.#around;
    const { stage, board } = desk;
    delete frame.dataset.travel;
    desk.isWatching = false;
    byId("travel").hidden = true;
    stage.put(stage.scene.differences(board.replica.picture.shown()));
    look(false);
    byId("above").focus();
  }
}
