import assert from "node:assert/strict";
import { test } from "node:test";

import { clock, money, roughly } from "../../web/frontrow/house/money.js";
import { Plan } from "../../web/frontrow/house/plan.js";
import { BLOCKED, FREE, HELD, Seats, SOLD } from "../../web/frontrow/house/seats.js";
import { around, boxOf, hull, isInside, PointGrid } from "../../web/frontrow/house/shapes.js";
import { between, centred, fitted, kept, limitsOf, seen, toPlan, zoomed } from "../../web/frontrow/house/view.js";

const SIZE = { width: 800, height: 600 };

/** Two blocks of rows on both sides of an aisle, an area in front of a stage. */
function house({ rows = 4, seats = 10 } = {}) {
  let id = 1000;
  const block = (name, left, tier) => ({
    name,
    rows: Array.from({ length: rows }, (_, row) => ({
      label: String.fromCharCode(65 + row),
      tier,
      ids: Array.from({ length: seats }, (_, place) => (place === 0 ? (id += seats) - seats : 1)),
      numbers: Array.from({ length: seats }, (_, place) => String(place + 1)),
      x_cm: Array.from({ length: seats }, (_, place) => (place === 0 ? left * 100 : 50)),
      y_cm: Array.from({ length: seats }, (_, place) => (place === 0 ? 1200 + row * 100 : 0)),
      kinds: row === 0 ? [[0, "accessible"]] : [],
    })),
  });
  return {
    event_id: 1,
    currency: "EUR",
    stage: { x: 0, y: 0 },
    tiers: [{ code: "gold", name: "Gold", price: 5000 }, { code: "blue", name: "Blue", price: 2000 }, { code: "pit", name: "Pit", price: 900 }],
    areas: [{ id: 7, name: "Pit", tier: "pit", x: 0, y: 6, capacity: 50 }],
    sections: [block("L", -6, "gold"), block("R", 1.5, "blue")],
  };
}

test("a plan names seats by position, in the order of the letters", () => {
  const plan = new Plan(house());
  assert.equal(plan.count, 80);
  assert.equal(plan.positionOf.get(1041), 41);
  assert.equal(plan.ids[41], 1041);
  assert.equal(plan.labelOf(41), "Section R, row A, seat 2");
  assert.equal(plan.priceOf(41), 2000);
  assert.equal(plan.kinds.get(40), "accessible");
});

test("a house of one section does not say which section a seat is in", () => {
  const map = house();
  map.sections.length = 1;
  assert.equal(new Plan(map).labelOf(11), "Row B, seat 2");
});

test("every seat is found at its own place, and only within reach", () => {
  const plan = new Plan(house());
  for (let seat = 0; seat < plan.count; seat += 1) assert.equal(plan.seatAt(plan.x[seat] + 0.1, plan.y[seat] - 0.1, 0.3), seat);
  assert.equal(plan.seatAt(0, 13, 0.3), -1);
  assert.equal(plan.seatAt(500, 500, 3), -1);
});

test("sections and areas are found by where they are", () => {
  const plan = new Plan(house());
  assert.equal(plan.sectionAt(-4, 13), 0);
  assert.equal(plan.sectionAt(3, 13), 1);
  assert.equal(plan.sectionAt(0.2, 13), -1);
  assert.equal(plan.areaAt(0, 6)?.id, 7);
  assert.equal(plan.areaAt(0, 13), null);
});

test("an area reaches neither a seat nor the stage", () => {
  const plan = new Plan(house());
  const [area] = plan.areas;
  for (let seat = 0; seat < plan.count; seat += 1) assert.ok(Math.hypot(plan.x[seat] - area.x, plan.y[seat] - area.y) > area.radius);
  assert.ok(Math.hypot(plan.stage.x - area.x, plan.stage.y - area.y) > area.radius);
});

test("a hull is around all of its points, whatever their order", () => {
  const points = [[0, 0], [4, 0], [4, 3], [0, 3], [2, 1], [1, 2], [4, 1.5]];
  const outline = hull(points).flat();
  assert.equal(outline.length, 8);
  assert.ok(isInside(outline, 2, 1));
  assert.ok(!isInside(outline, 5, 1));
  assert.deepEqual(hull([...points].reverse()).flat(), outline);
});

test("boxes join", () => {
  assert.deepEqual(around([boxOf([[0, 1]]), boxOf([[3, -2]])]), { left: 0, top: -2, right: 3, bottom: 1 });
});

test("a grid finds what a look at every point would", () => {
  const x = Float32Array.from({ length: 300 }, (_, i) => (i * 37) % 101);
  const y = Float32Array.from({ length: 300 }, (_, i) => (i * 53) % 67);
  const grid = new PointGrid(x, y, 5);
  for (const box of [{ left: 10, top: 10, right: 30, bottom: 40 }, { left: -5, top: -5, right: 200, bottom: 200 }, { left: 7, top: 7, right: 7, bottom: 7 }, { left: 300, top: 0, right: 400, bottom: 9 }]) {
    const found = [];
    grid.forEachIn(box, (point) => found.push(point));
    const expected = [...x.keys()].filter((i) => x[i] >= box.left && x[i] <= box.right && y[i] >= box.top && y[i] <= box.bottom);
    assert.deepEqual(found.sort((a, b) => a - b), expected);
  }
});

test("an empty house has no seats to find", () => {
  const plan = new Plan({ ...house(), sections: [] });
  assert.equal(plan.seatAt(0, 0, 100), -1);
  assert.ok(Number.isFinite(plan.box.left) && Number.isFinite(plan.stage.width));
});

