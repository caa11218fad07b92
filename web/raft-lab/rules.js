// The rules of Raft, each with what breaks when it is left out, how soon a search finds it, and who paid for it.

import { html, one } from "/assets/dom.js";
import { explain, Problem, requestJson } from "/assets/fetch.js";
import { count, span } from "/assets/format.js";
import { API } from "./lab.js";
import { sentence } from "./words.js";

const SEARCH_TIMEOUT_MS = 60_000;

/** Fills the table, when the host has it. */
export async function showRules() {
  try {
    const { data } = await requestJson(`${API}/rules`);
    if (!Array.isArray(data) || data.length === 0) return;
    one("#rules", HTMLTableSectionElement).replaceChildren(...data.map(row));
    one("#rules-table", HTMLElement).hidden = false;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

/** @param {any} rule */
function row(rule) {
  const said = html("p", { class: "small", role: "status" });
  const button = html("button", { type: "button", class: "button button-fault button-small", "aria-label": `Leave out ${rule.name}` }, "Leave it out");
  button.addEventListener("click", () => void search(rule.name, button, said));
  const link = rule.link ? html("code", {}, rule.link) : "";
  const found = rule.seeds ? `${rule.promise}, after ${count(rule.seeds)} seed${rule.seeds === 1 ? "" : "s"}` : "not found yet";
  const bug = rule.url ? html("a", { href: rule.url, rel: "external" }, rule.bug) : String(rule.bug ?? "");
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, html("b", {}, rule.name.replaceAll("-", " ")), html("small", { class: "faint" }, rule.source)),
    html("td", {}, found, " ", link),
    html("td", {}, bug),
    html("td", {}, button, said),
  );
}

/**
 * @param {string} name
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} said
 */
async function search(name, button, said) {
  button.disabled = true;
  said.textContent = "Searching …";
  try {
    const { data } = await requestJson(`${API}/rules/${encodeURIComponent(name)}/search`, { method: "POST", body: {}, timeout_ms: SEARCH_TIMEOUT_MS });
    said.replaceChildren(
      ...(data.found
        ? [`Seed ${data.seed} broke ${data.promise} in ${span(data.ms)}: ${sentence(data.text)} `, html("code", {}, `quartet raft sim --link ${data.link}`)]
        : [`No promise broke in ${data.tried} seeds, ${span(data.ms)}; the table says how many it takes.`]),
    );
  } catch (error) {
    const { headline, detail, next } = explain(error);
    said.textContent = `${headline}. ${detail} ${next}`;
  } finally {
    button.disabled = false;
    button.focus({ preventScroll: true });
  }
}
