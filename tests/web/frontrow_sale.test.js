import assert from "node:assert/strict";
import { createHash, createHmac, webcrypto } from "node:crypto";
import { test } from "node:test";

import { checkLottery } from "../../web/frontrow/house/lottery.js";
import { asking, held, LAPSED, NEW, ordered, over, paid, refused, restored } from "../../web/frontrow/house/sale.js";

const NOW = 1_000_000;
const HOLD = { token: "t", seats: [5, 6], price: 9000, currency: "EUR", ttl_ms: 300_000, protected: true };
const ASKED = { url: "/api/frontrow/orders/o/payment", body: { card: "ok" }, key: "k" };
const problem = (type, detail = "no") => ({ type, detail, title: "" });

const holding = asking(NEW, "holding", { ...ASKED, url: "/api/frontrow/holds" }, "…");
const mine = held(holding, HOLD, NOW);
const paying = asking(ordered(mine, { id: "o", price: 9000, currency: "EUR", left_ms: 280_000 }, NOW), "paying", ASKED, "…");

test("a hold has its time from when it was granted, an order from when it was made", () => {
  assert.equal(mine.step, "held");
  assert.equal(mine.until, NOW + 300_000);
  assert.equal(mine.asked, null);
  assert.equal(paying.until, NOW + 280_000);
  assert.equal(paying.token, "t");
});

test("a hold without layer 1, or apart, says so", () => {
  assert.match(held(holding, { ...HOLD, protected: false }, NOW).sentence, /Redis is away/);
  assert.match(held(holding, { ...HOLD, how: "apart" }, NOW).sentence, /not all side by side/);
});

for (const [type, words] of [["sold", /sold/], ["held", /holds/], ["none-together", /side by side/], ["waiting-room", /turn/], ["limit", /At most 6/]]) {
  test(`a hold that is refused (${type}) goes back to the map, with a sentence`, () => {
    const sale = refused(holding, problem(type, "at most 6"));
    assert.equal(sale.step, "choosing");
    assert.match(sale.sentence, words);
  });
}

test("the type of a problem may be an address", () => {
  assert.match(refused(holding, problem("https://example.test/problems/sold")).sentence, /sold/);
});

test("a payment that is good is done, and knows its booking", () => {
  const sale = paid(paying, 200, null, { booking_url: "/b" });
  assert.deepEqual([sale.step, sale.booking, sale.asked], ["done", "/b", null]);
  assert.deepEqual(sale.seats, [5, 6]);
});

test("a refused card leaves hold and order, so that another card may be tried", () => {
  const sale = paid(paying, 402, problem("payment-declined"), null);
  assert.deepEqual([sale.step, sale.order, sale.token, sale.until], ["held", "o", "t", paying.until]);
  assert.match(sale.sentence, /nothing was taken/);
});

for (const [status, type] of [[202, ""], [409, "in-flight"], [0, ""], [503, ""], [429, ""]]) {
  test(`an answer that decides nothing (${status} ${type}) is asked for again, under the same key`, () => {
    const sale = paid(paying, status, problem(type), null);
    assert.equal(sale.step, "paying");
    assert.deepEqual(sale.asked, ASKED);
    assert.doesNotMatch(sale.sentence, /failed|refused/);
  });
}

for (const [type, words] of [["seats-gone", /money goes back/], ["expired", /time to pay/], ["cancelled", /given up/]]) {
  test(`an order that ends otherwise (${type}) says what becomes of the money`, () => {
    const sale = paid(paying, 409, problem(type), null);
    assert.deepEqual([sale.step, sale.order, sale.seats], ["over", "o", []]);
    assert.match(sale.sentence, words);
  });
}

test("after a reload, a hold goes on while it has time", () => {
  assert.equal(restored(JSON.parse(JSON.stringify(mine)), NOW + 1).step, "held");
  const late = restored(mine, NOW + 300_000);
  assert.deepEqual([late.step, late.sentence], ["over", LAPSED]);
});

test("after a reload, what was under way is asked again with its key", () => {
  assert.deepEqual(restored(paying, NOW + 1e9).asked, ASKED);
  assert.equal(restored({ ...paying, asked: null }, NOW).step, "choosing");
});

test("what cannot have been kept by this page is forgotten", () => {
  for (const kept of [null, 5, "x", {}, []]) assert.deepEqual(restored(kept, NOW), NEW);
});

test("what is over keeps its order, to look it up", () => {
  assert.equal(over(paying, "x").order, "o");
});

const TICKETS = ["c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002", "c0ffee00-0000-4000-8000-000000000003"];
const SEED = Buffer.from("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "hex");
const sha256 = (data) => createHash("sha256").update(data).digest("hex");

function drawn() {
  const lot = (ticket) => createHmac("sha256", SEED).update(ticket).digest("hex");
  const order = [...TICKETS].sort((a, b) => (lot(a) < lot(b) ? -1 : 1));
  return {
    seed: SEED.toString("hex"),
    seed_sha256: sha256(SEED),
    entrants_sha256: sha256(TICKETS.map((ticket) => `${ticket}\n`).join("")),
    places: order.map((ticket, place) => ({ ticket, place: place + 1 })),
  };
}

const verdicts = async (draw, committed = sha256(SEED)) => (await checkLottery(draw, committed, webcrypto.subtle)).map(({ holds }) => holds);

test("a lottery that was drawn as promised is found to be", async () => {
  assert.deepEqual(await verdicts(drawn()), [true, true, true]);
  assert.deepEqual(await verdicts(drawn(), ""), [true, true, true]);
});

test("another seed, another entrant, or two places swapped: each is found", async () => {
  assert.deepEqual(await verdicts(drawn(), sha256("another")), [false, true, true]);
  const more = drawn();
  more.places.push({ ticket: "c0ffee00-0000-4000-8000-000000000004", place: 4 });
  assert.equal((await verdicts(more))[1], false);
  const swapped = drawn();
  [swapped.places[0].place, swapped.places[1].place] = [2, 1];
  assert.deepEqual(await verdicts(swapped), [true, true, false]);
});
