// The customer's side of the box office: asks, keeps what was asked in this tab, and asks again until there is an answer.

import { Problem, requestJson } from "/assets/fetch.js";
import { asking, held, LAPSED, NEW, ordered, over, paid, refused, restored } from "./sale.js";

/** @typedef {import("./sale.js").Sale} Sale */

const AGAIN_MS = 1000;
const HOLDS = "/api/frontrow/holds";
const ORDERS = "/api/frontrow/orders";
const BOOKINGS = "/api/frontrow/bookings";

/**
 * Who this tab is to the box office: a name by lot.
 * @param {Storage} storage
 * @returns {string}
 */
export function buyerOf(storage) {
  const known = storage.getItem("frontrow:buyer");
  if (known !== null) return known;
  const name = `guest-${random()}`;
  storage.setItem("frontrow:buyer", name);
  return name;
}

/** Random enough for a key, also where `crypto.randomUUID` is not to be had (plain HTTP). */
function random() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class BoxOffice {
  /** @type {Sale} */
  sale;
  #eventId;
  #storage;
  #onChange;
  #name;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #ending;
  /** A ticket of the waiting room, where there is one. */
  ticket = "";

  /**
   * @param {number} eventId
   * @param {Storage} storage
   * @param {(sale: Sale, before: Sale) => void} onChange
   */
  constructor(eventId, storage, onChange) {
    this.#eventId = eventId;
    this.#storage = storage;
    this.#onChange = onChange;
    this.#name = `frontrow:sale:${eventId}`;
    this.buyer = buyerOf(storage);
    this.sale = restored(JSON.parse(storage.getItem(this.#name) ?? "null"), Date.now());
  }

  /** Goes on with what this tab had under way before it was loaded anew. */
  resume() {
    this.#become(this.sale);
    if (this.sale.step === "holding") void this.#hold();
    if (this.sale.step === "paying") void this.#pay();
  }

  /**
   * Holds seats, or places of an area.
   * @param {{seats?: number[], area?: number, quantity?: number}} what
   */
  async hold(what) {
    const body = { event_id: this.#eventId, ...what, buyer: this.buyer, ...this.#shownTicket() };
    this.#become(asking(NEW, "holding", { url: HOLDS, body, key: random() }, "Asking for them …"));
    await this.#hold();
  }

  /**
   * Holds the best seats of a price.
   * @param {{tier: string, count: number, accessible: boolean, apart: boolean}} wish
   */
  async best(wish) {
    const url = `/api/frontrow/events/${this.#eventId}/best-available`;
    const body = { ...wish, buyer: this.buyer, ...this.#shownTicket() };
    this.#become(asking(NEW, "holding", { url, body, key: random() }, "Looking for the best …"));
    await this.#hold();
  }

  /** Gives the seats back. */
  async giveBack() {
    const { order, token } = this.sale;
    const url = order === "" ? `${HOLDS}/${encodeURIComponent(token)}` : `${ORDERS}/${order}`;
    try {
      await requestJson(url, { method: "DELETE" });
    } catch (error) {
      if (!(error instanceof Problem) || error.status === 0 || error.status >= 500) return this.#say("They could not be given back now; they come free when the time is over.");
    }
    this.#become({ ...NEW, sentence: "Given back. Nothing was taken." });
  }

  /**
   * Pays what is held.
   * @param {string} card the simulated provider's; where nothing is to be paid, it does not matter
   */
  async pay(card) {
    const { price, token, order } = this.sale;
    if (price === 0) {
      const body = { token, buyer: this.buyer };
      this.#become(asking(this.sale, "paying", { url: BOOKINGS, body, key: random() }, "Booking …"));
      return this.#pay();
    }
    const key = random();
    if (order === "") {
      try {
        const { data } = await requestJson(ORDERS, { method: "POST", body: { token, buyer: this.buyer }, headers: { "idempotency-key": key } });
        this.#become(ordered(this.sale, data, Date.now()));
      } catch (error) {
        if (isUnanswered(error)) return this.#say("The box office does not answer; your seats are held all the same. Try again.");
        return this.#become(refused(this.sale, asProblem(error)));
      }
    }
    const url = `${ORDERS}/${this.sale.order}/payment`;
    this.#become(asking(this.sale, "paying", { url, body: { card }, key: random() }, "The provider is asked …"));
    return this.#pay();
  }

  /** Back to the map. */
  startAgain() {
    this.#become(NEW);
  }

  async #hold() {
    const asked = this.sale.asked;
    if (asked === null) return;
    try {
      const { data } = await requestJson(asked.url, { method: "POST", body: asked.body, headers: { "idempotency-key": asked.key } });
      this.#become(held(this.sale, data, Date.now()));
    } catch (error) {
      this.#become(refused(this.sale, asProblem(error)));
    }
  }

  async #pay() {
    const asked = this.sale.asked;
    while (asked !== null && this.sale.asked?.key === asked.key) {
      let wait_ms = AGAIN_MS;
      try {
        const { status, data } = await requestJson(asked.url, { method: "POST", body: asked.body, headers: { "idempotency-key": asked.key } });
        this.#become(paid(this.sale, status, null, data));
      } catch (error) {
        const problem = asProblem(error);
        wait_ms = problem.retryAfter_ms ?? AGAIN_MS;
        this.#become(paid(this.sale, problem.status, problem, null));
      }
      if (this.sale.step !== "paying") return;
      await new Promise((resolve) => setTimeout(resolve, wait_ms));
    }
  }

  #shownTicket() {
    return this.ticket === "" ? {} : { ticket: this.ticket };
  }

  /** @param {string} sentence */
  #say(sentence) {
    this.#become({ ...this.sale, sentence });
  }

  /** @param {Sale} sale */
  #become(sale) {
    const before = this.sale;
    this.sale = sale;
    if (sale.step === "choosing" || sale.step === "over") this.#storage.removeItem(this.#name);
    else this.#storage.setItem(this.#name, JSON.stringify(sale));
    clearTimeout(this.#ending);
    if (sale.step === "held") this.#ending = setTimeout(() => this.#become(over(this.sale, LAPSED)), Math.max(sale.until - Date.now(), 0));
    this.#onChange(sale, before);
  }
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem({ kind: "garbled", detail: "The page itself failed at this" });
}

/** @param {unknown} error */
function isUnanswered(error) {
  return error instanceof Problem && (error.status === 0 || error.status >= 500);
}
