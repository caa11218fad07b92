// The page of an event: the map at once; the sale, the list and the waiting room when they are wanted.

import { one } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { count } from "/assets/format.js";
import { Stream } from "/assets/stream.js";
import { wanted } from "/assets/wanted.js";
import { money } from "./money.js";
import { Plan } from "./plan.js";
import { SeatMap } from "./seat-map.js";
import { Seats, STATE_WORDS } from "./seats.js";

/** @typedef {import("./sale-panel.js").SalePanel} SalePanel */
/** @typedef {import("./seat-list.js").SeatList} SeatList */

/** Servers say nothing for so long when nothing happens. */
const SILENCE_MS = 20_000;
const LIST_EVERY_MS = 2000;

const page = one("#event", HTMLElement);
const eventId = Number(page.dataset.event);
const map = one("seat-map", SeatMap);
const tip = one("#tip", HTMLElement);
const free = one("#free", HTMLElement);
const feed = one("#feed", HTMLElement);
const saleRoot = one("#sale", HTMLElement);

start().catch(fail);

async function start() {
  const { data } = await requestJson(`/api/frontrow/events/${eventId}/map`, { timeout_ms: 60_000 });
  const plan = new Plan(data);
  const seats = new Seats(plan, page.dataset.most ? Number(page.dataset.most) : null);
  /** @type {SalePanel | null} */
  let panel = null;
  /** @type {SeatList | null} */
  let list = null;
  map.open(plan, seats, data.name);

  const sale = once(async () => {
    const [{ BoxOffice }, { SalePanel }] = await Promise.all([import("./office.js"), import("./sale-panel.js")]);
    const office = new BoxOffice(eventId, sessionStorage, (now, before) => made.show(now, before));
    const made = new SalePanel(saleRoot, plan, seats, office, { onShow: (positions) => map.frame(positions), onChange: redraw });
    made.begin();
    saleRoot.dataset.live = "yes";
    panel = made;
    if (page.dataset.room === "yes") await enterBy(office, made);
    else office.resume();
    return made;
  });
  const listed = once(async () => {
    const { SeatList } = await import("./seat-list.js");
    list = new SeatList(one("#seat-list", HTMLElement), plan, seats, { onChoose: choose, onPoint: (position) => map.point(position) });
  });
  one("#as-list", HTMLDetailsElement).addEventListener("toggle", () => void listed());
  holdForms(sale);
  // What this tab had under way goes on at once; else the sale comes with the first hand at the page.
  const isUnderWay = page.dataset.room === "yes" || sessionStorage.getItem(`frontrow:sale:${eventId}`) !== null;
  void (isUnderWay ? Promise.resolve() : wanted([])).then(sale).catch(fail);

  map.addEventListener("choose", (event) => choose(/** @type {CustomEvent} */ (event).detail.position));
  map.addEventListener("area", (event) => void sale().then((made) => made.wantArea(/** @type {CustomEvent} */ (event).detail.id)));
  map.addEventListener("point", (event) => {
    tip.textContent = about(/** @type {CustomEvent} */ (event).detail);
  });
  offerPrices();
  follow();

  /** @param {number} position */
  function choose(position) {
    if (panel === null) return void sale().then(() => choose(position));
    panel.choose(position);
    redraw();
  }

  function redraw() {
    map.redraw();
    list?.refresh();
  }

  /** @param {{seat: number, section: number, area: number}} at */
  function about({ seat, section, area }) {
    if (seat >= 0) {
      const tier = plan.tiers[plan.rowAt(seat).tier];
      const stands = seats.own.has(seat) || seats.chosen.has(seat) ? "yours" : STATE_WORDS[seats.states[seat] ?? 0];
      const kind = plan.kinds.get(seat);
      return [plan.labelOf(seat), kind, tier?.name, tier?.price === null ? "" : money(tier?.price ?? 0, plan.currency), stands].filter(Boolean).join(" · ");
    }
    const found = plan.sections[section];
    if (found !== undefined && plan.sections.length > 1) {
      const tier = plan.tiers[found.rows[0]?.tier ?? 0]?.name ?? "";
      return `Section ${found.name} · ${tier} · ${count(seats.freeIn[section])} of ${count(found.count)} free`;
    }
    return plan.areas.find(({ id }) => id === area)?.name ?? "";
  }

  /** @param {number} tier */
  function freeOf(tier) {
    const ofAreas = plan.areas.filter((area) => area.tier === tier).reduce((sum, area) => sum + (seats.areas.get(area.id) ?? area.capacity), 0);
    return `${count((seats.freeOf[tier] ?? 0) + ofAreas)} free`;
  }

  /** The legend shows one price alone when pressed. */
  function offerPrices() {
    const buttons = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#prices .price"));
    for (const button of buttons) {
      button.addEventListener("click", () => {
        const isPressed = button.getAttribute("aria-pressed") === "true";
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button && !isPressed));
        map.showTier(isPressed ? -1 : Number(button.dataset.tier));
      });
    }
  }

  function stand() {
    free.textContent = count(seats.free);
    for (const [tier, words] of [...document.querySelectorAll("#prices [data-free]")].entries()) words.textContent = freeOf(tier);
    for (const form of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".area-form"))) {
      const left = form.querySelector("[data-area-free]");
      if (left !== null) left.textContent = count(seats.areas.get(Number(form.dataset.area)));
    }
  }

  function follow() {
    let namedAt = 0;
    new Stream(`/api/frontrow/events/${eventId}/changes`, {
      staleAfter_ms: SILENCE_MS,
      onEvent: ({ type, data: text }) => {
        const said = JSON.parse(text);
        const lost = type === "state" ? seats.take(said.seats, said.areas) : seats.change(said.seats, said.areas);
        panel?.lose(lost);
        stand();
        redraw();
        if (Date.now() - namedAt > LIST_EVERY_MS) {
          namedAt = Date.now();
          list?.refreshSections();
        }
        page.dataset.ready = "yes";
      },
      onState: ({ name }) => {
        feed.textContent = { connecting: "connecting", live: "live", stale: "silent", waiting: "connection lost, trying again", paused: "paused", closed: "" }[name];
        feed.dataset.link = name;
      },
    });
  }
}

/** @param {unknown} error */
async function fail(error) {
  const { ProblemNote } = await import("/assets/components/problem-note.js");
  one("problem-note", ProblemNote).show(error);
}

/**
 * Nothing can be held before it is this buyer's turn.
 * @param {import("./office.js").BoxOffice} office
 * @param {SalePanel} panel
 */
async function enterBy(office, panel) {
  panel.close();
  const { WaitingRoom } = await import("./room.js");
  const room = new WaitingRoom(one("#room", HTMLElement), eventId, office.buyer, sessionStorage, (ticket) => {
    office.ticket = ticket;
    panel.open();
    office.resume();
  });
  await room.begin();
}

/**
 * A form that is sent before the sale is there is sent again when it is.
 * @param {() => Promise<unknown>} sale
 */
function holdForms(sale) {
  saleRoot.addEventListener("submit", (event) => {
    const form = event.target;
    if (saleRoot.dataset.live === "yes" || !(form instanceof HTMLFormElement)) return;
    event.preventDefault();
    void sale().then(() => form.requestSubmit());
  });
}

/**
 * Something that is made once, when it is first wanted.
 * @template T
 * @param {() => Promise<T>} maker
 * @returns {() => Promise<T>}
 */
function once(maker) {
  /** @type {Promise<T> | null} */
  let made = null;
  return () => (made ??= maker());
}
