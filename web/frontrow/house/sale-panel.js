// The sale beside the map: what is chosen, held, paid, and what was said of it.

import { html, one, write } from "/assets/dom.js";
import { counted } from "/assets/format.js";
import { clock, money } from "./money.js";

/** @typedef {import("./plan.js").Plan} Plan */
/** @typedef {import("./seats.js").Seats} Seats */
/** @typedef {import("./office.js").BoxOffice} BoxOffice */
/** @typedef {import("./sale.js").Sale} Sale */

const TICK_MS = 250;
/** At these many seconds before the end a screen reader is told. */
const WARN_S = new Set([60, 30, 10]);

export class SalePanel {
  #root;
  #plan;
  #seats;
  #office;
  #listener;
  #isOpen = true;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;

  /**
   * @param {HTMLElement} root
   * @param {Plan} plan
   * @param {Seats} seats
   * @param {BoxOffice} office
   * @param {{onShow: (positions: number[]) => void, onChange: () => void}} listener
   */
  constructor(root, plan, seats, office, listener) {
    this.#root = root;
    this.#plan = plan;
    this.#seats = seats;
    this.#office = office;
    this.#listener = listener;
  }

  /** Listens to the customer. */
  begin() {
    write(this.#part("#most"), String(this.#seats.most));
    for (const input of this.#root.querySelectorAll('input[type="number"]')) input.setAttribute("max", String(this.#seats.most));
    one("#hold", HTMLButtonElement, this.#root).addEventListener("click", () => void this.#office.hold({ seats: [...this.#seats.chosen].map((position) => this.#plan.ids[position] ?? 0) }));
    one("#give-back", HTMLButtonElement, this.#root).addEventListener("click", () => void this.#office.giveBack());
    this.#root.querySelector("[data-again]")?.addEventListener("click", () => this.#office.startAgain());
    this.#onSubmit(one("#pay", HTMLFormElement, this.#root), (values) => this.#office.pay(String(values.get("card"))));
    const best = this.#root.querySelector("#best");
    if (best instanceof HTMLFormElement) {
      this.#onSubmit(best, (values) => {
        const wish = { tier: String(values.get("tier")), count: this.#number(values, "count"), accessible: values.has("accessible"), apart: values.has("apart") };
        return this.#office.best(wish);
      });
    }
    for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (this.#root.querySelectorAll(".area-form"))) {
      this.#onSubmit(form, (values) => this.#office.hold({ area: Number(form.dataset.area), quantity: this.#number(values, "quantity") }));
    }
    this.#root.querySelector(".cards")?.addEventListener("change", () => this.#sayCard());
    this.#sayCard();
    this.#listChosen();
  }

  /** Nothing can be chosen to be held yet. */
  close() {
    this.#isOpen = false;
    this.#showParts("");
  }

  open() {
    this.#isOpen = true;
    this.#showParts(this.#office.sale.step);
  }

  /** @param {number} position */
  choose(position) {
    if (!["choosing", "over"].includes(this.#office.sale.step) || !this.#isOpen) return;
    const refusal = this.#seats.toggle(position);
    const name = this.#plan.labelOf(position);
    this.#say(refusal === "" ? `${name}: ${this.#seats.chosen.has(position) ? "chosen" : "not chosen any more"}.` : `${name}: ${refusal}`);
    this.#listChosen();
  }

  /** @param {readonly number[]} positions chosen seats that somebody else was faster at */
  lose(positions) {
    if (positions.length === 0 || this.#office.sale.step === "holding") return;
    this.#say(`Somebody was faster: ${positions.map((position) => this.#plan.labelOf(position)).join("; ")}.`);
    this.#listChosen();
  }

  /** @param {number} area that was pointed at on the map */
  wantArea(area) {
    const input = this.#root.querySelector(`.area-form[data-area="${area}"] input`);
    if (input instanceof HTMLInputElement && this.#isOpen) input.focus();
  }

  /**
   * @param {Sale} sale
   * @param {Sale} before
   */
  show(sale, before) {
    const own = sale.seats.map((id) => this.#plan.positionOf.get(id) ?? -1).filter((position) => position >= 0);
    this.#seats.own.clear();
    for (const position of own) this.#seats.own.add(position);
    if (sale.step === "held" && before.step !== "held") this.#seats.chosen.clear();
    if (sale.step === "held" && before.step === "holding" && own.length > 0) this.#listener.onShow(own);
    if (sale.sentence !== before.sentence || sale.step !== before.step) this.#say(sale.sentence);
    this.#root.setAttribute("aria-busy", String(sale.step === "holding" || sale.step === "paying"));
    for (const id of ["held-list", "done-list"]) one(`#${id}`, HTMLOListElement, this.#root).replaceChildren(...this.#ownItems(sale, own));
    const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (this.#root.querySelectorAll("#pay button, #best button, .area-form button"));
    for (const button of buttons) button.disabled = sale.step === "paying" || sale.step === "holding";
    const pay = one("#pay-now", HTMLButtonElement, this.#root);
    write(pay, sale.step === "paying" ? "Paying …" : sale.price > 0 ? `Pay ${money(sale.price, sale.currency)}` : "Book");
    one(".cards", HTMLFieldSetElement, this.#root).hidden = sale.price === 0;
    one(".simulated", HTMLElement, this.#root).hidden = sale.price === 0;
    const receipt = one("#receipt", HTMLAnchorElement, this.#root);
    receipt.href = sale.order === "" ? sale.booking || "/frontrow" : `/frontrow/orders/${sale.order}`;
    one("#over-order", HTMLAnchorElement, this.#root).href = `/frontrow/orders/${sale.order}`;
    one("#over-more", HTMLElement, this.#root).hidden = sale.order === "";
    if (this.#isOpen) this.#showParts(sale.step);
    this.#countDown(sale);
    this.#listChosen();
    this.#listener.onChange();
    this.#follow(sale, before);
  }

  /**
   * The part that has the focus may just have gone: take it along.
   * @param {Sale} sale
   * @param {Sale} before
   */
  #follow(sale, before) {
    if (sale.step === before.step || !(document.activeElement === document.body || document.activeElement?.closest("[hidden]"))) return;
    if (sale.step === "held") one("#pay-now", HTMLButtonElement, this.#root).focus({ preventScroll: true });
    if (sale.step === "done") one("#receipt", HTMLAnchorElement, this.#root).focus({ preventScroll: true });
  }

  /** @param {string} step "" shows none */
  #showParts(step) {
    this.#root.dataset.step = step;
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (this.#root.querySelectorAll(".sale-part"))) part.hidden = !(part.dataset.on ?? "").split(" ").includes(step);
  }

  /** @param {Sale} sale */
  #countDown(sale) {
    clearInterval(this.#ticking);
    if (sale.step !== "held" && sale.step !== "paying") return;
    const [words, ring] = [this.#part("#countdown"), this.#part("#ring")];
    let warned = -1;
    const tick = () => {
      const left_ms = sale.until - Date.now();
      write(words, clock(left_ms));
      ring.setAttribute("stroke-dasharray", `${Math.max(0, Math.min(100, (100 * left_ms) / Math.max(sale.total_ms, 1))).toFixed(1)} 100`);
      const seconds = Math.ceil(left_ms / 1000);
      if (WARN_S.has(seconds) && warned !== seconds && sale.step === "held") {
        warned = seconds;
        this.#say(`${counted(seconds, "second")} left to pay.`);
      }
    };
    tick();
    this.#ticking = setInterval(tick, TICK_MS);
  }

  #listChosen() {
    const chosen = [...this.#seats.chosen].sort((a, b) => a - b);
    const items = chosen.map((position) => {
      const remove = html("button", { type: "button", class: "basket-remove", "aria-label": `Remove ${this.#plan.labelOf(position)}` }, "×");
      remove.addEventListener("click", () => {
        this.choose(position);
        this.#listener.onChange();
      });
      return this.#item(position, remove);
    });
    one("#basket", HTMLOListElement, this.#root).replaceChildren(...items);
    one("#basket-empty", HTMLElement, this.#root).hidden = chosen.length > 0;
    const hold = one("#hold", HTMLButtonElement, this.#root);
    const isHolding = this.#office.sale.step === "holding";
    hold.disabled = chosen.length === 0 || isHolding;
    const price = this.#plan.currency === null ? "" : ` · ${money(this.#seats.price, this.#plan.currency)}`;
    write(hold, isHolding ? "Holding …" : chosen.length === 0 ? "Hold them" : `Hold ${counted(chosen.length, "seat")}${price}`);
  }

  /**
   * @param {Sale} sale
   * @param {number[]} own
   */
  #ownItems(sale, own) {
    const area = this.#plan.areas.find(({ id }) => id === sale.area);
    const items = own.map((position) => this.#item(position));
    if (area !== undefined) items.push(html("li", {}, html("span", {}, `${sale.quantity} × ${area.name}`), html("span", { class: "figure" }, money(sale.price, sale.currency))));
    if (own.length > 1 && sale.price > 0) items.push(html("li", { class: "basket-sum" }, html("span", {}, "Together"), html("span", { class: "figure" }, money(sale.price, sale.currency))));
    return items;
  }

  /**
   * @param {number} position
   * @param {HTMLElement} [button]
   */
  #item(position, button) {
    const row = this.#plan.rowAt(position);
    const tier = this.#plan.tiers[row.tier];
    const swatch = html("i", { class: "swatch", "data-tier": row.tier % 6 });
    const kind = html("small", { class: "soft" }, tier?.price === null ? "" : ` ${tier?.name ?? ""}`);
    const name = html("span", { class: "basket-name" }, swatch, html("span", {}, this.#plan.labelOf(position), kind));
    const price = html("span", { class: "figure" }, tier?.price === null ? "" : money(tier?.price ?? 0, this.#plan.currency));
    return html("li", {}, name, price, ...(button === undefined ? [] : [button]));
  }

  #sayCard() {
    const checked = this.#root.querySelector('input[name="card"]:checked + span');
    write(this.#part("#card-says"), checked?.getAttribute("title") ?? "");
  }

  /**
   * @param {HTMLFormElement} form
   * @param {(values: FormData) => Promise<unknown>} act
   */
  #onSubmit(form, act) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void act(new FormData(form));
    });
  }

  /**
   * @param {FormData} values
   * @param {string} name
   */
  #number(values, name) {
    return Math.min(this.#seats.most, Math.max(1, Math.round(Number(values.get(name))) || 1));
  }

  /** @param {string} selector */
  #part(selector) {
    return one(selector, Element, this.#root);
  }

  /** @param {string} words */
  #say(words) {
    write(this.#part("#say"), words);
  }
}
