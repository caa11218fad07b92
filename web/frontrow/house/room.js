// The waiting room: a place that moves, kept over a reload, and a lottery that this browser checks by itself.

import { VerdictMark } from "/assets/components/verdict-mark.js";
import { html, write } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { count, moment, toDate } from "/assets/format.js";
import { Stream } from "/assets/stream.js";
import { checkLottery } from "./lottery.js";
import { roughly } from "./money.js";

const SILENCE_MS = 20_000;

export class WaitingRoom {
  #root;
  #url;
  #buyer;
  #storage;
  #name;
  #onTurn;
  #place = html("p", { class: "room-place figure", role: "status" });
  #words = html("p", { class: "room-words" });
  #button = html("button", { type: "button", class: "button button-primary" }, "Take a place");
  #check = html("button", { type: "button", class: "button button-small" }, "Check the lottery");
  #findings = html("ul", { class: "room-findings" });
  /** @type {{ticket: string, seed_sha256: string}} */
  #kept;

  /**
   * @param {HTMLElement} root
   * @param {number} eventId
   * @param {string} buyer
   * @param {Storage} storage
   * @param {(ticket: string) => void} onTurn
   */
  constructor(root, eventId, buyer, storage, onTurn) {
    this.#root = root;
    this.#buyer = buyer;
    this.#storage = storage;
    this.#onTurn = onTurn;
    this.#url = `/api/frontrow/events/${eventId}/queue`;
    this.#name = `frontrow:room:${eventId}`;
    this.#kept = JSON.parse(storage.getItem(this.#name) ?? "null") ?? { ticket: "", seed_sha256: "" };
  }

  /** Shows the room, or the place that this tab has in it. */
  async begin() {
    const { data: room } = await requestJson(this.#url);
    const opens = moment(toDate(room.opens_at));
    const how = room.open
      ? "It is open: who comes now stands behind those who were here before, first come, first served."
      : `It opens on ${opens}. Everybody who is in by then takes part in a lottery for the first places; coming earlier is no advantage.`;
    const about = html(
      "details",
      { class: "room-about small" },
      html("summary", {}, "How the lottery is kept honest"),
      html("p", {}, "Before the opening the house publishes the hash of a secret seed. At the opening it publishes the seed and the hash of all tickets. The order is that of HMAC-SHA256(seed, ticket), so nobody can choose who is first after seeing who came. Your browser can work it out again:"),
      html("p", { class: "figure room-hash" }, `seed’s hash ${room.seed_sha256}`),
      this.#check,
      this.#findings,
    );
    this.#words.textContent = how;
    this.#button.addEventListener("click", () => void this.#enter());
    this.#check.addEventListener("click", () => void this.#verify());
    this.#root.replaceChildren(html("h2", { class: "sale-title" }, "Waiting room"), this.#place, this.#words, this.#button, about);
    this.#root.hidden = false;
    if (this.#kept.ticket !== "") this.#follow();
  }

  async #enter() {
    this.#button.disabled = true;
    try {
      const { data } = await requestJson(this.#url, { method: "POST", body: { buyer: this.#buyer } });
      this.#kept = { ticket: data.ticket, seed_sha256: data.place === null ? data.seed_sha256 : "" };
      this.#storage.setItem(this.#name, JSON.stringify(this.#kept));
      this.#follow();
    } catch {
      write(this.#words, "The room does not answer now. Try again.");
      this.#button.disabled = false;
    }
  }

  #follow() {
    this.#button.hidden = true;
    const stream = new Stream(`${this.#url}/${this.#kept.ticket}/events`, {
      staleAfter_ms: SILENCE_MS,
      onEvent: ({ type, data }) => {
        if (type !== "place") return;
        const place = JSON.parse(data);
        this.#show(place);
        if (!place.admitted) return;
        stream.close();
        this.#onTurn(this.#kept.ticket);
      },
      onState: ({ name, problem }) => {
        if (name !== "waiting" || problem?.status !== 404) return;
        // The room or the ticket is gone: begin anew.
        stream.close();
        this.#storage.removeItem(this.#name);
        this.#button.hidden = this.#button.disabled = false;
      },
    });
  }

  /** @param {{place: number | null, ahead: number | null, admitted: boolean, estimate_s: number | null, opens_at: number}} place */
  #show({ place, ahead, admitted, estimate_s, opens_at }) {
    this.#root.toggleAttribute("data-admitted", admitted);
    if (admitted) {
      write(this.#place, "Your turn");
      write(this.#words, `You had place ${count(place)}. Choose your seats.`);
    } else if (place === null) {
      write(this.#place, "You are in");
      write(this.#words, `The lottery is drawn on ${moment(toDate(opens_at))}. You may reload this page; your place is kept.`);
    } else {
      write(this.#place, `${count(ahead)} before you`);
      const wait = estimate_s === null ? "Nobody is let in just now." : `Your turn comes in ${roughly(estimate_s)}.`;
      write(this.#words, `You have place ${count(place)}. ${wait} You may reload this page; your place is kept.`);
    }
  }

  async #verify() {
    const say = (/** @type {string} */ words) => this.#findings.replaceChildren(html("li", {}, words));
    if (!globalThis.crypto?.subtle) return say("This browser works out hashes only over HTTPS or on localhost.");
    try {
      const { data } = await requestJson(`${this.#url}/lottery`);
      const found = await checkLottery(data, this.#kept.seed_sha256, crypto.subtle);
      const items = found.map(({ name, holds }) => html("li", {}, mark(holds), ` ${name}`));
      this.#findings.replaceChildren(...items, html("li", { class: "soft" }, `${count(data.places.length)} took part.`));
    } catch {
      say("It is not drawn yet.");
    }
  }
}

/** @param {boolean} holds */
function mark(holds) {
  const made = new VerdictMark();
  made.verdict = holds ? "holds" : "broke";
  return made;
}
