// The host's own figures, wherever a page has a place for them: <live-number data-host="uptime | lag | tasks | restarts">.

import { LiveNumber } from "./components/live-number.js";
import { uptime } from "./format.js";
import { follow } from "./overview.js";

follow({
  onOverview: ({ host }) => {
    const measured_at = Date.now() / 1000;
    const figures = {
      uptime: host.uptime_s === undefined ? null : uptime(host.uptime_s),
      lag: host.loop_lag_ms ?? null,
      tasks: host.tasks ?? null,
      restarts: host.plugins.reduce((sum, { restarts }) => sum + (restarts ?? 0), 0),
    };
    for (const [name, value] of Object.entries(figures)) {
      const number = document.querySelector(`live-number[data-host="${name}"]`);
      if (number instanceof LiveNumber) number.update({ value, measured_at });
    }
  },
});
