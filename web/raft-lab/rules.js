// The rules of Raft: what a node does without each, who had that bug, and a search for a run in which it breaks a promise.

import { html, one, write } from "/assets/dom.js";
import { explain, requestJson } from "/assets/fetch.js";
import { counted, span } from "/assets/format.js";
import { API } from "./lab.js";
import { sentence } from "./words.js";

const BOUT_TIMEOUT_MS = 30_000;
/** What no search has found by then takes a patient command line. */
const SEEDS_MAX = 1000;

/**
 * Fills the table.
 * @param {(error: unknown) => void} showProblem
 */
export async function showRules(showProblem) {
  try {
    const { data } = await requestJson(`${API}/rules`);
    one("#rules", HTMLTableSectionElement).replaceChildren(...data.map(row));
  } catch (error) {
    showProblem(error);
  }
}

/** @param {{name: string, without: string, source: string, bug: string, url: string | null}} rule */
function row({ name, without, source, bug, url }) {
  const said = html("p", { class: "small said", role: "status" });
  const wish = html("span", {}, "Leave it out");
  const button = html("button", { type: "button", class: "button button-fault button-small" }, wish, html("span", { class: "visually-hidden" }, name));
  let isSearching = false;
  button.addEventListener("click", () => {
    isSearching = !isSearching;
    write(wish, isSearching ? "Stop" : "Leave it out");
    if (!isSearching) return;
    void search(name, said, () => isSearching).finally(() => {
      isSearching = false;
      write(wish, "Leave it out");
    });
  });
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, name.replaceAll("-", " "), html("small", { class: "faint" }, source)),
    html("td", {}, without),
    html("td", {}, url === null ? bug : html("a", { href: url, rel: "external" }, bug)),
    html("td", {}, button, said),
  );
}

/**
 * Searches in bouts, for as long as it is wanted.
 * @param {string} name
 * @param {HTMLElement} said
 * @param {() => boolean} isWanted
 */
async function search(name, said, isWanted) {
  let [first, took_ms] = [0, 0];
  try {
    while (isWanted() && first < SEEDS_MAX) {
      write(said, first === 0 ? "Searching …" : `Nothing broke in ${counted(first, "seed")} so far …`);
      const { data } = await requestJson(`${API}/rules/${encodeURIComponent(name)}/search`, { method: "POST", body: { first }, timeout_ms: BOUT_TIMEOUT_MS });
      first = data.next;
      took_ms += data.ms;
      if (!data.found) continue;
      said.replaceChildren(
        html("b", {}, `${data.violation} is broken`),
        ` at the ${ordinal(first)} seed, after ${span(took_ms)}: ${sentence(data.detail)} Again: `,
        html("code", {}, `quartet raft sim --link ${data.link}`),
      );
      return;
    }
    write(said, `Nothing broke in ${counted(first, "seed")}.`);
  } catch (error) {
    const { headline, detail, next } = explain(error);
    write(said, `${headline}. ${detail} ${next}`);
  }
}

/** @param {number} number */
function ordinal(number) {
  const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(number);
  return `${number}${{ one: "st", two: "nd", few: "rd" }[/** @type {string} */ (rule)] ?? "th"}`;
}
