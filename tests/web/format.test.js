import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, count, counted, figure, MISSING, percent, shortMoment, span, toDate, uptime } from "../../web/assets/format.js";

const plain = (text) => text.replaceAll("\u202f", " ");

test("counts have their thousands apart, and a missing one is a dash", () => {
  assert.equal(count(1234567), "1,234,567");
  assert.equal(count(0), "0");
  for (const missing of [null, undefined, Number.NaN, "7"]) assert.equal(count(missing), MISSING);
});

test("figures keep about three significant digits", () => {
  assert.deepEqual([7.1264, 31.61, 131.6, 999, 0].map(figure), ["7.13", "31.6", "132", "999", "0"]);
  assert.equal(figure("n3"), "n3");
  assert.equal(figure(null), MISSING);
});

test("spans change to seconds at a thousand milliseconds", () => {
  assert.deepEqual([0.004, 7.126, 31.61, 999.4, 1000].map(span).map(plain), ["0.00 ms", "7.13 ms", "31.6 ms", "999 ms", "1.00 s"]);
  assert.equal(span(null), MISSING);
});

test("uptimes show their two largest units and no empty one", () => {
  assert.deepEqual([0, 59, 60, 11532, 86400, 90061].map(uptime).map(plain), ["0 s", "59 s", "1 min", "3 h 12 min", "1 d", "1 d 1 h"]);
});

test("ages grow coarser", () => {
  const now = new Date(1_000_000_000_000);
  const before = (seconds) => plain(ago(new Date(now.getTime() - seconds * 1000), now));
  assert.deepEqual([0, 4, 99, 120, 7200, 259200].map(before), ["just now", "4 s ago", "99 s ago", "2 min ago", "2 h ago", "3 days ago"]);
  assert.equal(ago(null, now), MISSING);
});

test("a moment is read from Unix seconds and from ISO 8601, and from nothing else", () => {
  assert.equal(toDate(1.5)?.getTime(), 1500);
  assert.equal(toDate("1970-01-01T00:00:01Z")?.getTime(), 1000);
  for (const bad of ["", "soon", null, undefined, {}]) assert.equal(toDate(bad), null);
});

test("a moment of another day is named by its day", () => {
  const now = new Date(2025, 10, 22, 12);
  assert.equal(shortMoment(new Date(2025, 10, 20, 9), now), "20 Nov");
  assert.match(shortMoment(new Date(2025, 10, 22, 9, 5, 7), now), /^09:05:07$/);
});

test("shares and counted nouns", () => {
  assert.equal(plain(percent(0.999)), "99.9 %");
  assert.equal(counted(1, "seat"), "1 seat");
  assert.equal(counted(5, "seat"), "5 seats");
});
