import assert from "node:assert/strict";
import { test } from "node:test";

import { OUTCOMES } from "../../web/assets/outcomes.js";

/** Spaces of any width as plain ones. @param {string | undefined} text */
const plain = (text) => text?.replaceAll(/\s/gu, " ");

test("each proof's outcome is told in one line", () => {
  const stampede = { booked: 1, rejected: 999, oversold: 0, elapsed_ms: 7.12 };
  assert.equal(plain(OUTCOMES.frontrow?.(stampede)), "1 booked, 999 rejected, 0 oversold, in 7.12 ms from the gun to the last verdict.");
  const failover = { old_leader: 1, new_leader: 3, failover_ms: 250, term: 2, lost: 0, acknowledged: 1 };
  assert.equal(plain(OUTCOMES.raft?.(failover)), "n3 took over from n1 in 250 ms, in term 2. 0 of 1 acknowledged write lost.");
  const played = { converged: 50, seeds: 50, operations: 1200, counts: { lost: 7 }, elapsed_ms: 1500 };
  assert.equal(plain(OUTCOMES.liveboard?.(played)), "50 of 50 networks converged, with 1,200 operations saved and 7 messages lost on the way, in 1.50 s.");
  const killed = { answered: 598, requests: 600, failed: 0, streams_cut_with_an_error: 2, p99_ms: 12.5 };
  assert.equal(plain(OUTCOMES.gateway?.(killed)), "598 of 600 requests answered, 0 failed, 2 streams cut and told so; p99 12.5 ms.");
});

test("a proof without a successor, without losses or without cut streams says no more than that", () => {
  const nobody = { old_leader: 1, new_leader: null, failover_ms: 5000, term: null, lost: 0, acknowledged: 2 };
  assert.equal(OUTCOMES.raft?.(nobody), "Nobody took over from n1. 0 of 2 acknowledged writes lost.");
  assert.equal(plain(OUTCOMES.gateway?.({ answered: 1, requests: 1, failed: 0, streams_cut_with_an_error: 0, p99_ms: 1 })), "1 of 1 request answered, 0 failed; p99 1.00 ms.");
});
