// The page of an event: the map, the list, the waiting room and the sale, put together.

import { one } from "/assets/dom.js";
import { ProblemNote } from "/assets/components/problem-note.js";
import { requestJson } from "/assets/fetch.js";
import { count } from "/assets/format.js";
import { Stream } from "/assets/stream.js";
import { money } from "./money.js";
import { BoxOffice } from "./office.js";
import { Plan } from "./plan.js";
import { WaitingRoom } from "./room.js";
import { SalePanel } from "./sale-panel.js";
import { SeatList } from "./seat-list.js";
import { SeatMap } from "./seat-map.js";
import { Seats, STATE_WORDS } from "./seats.js";

/** Servers say nothing for so long when nothing happens. */
const SILENCE_MS = 20_000;
const LIST_EVERY_MS = 2000;

const page = one("#event", HTMLElement);
const eventId = Number(page.dataset.event);
const map = one("seat-map", SeatMap);
const note = one("problem-note", ProblemNote);
const tip = one("#tip", HTMLElement);
const free = one("#free", HTMLElement);
const feed = one("#feed", HTMLElement);

start().catch((error) => note.show(error));

async function start() {
  const { data } = await requestJson(`/api/frontrow/events/${eventId}/map`, { timeout_ms: 60_000 });
  const plan = new Plan(data);
  const seats = new Seats(plan, page.dataset.most ? Number(page.dataset.most) : null);
  const office = new BoxOffice(eventId, sessionStorage, (sale, before) => panel.show(sale, before));
  const panel = new SalePanel(one("#sale", HTMLElement), plan, seats, office, {
    onShow: (positions) => map.frame(positions),
    onChange: redraw,
  });
  map.open(plan, seats, data.name);
  const list = once(() => new SeatList(one("#seat-list", HTMLElement), plan, seats, { onChoose: choose, onPoint: (position) => map.point(position) }));
  one("#as-list", HTMLDetailsElement).addEventListener("toggle", () => list.make());

  map.addEventListener("choose", (event) => choose(/** @type {CustomEvent} */ (event).detail.position));
  map.addEventListener("area", (event) => panel.wantArea(/** @type {CustomEvent} */ (event).detail.id));
  map.addEventListener("point", (event) => {
    tip.textContent = about(/** @type {CustomEvent} */ (event).detail);
  });
  offerPrices(plan, seats);
  panel.begin();
  if (page.dataset.room === "yes") enterBy(office, panel);
  else office.resume();
  follow();

  /** @param {number} position */
  function choose(position) {
    panel.choose(position);
    redraw();
  }

  function redraw() {
    map.redraw();
    list.made?.refresh();
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
    if (found !== undefined && plan.sections.length > 1) return `Section ${found.name} · ${plan.tiers[found.rows[0]?.tier ?? 0]?.name ?? ""} · ${count(seats.freeIn[section])} of ${count(found.count)} free`;
    return plan.areas.find(({ id }) => id === area)?.name ?? "";
  }

  function follow() {
    let listedAt = 0;
    new Stream(`/api/frontrow/events/${eventId}/changes`, {
      staleAfter_ms: SILENCE_MS,
      onEvent: ({ type, data: text }) => {
        const said = JSON.parse(text);
        const lost = type === "state" ? seats.take(said.seats, said.areas) : seats.change(said.seats);
        panel.lose(lost);
        panel.stand();
        free.textContent = count(seats.free);
        for (const [tier, button] of [...document.querySelectorAll("#prices [data-free]")].entries()) {
          if (plan.sections.length > 0) button.textContent = priceLeft(plan, seats, tier);
        }
        redraw();
        if (Date.now() - listedAt > LIST_EVERY_MS) {
          listedAt = Date.now();
          list.made?.refreshSections();
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

/**
 * @param {Plan} plan
 * @param {Seats} seats
 * @param {number} tier
 */
function priceLeft(plan, seats, tier) {
  const ofAreas = plan.areas.filter((area) => area.tier === tier).reduce((sum, area) => sum + (seats.areas.get(area.id) ?? area.capacity), 0);
  return `${count((seats.freeOf[tier] ?? 0) + ofAreas)} free`;
}

/**
 * The legend shows one price alone when pressed.
 * @param {Plan} plan
 * @param {Seats} seats
 */
function offerPrices(plan, seats) {
  const buttons = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#prices .price"));
  for (const button of buttons) {
    const tier = Number(button.dataset.tier);
    const left = button.querySelector("[data-free]");
    if (left !== null) left.textContent = priceLeft(plan, seats, tier);
    button.addEventListener("click", () => {
      const isPressed = button.getAttribute("aria-pressed") === "true";
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button && !isPressed));
      map.showTier(isPressed ? -1 : tier);
    });
  }
}

/**
 * Nothing can be held before it is this buyer's turn.
 * @param {BoxOffice} office
 * @param {SalePanel} panel
 */
function enterBy(office, panel) {
  panel.close();
  const room = new WaitingRoom(one("#room", HTMLElement), eventId, office.buyer, sessionStorage, (ticket) => {
    office.ticket = ticket;
    panel.open();
    office.resume();
  });
  void room.begin().catch((error) => note.show(error));
}

/**
 * Something that is made when it is first wanted.
 * @template T
 * @param {() => T} maker
 * @returns {{made: T | null, make: () => T}}
 */
function once(maker) {
  const holder = {
    made: /** @type {T | null} */ (null),
    make: () => (holder.made ??= maker()),
  };
  return holder;
}