test("at home all of the plan is seen", () => {
  const { box, pitch_m } = new Plan(house());
  const part = seen(fitted(box, SIZE), SIZE);
  assert.ok(part.left <= box.left && part.right >= box.right && part.top <= box.top && part.bottom >= box.bottom);
  const { least, most } = limitsOf(box, SIZE, pitch_m);
  assert.ok(least < most);
});

test("zooming leaves the point under the hand where it is, and stops at its limits", () => {
  const view = { scale: 10, x: 5, y: -20 };
  const at = { x: 300, y: 200 };
  const before = toPlan(view, at);
  const after = toPlan(zoomed(view, 2.5, at, { least: 1, most: 100 }), at);
  assert.ok(Math.hypot(after.x - before.x, after.y - before.y) < 1e-9);
  assert.equal(zoomed(view, 1000, at, { least: 1, most: 100 }).scale, 100);
  assert.equal(zoomed(view, 0.001, at, { least: 1, most: 100 }).scale, 1);
});

test("the plan cannot be pushed out of the window", () => {
  const { box } = new Plan(house());
  const home = fitted(box, SIZE);
  const close = { scale: home.scale * 4, x: 1e6, y: -1e6 };
  const part = seen(kept(close, box, SIZE), SIZE);
  assert.ok(part.right > box.left && part.left < box.right && part.bottom > box.top && part.top < box.bottom);
  const back = kept({ ...home, x: -400 }, box, SIZE);
  assert.ok(Math.abs(back.x - home.x) < 1e-6);
});

test("a glide begins where it was and ends where it should", () => {
  const [from, to] = [{ scale: 5, x: 0, y: 0 }, centred({ x: 10, y: 4 }, 40, SIZE)];
  assert.deepEqual(between(from, to, 1, SIZE), to);
  const start = between(from, to, 0, SIZE);
  assert.ok(Math.abs(start.scale - 5) < 1e-9 && Math.hypot(start.x, start.y) < 1e-6);
  let scale = 5;
  for (let step = 1; step < 10; step += 1) {
    const now = between(from, to, step / 10, SIZE);
    assert.ok(now.scale > scale && now.scale < 40);
    scale = now.scale;
  }
  const level = between({ scale: 5, x: 0, y: 0 }, { scale: 5, x: 100, y: 0 }, 0.5, SIZE);
  assert.ok(Math.abs(level.x - 50) < 1e-6);
});

test("seats follow the map, and a chosen seat that somebody takes is not chosen any more", () => {
  const seats = new Seats(new Plan(house()), null);
  assert.deepEqual(seats.take("f".repeat(79) + "b", [{ id: 7, free: 12 }]), []);
  assert.equal(seats.free, 79);
  assert.equal(seats.areas.get(7), 12);
  assert.equal(seats.toggle(3), "");
  assert.deepEqual(seats.change([[3, "h"], [4, "s"]]), [3]);
  assert.deepEqual([seats.states[3], seats.states[4], seats.states[79], seats.states[0]], [HELD, SOLD, BLOCKED, FREE]);
  assert.deepEqual([...seats.chosen], []);
  assert.deepEqual([...seats.freeIn], [38, 39]);
  assert.deepEqual([...seats.freeOf], [38, 39, 0]);
  seats.change([[3, "f"], [500, "s"], [1, "?"]]);
  assert.equal(seats.free, 78);
});

test("a change tells of areas too, of those that have another number of places left", () => {
  const seats = new Seats(new Plan(house()), null);
  seats.take("f".repeat(80), [{ id: 7, free: 12 }, { id: 8, free: 3 }]);
  assert.deepEqual(seats.change([], [{ id: 7, free: 9 }]), []);
  assert.deepEqual([...seats.areas], [[7, 9], [8, 3]]);
});

test("the whole map takes away what was sold while nobody listened", () => {
  const seats = new Seats(new Plan(house()), null);
  seats.toggle(0);
  assert.deepEqual(seats.take("s" + "f".repeat(79), []), [0]);
});

test("one's own seats stay one's own, whatever the map says of them", () => {
  const seats = new Seats(new Plan(house()), null);
  seats.own.add(5);
  seats.change([[5, "s"]]);
  assert.ok(seats.own.has(5));
  assert.match(seats.toggle(5), /yours/);
});

test("only free seats are chosen, and not more than one may have", () => {
  const seats = new Seats(new Plan(house()), 2);
  seats.change([[0, "s"], [1, "h"]]);
  assert.match(seats.toggle(0), /sold/);
  assert.match(seats.toggle(1), /held/);
  assert.equal(seats.toggle(2), "");
  assert.equal(seats.toggle(40), "");
  assert.match(seats.toggle(3), /At most 2/);
  assert.equal(seats.price, 7000);
  assert.equal(seats.toggle(2), "");
  assert.deepEqual([...seats.chosen], [40]);
  assert.equal(new Seats(new Plan(house()), 1000).most, 10);
});

test("sums and times are written as customers read them", () => {
  assert.equal(money(7250, "EUR"), "€72.50");
  assert.equal(money(500, "JPY"), "¥500");
  assert.equal(money(0, null), "free");
  assert.equal(clock(299_001), "5:00");
  assert.equal(clock(59_000), "0:59");
  assert.equal(clock(-5), "0:00");
  assert.equal(roughly(0.4), "a moment");
  assert.equal(roughly(40), "about 40 s");
  assert.equal(roughly(600), "about 10 min");
});
