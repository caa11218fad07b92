import assert from "node:assert/strict";
import { test } from "node:test";

import { entry, gather, hearVerdicts, lottery, reach, seatPlaces } from "../../web/frontrow/crowd.js";
import { cleaned, sampleAt, slowdown, slowdownWords, verdictTimes } from "../../web/frontrow/timeline.js";

const RUN = [
  { t_ms: 0, waiting: 10, booked: 0, rejected: 0 },
  { t_ms: 2, waiting: 9, booked: 1, rejected: 0 },
  { t_ms: 4, waiting: 5, booked: 1, rejected: 4 },
  { t_ms: 8, waiting: 0, booked: 1, rejected: 9 },
];

test("a timeline begins at the gun with everybody waiting, whatever was recorded", () => {
  assert.deepEqual(cleaned(undefined, 7), [{ t_ms: 0, waiting: 7, holding: 0, booked: 0, rejected: 0 }]);
  const points = cleaned([{ t_ms: 5, booked: 1, rejected: 6 }, null, { t_ms: "x" }, { t_ms: 3, waiting: 7 }], 7);
  assert.deepEqual(points.map(({ t_ms }) => t_ms), [0, 3, 5]);
});

test("at every moment all buyers are somewhere, and no count goes back", () => {
  const points = cleaned(RUN, 10);
  let before = { booked: 0, rejected: 0 };
  for (let t_ms = -1; t_ms < 12; t_ms += 0.1) {
    const now = sampleAt(points, t_ms);
    assert.equal(now.waiting + (now.holding ?? 0) + now.booked + now.rejected, 10);
    assert.ok(now.booked >= before.booked && now.rejected >= before.rejected, `at ${t_ms}`);
    before = now;
  }
  assert.deepEqual([before.booked, before.rejected], [1, 9]);
});

test("each verdict has its moment, in order, inside the step that recorded it", () => {
  const points = cleaned(RUN, 10);
  assert.deepEqual([...verdictTimes(points, "booked")], [2]);
  const rejected = [...verdictTimes(points, "rejected")];
  assert.equal(rejected.length, 9);
  assert.deepEqual(rejected, rejected.toSorted((a, b) => a - b));
  assert.equal(rejected[3], 4);
  assert.equal(rejected[8], 8);
});

test("what is drawn agrees with the counts at every moment", () => {
  const points = cleaned(RUN, 10);
  const times = verdictTimes(points, "rejected");
  for (let t_ms = 0; t_ms < 9; t_ms += 0.25) {
    assert.equal(times.filter((at) => at <= t_ms).length, sampleAt(points, t_ms).rejected, `at ${t_ms}`);
  }
});

test("a run is slowed down to be seen, and said to be", () => {
  assert.equal(slowdown(7.1), 600);
  assert.equal(slowdown(4000), 1);
  assert.equal(slowdown(60_000), 1);
  assert.equal(slowdown(0), 1);
  assert.equal(slowdownWords(600), "shown 600× slower");
  assert.equal(slowdownWords(1), "shown as fast as it happened");
});

for (const [buyers, seats] of [[1, 1], [3, 7], [1000, 1], [500, 5], [20_000, 1000]]) {
  test(`${buyers} buyers before ${seats} seats all stand inside the half circle, each once`, () => {
    const crowd = gather(buyers, seats, 42);
    for (let dot = 0; dot < buyers; dot += 1) {
      const distance = Math.hypot(crowd.x[dot], crowd.y[dot]);
      assert.ok(distance > 0.05 && distance <= 1 && crowd.y[dot] >= 0, `dot ${dot} at ${distance}`);
    }
    assert.equal(new Set(crowd.order).size, buyers);
  });
}

test("the same seed gathers the same crowd", () => {
  assert.deepEqual(gather(300, 2, 9), gather(300, 2, 9));
  assert.notDeepEqual(gather(300, 2, 9).x, gather(300, 2, 10).x);
  const [one, other] = [lottery(2 ** 53 - 1), lottery(2 ** 53 - 1)];
  assert.equal(one(), other());
});

test("as many dots win and lose as the run says, also when seats stay free", () => {
  const crowd = gather(10, 3, 1);
  const points = cleaned(RUN, 10);
  const { heard, winners } = hearVerdicts(crowd, { booked: verdictTimes(points, "booked"), rejected: verdictTimes(points, "rejected") });
  assert.equal(winners, 1);
  assert.equal(heard.filter((at) => Number.isFinite(at)).length, 10);
  const half = cleaned(RUN.slice(0, 3), 10);
  const sofar = hearVerdicts(crowd, { booked: verdictTimes(half, "booked"), rejected: verdictTimes(half, "rejected") });
  assert.equal(sofar.heard.filter((at) => Number.isFinite(at)).length, 5);
});

test("the crowd presses on until it hears its verdict, then falls back", () => {
  const at = (t_ms) => reach(0.5, 1, t_ms, 5, 10);
  assert.equal(at(-1), 1);
  assert.ok(at(3) < at(1) && at(1) < 1);
  assert.ok(at(7) > at(5));
  assert.ok(at(12) > 1, "outside of where it stood, so that the gate is free");
});

test("a winner is seated soon after the verdict, at once in a run without length", () => {
  assert.equal(entry(4.9, 5, 10), 0);
  assert.equal(entry(6.1, 5, 10), 1);
  assert.equal(entry(0, 0, 0), 1);
});

test("all seats fit into their box", () => {
  for (const seats of [1, 5, 40, 999, 1000]) {
    const { x, y, size } = seatPlaces(seats, 300, 80);
    assert.ok(size > 1, `${seats} seats of ${size}`);
    for (let seat = 0; seat < seats; seat += 1) {
      assert.ok(x[seat] - size / 2 >= -0.5 && x[seat] + size / 2 <= 300.5 && y[seat] + size / 2 <= 80.5 && y[seat] - size / 2 >= -0.5);
    }
  }
});
