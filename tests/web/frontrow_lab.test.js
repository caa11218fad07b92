import assert from "node:assert/strict";
import { test } from "node:test";

import { courseOf } from "../../web/frontrow/lab/course.js";
import { figuresOf, struckWords } from "../../web/frontrow/lab/verdict-words.js";

const RUN = {
  buyers: 100,
  seats: 10,
  booked: 10,
  rejected: 90,
  oversold: 0,
  undersold: 0,
  holds_lost: 3,
  unknowns: 2,
  unknowns_resolved: 2,
  elapsed_ms: 200,
  timeline: [{ t_ms: 0, waiting: 100, booked: 0, rejected: 0 }, { t_ms: 100, waiting: 50, booked: 5, rejected: 45 }, { t_ms: 200, waiting: 0, booked: 10, rejected: 90 }],
  faults: [{ name: "redis-kill", at_ms: 50, in_time: true }, { name: "host-kill", signal: "SIGKILL" }],
};

const yAt = (path) => path.match(/[\d.]+(?=(L|Z|$))/g).map(Number);

test("a course goes from the gun to the last verdict, each line to its own whole", () => {
  const course = courseOf(RUN);
  assert.equal(course.elapsed_ms, 200);
  assert.deepEqual(yAt(course.booked), [100, 50, 0]);
  assert.deepEqual(yAt(course.rejected).slice(0, 3), [100, 55, 10]);
  assert.ok(course.rejected.endsWith("Z"));
});

test("a fault stands where it struck; one without a time stands nowhere", () => {
  assert.deepEqual(courseOf(RUN).faults, [{ name: "redis-kill", at_ms: 50, share: 0.25, inTime: true }]);
  assert.equal(courseOf({ ...RUN, faults: [{ name: "x", at_ms: 900, in_time: false }] }).faults[0].share, 1);
});

test("a run of which nothing is known yet has a course", () => {
  const course = courseOf({ buyers: 0, seats: 0 });
  assert.ok(!/NaN|Infinity/.test(course.booked + course.rejected));
  assert.deepEqual(course.faults, []);
});

test("what a fault came to is told in figures, and what is not known as such", () => {
  const figures = Object.fromEntries(figuresOf({ run: RUN, recovered_ms: null }));
  assert.equal(figures["holds lost"], "3");
  assert.equal(figures["outcomes found out"], "2");
  assert.equal(figures["servers back after"], "–");
  assert.equal(Object.fromEntries(figuresOf({ run: null, recovered_ms: 5 })).booked, "–");
});

test("a fault that came too late says so, and a killed host what died with it", () => {
  assert.match(struckWords({ struck: { at_ms: 50, in_time: true }, run: RUN }), /last verdict/);
  assert.match(struckWords({ struck: { at_ms: 50, in_time: false }, run: RUN }), /faster/);
  assert.match(struckWords({ struck: { sold_when_killed: 167 }, run: null }), /167 seats/);
});
