// The page of an order: times in the reader's zone, and a fresh look as long as something is still to happen.

import { requestJson } from "/assets/fetch.js";
import { timeOfDay } from "/assets/format.js";
import { stamp } from "../run-result.js";

const AGAIN_MS = 1000;
const FINAL = new Set(["confirmed", "declined", "expired", "cancelled", "voided", "refunded"]);

const order = /** @type {HTMLElement} */ (document.getElementById("order"));
for (const time of order.querySelectorAll("time")) stamp(time, timeOfDay);
if (!FINAL.has(order.dataset.state ?? "")) void watch(order.dataset.order ?? "");

/**
 * Loads the page anew when the order has moved.
 * @param {string} id
 */
async function watch(id) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    try {
      const { data } = await requestJson(`/api/frontrow/orders/${id}`);
      if (data.state !== order.dataset.state) return location.reload();
    } catch {
      // The header says when the host is gone; the order stands as it was said last.
    }
  }
}
