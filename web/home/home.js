// The overview: the host's pulse, and what each system's proof says in one line.

import { oneLine, ProofCard } from "/assets/components/proof-card.js";
import "/assets/components/copy-text.js";
import "/assets/components/host-score.js";
import { LiveNumber } from "/assets/components/live-number.js";
import { span, uptime } from "/assets/format.js";
import { follow } from "/assets/overview.js";

const DESCRIBE = /** @type {Record<string, (result: any) => string>} */ ({
  frontrow: (result) =>
    oneLine([
      [result.booked, "booked"],
      [result.rejected, "rejected"],
      [result.oversold, "oversold"],
    ]) + (typeof result.elapsed_ms === "number" ? ` in ${span(result.elapsed_ms)}` : ""),
  gateway: (result) =>
    oneLine([
      [result.answered, "answered"],
      [result.streams_cut_with_an_error || undefined, "streams cut, and told so"],
      [result.failed, "failed"],
    ]),
});

for (const card of document.querySelectorAll("proof-card")) {
  const describe = DESCRIBE[card.getAttribute("plugin") ?? ""];
  if (card instanceof ProofCard && describe !== undefined) card.describe = describe;
}

follow({
  onOverview: ({ host }) => {
    const measured_at = Date.now() / 1000;
    show("pulse-uptime", host.uptime_s === undefined ? null : uptime(host.uptime_s), measured_at);
    show("pulse-lag", host.loop_lag_ms ?? null, measured_at);
    show("pulse-tasks", host.tasks ?? null, measured_at);
  },
});

/**
 * @param {string} id
 * @param {number | string | null} value
 * @param {number} measured_at
 */
function show(id, value, measured_at) {
  const number = document.getElementById(id);
  if (number instanceof LiveNumber) number.update({ value, measured_at });
}
