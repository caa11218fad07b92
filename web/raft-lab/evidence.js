// The evidence: the last seconds as a file that replays bit for bit, and the recordings that were kept.

import { html, one } from "/assets/dom.js";
import { requestJson } from "/assets/fetch.js";
import { ago, count } from "/assets/format.js";
import { API } from "./lab.js";

const SECONDS = 30;
const RECORDINGS_SHOWN = 5;

/** @param {(error: unknown) => void} showProblem */
export function offerExport(showProblem) {
  const button = one("#export", HTMLButtonElement);
  button.addEventListener("click", () => void exportIt(button, showProblem));
  void showRecordings();
}

/**
 * @param {HTMLButtonElement} button
 * @param {(error: unknown) => void} showProblem
 */
async function exportIt(button, showProblem) {
  const place = one("#exported", HTMLElement);
  button.disabled = true;
  place.textContent = "Writing it down, and replaying it …";
  try {
    const { data } = await requestJson(`${API}/recordings`, { method: "POST", body: { seconds: SECONDS }, timeout_ms: 60_000 });
    const replayed = data.verified ? "The replay came to the same hash, live = replay:" : `The replay came to another hash, ${data.replayed_hash}, than`;
    place.replaceChildren(
      html("a", { href: data.url, class: "button" }, "Watch it"),
      html("a", { href: data.file_url, download: true, class: "button" }, "Download the recording"),
      html("span", {}, `${count(data.steps)} steps, ${count(data.bytes)} bytes. ${replayed} `, html("code", {}, data.hash), "."),
    );
    void showRecordings();
  } catch (error) {
    place.textContent = "";
    showProblem(error);
  } finally {
    button.disabled = false;
    button.focus();
  }
}

async function showRecordings() {
  try {
    const { data } = await requestJson(`${API}/recordings`);
    const now = new Date();
    one("#recordings", HTMLElement).replaceChildren(
      ...data.slice(0, RECORDINGS_SHOWN).map((/** @type {any} */ { id, url, bytes, age_s }) =>
        html("li", {}, html("a", { href: url }, html("code", {}, id)), ` ${count(bytes)} bytes, ${ago(new Date(now.getTime() - age_s * 1000), now)}`),
      ),
    );
  } catch {
    // A list of what was kept is no more than a convenience.
  }
}
