// The proof drawer: this page's digest beside everybody's and the server's.

import { requestJson } from "/assets/fetch.js";
import { byId } from "./elements.js";
import { headersOf } from "./place.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {{who: string, rev: number, digest: string}} Row */

const ASK_EVERY_MS = 1000;

export class Proof {
  #board;
  #room;
  /** The server's digest at the revision that this page had when it asked. @type {Row | null} */
  #server = null;
  /** Makes the drawer's buttons work, once. @type {(() => Promise<void>) | null} */
  #load;
  #drawer = byId("proof");
  #opener = byId("open-proof");

  /** @param {Board} board @param {Desk} desk @param {ReturnType<typeof import("./place.js").placeOf>} place */
  constructor(board, desk, place) {
    this.#board = board;
    this.#room = place.room;
    this.#opener.addEventListener("click", () => this.toggle());
    byId("close-proof").addEventListener("click", () => void this.#open(false));
    this.#drawer.addEventListener("keydown", (event) => {
      if (event.key === "Escape") void this.#open(false);
    });
    this.#load = async () => {
      const [{ breaking }, { certificates }] = await Promise.all([import("./breaking.js"), import("./certificates.js")]);
      breaking(desk, place);
      certificates(desk, place.room);
    };
    setInterval(() => void this.#ask(), ASK_EVERY_MS);
  }

  draw() {
    if (this.#drawer.hidden) return;
    const { replica, others, reports, me } = this.#board;
    const mine = { who: "This page", rev: replica.rev, digest: replica.saved.digest };
    /** @type {Row[]} */
    const rows = this.#server ? [this.#server] : [];
    for (const [number, { rev, digest }] of reports) {
      const person = others.people.get(number);
      if (number !== me && person) rows.push({ who: person.name, rev, digest });
    }
    const verdicts = rows.map((row) => match(mine, row));
    byId("digests").replaceChildren(rowOf(mine, "", ""), ...rows.map((row, at) => rowOf(row, verdicts[at] ?? "", words(mine, row))));
    byId("operations").textContent = String(replica.saved.size);
    byId("unsaved").textContent = String(replica.unsaved.length);
    const isKept = this.#board.outbox?.isKept;
    byId("kept").textContent = isKept ? "They are kept in this browser until then." : "This browser keeps nothing: they are lost with the page.";
    this.#judge(mine, rows.length, verdicts);
  }

  /** @param {Row} mine @param {number} count @param {string[]} verdicts */
  #judge(mine, count, verdicts) {
    const differing = verdicts.filter((verdict) => verdict === "differs").length;
    const waiting = verdicts.filter((verdict) => verdict === "other").length;
    let verdict = "holds";
    let said = `${count + 1} copies, one digest at revision ${mine.rev}.`;
    if (differing) [verdict, said] = ["broke", `${differing} of ${count + 1} copies differ at the same revision.`];
    else if (!count) [verdict, said] = ["none", "No other copy to compare with."];
    else if (waiting) [verdict, said] = ["running", `${waiting} of ${count + 1} copies are at another revision.`];
    const mark = byId("verdict");
    if (mark.getAttribute("verdict") !== verdict) mark.setAttribute("verdict", verdict);
    if (byId("verdict-words").textContent !== said) byId("verdict-words").textContent = said;
  }

  async #ask() {
    const { replica, link } = this.#board;
    if (this.#drawer.hidden || link.state !== "live") {
      this.#server = null;
      this.draw();
      return;
    }
    try {
      const headers = headersOf(this.#board.person);
      const { data } = await requestJson(`/api/liveboard/rooms/${this.#room}`, { headers });
      let server = { rev: data.rev, digest: data.digest };
      if (data.rev > replica.rev && Object.values(link.faults).every((on) => !on)) {
        server = (await requestJson(`/api/liveboard/rooms/${this.#room}/digests/${replica.rev}`, { headers })).data;
      }
      this.#server = { who: "Server", ...server };
    } catch {
      this.#server = null;
    }
    this.draw();
  }

  toggle() {
    void this.#open(this.#drawer.hidden === true);
  }

  /** @param {boolean} isOpen */
  async #open(isOpen) {
    const load = this.#load;
    this.#load = null;
    await load?.();
    this.#drawer.hidden = !isOpen;
    this.#opener.setAttribute("aria-expanded", String(isOpen));
    (isOpen ? byId("close-proof") : this.#opener).focus();
    this.draw();
    void this.#ask();
  }
}

/** @param {Row} mine @param {Row} row */
const match = (mine, row) => (row.rev !== mine.rev ? "other" : row.digest === mine.digest ? "same" : "differs");

/** @param {Row} mine @param {Row} row */
function words(mine, row) {
  const kind = match(mine, row);
  if (kind === "same") return "✓ same";
  if (kind === "differs") return "✗ differs";
  const apart = Math.abs(row.rev - mine.rev);
  return row.rev > mine.rev ? `${apart} ahead` : `${apart} behind`;
}

/** @param {Row} row @param {string} kind @param {string} said */
function rowOf({ who, rev, digest }, kind, said) {
  const row = document.createElement("tr");
  row.dataset.match = kind;
  for (const [at, text] of [who, String(rev), `${digest.slice(0, 12)}…`, said].entries()) {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (at === 1) cell.className = "number";
    if (at === 2) cell.title = digest;
    row.append(cell);
  }
  row.dataset.digest = digest;
  return row;
}
