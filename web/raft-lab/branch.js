// Acting otherwise: from any step of a recording on, the same nodes with another fault. What comes of it is a recording too.

import { one } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { API, whileBusy } from "./lab.js";

/** @typedef {import("./replay.js").Replay} Replay */

const LASTS_MS = 3000;
const TIMEOUT_MS = 60_000;
/** What is done to all of the lab. */
const WHOLE = new Set(["heal"]);

/**
 * @param {Replay} replay
 * @param {() => void} onChange another recording is shown
 */
export function offerBranch(replay, onChange) {
  const form = one("#branch", HTMLFormElement);
  const back = one("#branch-back", HTMLAnchorElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { id, step } = replay.place;
    void whileBusy(one("#branch button", HTMLButtonElement), one("#branch-said", HTMLElement), "The nodes go on from here …", async () => {
      const field = new FormData(form);
      const [action, node] = [String(field.get("action")), String(field.get("node"))];
      const wish = { after_ms: 0, action, ...(WHOLE.has(action) ? {} : { node: node === "leader" ? node : Number(node) }) };
      const { data } = await requestJson(`${API}/recordings/${encodeURIComponent(id)}/branch`, { method: "POST", body: { step, actions: [wish], ms: LASTS_MS }, timeout_ms: TIMEOUT_MS });
      replay.show(data, data.id);
      history.replaceState(null, "", data.url);
      back.href = `/raft-lab?recording=${encodeURIComponent(id)}`;
      back.hidden = false;
      onChange();
      return `Since step ${step} it goes otherwise, for ${LASTS_MS / 1000} s. Play it; this page’s address is its link`;
    });
  });
}
